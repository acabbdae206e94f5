"""The first published scale of WoWBench: relative to the models that were tested (arXiv 2509.22642v1).

Every value becomes a score from 0 to 100 by its place among all values; scores are averaged geometrically, so that one
failing metric pulls a model down. A score means something only beside the others of the same table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

PSNR_EXPONENT = 0.7
MAD_TO_SIGMA = 1.4826
GAMMA = math.log(9.0) / 2
"""logit(0.9) / 2: two robust deviations above the median score 90."""
LOWEST, HIGHEST = 2.0, 98.0


def ecdf_scores(values: ArrayLike, population: ArrayLike, higher_is_better: bool = True) -> Array:
    """100 times the share of the population that is no better than each value."""
    found, among = np.asarray(values, float), np.sort(np.asarray(population, float))
    if higher_is_better:
        return 100.0 * np.searchsorted(among, found, side="right") / len(among)
    return 100.0 * (len(among) - np.searchsorted(among, found, side="left")) / len(among)


def psnr_scores(values: ArrayLike, population: ArrayLike) -> Array:
    """0 up to the population's 10th percentile, 100 from its 90th, between them the share of the way to the 0.7."""
    low, high = np.quantile(np.asarray(population, float), [0.1, 0.9])
    found = np.asarray(values, float)
    if high <= low:
        # Everything tested is alike: there is no way between the two, only its two sides.
        return np.where(found > high, 100.0, np.where(found < low, 0.0, 50.0))
    way: Array = np.clip((found - low) / (high - low), 0.0, 1.0)
    return np.asarray(100.0 * way**PSNR_EXPONENT)


def error_scores(values: ArrayLike, population: ArrayLike) -> Array:
    """100 sigmoid(gamma z) of errors: z counts robust deviations (1.4826 MAD) below the population's median."""
    among, found = np.asarray(population, float), np.asarray(values, float)
    median = float(np.median(among))
    deviation = MAD_TO_SIGMA * float(np.median(np.abs(among - median)))
    if deviation == 0.0:
        return np.where(found < median, 100.0, np.where(found > median, 0.0, 50.0))
    z = np.clip((median - found) / deviation, -500.0, 500.0)
    return np.asarray(100.0 / (1.0 + np.exp(-GAMMA * z)))


def correlation_weights(scores: ArrayLike) -> Array:
    """Weights of a group's metrics, which sum to 1: proportional to 1 / (1 + sum of |correlation| with the others).

    scores: [cases, metrics]. A metric that never varies correlates with nothing.
    """
    table = np.asarray(scores, float)
    centred = table - table.mean(axis=0)
    norms = np.sqrt(np.square(centred).sum(axis=0))
    safe = np.where(norms > 0, norms, 1.0)
    correlation = np.abs((centred / safe).T @ (centred / safe))
    np.fill_diagonal(correlation, 0.0)
    raw = 1.0 / (1.0 + correlation.sum(axis=1))
    return np.asarray(raw / raw.sum())


def clipped(scores: ArrayLike) -> Array:
    """Scores within 2 to 98: no metric alone decides a product, and nothing is perfect."""
    return np.asarray(np.clip(np.asarray(scores, float), LOWEST, HIGHEST))


def geometric_mean(scores: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The weighted geometric mean; equal weights where none are given. 0 as soon as one score is."""
    found = np.asarray(scores, float)
    chosen = np.ones_like(found) if weights is None else np.asarray(weights, float)
    if len(found) == 0 or len(found) != len(chosen) or chosen.sum() <= 0:
        raise ValueError(f"{len(found)} scores and {len(chosen)} weights make no mean")
    if np.any(found < 0):
        raise ValueError("a geometric mean is one of scores that are not negative")
    if np.any(found == 0):
        return 0.0
    return float(np.exp((chosen * np.log(found)).sum() / chosen.sum()))


def group_score(scores: ArrayLike, weights: ArrayLike) -> float:
    """A group's score: the weighted geometric mean of its metrics' clipped scores."""
    return geometric_mean(clipped(scores).tolist(), np.asarray(weights, float).tolist())


def overall_score(groups: Sequence[float]) -> float:
    """The score of a model: the geometric mean of its groups, each of which counts the same."""
    return geometric_mean(groups)


ERRORS = tuple(f"{region}_path_{distance}" for region in ("robot", "object") for distance in ("l2", "dtw", "frechet"))
ERRORS = (*ERRORS, "camera_ate", "camera_rpe")
AS_THEY_ARE = ("plan",)
"""Metrics that are scores from 0 to 100 already."""


def metric_scores(name: str, values: ArrayLike, higher_is_better: bool) -> Array:
    """The clipped scores of one metric for every model tested, each model's value taken over the whole suite."""
    if name in AS_THEY_ARE:
        return clipped(values)
    if name == "psnr":
        return clipped(psnr_scores(values, values))
    if name in ERRORS:
        return clipped(error_scores(values, values))
    return clipped(ecdf_scores(values, values, higher_is_better))
