"""The learned critic speaks: its verdict follows from chances and faults, and its reason names what it found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wow.models.judge import Finding
from wow.refine.learned import LearnedCritic, reason_of, scores_of
from wow.types import SCORES, Actions, Dimension, Embodiment, UInt8, Verdict, Video, WowError

CARD = Embodiment("arm", 5.0, (Dimension("x", "m"),))
CLEAN = Finding({"teleport": 0.02, "jitter": 0.05}, False, "jitter", (1, 2), 0.7, -3.0)
FAULTY = replace(CLEAN, alarm=True, fault="teleport", faults={"teleport": 0.8, "jitter": 0.1})
TREMBLING = replace(CLEAN, alarm=True, faults={"teleport": 0.02, "jitter": 0.9})


def verdict_of(chances: list[float], finding: Finding | None = CLEAN) -> Verdict:
    def read(video: Video) -> Actions:
        return Actions(np.zeros((len(video.frames) - 1, 1), np.float32), CARD)

    def inspect(frames: UInt8) -> Finding:
        assert finding is not None
        return finding

    video = Video(np.zeros((len(chances) + 1, 8, 8, 3), np.uint8), 5.0)
    critic = LearnedCritic(read, lambda *_: np.array(chances), None if finding is None else inspect)
    return critic(video, "open the drawer")


@pytest.mark.parametrize("success", [0.0, 0.3, 0.5, 0.99])
def test_a_verdict_keeps_the_chance_of_success(success: float) -> None:
    verdict = verdict_of([0.1, 0.2, success])
    assert verdict.success_probability == pytest.approx(success)
    assert verdict.completed == (success >= 0.5) and set(verdict.scores) == set(SCORES)


def test_a_pace_that_was_asked_for_is_passed_on() -> None:
    told: list[float | None] = []

    def succeeds(picture: UInt8, goal: str, actions: Actions, seconds: float | None) -> np.ndarray:
        told.append(seconds)
        return np.full(4, 0.5)

    critic = LearnedCritic(lambda video: Actions(np.zeros((4, 1), np.float32), CARD), succeeds)
    for one in (critic, critic.at_pace(8.0)):
        one(Video(np.zeros((5, 8, 8, 3), np.uint8), 5.0), "open the drawer")
    assert told == [None, 0.5]


def test_what_cannot_be_is_not_believed_and_what_only_trembles_is() -> None:
    clean, faulty, trembling = (verdict_of([0.1, 0.9], finding) for finding in (CLEAN, FAULTY, TREMBLING))
    assert faulty.success_probability == pytest.approx(0.9 * 0.2) and trembling.success_probability == pytest.approx(
        0.9
    )
    assert clean.span is None and faulty.span == trembling.span == (1, 2)
    assert faulty.scores["physical_plausibility"] < 2 < clean.scores["physical_plausibility"]
    assert faulty.scores["action_success"] == clean.scores["action_success"]
    assert trembling.scores["kinematic_smoothness"] < 2 and trembling.scores["physical_plausibility"] > 4


def test_a_motion_that_runs_backwards_is_judged_by_what_it_does() -> None:
    """What is read from such a video is the reversed motion: its chance needs no further doubt, its scores do."""
    turned = replace(CLEAN, alarm=True, fault="reverse", faults={"reverse": 0.9, "teleport": 0.0})
    verdict = verdict_of([0.1, 0.9], turned)
    assert verdict.success_probability == pytest.approx(0.9) and "runs backwards" in verdict.reason
    assert verdict.scores["physical_plausibility"] < 2 and verdict.scores["kinematic_smoothness"] < 2


def test_without_an_eye_for_faults_it_rates_only_what_is_done() -> None:
    assert set(verdict_of([0.4], None).scores) == {"task_completion", "action_success"}
    assert scores_of(1.0, 0.5, None) == {"task_completion": 3.0, "action_success": 5.0}


def test_reasons_are_in_plain_words() -> None:
    said = reason_of(np.array([0.1, 0.2, 0.7, 0.9]), 16, "open it", None)
    assert said == 'What is done reaches the goal "open it", from about frame 12 on (chance 90%).'
    assert "from about frame 0 on" in reason_of(np.full(4, 0.9), 16, "open it", None)
    assert "does not reach" in reason_of(np.full(4, 0.1), 16, "open it", None)
    assert "does hardly reach" in reason_of(np.full(4, 0.4), 16, "open it", None)
    assert "From frame 1 to 2 something jumps" in reason_of(np.full(4, 0.9), 16, "open it", FAULTY)


def test_a_video_that_nothing_can_be_read_from_is_not_judged() -> None:
    with pytest.raises(WowError, match="no motion can be read"):
        verdict_of([0.5, float("nan")])
