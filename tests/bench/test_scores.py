"""Both published scales: every published total from its parts, and every formula against a calculation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wow.bench import scores_v1 as v1
from wow.bench import scores_v2 as v2
from wow.types import WowError

# visual, instruction, physical, planning, overall; as printed, so the total is right to half a unit of the last digit.
TABLE_V2 = {
    "CogVideo": (38.52, 54.09, 63.30, 2.32, 39.56),
    "Cosmos-Predict1": (39.06, 61.46, 59.05, 7.47, 41.76),
    "Wan2.1": (40.23, 56.85, 59.66, 5.6, 40.59),
    "Cosmos-Predict2": (46.81, 56.80, 60.56, 6.67, 42.71),
    "WoW-cosmos1": (49.35, 69.68, 62.28, 2.89, 46.05),
    "WoW-wan": (55.38, 62.16, 63.75, 4.74, 46.51),
    "WoW-cosmos2": (54.12, 70.36, 66.18, 6.88, 49.39),
    "cosmos1 + agent": (35.43, 61.07, 53.78, 8.23, 39.63),
    "cosmos2 + agent": (49.70, 75.96, 64.66, 11.77, 50.53),
    "WoW-cosmos1 + agent": (59.39, 72.54, 69.71, 4.26, 51.47),
    "WoW-wan + agent": (60.53, 50.83, 67.48, 6.75, 46.40),
    "WoW-cosmos2 + agent": (56.82, 76.16, 67.15, 7.76, 51.97),
}
TABLE_V1 = {
    "CogVideo": (18.93, 5.91, 44.13, 2.32, 10.34),
    "Cosmos-Predict1": (12.39, 45.29, 16.85, 7.47, 16.30),
    "Wan2.1": (12.92, 12.63, 5.96, 5.6, 8.59),
    "Cosmos-Predict2": (34.92, 16.52, 28.76, 6.67, 18.24),
    "WoW-cosmos1": (61.76, 74.82, 40.38, 2.89, 27.10),
    "WoW-wan": (82.33, 56.21, 68.18, 4.74, 34.97),
    "WoW-cosmos2": (65.60, 78.53, 80.25, 6.88, 41.07),
    "cosmos1 + agent": (3.34, 48.26, 5.05, 8.23, 9.05),
    "cosmos2 + agent": (52.79, 98.00, 73.47, 11.77, 45.99),
    "WoW-cosmos1 + agent": (95.69, 94.02, 81.63, 4.26, 42.06),
    "WoW-wan + agent": (92.56, 6.73, 75.91, 6.75, 23.77),
    "WoW-cosmos2 + agent": (75.26, 96.53, 80.16, 7.76, 46.11),
}
# WoW-World-Eval prints VQ, IU, PR, PL, All: planning before physical law.
TABLE_WORLD_EVAL = {
    "Kling": (53.24, 27.97, 2.50, 68.02, 37.93),
    "Hailuo": (56.09, 70.11, 17.27, 66.72, 52.55),
    "CogVideoX": (38.52, 54.09, 4.55, 63.30, 40.12),
    "Cosmos-Predict1": (39.06, 61.46, 8.10, 59.05, 41.93),
    "Wan2.1": (40.23, 56.85, 7.95, 59.66, 41.18),
    "Cosmos-Predict2": (46.81, 56.80, 13.41, 60.56, 44.40),
    "WoW-cosmos1": (49.35, 69.68, 5.45, 62.28, 46.70),
    "WoW-wan": (55.38, 62.16, 9.32, 63.75, 47.66),
    "WoW-cosmos2": (54.12, 70.36, 12.27, 66.18, 50.74),
}
SLIPS = {"Cosmos-Predict1": 41.92}
"""What the mean of a row's printed parts is where the paper prints another total."""
PRINTED = 0.011


