"""The motion critic believes a video the more, the nearer what is read from it is to what a practised hand does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wow.refine.motion import SAMPLES, MotionCritic, motion_of
from wow.types import Actions, Dimension, Embodiment, Video, WowError

CARD = Embodiment(
    "point",
    20.0,
    (
        *(Dimension(f"delta_{axis}", "m", "world") for axis in "xyz"),
        *(Dimension(f"delta_{axis}", "rad", "world") for axis in ("roll", "pitch", "yaw")),
        Dimension("gripper", "1", "gripper", 0.0, 1.0),
    ),
    action_kind="delta",
)
VIDEO = Video(np.zeros((17, 8, 8, 3), np.uint8), 10.0)


def straight(end: tuple[float, float, float], count: int = 16, shut: float = 1.0) -> Actions:
    """A straight way to `end` in even steps, whose fingers shut after that share of it."""
    values = np.zeros((count, 7), np.float32)
    values[:, :3] = np.array(end) / count
    values[:, 6] = np.arange(count) < shut * count
    return Actions(values, CARD)


def chance(read: Actions, practised: Actions) -> float:
    return MotionCritic(lambda video: read, lambda picture, goal: practised)(VIDEO, "go there").success_probability


def test_who_moves_as_practised_is_believed_and_who_strays_is_not() -> None:
    practised = straight((0.2, 0.1, -0.1))
    chances = [chance(straight((0.2 + off, 0.1, -0.1)), practised) for off in (0.0, 0.03, 0.06, 0.1, 0.3)]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.9 and chances[-1] < 0.1


def test_fingers_that_shut_at_another_time_count() -> None:
    practised = straight((0.2, 0.0, 0.0), shut=0.5)
    assert chance(straight((0.2, 0.0, 0.0), shut=1.0), practised) < chance(practised, practised) - 0.2


def test_it_says_where_the_hand_strays_most() -> None:
    read = straight((0.0, 0.0, 0.0))
    read.values[4, 0], read.values[8, 0] = 0.4, -0.4  # away in the fifth transition, back in the ninth
    verdict = MotionCritic(lambda video: read, lambda picture, goal: straight((0.0, 0.0, 0.0)))(VIDEO, "stay")
    assert not verdict.completed and verdict.span is not None and 4 <= verdict.span[1] <= 9
    assert "40.0 cm at frame" in verdict.reason


def test_paths_of_other_lengths_are_compared_by_their_share() -> None:
    few, many = (motion_of(straight((0.3, 0.0, 0.1), count)) for count in (6, 48))
    assert few.path.shape == (SAMPLES, 3) and np.allclose(few.path, many.path, atol=1e-6)


def test_a_card_without_a_moving_hand_is_refused() -> None:
    joints = replace(CARD, action=tuple(Dimension(f"joint_{i}", "rad") for i in range(7)))
    with pytest.raises(WowError, match="moves in metres"):
        motion_of(Actions(np.zeros((4, 7), np.float32), joints))
