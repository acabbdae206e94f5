"""Whether a judge agrees with itself: the same question, put several times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    """Of `samples` questions, each put at least twice.

    difference: mean absolute difference of two trials. same: share of pairs of trials that are equal. icc: intraclass
    correlation ICC(1, 1), the share of the variance that lies between samples; None where nothing varies.
    """

    samples: int
    difference: float
    same: float
    icc: float | None


def agreement(trials: Sequence[Sequence[float]]) -> Agreement | None:
    """Of the ratings of each sample; None where no sample was rated twice. Shrout and Fleiss 1979, for ICC(1, 1).

    Samples that were rated less often than the others are left out of the correlation.
    """
    repeated = [np.asarray(found, np.float64) for found in trials if len(found) > 1]
    if not repeated:
        return None
    gaps = np.concatenate([np.abs(found[:, None] - found[None])[np.triu_indices(len(found), 1)] for found in repeated])
    most = max(len(found) for found in repeated)
    table = np.stack([found for found in repeated if len(found) == most])
    return Agreement(len(repeated), float(gaps.mean()), float((gaps < 1e-9).mean()), _icc(table))


def _icc(table: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float | None:
    """ICC(1, 1) of ratings [samples, trials]."""
    count, trials = table.shape
    if count < 2:
        return None
    means = table.mean(axis=1)
    between = trials * float(np.square(means - table.mean()).sum()) / (count - 1)
    within = float(np.square(table - means[:, None]).sum()) / (count * (trials - 1))
    total = between + (trials - 1) * within
    return None if total <= 1e-12 else (between - within) / total