@pytest.mark.parametrize("row", TABLE_V2.values(), ids=TABLE_V2)
def test_the_second_scale_gives_every_published_total(row: tuple[float, ...]) -> None:
    assert v2.overall_v2(dict(zip(v2.GROUPS, row, strict=False))) == pytest.approx(row[-1], abs=PRINTED)


@pytest.mark.parametrize("name", TABLE_WORLD_EVAL)
def test_the_second_scale_gives_every_total_of_world_eval(name: str) -> None:
    row = TABLE_WORLD_EVAL[name]
    groups = dict(zip(("visual", "instruction", "planning", "physical"), row, strict=False))
    assert v2.overall_v2(groups) == pytest.approx(SLIPS.get(name, row[-1]), abs=PRINTED)


@pytest.mark.parametrize("row", TABLE_V1.values(), ids=TABLE_V1)
def test_the_first_scale_gives_every_published_total(row: tuple[float, ...]) -> None:
    assert v1.overall_score(row[:4]) == pytest.approx(row[-1], abs=0.02)


@pytest.mark.parametrize(
    ("metric", "value", "score"),
    [
        ("fvd", 500.0, 100 * 0.75**1.52),
        ("fvd", 5000.0, 0.0),
        ("psnr", 25.0, 50.0),
        ("psnr", 30.0, 50 * (math.tanh(4.71 * 0.2) + 1)),
        ("ssim", 0.81, 100 * 0.81**0.61),
        ("dino", 0.9, 100 * 0.9**3.06),
        ("dreamsim", 0.8, 100 * 0.8**2.94),
        ("caption_score", 3.0, 100 * 0.5**0.12),
        ("sequence_match", 0.6, 100 * 0.6**2.45),
        ("execution_quality", 4.0, 100 * 0.75**2.97),
        ("robot_consistency", 0.9, 100 * 0.9**2.93),
        ("background_consistency", 0.9, 100 * 0.9**3.94),
        ("object_consistency", 0.7, 50 * (math.tanh(4.93 * 0.4) + 1)),
        ("robot_path_l2", 0.1, 100 * 0.8**2.86),
        ("robot_path_dtw", 1.0, 100 * 0.8**1.87),
        ("robot_path_frechet", 0.25, 100 * 0.5**4.00),
        ("object_path_l2", 0.0, 100.0),
        ("object_path_dtw", 2.5, 100 * 0.5**2.99),
        ("object_path_frechet", 0.1, 100 * 0.8**3.52),
        ("physical_score", 4.0, 75.0),
        ("camera_ate", 0.05, 90.0),
        ("plan", 7.47, 7.47),
    ],
)
def test_each_map_of_the_second_scale(metric: str, value: float, score: float) -> None:
    assert v2.SCALES[metric].score(value) == pytest.approx(score, abs=1e-6)


def test_the_logit_map_by_hand() -> None:
    """logit(0.8) = ln 4; at temperature 2 that is ln 2, and sigmoid(ln 2) = 2/3."""
    assert v2.logit_temperature(0.8, 2.0) == pytest.approx(2 / 3, abs=1e-12)
    assert (v2.logit_temperature(0.0, 2.0), v2.logit_temperature(1.0, 2.0)) == (0.0, 1.0)


@given(st.sampled_from(sorted(v2.SCALES)), st.floats(-10, 3000), st.floats(-10, 3000))
def test_a_better_value_never_scores_less(name: str, one: float, other: float) -> None:
    scale = v2.SCALES[name]
    low, high = sorted((scale.score(one), scale.score(other)))
    assert 0 <= low <= high <= 100
    better = min(one, other) if scale.lower_is_better else max(one, other)
    assert scale.score(better) == high


