"""Actions between the frames of a clip add up to the actions that were recorded."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wow.imagine.actions import between_frames, scale_of
from wow.types import Dimension, Embodiment

CARD = Embodiment(
    robot="test",
    rate=20.0,
    action=(Dimension("delta_x", "m"), Dimension("delta_yaw", "rad"), Dimension("gripper", "1")),
    action_kind="delta",
)
ABSOLUTE = Embodiment(robot="test", rate=20.0, action=CARD.action, action_kind="absolute")


@given(st.lists(st.integers(0, 29), min_size=2, max_size=12))
def test_changes_add_up_over_any_choice_of_frames(chosen: list[int]) -> None:
    actions = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    rows = np.array(sorted(chosen))
    between = between_frames(actions, rows, CARD)
    assert np.allclose(between[:, :2].sum(axis=0), actions[rows[0] : rows[-1], :2].sum(axis=0), atol=1e-4)


def test_every_frame_gives_back_the_recording() -> None:
    actions = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    assert np.allclose(between_frames(actions, np.arange(10), CARD), actions[:-1], atol=1e-6)


def test_a_frame_that_is_held_moves_nothing() -> None:
    actions = np.ones((5, 3), dtype=np.float32)
    between = between_frames(actions, np.array([3, 4, 4, 4]), CARD)
    assert np.allclose(between[1:, :2], 0.0) and np.allclose(between[:, 2], 1.0)


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
