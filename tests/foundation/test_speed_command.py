"""`wow speed`: a table that can be interrupted, rehearsed on a small network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")
pytest.importorskip("accelerate", reason="the extra [foundation] is not installed")

from wow.cli.main import main

TINY = ["speed", "wow-1-wan-1.3b-2m", "--tiny", "--device", "cpu", "--dtype", "float32", "--shape", "32x32x5"]


def table(capsys: pytest.CaptureFixture[str], words: list[str]) -> tuple[dict[str, dict[str, object]], str]:
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr().out
    return {row["way"]: row for row in json.loads(said.splitlines()[-1])["rows"]}, said


def test_rows_are_measured_once_and_the_exact_ones_are_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    words = [*TINY, "--steps", "3", "--out", str(tmp_path / "speed"), "--rows"]
    first, _ = table(capsys, [*words, "exact"])
    rows, said = table(capsys, [*words, "cache-0.3,exact,batched,interval,sage"])
    assert rows["exact"] == first["exact"], "it was there"
    assert list(rows) == ["exact", "batched", "sage", "interval", "cache-0.3"]
    assert float(str(rows["batched"]["psnr"])) > 45 and rows["batched"]["passes"] == 3 and rows["exact"]["passes"] == 6
    assert rows["interval"]["passes"] == 5
    assert all(float(str(row["seconds"])) > float(str(row["seconds_per_step"])) > 0
               for row in rows.values() if "why_not" not in row)  # fmt: skip
    assert "sage: attention 'sage' cannot be used here" in said and "times faster" in said
    assert main([*words, "exact", "--seed", "1"]) == 2
    assert "something else" in capsys.readouterr().err


def test_mistakes_are_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in (
        (["svd-xt"], "no ways to compare"),
        (["wow-1-wan-1.3b-2m", "--shape", "480x832"], "HEIGHTxWIDTHxFRAMES"),
        (["wow-1-wan-1.3b-2m", "--shape", "480x832x80"], "4k+1"),
        (["wow-1-wan-1.3b-2m", "--shape", "470x832x81"], "multiples of 16"),
        (["wow-1-wan-1.3b-2m", "--device", "cpu"], "add --tiny"),
        (["wow-1-wan-1.3b-2m", "--tiny", "--rows", "quick"], "no way called 'quick'"),
    ):
        assert main(["speed", *words, "--out", str(tmp_path / words[-1])]) == 2
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1, error