def test_what_is_missing_is_said_and_a_substitute_stands_in_only_then() -> None:
    without = v2.score_v2({"psnr": 25.0, "lpips": 0.2, "plan": 40.0})
    assert without.groups == pytest.approx({"visual": (50 + 80) / 2, "planning": 40.0})
    assert without.overall == pytest.approx((65 + 40) / 2)
    assert without.substitutes == ("lpips",) and {"dreamsim", "fvd", "physical_score"} <= set(without.missing)
    with_it = v2.score_v2({"psnr": 25.0, "lpips": 0.2, "dreamsim": 1.0})
    assert with_it.groups == pytest.approx({"visual": 75.0}) and with_it.substitutes == ()
    assert v2.score_v2({}).overall is None


def test_what_was_executed_is_one_more_group_of_our_own_score_alone() -> None:
    told = v2.score_v2({"psnr": 25.0, "plan": 40.0, "executed_success": 0.9})
    assert told.overall == pytest.approx((50 + 40) / 2) and told.executable == pytest.approx((50 + 40 + 90) / 3)
    assert v2.score_v2({"psnr": 25.0}).executable is None and v2.score_v2({"executed_success": 0.9}).executable is None


def test_a_group_that_does_not_exist_is_refused() -> None:
    with pytest.raises(WowError, match="there are visual"):
        v2.overall_v2({"beauty": 3.0})


def test_the_ecdf_is_the_share_that_is_no_better() -> None:
    values = [1.0, 2.0, 2.0, 5.0]
    assert v1.ecdf_scores(values, values).tolist() == [25, 75, 75, 100]
    assert v1.ecdf_scores(values, values, higher_is_better=False).tolist() == [100, 75, 75, 25]


def test_psnr_between_the_tenth_and_the_ninetieth_percentile() -> None:
    """Of 0, 1, …, 10 they are 1 and 9; halfway up is 0.5 to the 0.7."""
    population = np.arange(11.0)
    found = v1.psnr_scores([0.5, 1.0, 5.0, 9.0, 9.5], population)
    assert found == pytest.approx([0, 0, 61.557220667, 100, 100], abs=1e-6)


def test_errors_by_robust_deviations() -> None:
    """Of 1, 2, 3, 4, 9 the median is 3 and the MAD 1; two robust deviations below it score 90."""
    population = [1.0, 2.0, 3.0, 4.0, 9.0]
    found = v1.error_scores([3.0, 3.0 - 2 * 1.4826, 3.0 + 2 * 1.4826, 2.0], population)
    by_hand = 100 / (1 + math.exp(-math.log(9) / 2 / 1.4826))
    assert found == pytest.approx([50, 90, 10, by_hand], abs=1e-6)
    assert pytest.approx(1.0986, abs=1e-4) == v1.GAMMA


def test_metrics_that_say_the_same_share_one_voice() -> None:
    """Two copies and one that correlates with neither: 1/2, 1/2, 1, of a sum of 2."""
    a = np.array([1.0, -1, 1, -1])
    b = np.array([1.0, 1, -1, -1])
    assert v1.correlation_weights(np.stack([a, a, b], axis=1)) == pytest.approx([0.25, 0.25, 0.5])
    assert v1.correlation_weights(np.stack([a, -a, np.ones(4)], axis=1)) == pytest.approx([0.25, 0.25, 0.5])


def test_the_geometric_mean_by_hand() -> None:
    assert v1.geometric_mean([2.0, 8.0]) == pytest.approx(4.0, abs=1e-12)
    assert v1.geometric_mean([2.0, 16.0], [2.0, 1.0]) == pytest.approx(4.0, abs=1e-12)
    assert v1.geometric_mean([0.0, 8.0]) == 0.0
    assert v1.group_score([0.0, 100.0], [1.0, 1.0]) == pytest.approx(14.0, abs=1e-12)


def test_scores_of_the_first_scale_stay_within_their_clip() -> None:
    values = [1.0, 2.0, 30.0]
    for name, higher in (("ssim", True), ("psnr", True), ("camera_ate", False), ("plan", True)):
        found = v1.metric_scores(name, values, higher)
        assert found.min() >= 2 and found.max() <= 98
    assert v1.metric_scores("plan", values, True).tolist() == [2.0, 2.0, 30.0]
