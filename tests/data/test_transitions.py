"""Actions between the frames of a clip add up to the actions that were recorded, rotations as rotations do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from wow.data.transitions import between_frames
from wow.types import Dimension, Embodiment

CARD = Embodiment(
    robot="test",
    rate=20.0,
    action=(Dimension("delta_x", "m"), Dimension("delta_yaw", "rad"), Dimension("gripper", "1")),
    action_kind="delta",
)
TURNING = Embodiment(
    robot="test",
    rate=10.0,
    action=(
        *(Dimension(f"delta_{axis}", "m", "world") for axis in "xyz"),
        *(Dimension(f"delta_{axis}", "rad", "world") for axis in ("roll", "pitch", "yaw")),
        Dimension("gripper", "1"),
    ),
    action_kind="delta",
    rotation="rotation-vector",
)


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


@settings(deadline=None)
@pytest.mark.parametrize("frame", ["world", "tool"])
@given(st.lists(st.integers(0, 19), min_size=2, max_size=8))
def test_rotation_vectors_are_composed_as_rotations(frame: str, chosen: list[int]) -> None:
    card = replace(TURNING, action=tuple(replace(dim, frame=frame) for dim in TURNING.action))
    actions = np.random.default_rng(1).normal(scale=0.3, size=(20, 7)).astype(np.float32)
    poses = [Rotation.identity()]
    for turn in Rotation.from_rotvec(actions[:, 3:6].astype(np.float64)):
        poses.append(turn * poses[-1] if frame == "world" else poses[-1] * turn)
    rows = np.array(sorted(chosen))
    said = Rotation.from_rotvec(between_frames(actions, rows, card)[:, 3:6].astype(np.float64))
    for turn, start, end in zip(said, rows[:-1], rows[1:], strict=True):
        reached = turn * poses[start] if frame == "world" else poses[start] * turn
        assert (reached.inv() * poses[end]).magnitude() < 1e-5


def test_about_one_axis_rotations_add_up_to_half_a_turn() -> None:
    actions = np.zeros((6, 7), np.float32)
    actions[:, 5] = 0.5
    assert np.allclose(between_frames(actions, np.array([0, 2, 5]), TURNING)[:, 5], [1.0, 1.5], atol=1e-6)
    still = between_frames(np.zeros((6, 7), np.float32), np.array([0, 3, 3]), TURNING)
    assert np.isfinite(still).all() and not still.any()


def test_what_is_no_rotation_vector_is_summed() -> None:
    assert TURNING.turns == (3, 4, 5)
    assert replace(TURNING, rotation="roll-pitch-yaw").turns == CARD.turns == ()
    assert replace(TURNING, action_kind="absolute").turns == ()
