"""Rotations: agreement with scipy's, and the ways there and back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from wow import rotation


@pytest.fixture
def turns() -> np.ndarray:
    random = np.random.default_rng(0)
    direction = random.normal(size=(200, 3))
    size = np.concatenate([[0.0, 1e-9], random.uniform(0, np.pi - 1e-3, 198)])[:, None]
    return size * direction / np.linalg.norm(direction, axis=1, keepdims=True)


def as_scipy(quaternions: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(quaternions, -1, axis=-1))


def test_vectors_and_quaternions_are_scipys_and_lead_back(turns: np.ndarray) -> None:
    quaternions = rotation.quaternions(turns)
    assert np.allclose(as_scipy(quaternions).as_rotvec(), turns, atol=1e-12)
    assert np.allclose(rotation.vectors(quaternions), turns, atol=1e-12)
    assert np.allclose(rotation.vectors(-quaternions), turns, atol=1e-12)
    assert np.allclose(rotation.product(rotation.inverse(quaternions), quaternions), [1, 0, 0, 0], atol=1e-12)


def test_the_second_factor_comes_first(turns: np.ndarray) -> None:
    left, right = rotation.quaternions(turns), rotation.quaternions(turns[::-1])
    both = as_scipy(rotation.product(left, right))
    assert np.allclose((both * (as_scipy(left) * as_scipy(right)).inv()).magnitude(), 0, atol=1e-7)


@pytest.mark.parametrize("local", [False, True])
def test_what_lies_between_leads_from_one_to_the_other(turns: np.ndarray, local: bool) -> None:
    other = turns[::-1]
    step = rotation.between(turns, other, local)
    assert np.allclose(rotation.after(turns, step, local), other, atol=1e-9)
    first, turn = Rotation.from_rotvec(turns), Rotation.from_rotvec(step)
    expected = first * turn if local else turn * first
    assert np.allclose((expected * Rotation.from_rotvec(other).inv()).magnitude(), 0, atol=1e-7)


def test_the_mean_is_scipys_whatever_the_signs() -> None:
    random = np.random.default_rng(1)
    quaternions = rotation.quaternions(np.array([2.0, -0.5, 1.0]) + random.normal(0, 0.3, (50, 3)))
    signs = random.choice([-1.0, 1.0], (50, 1))
    apart = as_scipy(rotation.mean(signs * quaternions)) * as_scipy(quaternions).mean().inv()
    assert apart.magnitude() < 1e-7
