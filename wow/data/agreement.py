"""How well a judge agrees with the truth: ranking, calibration, and where it points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BINS = 10


def auroc(scores: Array, truths: NDArray[np.bool_]) -> float:
    """The chance that a true case of N scores higher than a false one, ties counted half; NaN without one of both."""
    true, false = int(truths.sum()), int((~truths).sum())
    if not true or not false:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2.0  # of equal scores the mean rank
    return float((rank[place][truths].sum() - true * (true + 1) / 2.0) / (true * false))


def calibration_error(chances: Array, truths: NDArray[np.bool_]) -> float:
    """How far probabilities [N] are from the shares of true cases: the mean over ten bins, by their cases."""
    if not len(chances):
        return float("nan")
    which = np.minimum((chances * BINS).astype(int), BINS - 1)
    off = [
        abs(chances[which == b].mean() - truths[which == b].mean()) * (which == b).sum()
        for b in range(BINS)
        if (which == b).any()
    ]
    return float(sum(off) / len(chances))


def span_overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Frames in both spans over frames in either; a span is its first and last frame."""
    both = min(one[1], other[1]) - max(one[0], other[0]) + 1
    either = max(one[1], other[1]) - min(one[0], other[0]) + 1
    return max(both, 0) / either if both > 0 else 0.0
