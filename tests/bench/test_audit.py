"""The audit of the metrics: faults that grow, sights that follow from numbers, correlations by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.bench.suites import crossing, make_suite
from wow.bench.audit import Sight
from wow.bench.correlation import _pearsons, _spearmans, correlate, pearson, ranks, spearman
from wow.bench.dimensions.contract import NotMeasurable
from wow.bench.dimensions.registry import METRICS
from wow.bench.intervals import Estimate
from wow.bench.ladder import CLAIMS, FAULTS, worsened
from wow.cli.main import main

RUNGS = (0.3, 0.6, 1.0)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_grows_and_leaves_the_first_frame_and_the_truth_as_they_are(fault: str) -> None:
    frames, labels = (np.repeat(part, 2, axis=0) for part in crossing(3))
    before = frames.copy()
    errors = []
    for strength in RUNGS:
        faulty = worsened(fault, frames, strength, labels == 2)
        assert faulty.shape == frames.shape and faulty.dtype == np.uint8
        assert np.array_equal(faulty[0], frames[0]) and np.array_equal(frames, before)
        errors.append(float(np.square(faulty.astype(float) - frames).mean()))
    assert 0 < errors[0] < errors[-1]
    assert min(np.diff(errors)) > -0.05 * errors[-1], (
        "of a thing that is elsewhere, pixels do not see how far away it is"
    )


def test_an_optimistic_end_shows_the_object_where_it_should_be_and_little_of_the_way() -> None:
    frames, labels = crossing(0)
    faulty = worsened("optimistic", frames, 1.0, labels == 2)
    assert np.abs(faulty[-1][labels[-1] == 2].astype(int) - (250, 200, 40)).max() < 30
    assert np.abs(faulty[4].astype(int) - frames[1]).max() == 0, "robot and object have hardly begun"


def test_what_cannot_be_made_worse_says_so() -> None:
    frames, _ = crossing(0)
    for fault in ("teleport", "vanish", "wrong-object", "optimistic"):
        with pytest.raises(NotMeasurable, match="where the object is"):
            worsened(fault, frames, 1.0, None)
    with pytest.raises(NotMeasurable, match="too short"):
        worsened("blur", frames[:4], 1.0, None)


def test_claims_are_about_metrics_and_faults_that_exist() -> None:
    assert CLAIMS.keys() == FAULTS.keys()
    assert {metric for metrics in CLAIMS.values() for metric in metrics} <= METRICS.keys()


@pytest.mark.parametrize(
    ("worse", "at_full", "word"),
    [
        ((1.0, 2.0, 3.0), Estimate(3.0, 2.0, 4.0, 9), "monotone"),
        ((2.0, 1.0, 3.0), Estimate(3.0, 2.0, 4.0, 9), "sees"),
        ((-0.1, 1.0, 3.0), Estimate(3.0, 2.0, 4.0, 9), "sees"),
        ((1.0, 2.0, 3.0), Estimate(3.0, -0.5, 4.0, 9), "-"),
        ((0.0, 0.0, 0.0), Estimate(0.0, 0.0, 0.0, 9), "-"),
        ((-1.0, -2.0, -3.0), Estimate(-3.0, -4.0, -1.0, 9), "fooled"),
        ((1.0, 2.0, 3.0), Estimate(3.0, None, None, 9), "monotone"),
    ],
)
def test_a_metric_sees_what_it_surely_rates_worse(worse: tuple[float, ...], at_full: Estimate, word: str) -> None:
    assert Sight("psnr", "blur", worse, at_full).word == word


def test_correlations_by_hand_and_their_intervals() -> None:
    assert ranks(np.array([5.0, 1.0, 5.0, 9.0])).tolist() == [2.5, 1.0, 2.5, 4.0]
    found = correlate([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0])
    assert found is not None
    assert found.pearson.value == pytest.approx(0.8) and found.spearman.value == pytest.approx(0.8)
    curved = correlate([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 8.0, 27.0, 64.0, 125.0])
    assert curved is not None and curved.spearman.value == pytest.approx(1.0)
    assert 0.9 < curved.pearson.value < 0.99
    turned = correlate([1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    assert turned is not None and turned.pearson.value == pytest.approx(-1.0)
    assert correlate([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None and correlate([1.0, 2.0], [1.0, 2.0]) is None
    random = np.random.default_rng(0).normal(size=(2, 40))
    noise = correlate(*random.tolist())
    assert noise is not None and noise.pearson.low is not None and noise.pearson.low < 0 < (noise.pearson.high or 0)


def test_many_draws_at_once_are_correlated_as_one_by_one() -> None:
    drawn = np.random.default_rng(0).integers(0, 4, size=(200, 5, 2)).astype(float)
    for together, alone in ((_pearsons, pearson), (_spearmans, spearman)):
        assert together(drawn) == pytest.approx(np.array([alone(one) for one in drawn]), nan_ok=True, abs=1e-12)


def test_the_command_goes_on_and_finds_what_each_metric_sees(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", count=3)
    words = ["bench", "audit", "--suite", str(suite), "--out", str(tmp_path / "out"), "--executor", "none"]
    words += ["--faults", "reverse", "teleport", "--strengths", "0.5", "1.0", "--metrics", "psnr", "object_path_l2"]
    assert main(words) == 0
    told = json.loads((tmp_path / "out" / "audit.json").read_text())
    seen = {(one["metric"], one["fault"]): one for one in told["sights"]}
    assert len(seen) == 4 and seen["psnr", "teleport"]["sees"] and seen["object_path_l2", "teleport"]["monotone"]
    page = (tmp_path / "out" / "audit.html").read_text()
    for (metric, fault), one in seen.items():
        word = "fooled" if one["fooled"] else "monotone" if one["sees"] and one["monotone"] else "sees"
        assert f"{METRICS[metric].title}, {fault}: {word if one['sees'] or one['fooled'] else '-'}; worse by" in page
    video = tmp_path / "out" / "videos" / "reverse-1" / "a" / "0.mp4"
    written = video.stat().st_mtime_ns
    scores = (tmp_path / "out" / "runs" / "reverse-1" / "scores.jsonl").read_text()
    (tmp_path / "out" / "audit.md").unlink()
    assert main(words) == 0
    assert video.stat().st_mtime_ns == written and (tmp_path / "out" / "audit.md").is_file()
    assert (tmp_path / "out" / "runs" / "reverse-1" / "scores.jsonl").read_text() == scores


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faults", "rust"], "no fault 'rust'"),
        (["--strengths", "2"], "--strengths"),
        (["--metrics", "beauty"], "no metric"),
        (["--samples", "1"], "--samples is at least 2"),
        (["--trials", "0"], "--trials is 1 to 100"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "audit", "--suite", str(tmp_path), "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
