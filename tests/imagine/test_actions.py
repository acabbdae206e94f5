"""Actions as a motion, and back."""

from __future__ import annotations

import numpy as np

from wow.imagine.actions import scale_of
from wow.types import Dimension, Embodiment

CARD = Embodiment(
    robot="test",
    rate=20.0,
    action=(Dimension("delta_x", "m"), Dimension("delta_yaw", "rad"), Dimension("gripper", "1")),
    action_kind="delta",
)
ABSOLUTE = Embodiment(robot="test", rate=20.0, action=CARD.action, action_kind="absolute")


def test_absolute_actions_are_not_summed() -> None:
    assert not ABSOLUTE.adds_up.any()
    assert CARD.adds_up.tolist() == [True, True, False]


def test_scaled_actions_are_about_one_and_never_divided_by_zero() -> None:
    actions = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    actions[:, 1] = 0.0
    scaled = scale_of(actions, CARD, steps=1.0).motion(actions[:1])
    assert np.isfinite(scaled).all() and np.abs(scaled).max() < 2.0


def test_a_motion_and_its_actions_are_two_ways_to_say_the_same() -> None:
    actions = np.random.default_rng(0).normal(size=(4, 16, 3)).astype(np.float32)
    for card in (CARD, ABSOLUTE):
        scale = scale_of(actions.reshape(-1, 3), card)
        assert np.allclose(scale.actions(scale.motion(actions)), actions, atol=1e-5)


def test_a_motion_says_how_far_the_robot_got() -> None:
    actions = np.full((5, 3), 0.01, dtype=np.float32)
    motion = scale_of(actions, CARD, steps=1.0).motion(actions)
    assert np.allclose(motion[:, 0], [1, 2, 3, 4, 5], atol=1e-5) and np.allclose(np.diff(motion[:, 2]), 0.0)
