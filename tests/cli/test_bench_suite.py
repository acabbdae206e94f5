"""`wow bench import`, `run`, `compare` and `report`, typed as somebody would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.suites import crossing, make_suite, write_film
from wow.cli.main import main

METRICS = ["--metrics", "psnr", "drift"]


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The summary for machines."""
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_from_a_folder_of_videos_to_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    films, suite, still, slow = (str(tmp_path / name) for name in ("films", "suite", "still", "slow"))
    for number in range(3):
        write_film(tmp_path / "films" / f"push-{number}.mp4", crossing(number)[0])
        write_film(tmp_path / "mine" / f"push-{number}.mp4", crossing(number, 1.0)[0])
    assert main(["bench", "import", films, "--out", suite, "--json"]) == 0
    assert last_line(capsys)["samples"] == 3
    assert main(["bench", "run", "--suite", suite, "--model", "first-frame", "--out", still, *METRICS]) == 0
    assert main(["bench", "run", "--suite", suite, "--videos", str(tmp_path / "mine"), "--out", slow, *METRICS]) == 0
    capsys.readouterr()
    assert main(["bench", "run", "--suite", suite, "--model", "first-frame", "--out", still, *METRICS, "--json"]) == 0
    assert last_line(capsys)["newly_scored"] == 0
    assert main(["bench", "compare", slow, still, "--json"]) == 0
    told = last_line(capsys)
    assert told["A"] == "mine" and "psnr" in str(told["table"])
    report = tmp_path / "report"
    assert main(["bench", "report", slow, still, "--out", str(report), "--show", "1"]) == 0
    assert {path.name for path in report.iterdir()} == {"report.html", "report.md", "report.json"}


def test_a_part_of_a_suite_is_a_part_of_the_whole_and_can_grow(tmp_path: Path) -> None:
    suite, out = str(make_suite(tmp_path / "suite", count=6)), tmp_path / "out"
    words = ["bench", "run", "--suite", suite, "--model", "first-frame", "--executor", "none", "--metrics", "psnr"]
    scored: list[dict[str, float]] = []
    for samples in (["--samples", "2"], ["--samples", "4"], []):
        assert main([*words, "--num-frames", "4", "--out", str(out), *samples]) == 0
        told = json.loads((out / "results.json").read_text())
        scored.append({key: one["values"]["psnr"] for key, one in told["samples"].items()})
        assert told["counts"]["samples"] == told["counts"]["scored"] == len(scored[-1])
    assert [len(one) for one in scored] == [2, 4, 6] and list(scored[2]) == sorted(scored[2])
    assert scored[0].items() <= scored[1].items() <= scored[2].items(), "none is scored anew, or otherwise"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "OUT"], "--model NAME or --videos"),
        (["--model", "wow-mini", "--videos", "SUITE", "--out", "OUT"], "one of the two"),
        (["--model", "first-frame", "--metrics", "beauty", "--out", "OUT"], "no metric 'beauty'"),
        (["--videos", "nowhere", "--out", "OUT"], "no folder"),
        (["--model", "no-such-model", "--out", "OUT"], "no-such-model"),
        (["--model", "nearest", "--out", "OUT"], "--train-data"),
        (["--model", "first-frame", "--samples", "0", "--out", "OUT"], "--samples is at least 1"),
        (["--model", "first-frame", "--ray-address", "auto", "--out", "OUT"], "--engine ray"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = make_suite(tmp_path / "suite", count=1)
    placed = [{"OUT": str(tmp_path / "out"), "SUITE": str(suite)}.get(word, word) for word in words]
    assert main(["bench", "run", "--suite", str(suite), *placed]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_the_nearest_training_video_of_a_training_episode_is_itself(
    tmp_path: Path, toy_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = str(tmp_path / "suite")
    assert main(["bench", "import", str(toy_data), "--out", suite, "--limit", "3"]) == 0
    words = [
        "bench",
        "run",
        "--suite",
        suite,
        "--model",
        "nearest",
        "--train-data",
        str(toy_data),
        "--executor",
        "none",
    ]
    capsys.readouterr()
    assert main([*words, "--num-frames", "24", "--metrics", "psnr", "--out", str(tmp_path / "out"), "--json"]) == 0
    psnr = last_line(capsys)["psnr"]
    assert isinstance(psnr, float) and psnr > 35
    assert "20 episodes" in (tmp_path / "out" / "run.json").read_text()


def test_a_run_in_which_nothing_is_scored_says_so_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite, films, out = make_suite(tmp_path / "suite", count=2), tmp_path / "films", tmp_path / "out"
    films.mkdir()
    words = ["bench", "run", "--suite", str(suite), "--videos", str(films), "--executor", "none", "--out", str(out)]
    assert main([*words, "--metrics", "psnr"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "none of 2 samples could be scored; a/0: there is no video" in told
    assert json.loads((out / "results.json").read_text())["counts"]["left_out"] == 2
    assert main(["bench", "report", str(out), "--out", str(tmp_path / "report")]) == 0
    assert "0 of 2 samples scored" in (tmp_path / "report" / "report.md").read_text()
