"""The motion critic: does the video move as somebody does who has learned the task?

Success is decided by centimetres that a picture hardly shows. So the video is read by inverse dynamics, and the path of
the hand that comes out is held against the one that a policy takes from the first frame for the same goal: who strays
from it, or opens the fingers at another time, will hardly do what the video promises. And where the policy would still
go far from the last frame on, the task is not done. The critic learned nothing of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wow.models.judge import sigmoid
from wow.types import Actions, UInt8, Verdict, Video, WowError

Array = NDArray[np.float64]

SAMPLES = 17
"""Moments at which two paths are compared, spread evenly over both."""
EVEN_CHANCE = 0.035
"""Mean distance at which a video is as likely to succeed as not [m]. Chosen by hand, as are the two values below: what
they are worth `wow bench critic` measures, and weights that fit come from its --fit."""
WIDTH = 0.012
"""How fast the chance falls around it [m]."""
UNDONE = 0.2
"""Way still to go from the last frame at which a task is as likely done as not [m]. Of 135 recordings that succeed 5 %
have more left, of 65 by perturbed experts that fail 60 %."""
UNDONE_WIDTH = 0.04
"""How fast that chance falls around it [m]."""
FINGERS = 0.1
"""What a gripper that is always wrong is worth beside the hand's distance [m]."""
SMALL = 0.02
"""Gaps up to this are not worth a word [m]."""
LATE = 2.0 / (SAMPLES - 1)
"""How much of the video a gripper may be too early or too late."""
FURTHER = 1.5
"""A gap on the way is told beside that at the end where it is so many times as large."""


@dataclass(frozen=True)
class Motion:
    """Where the hand gets to at `SAMPLES` moments from the first frame on [SAMPLES, 3] [m], and the gripper there."""

    path: Array
    gripper: Array


@dataclass(frozen=True)
class MotionCritic:
    """Judges a video by what is read from it.

    read: inverse dynamics. practised: what a policy would do from a picture [H, W, 3] for a goal, within so many
    seconds or, for None, at its usual pace. axes: what is right, away and up in the picture, as rows of the robot's
    frame [3, 3]. fps: at which videos are asked for; None where nobody asked for a pace.
    """

    read: Callable[[Video], Actions]
    practised: Callable[[UInt8, str, float | None], Actions]
    axes: Array = field(default_factory=lambda: np.eye(3))
    fps: float | None = None
    name: str = "motion"

    def at_pace(self, fps: float) -> MotionCritic:
        """The same for videos of that pace; see `Paced`."""
        return replace(self, fps=fps)

    def __call__(self, video: Video, goal: str, /) -> Verdict:
        """The chance that doing what the video shows reaches the goal; the span is where the hand strays most.

        Raises WowError where nothing can be read from the video.
        """
        began = time.perf_counter()
        last = len(video.frames) - 1
        seconds = None if self.fps is None else last / self.fps
        seen = motion_of(self.read(video))
        expected = motion_of(self.practised(video.frames[0], goal, seconds))
        off = np.linalg.norm(seen.path - expected.path, axis=-1)
        fingers = np.abs(seen.gripper - expected.gripper)
        strays = float(off.mean() + FINGERS * fingers.mean())
        left = 0.0 if seconds is not None else way(motion_of(self.practised(video.frames[-1], goal, None)).path)
        if not math.isfinite(strays + left):
            raise WowError("no motion can be read from this video: what is said of it is no number")
        likeness = _falling(strays, EVEN_CHANCE, WIDTH)
        chance = likeness * _falling(left, UNDONE, UNDONE_WIDTH)
        worst = round(float(off.argmax()) / (SAMPLES - 1) * last)
        completed = chance >= 0.5
        unfinished = [f"It looks unfinished: a practised hand would go on for {_centimetres(left)}."]
        return Verdict(
            scores={"action_success": 1.0 + 4.0 * likeness, "task_completion": 1.0 + 4.0 * chance},
            completed=completed,
            confidence=max(chance, 1.0 - chance),
            reason=" ".join([*(unfinished if left > UNDONE else []), reason_of(seen, expected, self.axes, last)]),
            span=None if completed else (max(worst - 1, 0), min(worst + 1, last)),
            seconds=time.perf_counter() - began,
        )


