"""The motion critic believes a video the more, the nearer what is read from it is to what a practised hand does."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from wow.refine.contract import Paced
from wow.refine.motion import SAMPLES, MotionCritic, motion_of
from wow.sim import language
from wow.types import Actions, Dimension, Embodiment, UInt8, Verdict, Video, WowError

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
VIDEO = Video(np.concatenate([np.zeros((16, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)]), 10.0)
"""Black until the last frame, which is white."""


def straight(end: tuple[float, float, float], count: int = 16, shut: float = 1.0) -> Actions:
    """A straight way to `end` in even steps, whose fingers shut after that share of it."""
    values = np.zeros((count, 7), np.float32)
    values[:, :3] = np.array(end) / count
    values[:, 6] = np.arange(count) < shut * count
    return Actions(values, CARD)


def chance(read: Actions, practised: Actions) -> float:
    return judged(read, practised).success_probability


def judged(read: Actions, practised: Actions, left: Actions | None = None, **more: object) -> Verdict:
    """left: what a practised hand would still do from the last frame on; nothing where it is not given."""

    def asked(picture: UInt8, goal: str, seconds: float | None) -> Actions:
        return practised if not picture.any() else left or straight((0.0, 0.0, 0.0))

    return MotionCritic(lambda video: read, asked, **more)(VIDEO, "go there")  # type: ignore[arg-type]


def test_who_moves_as_practised_is_believed_and_who_strays_is_not() -> None:
    practised = straight((0.2, 0.1, -0.1))
    chances = [chance(straight((0.2 + off, 0.1, -0.1)), practised) for off in (0.0, 0.03, 0.06, 0.1, 0.3)]
    assert chances == sorted(chances, reverse=True) and chances[0] > 0.9 and chances[-1] < 0.1


def test_who_stops_before_the_task_is_done_is_not_believed() -> None:
    done, undone = (judged(straight(WAY), straight(WAY), straight((left, 0.0, 0.0))) for left in (0.05, 0.4))
    assert done.completed and not undone.completed and undone.success_probability < 0.05
    assert done.scores["action_success"] == undone.scores["action_success"], "as far as it goes, it goes well"
    assert "unfinished" in undone.reason and "40 cm" in undone.reason and "unfinished" not in done.reason


def test_a_part_of_a_task_need_not_finish_it() -> None:
    critic = MotionCritic(lambda video: straight(WAY), lambda picture, goal, seconds: straight(WAY))
    assert not critic(VIDEO, "go there").completed and critic.at_pace(8.0)(VIDEO, "go there").completed


def test_fingers_that_shut_at_another_time_count() -> None:
    practised = straight((0.2, 0.0, 0.0), shut=0.5)
    assert chance(straight((0.2, 0.0, 0.0), shut=1.0), practised) < chance(practised, practised) - 0.2


def test_it_says_where_the_hand_strays_most() -> None:
    read = straight((0.0, 0.0, 0.0))
    read.values[4, 0], read.values[8, 0] = 0.4, -0.4  # away in the fifth transition, back in the ninth
    verdict = judged(read, straight((0.0, 0.0, 0.0)))
    assert not verdict.completed and verdict.span is not None and 4 <= verdict.span[1] <= 9
    assert re.search(r"Around frame [4-8] it is 40 cm too far right\.", verdict.reason)


WAY = (0.2, 0.1, -0.2)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ((0.14, 0.1, -0.2), "The hand reaches 6 cm too far left."),
        ((0.27, 0.1, -0.2), "The hand reaches 7 cm too far right."),
        ((0.2, 0.04, -0.2), "The hand reaches 6 cm too near."),
        ((0.2, 0.15, -0.2), "The hand reaches 5 cm too far away."),
        ((0.2, 0.1, -0.17), "The hand stays 3 cm too high."),
        ((0.2, 0.1, -0.25), "The hand gets 5 cm too low."),
        ((0.14, 0.15, -0.2), "The hand reaches 6 cm too far left and 5 cm too far away."),
        ((0.16, 0.08, -0.16), "The hand stops 6 cm short."),
        (WAY, "The hand moves as a practised one does."),
    ],
)
def test_it_says_where_the_hand_ends_in_the_picture(end: tuple[float, float, float], said: str) -> None:
    assert judged(straight(end), straight(WAY)).reason.startswith(said)


@pytest.mark.parametrize(
    ("shut", "said"),
    [
        (0.25, "closes the gripper too early (frame 5 instead of 9)"),
        (0.75, "closes the gripper too late (frame 13 instead of 9)"),
        (1.0, "never closes the gripper"),
        (0.5, "as a practised one does"),
    ],
)
def test_it_says_when_the_fingers_are_wrong(shut: float, said: str) -> None:
    assert said in judged(straight(WAY, shut=shut), straight(WAY, shut=0.5)).reason
    assert "closes the gripper, which it should not" in judged(straight(WAY, shut=0.5), straight(WAY)).reason


def test_left_and_away_are_those_of_the_picture() -> None:
    """With the axes that captions are written by, a gap along them is called by their name."""
    right, _, forward = language.VIEW.axes()
    away = forward * (1, 1, 0) / np.linalg.norm(forward[:2])
    axes = np.stack([right, away, np.array([0.0, 0.0, 1.0])])
    for direction, words in ((-right, "too far left"), (right, "too far right"), (away, "too far away")):
        off = np.array(WAY) + 0.06 * direction
        verdict = judged(straight((off[0], off[1], off[2])), straight(WAY), axes=axes)
        assert f"reaches 6 cm {words}." in verdict.reason


def test_the_policy_is_asked_for_as_many_seconds_as_the_video_has() -> None:
    asked: list[float | None] = []

    def practised(picture: UInt8, goal: str, seconds: float | None) -> Actions:
        asked.append(seconds)
        return straight(WAY)

    critic = MotionCritic(lambda video: straight(WAY), practised)
    critic(VIDEO, "go there")
    assert isinstance(critic, Paced)
    critic.at_pace(8.0)(VIDEO, "go there")
    assert asked == [None, None, 2.0], "the first frame, the last one, and the first alone where only a part is shown"


def test_what_is_no_number_is_not_judged() -> None:
    read = straight(WAY)
    read.values[3, 1] = np.nan
    with pytest.raises(WowError, match="no number"):
        judged(read, straight(WAY))
    with pytest.raises(WowError, match="no number"):
        judged(straight(WAY), straight(WAY), left=read)


def test_paths_of_other_lengths_are_compared_by_their_share() -> None:
    few, many = (motion_of(straight((0.3, 0.0, 0.1), count)) for count in (6, 48))
    assert few.path.shape == (SAMPLES, 3) and np.allclose(few.path, many.path, atol=1e-6)


def test_a_card_without_a_moving_hand_is_refused() -> None:
    joints = replace(CARD, action=tuple(Dimension(f"joint_{i}", "rad") for i in range(7)))
    with pytest.raises(WowError, match="moves in metres"):
        motion_of(Actions(np.zeros((4, 7), np.float32), joints))
