"""The learned critic speaks: its verdict follows from its opinion, and its reason names what it found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wow.models.judge import Opinion
from wow.refine.learned import LearnedCritic, reason_of, scores_of
from wow.types import SCORES, UInt8, Video

SURE = Opinion(
    success=0.9,
    done=np.array([0.1, 0.2, 0.7, 0.9]),
    progress=0.95,
    faults={"teleport": 0.02, "jitter": 0.05},
    alarm=False,
    fault="jitter",
    span=(1, 2),
    merits={"physical_plausibility": 0.9, "kinematic_smoothness": 0.8, "visual_quality": 0.7},
    logit=2.0,
    fault_logit=-3.0,
)
FAULTY = replace(SURE, alarm=True, fault="teleport", faults={"teleport": 0.8, "jitter": 0.1}, success=0.2)


class Says:
    """In place of a network: it has one opinion."""

    def __init__(self, opinion: Opinion) -> None:
        self.opinion = opinion

    def __call__(self, frames: UInt8, goals: list[str]) -> list[Opinion]:
        return [self.opinion] * len(goals)


def verdict_of(opinion: Opinion) -> object:
    return LearnedCritic(Says(opinion))(Video(np.zeros((4, 8, 8, 3), np.uint8), 5.0), "open the drawer")  # type: ignore[arg-type]


@pytest.mark.parametrize("success", [0.0, 0.3, 0.5, 0.99])
def test_a_verdict_keeps_the_chance_of_success(success: float) -> None:
    verdict = verdict_of(replace(SURE, success=success))
    assert verdict.success_probability == pytest.approx(success)
    assert verdict.completed == (success >= 0.5) and set(verdict.scores) == set(SCORES)


def test_a_fault_lowers_the_scores_it_is_about_and_is_pointed_at() -> None:
    clean, faulty = verdict_of(SURE), verdict_of(FAULTY)
    assert clean.span is None and faulty.span == (1, 2)
    assert faulty.scores["physical_plausibility"] < 2 < clean.scores["physical_plausibility"]
    trembling = scores_of(replace(SURE, faults={"teleport": 0.02, "jitter": 0.9}))
    assert trembling["kinematic_smoothness"] < 2 and trembling["physical_plausibility"] > 4


def test_reasons_are_in_plain_words() -> None:
    assert 'The goal "open it" looks reached, from frame 2 on' in reason_of(SURE, "open it")
    said = reason_of(FAULTY, "open it")
    assert "not to be believed" in said and "From frame 1 to 2 something jumps" in said
    short = reason_of(replace(SURE, success=0.1, done=np.full(4, 0.1), progress=0.2), "open it")
    assert "not reached" in short and "nearly" not in short
    assert "nearly reached" in reason_of(replace(SURE, success=0.3, done=np.full(4, 0.1), progress=0.9), "open it")