def way(path: Array) -> float:
    """The length of a path [n, 3] in metres."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=-1).sum())


def _falling(value: float, middle: float, width: float) -> float:
    """From 1 for small values to 0 for large ones, one half in the middle."""
    return float(sigmoid((middle - value) / width))


def motion_of(actions: Actions) -> Motion:
    """The motion of actions [T, D]. Raises WowError for a card without three moves and a gripper."""
    card = actions.embodiment
    moves = [place for place, dim in enumerate(card.action) if card.adds_up[place] and dim.unit == "m"][:3]
    if len(moves) < 3 or card.gripper_place is None:
        raise WowError(f"the motion critic needs a hand that moves in metres and a gripper, which {card.robot} lacks")
    steps = actions.values[:, moves].astype(np.float64)
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, axis=0)])
    gripper = actions.values[:, card.gripper_place].astype(np.float64)
    moments = np.linspace(0.0, 1.0, SAMPLES)
    at = np.linspace(0.0, 1.0, len(path))
    return Motion(
        np.stack([np.interp(moments, at, axis) for axis in path.T], axis=-1),
        np.interp(moments, at, np.append(gripper[:1], gripper)),
    )


def reason_of(seen: Motion, expected: Motion, axes: Array, last: int) -> str:
    """What is wrong with a motion, in the picture's directions: where the hand ends, where it strays, when it grasps.

    axes: as in `MotionCritic`. last: number of the last frame.
    """
    gaps = (seen.path - expected.path) @ axes.T
    sizes = np.linalg.norm(gaps, axis=-1)
    worst = int(sizes.argmax())
    sentences = []
    if sizes[-1] > SMALL:
        sentences.append(f"The hand {_at_the_end(gaps[-1], expected.path[-1] @ axes.T)}.")
    if sizes[worst] > max(FURTHER * sizes[-1], SMALL):
        frame = round(worst / (SAMPLES - 1) * last)
        sentences.append(f"Around frame {frame} it is {' and '.join(_directions(gaps[worst]))}.")
    sentences += [f"It {words}." for words in _gripper(seen.gripper, expected.gripper, last)]
    if not sentences:
        sentences.append("The hand moves as a practised one does.")
    return " ".join([*sentences, f"On average it is {100 * float(sizes.mean()):.1f} cm from a practised hand."])


def _at_the_end(gap: Array, way: Array) -> str:
    """How the hand's last place differs. gap: from the practised one's; way: of that one, from where it began."""
    length, size = float(np.linalg.norm(way)), float(np.linalg.norm(gap))
    along = float(gap @ way) / length if length > SMALL else 0.0
    if along < -0.8 * size:
        return f"stops {_centimetres(along)} short"
    told, verb = [], ""
    for words in _directions(gap):
        other = {"high": "stays", "low": "gets"}.get(words.split()[-1], "reaches")
        told.append(words if other == verb else f"{other} {words}")
        verb = other
    return " and ".join(told)


def _directions(gap: Array) -> list[str]:
    """A gap (right, away, up) in words, of the one or two directions that matter, the larger first."""
    names = (("too far right", "too far left"), ("too far away", "too near"), ("too high", "too low"))
    largest = float(np.abs(gap).max())
    told = sorted(zip(np.abs(gap), gap, names, strict=True), key=lambda one: -one[0])[:2]
    return [f"{_centimetres(value)} {name[int(value < 0)]}" for size, value, name in told if size > 0.5 * largest]


def _gripper(seen: Array, expected: Array, last: int) -> list[str]:
    """What the fingers do at another time than they should: shutting first, then opening again."""
    found: list[str] = []
    start = real = 0
    for verb, shut in (("closes", True), ("opens", False)):
        begins, should = _first(seen, shut, real), _first(expected, shut, start)
        if begins is None and should is None:
            break
        if begins is None or should is None:
            never = f"never {verb} the gripper" if begins is None else f"{verb} the gripper, which it should not"
            return [*found, never]
        if abs(begins - should) > LATE * (SAMPLES - 1):
            frames = [round(moment / (SAMPLES - 1) * last) for moment in (begins, should)]
            when = "early" if begins < should else "late"
            found.append(f"{verb} the gripper too {when} (frame {frames[0]} instead of {frames[1]})")
        real, start = begins, should
    return found


def _first(gripper: Array, shut: bool, start: int) -> int | None:
    """The first moment from `start` on at which the fingers, which were not, are shut; or open again."""
    is_so = gripper < 0.5 if shut else gripper >= 0.5
    turns = [moment for moment in range(start + 1, len(is_so)) if is_so[moment] and not is_so[moment - 1]]
    return turns[0] if turns else None


def _centimetres(metres: float) -> str:
    return f"{100 * abs(metres):.0f} cm"
