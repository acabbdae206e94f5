"""The most likely trajectory from noisy steps and noisy places: weighted least squares, one small band matrix.

Steps alone drift, places alone jitter; together they do neither. The normal equations of a chain are tridiagonal, so
that solving them, and reading the posterior variances off their factors, takes time linear in the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FORGIVEN = 2.0
"""Deviations up to which a residual counts in full; beyond, its weight falls (Huber 1964)."""
ROUNDS = 8


@dataclass(frozen=True)
class Fused:
    """path: the trajectory [T+1], and its deviations; of_steps: the deviations of its differences [T].

    disagreement: the root mean square of what steps and places are off, in their deviations; about 1 where they are as
    uncertain as they say.
    """

    path: Array
    deviations: Array
    of_steps: Array
    disagreement: float


def fuse(steps: Array, step_deviations: Array, places: Array, place_deviations: Array) -> Fused:
    """The trajectory p that best explains steps p[i+1] - p[i] [T] and places p[i] [T+1]; outliers get less weight.

    A place of infinite deviation is unknown; where all are, the trajectory begins at 0.
    """
    if not np.isfinite(place_deviations).any():
        places, place_deviations = np.zeros(len(places)), np.full(len(places), np.inf)
        place_deviations[0] = 1e-6
    known = np.where(np.isfinite(place_deviations), places, 0.0)
    steps_trusted, places_trusted = np.ones(len(steps)), np.ones(len(places))
    for _ in range(ROUNDS):
        path, variance, covariance = _solve(
            steps, steps_trusted * _weight(step_deviations), known, places_trusted * _weight(place_deviations)
        )
        step_off = np.abs(np.diff(path) - steps) / step_deviations
        place_off = np.abs(path - known) / place_deviations
        steps_trusted, places_trusted = _trust(step_off), _trust(place_off)
    of_steps = np.sqrt(np.maximum(variance[1:] + variance[:-1] - 2.0 * covariance, 0.0))
    # Every place beyond the first is one fact too many, so that it can disagree.
    spare = max(int(np.isfinite(place_deviations).sum()) - 1, 1)
    disagreement = float(np.sqrt((np.sum(step_off**2) + np.sum(place_off**2)) / spare))
    return Fused(path, np.sqrt(variance), of_steps, disagreement)


def _weight(deviation: Array) -> Array:
    return 1.0 / np.maximum(deviation, 1e-9) ** 2


def _trust(off: Array) -> Array:
    return np.minimum(1.0, FORGIVEN / np.maximum(off, 1e-12))


def _solve(steps: Array, step_weight: Array, places: Array, place_weight: Array) -> tuple[Array, Array, Array]:
    """The minimum, its variances [T+1] and the covariances of neighbours [T]."""
    diagonal = place_weight.copy()
    diagonal[:-1] += step_weight
    diagonal[1:] += step_weight
    right = place_weight * places
    right[:-1] -= step_weight * steps
    right[1:] += step_weight * steps
    # A = L D L' with L a unit lower bidiagonal: forward for L and D, backward for the solution and the inverse's band.
    count = len(places)
    pivot, lower = diagonal.copy(), np.zeros(count)
    for i in range(1, count):
        lower[i] = -step_weight[i - 1] / pivot[i - 1]
        pivot[i] += lower[i] * step_weight[i - 1]
        right[i] -= lower[i] * right[i - 1]
    path, variance, covariance = right / pivot, 1.0 / pivot, np.zeros(count - 1)
    for i in range(count - 2, -1, -1):
        path[i] -= lower[i + 1] * path[i + 1]
        covariance[i] = -lower[i + 1] * variance[i + 1]
        variance[i] -= lower[i + 1] * covariance[i]
    return path, variance, covariance
