"""The learned critic: what small networks that saw thousands of outcomes think of a video, in words.

The video is read by inverse dynamics, and a network that learned from executed motions says how likely this one is to
succeed, and from when on. Another one looks for what cannot be in a world like ours, and says where.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wow.models.faults import IMPLAUSIBLE, UNSEEN_BY_MOTION, UNSMOOTH
from wow.models.judge import Finding
from wow.types import Actions, UInt8, Verdict, Video, WowError

Array = NDArray[np.float64]

FAULTS_IN_WORDS = {
    "teleport": "something jumps from one place to another",
    "vanish": "something that was there disappears",
    "freeze": "the picture stands still in the middle of the motion and then jumps on",
    "reverse": "the motion runs backwards",
    "duplicate": "something appears twice",
    "morph": "something changes its shape or size",
    "jitter": "something trembles",
}
REACHED = 0.5
LIKELY = 0.25
"""A chance from which on a failure is not said to be certain."""


@dataclass(frozen=True)
class LearnedCritic:
    """Judges by what was learned from motions that were executed, and from faults that were put into videos.

    read: inverse dynamics. succeeds: the chance that actions reach a goal from a picture [H, W, 3], after each of their
    transitions [T], where they take so many seconds or, for None, nobody asked for a pace. inspect: the faults of
    frames [T, H, W, 3]; None where nobody learned to see them. fps: at which videos are asked for; None at any.
    """

    read: Callable[[Video], Actions]
    succeeds: Callable[[UInt8, str, Actions, float | None], Array]
    inspect: Callable[[UInt8], Finding] | None = None
    fps: float | None = None
    name: str = "learned"

    def at_pace(self, fps: float) -> LearnedCritic:
        """The same for videos of that pace; see `Paced`."""
        return replace(self, fps=fps)

    def __call__(self, video: Video, goal: str, /) -> Verdict:
        """Its opinion of a video of any size and length. The span is in the video's own frames.

        Raises WowError where nothing can be read from the video.
        """
        began = time.perf_counter()
        last = len(video.frames) - 1
        seconds = None if self.fps is None else last / self.fps
        chances = self.succeeds(video.frames[0], goal, self.read(video), seconds)
        if not np.isfinite(chances).all():
            raise WowError("no motion can be read from this video: what is said of it is no number")
        finding = None if self.inspect is None else self.inspect(video.frames)
        alarm = finding if finding is not None and finding.alarm else None
        success = float(chances[-1]) * (1.0 - _doubt(alarm))
        completed = success >= REACHED
        return Verdict(
            scores=scores_of(float(chances[-1]), success, finding),
            completed=completed,
            confidence=success if completed else 1.0 - success,
            reason=reason_of(chances, last, goal, alarm),
            span=None if alarm is None else alarm.span,
            seconds=time.perf_counter() - began,
        )


def scores_of(action: float, success: float, finding: Finding | None) -> dict[str, float]:
    """Scores from 1 to 5: action is the chance that what is done succeeds, completion that it is so in our world.

    Physics and motion are rated by how certain it is that there is no fault of theirs; without an eye for faults they
    are not rated, nor is quality.
    """
    shares = {"task_completion": success, "action_success": action}
    if finding is not None:
        for score, kinds in (("physical_plausibility", IMPLAUSIBLE), ("kinematic_smoothness", UNSMOOTH)):
            shares[score] = 1.0 - max((chance for kind, chance in finding.faults.items() if kind in kinds), default=0.0)
        shares["visual_quality"] = finding.quality
    return {name: 1.0 + 4.0 * min(max(share, 0.0), 1.0) for name, share in shares.items()}


def reason_of(chances: Array, last: int, goal: str, alarm: Finding | None) -> str:
    """One or two sentences: whether the motion succeeds and from which frame on, and the fault that raised an alarm.

    last: number of the last frame.
    """
    final = float(chances[-1])
    chance = f"{final:.0%}"
    if final >= REACHED:
        unsure = np.flatnonzero(chances < REACHED)
        since = 0 if not len(unsure) else round((int(unsure[-1]) + 2) / len(chances) * last)
        sentences = [f'What is done reaches the goal "{goal}", from about frame {since} on (chance {chance}).']
    else:
        how = "hardly" if final >= LIKELY else "not"
        sentences = [f'What is done does {how} reach the goal "{goal}" (chance {chance}).']
    if alarm is not None:
        first, end = alarm.span
        where = f"In frame {first}" if first == end else f"From frame {first} to {end}"
        what = FAULTS_IN_WORDS.get(alarm.fault, alarm.fault)
        sentences.append(f"{where} {what} ({alarm.faults[alarm.fault]:.0%} sure).")
    return " ".join(sentences)


def _doubt(alarm: Finding | None) -> float:
    """How likely it is that a video with an alarm shows what cannot be, beyond what its motion tells already."""
    return 0.0 if alarm is None or alarm.fault not in UNSEEN_BY_MOTION else alarm.faults[alarm.fault]
