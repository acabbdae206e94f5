"""The motion critic: does the video move as somebody does who has learned the task?

Success is decided by centimetres that a picture hardly shows. So the video is read by inverse dynamics, and the path of
the hand that comes out is held against the one that a policy takes from the first frame for the same goal: who strays
from it, or opens the fingers at another time, will hardly do what the video promises. It learned nothing of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.types import Actions, UInt8, Verdict, Video, WowError

Array = NDArray[np.float64]

SAMPLES = 17
"""Moments at which two paths are compared, spread evenly over both."""
EVEN_CHANCE = 0.035
"""Mean distance at which a video is as likely to succeed as not [m]; see docs/log.md for the fit."""
WIDTH = 0.012
"""How fast the chance falls around it [m]."""
FINGERS = 0.1
"""What a gripper that is always wrong is worth beside the hand's distance [m]."""


@dataclass(frozen=True)
class Motion:
    """Where the hand gets to at `SAMPLES` moments from the first frame on [SAMPLES, 3] [m], and the gripper there."""

    path: Array
    gripper: Array


@dataclass(frozen=True)
class MotionCritic:
    """Judges a video by what is read from it. read: inverse dynamics. practised: what a policy would do from a picture
    [H, W, 3] for a goal."""

    read: Callable[[Video], Actions]
    practised: Callable[[UInt8, str], Actions]
    name: str = "motion"

    def __call__(self, video: Video, goal: str, /) -> Verdict:
        """The chance that doing what the video shows reaches the goal; the span is where the hand strays most.

        Raises WowError where nothing can be read from the video.
        """
        began = time.perf_counter()
        seen, expected = motion_of(self.read(video)), motion_of(self.practised(video.frames[0], goal))
        off = np.linalg.norm(seen.path - expected.path, axis=-1)
        fingers = np.abs(seen.gripper - expected.gripper)
        strays = float(off.mean() + FINGERS * fingers.mean())
        chance = 1.0 / (1.0 + np.exp(min((strays - EVEN_CHANCE) / WIDTH, 50.0)))
        worst = round(float(off.argmax()) / (SAMPLES - 1) * (len(video.frames) - 1))
        completed = bool(chance >= 0.5)
        score = 1.0 + 4.0 * float(chance)
        return Verdict(
            scores={"action_success": score, "task_completion": score},
            completed=completed,
            confidence=float(max(chance, 1.0 - chance)),
            reason=_reason(float(off.mean()), float(off.max()), worst, float(fingers.mean())),
            span=None if completed else (max(worst - 1, 0), min(worst + 1, len(video.frames) - 1)),
            seconds=time.perf_counter() - began,
        )


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


def _reason(mean: float, largest: float, worst: int, fingers: float) -> str:
    hand = (
        f"Read from the video, the hand is {100 * mean:.1f} cm on average from where somebody practised moves it, "
        f"{100 * largest:.1f} cm at frame {worst}"
    )
    return f"{hand}; the gripper's commands differ by {fingers:.0%}."
