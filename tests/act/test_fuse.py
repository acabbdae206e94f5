"""Fusing steps and places: agreement with plain least squares, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from wow.act.fuse import fuse
from wow.act.reading import keep_within


def walk(seed: int, count: int = 17) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0, 0.02, count))


def test_without_places_the_steps_stay_as_they_are() -> None:
    steps, deviations = np.array([0.1, -0.2, 0.3]), np.array([0.01, 0.02, 0.03])
    fused = fuse(steps, deviations, np.zeros(4), np.full(4, np.inf))
    assert np.allclose(np.diff(fused.path), steps) and np.allclose(fused.of_steps, deviations)
    assert fused.path[0] == pytest.approx(0.0)


def test_it_agrees_with_dense_least_squares_and_its_covariance() -> None:
    random, truth = np.random.default_rng(0), walk(0)
    step_deviations, place_deviations = random.uniform(0.002, 0.02, 16), random.uniform(0.005, 0.05, 17)
    place_deviations[[3, 9]] = np.inf
    steps = np.diff(truth) + 0.5 * step_deviations * random.uniform(-1, 1, 16)
    places = truth + 0.5 * np.nan_to_num(place_deviations, posinf=100.0) * random.uniform(-1, 1, 17)
    fused = fuse(steps, step_deviations, places, place_deviations)
    known = np.isfinite(place_deviations)
    matrix = np.concatenate([np.diff(np.eye(17), axis=0), np.eye(17)[known]])
    weight = 1.0 / np.concatenate([step_deviations, place_deviations[known]])
    right = np.concatenate([steps, places[known]])
    dense, *_ = np.linalg.lstsq(matrix * weight[:, None], right * weight, rcond=None)
    covariance = np.linalg.inv((matrix * weight[:, None]).T @ (matrix * weight[:, None]))
    difference = np.diff(np.eye(17), axis=0)
    assert np.allclose(fused.path, dense)
    assert np.allclose(fused.deviations, np.sqrt(np.diag(covariance)))
    assert np.allclose(fused.of_steps, np.sqrt(np.diag(difference @ covariance @ difference.T)))


def errors(seed: int) -> tuple[float, float, float, np.ndarray]:
    """Errors of steps alone, of places alone and of both together, and the latter in their deviations."""
    random, truth = np.random.default_rng(seed), walk(seed)
    step_deviations, place_deviations = random.uniform(0.002, 0.02, 16), random.uniform(0.005, 0.02, 17)
    steps = np.diff(truth) + step_deviations * random.normal(size=16)
    places = truth + place_deviations * random.normal(size=17)
    fused = fuse(steps, step_deviations, places, place_deviations)
    off = np.diff(fused.path) - np.diff(truth)
    alone = [np.mean(np.abs(guess - np.diff(truth))) for guess in (steps, np.diff(places))]
    return float(alone[0]), float(alone[1]), float(np.abs(off).mean()), off / fused.of_steps


def test_together_they_are_better_than_either_alone_and_their_deviations_are_right() -> None:
    found = [errors(seed) for seed in range(100)]
    steps, places, both = (np.mean([row[column] for row in found]) for column in range(3))
    assert both < 0.85 * steps and both < 0.7 * places
    assert np.sqrt(np.mean(np.square([row[3] for row in found]))) == pytest.approx(1.0, abs=0.1)


def test_one_wild_step_is_forgiven_and_told() -> None:
    truth = walk(3)
    steps = np.diff(truth)
    steps[7] += 0.5
    small, places = np.full(16, 0.005), np.full(17, 0.005)
    wild = fuse(steps, small, truth, places)
    tame = fuse(np.diff(truth), small, truth, places)
    assert np.abs(wild.path - truth).max() < 0.03  # plain least squares is off by 0.2
    assert wild.disagreement > 10 > tame.disagreement


def test_a_known_start_is_where_the_path_begins() -> None:
    truth = walk(4)
    places, deviations = truth + 0.03, np.full(17, 0.01)
    places[0], deviations[0] = truth[0], 1e-4
    fused = fuse(np.diff(truth), np.full(16, 0.001), places, deviations)
    assert fused.path[0] == pytest.approx(truth[0], abs=1e-3)


def test_a_path_that_is_too_fast_is_caught_up_with() -> None:
    path = np.array([0.0, 0.06, 0.06, 0.06, 0.0])
    kept = keep_within(path, -0.04, 0.04)
    assert np.allclose(kept, [0.0, 0.04, 0.06, 0.06, 0.02])
    assert np.allclose(keep_within(path, -np.inf, np.inf), path)
