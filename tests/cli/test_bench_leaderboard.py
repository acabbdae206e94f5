"""`wow bench leaderboard`: files merge in any order and again, and what cannot be compared is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.suites import make_suite, scored_runs
from wow.bench.standings import standings
from wow.cli.main import main


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The result files of a still, a slow and the true world, away from their runs."""
    folder = tmp_path_factory.mktemp("runs")
    suite = make_suite(folder / "suite", count=4)
    speeds = {"still": 0.0, "slow": 1.0, "truth": 2.0}
    runs = scored_runs(folder, suite, speeds, ["psnr", "object_path_l2", "camera_ate"])
    found = {name: folder / f"{name}.json" for name in runs}
    for name, file in found.items():
        file.write_text((runs[name] / "results.json").read_text())
    return found


def test_files_merge_whatever_their_order_and_a_table_can_be_merged_again(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["bench", "leaderboard", str(files["still"]), str(files["truth"]), "--out", str(first)]) == 0
    words = [str(files["slow"]), str(files["truth"]), str(first / "leaderboard.json")]
    capsys.readouterr()
    assert main(["bench", "leaderboard", *words, "--out", str(second), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["runs"] == 3 and list(told["overall_v2"]) == ["truth", "slow", "still"]
    at_once = standings([files[name] for name in ("truth", "still", "slow")])
    merged = standings([second])
    assert [run.name for run in merged.runs] == [run.name for run in at_once.runs]
    assert [scores.overall for scores in merged.v2] == [scores.overall for scores in at_once.v2]
    assert merged.v1 is not None and at_once.v1 is not None
    assert [scores.overall for scores in merged.v1] == [scores.overall for scores in at_once.v1]
    assert "| 1 | truth |" in (second / "leaderboard.md").read_text()


def test_what_cannot_be_compared_or_read_is_refused(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(files["slow"].read_text())
    psnr = {**content["metrics"]["psnr"], "version": 9}
    wrong = {
        "hash": ({**content, "suite_hash": "0" * 64}, "same files"),
        "version": ({**content, "metrics": {**content["metrics"], "psnr": psnr}}, "psnr is version"),
        "format": ({**content, "format": 99}, "format 99"),
        "half": ({"format": 1}, "whole result"),
        "list": ([1, 2], "no result"),
    }
    for name, (told, said) in wrong.items():
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(told))
        out = tmp_path / f"{name}-out"
        assert main(["bench", "leaderboard", str(files["truth"]), str(file), "--out", str(out)]) == 2, name
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1, error
    assert main(["bench", "leaderboard", str(tmp_path / "nowhere"), "--out", str(tmp_path / "x")]) == 2
    assert "holds no results.json" in capsys.readouterr().err
