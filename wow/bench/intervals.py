"""How far a number can be trusted: 95 % intervals for shares (Wilson) and for means (bootstrap)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NORMAL_95 = 1.959963984540054
RESAMPLES = 10_000
COSTLY_RESAMPLES = 1_000


@dataclass(frozen=True)
class Estimate:
    """A mean or a share with its 95 % interval and the number of cases behind it.

    low and high are None where one case alone says nothing about the spread.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def share(successes: int, n: int) -> Estimate:
    """The share of successes among n cases, with Wilson's score interval (1927): sound near 0 and 1 and for small n."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n} is no share")
    observed, z = successes / n, NORMAL_95
    centre = (observed + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(observed * (1 - observed) / n + z * z / (4 * n * n))
    # At 0 and n the bounds are exactly 0 and 1, which rounding would miss by a hair.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Estimate(observed, low, high, n)


def mean(values: Sequence[float], groups: Sequence[str] | None = None, seed: int = 0) -> Estimate:
    """The mean with a percentile bootstrap interval (Efron 1979) over the cases.

    groups: one name per value where cases are not independent (episodes of one task, prompts of one scene): whole
    groups are then drawn, which gives the wider, honest interval. n stays the number of cases.
    """
    data = np.asarray(values, dtype=np.float64)
    if len(data) == 0:
        raise ValueError("there is no mean of nothing")
    sums, counts = _per_group(data, groups)
    if len(sums) < 2:
        return Estimate(float(data.mean()), None, None, len(data))
    drawn = np.random.default_rng(seed).integers(len(sums), size=(RESAMPLES, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(data.mean()), float(low), float(high), len(data))


def bootstrap(measure: Callable[[NDArray[np.int64]], float], groups: Sequence[str], seed: int = 0) -> Estimate:
    """Any statistic with a percentile bootstrap interval: `measure` is handed the numbers of the cases that were drawn.

    Whole groups are drawn, one name per case. Draws of which the statistic is not a number do not count; without
    any left, or with one group alone, there is no interval.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    cases = [np.flatnonzero(index == group) for group in range(len(names))]
    value = measure(np.arange(len(groups)))
    if len(names) < 2:
        return Estimate(value, None, None, len(groups))
    drawn = np.random.default_rng(seed).integers(len(names), size=(COSTLY_RESAMPLES, len(names)))
    found = np.array([measure(np.concatenate([cases[group] for group in row])) for row in drawn])
    found = found[np.isfinite(found)]
    if not len(found):
        return Estimate(value, None, None, len(groups))
    low, high = np.quantile(found, [0.025, 0.975])
    return Estimate(value, float(low), float(high), len(groups))


def _per_group(
    data: NDArray[np.float64], groups: Sequence[str] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of cases of each group; without groups every case is its own."""
    if groups is None:
        return data, np.ones_like(data)
    if len(groups) != len(data):
        raise ValueError(f"{len(groups)} group names for {len(data)} values")
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    return np.bincount(index, weights=data).astype(np.float64), np.bincount(index).astype(np.float64)
