"""The second published scale: absolute, by fixed anchors and one monotone map for each metric.

arXiv 2509.22642v2 and WoW-World-Eval (arXiv 2601.04137): clip to the anchors, scale to 0..1, turn round where less is
better, map, times 100; the plain mean inside a group; the plain mean of the groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from wow.types import WowError

SUCCESS = "executed_success"
GROUPS = ("visual", "instruction", "physical", "planning")
GROUP_TITLES = {
    "visual": "visual quality",
    "instruction": "instruction understanding",
    "physical": "physical law",
    "planning": "planning",
}


def identity(x: float, _: float) -> float:
    """x itself."""
    return x


def power(x: float, exponent: float) -> float:
    """x to the exponent: above 1 it is strict with the middling, below 1 lenient."""
    return float(x**exponent)


def logit_temperature(x: float, temperature: float) -> float:
    """sigmoid(logit(x) / temperature)."""
    if x <= 0.0 or x >= 1.0:
        return min(max(x, 0.0), 1.0)
    return 1.0 / (1.0 + math.exp(-math.log(x / (1.0 - x)) / temperature))


def tanh_map(x: float, steepness: float) -> float:
    """(tanh(k (2x - 1)) + 1) / 2: an S around one half."""
    return (math.tanh(steepness * (2.0 * x - 1.0)) + 1.0) / 2.0


MAPS: Mapping[str, Callable[[float, float], float]] = {
    "identity": identity,
    "power": power,
    "logit": logit_temperature,
    "tanh": tanh_map,
}


@dataclass(frozen=True)
class Scale:
    """How one metric becomes a score. low, high: the anchors, in the metric's unit. map, parameter: see `MAPS`.

    published: whether the anchors are the papers' or ours, where they give none. substitute_for: the published metric
    whose place this one takes where that one's weights are missing; its map is then ours too.
    """

    group: str
    low: float
    high: float
    map: str = "identity"
    parameter: float = 0.0
    lower_is_better: bool = False
    published: bool = False
    substitute_for: str = ""

    def score(self, value: float) -> float:
        """The score, 0 to 100."""
        x = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return 100.0 * MAPS[self.map](1.0 - x if self.lower_is_better else x, self.parameter)


def _error(group: str, high: float, exponent: float) -> Scale:
    return Scale(group, 0.0, high, "power", exponent, lower_is_better=True)


SCALES: dict[str, Scale] = {
    "fvd": Scale("visual", 0.0, 2000.0, "power", 1.52, lower_is_better=True, published=True),
    "psnr": Scale("visual", 0.0, 50.0, "tanh", 4.71, published=True),
    "ssim": Scale("visual", 0.0, 1.0, "power", 0.61),
    "dino": Scale("visual", 0.0, 1.0, "power", 3.06),
    "dreamsim": Scale("visual", 0.0, 1.0, "power", 2.94),
    "caption_score": Scale("instruction", 1.0, 5.0, "power", 0.12),
    "sequence_match": Scale("instruction", 0.0, 1.0, "power", 2.45),
    "execution_quality": Scale("instruction", 1.0, 5.0, "power", 2.97),
    "robot_consistency": Scale("physical", 0.0, 1.0, "power", 2.93),
    "background_consistency": Scale("physical", 0.0, 1.0, "power", 3.94),
    "object_consistency": Scale("physical", 0.0, 1.0, "tanh", 4.93),
    "robot_path_l2": _error("physical", 0.5, 2.86),
    "robot_path_dtw": _error("physical", 5.0, 1.87),
    "robot_path_frechet": _error("physical", 0.5, 4.00),
    "object_path_l2": _error("physical", 0.5, 1.27),
    "object_path_dtw": _error("physical", 5.0, 2.99),
    "object_path_frechet": _error("physical", 0.5, 3.52),
    "physical_score": Scale("physical", 1.0, 5.0),
    "camera_ate": Scale("physical", 0.0, 0.5, lower_is_better=True),
    "camera_rpe": Scale("physical", 0.0, 0.5, lower_is_better=True),
    "plan": Scale("planning", 0.0, 100.0),
    "lpips": Scale("visual", 0.0, 1.0, lower_is_better=True, substitute_for="dreamsim"),
    "alexnet_cosine": Scale("visual", 0.0, 1.0, substitute_for="dino"),
    "alexnet_robot_consistency": Scale("physical", 0.0, 1.0, substitute_for="robot_consistency"),
    "alexnet_background_consistency": Scale("physical", 0.0, 1.0, substitute_for="background_consistency"),
    "alexnet_object_consistency": Scale("physical", 0.0, 1.0, substitute_for="object_consistency"),
}
"""Metric to scale: maps and parameters as published. Where the papers state no anchors they are the metric's range, and
for paths (in units of the picture's sides, over about 17 frames) half a picture, 5 for the sum that DTW is."""


@dataclass(frozen=True)
class ScoresV2:
    """metrics: each one's score. groups: the mean of each group that has a metric. overall: the mean of those groups.

    executable: our own overall score, the mean of those groups and of the share of videos that do the task when they
    are executed, times 100; None where nothing was executed. The published scale does not know of it.

    missing: published metrics that have no value; substitutes: metrics that took the place of a missing one. A group
    that is not there does not count, so an overall without judge is not to be compared with one that has it.
    """

    metrics: Mapping[str, float]
    groups: Mapping[str, float]
    overall: float | None
    missing: tuple[str, ...]
    substitutes: tuple[str, ...]
    executable: float | None = None


def score_v2(values: Mapping[str, float]) -> ScoresV2:
    """The scores of a model from its metrics' values over a suite. Names that have no scale are passed over."""
    published = [name for name, scale in SCALES.items() if not scale.substitute_for]
    missing = tuple(name for name in published if name not in values)
    substitutes = tuple(
        name for name, scale in SCALES.items() if name in values and scale.substitute_for in missing
    )  # fmt: skip
    counted = [name for name in published if name in values] + list(substitutes)
    metrics = {name: SCALES[name].score(values[name]) for name in counted}
    groups: dict[str, float] = {}
    for group in GROUPS:
        members = [score for name, score in metrics.items() if SCALES[name].group == group]
        if members:
            groups[group] = sum(members) / len(members)
    overall = overall_v2(groups) if groups else None
    success = values.get(SUCCESS)
    executable = None if not groups or success is None else with_execution(tuple(groups.values()), success)
    return ScoresV2(metrics, groups, overall, missing, substitutes, executable)


def with_execution(groups: Sequence[float], success: float) -> float:
    """The mean of the groups' scores and of a share of successes, 0 to 1, times 100."""
    return (sum(groups) + 100.0 * success) / (len(groups) + 1)


def overall_v2(groups: Mapping[str, float]) -> float:
    """The mean of the groups that are there. Raises WowError for a group that does not exist."""
    if unknown := [group for group in groups if group not in GROUPS]:
        raise WowError(f"there is no group of metrics {unknown[0]!r}: there are {', '.join(GROUPS)}")
    return sum(groups.values()) / len(groups)
