"""The suite's own videos as what is tested: at the ceiling of every metric as they are, and below it with a fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench.suites import make_suite
from wow.bench.dimensions.registry import METRICS
from wow.cli.bench_build import film_one
from wow.cli.main import main
from wow.sim.briefs import brief
from wow.sim.job import RecordingOptions

ABOUT_THE_VIDEO_ALONE = [name for name in METRICS if name.endswith("_consistency")]
"""A still picture is at the ceiling of these, not one in which something moves."""


def results(out: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((out / "results.json").read_text())
    return told


@pytest.mark.slow
def test_the_truth_of_a_built_suite_is_at_the_ceiling_of_every_metric(tmp_path: Path) -> None:
    suite, out = tmp_path / "suite", tmp_path / "out"
    for number in range(2):
        film_one(brief("spatial", number, 0), suite, RecordingOptions(size=64))
    words = ["--suite", str(suite), "--model", "truth", "--executor", "none", "--out", str(out)]
    assert main(["bench", "run", *words]) == 0
    told = results(out)
    assert told["counts"] == {"samples": 2, "scored": 2, "left_out": 0, "other_problems": 0, "made_alike": 0}
    found = {name: one["estimate"]["value"] for name, one in told["metrics"].items() if one["estimate"]}
    assert {"psnr", "ssim", "robot_path_l2", "object_path_frechet", "camera_ate", "drift"} <= found.keys()
    for name in found.keys() - set(ABOUT_THE_VIDEO_ALONE):
        best = METRICS[name].high if METRICS[name].higher_is_better else max(METRICS[name].low, 0.0)
        assert found[name] == pytest.approx(best, abs=1e-5), name
    reached = {name: score for name, score in told["v2"]["metrics"].items() if name not in ABOUT_THE_VIDEO_ALONE}
    assert reached == pytest.approx(dict.fromkeys(reached, 100.0), abs=0.01)


def test_a_fault_is_put_into_every_video_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = make_suite(tmp_path / "suite", count=3)
    (suite / "a" / "2" / "masks.npz").unlink()
    words = ["bench", "run", "--suite", str(suite), "--executor", "none", "--metrics", "psnr", "--model", "truth"]
    psnr = {}
    for strength in ("0.3", "1.0"):
        out = tmp_path / strength
        assert main([*words, "--fault", "teleport", "--strength", strength, "--out", str(out)]) == 0
        told = results(out)
        psnr[strength] = told["metrics"]["psnr"]["estimate"]["value"]
        assert told["tested"] == f"truth with teleport {float(strength):g}" and told["counts"]["left_out"] == 1
        problems = {problem["key"]: problem["what"] for problem in told["problems"]}
        assert problems.keys() == {"", "a/2"} and "where the object is" in problems["a/2"]
    assert psnr["1.0"] < psnr["0.3"] < 40
    scored = (tmp_path / "1.0" / "scores.jsonl").read_text()
    again = [*words, "--out", str(tmp_path / "1.0"), "--fault", "teleport"]
    assert main(again) == 0 and (tmp_path / "1.0" / "scores.jsonl").read_text() == scored
    capsys.readouterr()
    assert main([*again, "--strength", "0.5"]) == 2 and "tested" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model", "first-frame", "--fault", "blur"], "--fault goes with --model truth"),
        (["--model", "truth", "--fault", "rust"], "no fault 'rust'"),
        (["--model", "truth", "--fault", "blur", "--strength", "2"], "--strength"),
        (["--model", "truth", "--refine", "2"], "--refine searches"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = make_suite(tmp_path / "suite", count=1)
    assert main(["bench", "run", "--suite", str(suite), "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
