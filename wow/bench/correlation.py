"""Pearson's and Spearman's correlation with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.bench.intervals import Estimate

Array = NDArray[np.float64]
RESAMPLES = 2000
FEWEST = 3
_FLAT = 1e-12


@dataclass(frozen=True)
class Correlation:
    """Both, each with its 95 % interval over the cases."""

    pearson: Estimate
    spearman: Estimate


def correlate(one: Sequence[float], other: Sequence[float], seed: int = 0) -> Correlation | None:
    """Of pairs of numbers; None for fewer than three, and where either never varies."""
    pairs = np.stack([np.asarray(one, np.float64), np.asarray(other, np.float64)], axis=1)
    if len(pairs) < FEWEST or (np.ptp(pairs, axis=0) <= _FLAT).any():
        return None
    drawn = pairs[np.random.default_rng(seed).integers(len(pairs), size=(RESAMPLES, len(pairs)))]
    return Correlation(_estimate(pairs, _pearsons(drawn), pearson), _estimate(pairs, _spearmans(drawn), spearman))


def pearson(pairs: Array) -> float:
    """Of pairs [N, 2]; NaN where either never varies."""
    centred = pairs - pairs.mean(axis=0)
    norms = np.sqrt(np.square(centred).sum(axis=0))
    if (norms <= _FLAT).any():
        return float("nan")
    return float(np.clip((centred[:, 0] * centred[:, 1]).sum() / norms.prod(), -1.0, 1.0))


def spearman(pairs: Array) -> float:
    """Pearson's of the ranks; equal numbers share the mean of their ranks."""
    return pearson(np.stack([ranks(pairs[:, 0]), ranks(pairs[:, 1])], axis=1))


def ranks(values: Array) -> Array:
    """1 for the smallest; ties share the mean of their places."""
    ordered = np.sort(values)
    low, high = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((low + high + 1) / 2.0, np.float64)


def _pearsons(drawn: Array) -> Array:
    """`pearson` of each draw of pairs [B, N, 2]."""
    centred = drawn - drawn.mean(axis=1, keepdims=True)
    norms = np.sqrt(np.square(centred).sum(axis=1))
    product = (centred[..., 0] * centred[..., 1]).sum(axis=1)
    varies = (norms > _FLAT).all(axis=1)
    return np.where(varies, np.clip(product / np.where(varies, norms.prod(axis=1), 1.0), -1.0, 1.0), np.nan)


def _spearmans(drawn: Array) -> Array:
    """`spearman` of each draw of pairs [B, N, 2]."""
    return _pearsons(np.stack([[ranks(row) for row in drawn[..., side]] for side in (0, 1)], axis=-1))


def _estimate(pairs: Array, found: Array, statistic: Callable[[Array], float]) -> Estimate:
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (None, None)
    ends = (None if low is None else float(low), None if high is None else float(high))
    return Estimate(statistic(pairs), *ends, len(pairs))
