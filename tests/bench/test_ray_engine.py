"""A suite scored on a real Ray cluster of this machine comes to the same numbers, and goes on after a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.suites import crossing, make_suite, write_film
from wow.cli.main import main

pytest.importorskip("ray", reason="needs the extra ray")


def test_ray_comes_to_the_same_numbers_as_this_process(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", count=3)
    for number in range(3):
        write_film(tmp_path / "mine" / "a" / f"{number}.mp4", crossing(number, 1.0)[0])
    words = ["bench", "run", "--suite", str(suite), "--videos", str(tmp_path / "mine"), "--executor", "none"]
    words += ["--metrics", "psnr", "object_path_l2"]
    for engine in ("local", "ray"):
        assert main([*words, "--out", str(tmp_path / engine), "--engine", engine, "--workers", "1"]) == 0
    local, ray = (json.loads((tmp_path / engine / "results.json").read_text()) for engine in ("local", "ray"))
    assert ray["metrics"] == local["metrics"] and ray["counts"]["scored"] == 3
    lines = (tmp_path / "ray" / "scores.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "ray" / "scores.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
    assert main([*words, "--out", str(tmp_path / "ray"), "--engine", "ray", "--workers", "1"]) == 0
    again = json.loads((tmp_path / "ray" / "results.json").read_text())
    assert again["metrics"] == local["metrics"]


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = make_suite(tmp_path / "suite", count=1)
    words = ["bench", "run", "--suite", str(suite), "--model", "first-frame", "--out", str(tmp_path / "out")]
    words += ["--executor", "none", "--metrics", "psnr", "--engine", "ray", "--ray-address", "127.0.0.1:1"]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "no Ray cluster at 127.0.0.1:1" in error
