"""The learned critic: a small network's opinion, in words."""

from __future__ import annotations

import time
from dataclasses import dataclass

from wow.models.critic import IMPLAUSIBLE, UNSMOOTH
from wow.models.judge import Judge, Opinion
from wow.types import Verdict, Video

FAULTS_IN_WORDS = {
    "teleport": "something jumps from one place to another",
    "vanish": "something that was there disappears",
    "freeze": "the picture stands still in the middle of the motion and then jumps on",
    "reverse": "the motion runs backwards",
    "duplicate": "something appears twice",
    "morph": "something changes its shape or size",
    "jitter": "something trembles",
}
CLOSE = 0.75
"""Progress from which on a goal that is not reached was nearly reached."""
REACHED = 0.5


@dataclass(frozen=True)
class LearnedCritic:
    """Judges by what it learned from videos whose actions were executed."""

    judge: Judge
    name: str = "learned"

    def __call__(self, video: Video, goal: str, /) -> Verdict:
        """Its opinion of a video of any size and length. The span is in the video's own frames."""
        began = time.perf_counter()
        opinion = self.judge(video.frames, [goal])[0]
        completed = opinion.success >= 0.5
        return Verdict(
            scores=scores_of(opinion),
            completed=completed,
            confidence=opinion.success if completed else 1.0 - opinion.success,
            reason=reason_of(opinion, goal),
            span=opinion.span if opinion.alarm else None,
            seconds=time.perf_counter() - began,
        )


def scores_of(opinion: Opinion) -> dict[str, float]:
    """The five scores from 1 to 5: completion is the chance of success, action how far it got, the rest as learned.

    Physics and motion are rated no better than it is certain that there is no fault of theirs.
    """
    shares = {"task_completion": opinion.success, "action_success": opinion.progress, **opinion.merits}
    for score, kinds in (("physical_plausibility", IMPLAUSIBLE), ("kinematic_smoothness", UNSMOOTH)):
        likeliest = max((chance for kind, chance in opinion.faults.items() if kind in kinds), default=0.0)
        shares[score] = min(shares[score], 1.0 - likeliest)
    return {name: 1.0 + 4.0 * min(max(share, 0.0), 1.0) for name, share in shares.items()}


def reason_of(opinion: Opinion, goal: str) -> str:
    """One or two sentences: whether the goal is reached and since when, and the likeliest fault where there is one."""
    sentences = [_outcome(opinion, goal)]
    if opinion.alarm:
        first, last = opinion.span
        where = f"in frame {first}" if first == last else f"from frame {first} to {last}"
        what = FAULTS_IN_WORDS.get(opinion.fault, opinion.fault)
        sentences.append(f"{where[0].upper()}{where[1:]} {what} ({opinion.faults[opinion.fault]:.0%} sure).")
    return " ".join(sentences)


def _outcome(opinion: Opinion, goal: str) -> str:
    chance = f"{opinion.success:.0%}"
    if opinion.success >= REACHED:
        done = (opinion.done >= REACHED).nonzero()[0]
        since = f", from frame {int(done[0])} on" if len(done) else ""
        return f'The goal "{goal}" looks reached{since} (chance {chance}).'
    if opinion.done[-1] >= REACHED:
        return f'It looks as if the goal "{goal}" were reached, but the video is not to be believed (chance {chance}).'
    how = "nearly reached" if opinion.progress >= CLOSE else "not reached"
    return f'The goal "{goal}" is {how} in the last frame (chance {chance}).'
