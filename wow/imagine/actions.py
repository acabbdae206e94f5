"""Actions as the world model reads them: as a motion, where the robot has got to since the first frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.types import Embodiment

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ActionScale:
    """normalised = (value - centre) / spread, per dimension. summed: which dimensions add up over time.

    A motion is a sequence of actions seen from its start: summed dimensions become the distance from the first frame.
    """

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    summed: tuple[bool, ...]

    def motion(self, actions: Array) -> Array:
        """The normalised motion of actions [..., T, D] between T+1 frames: at frames 1 to T, relative to frame 0."""
        values = np.where(self.summed, np.cumsum(actions, axis=-2, dtype=np.float64), actions)
        motion: Array = ((values - np.array(self.centre)) / np.array(self.spread)).astype(np.float32)
        return motion

    def actions(self, motion: Array) -> Array:
        """The actions [..., T, D] that make a normalised motion."""
        values = motion * np.array(self.spread) + np.array(self.centre)
        steps = np.diff(values, axis=-2, prepend=np.zeros_like(values[..., :1, :]))
        actions: Array = np.where(self.summed, steps, values).astype(np.float32)
        return actions


def scale_of(actions: Array, embodiment: Embodiment, steps: float = 4.0) -> ActionScale:
    """A scale from recorded actions [N, D] that brings motions to about [-1, 1].

    From the 1 % and 99 % quantiles; how far a clip gets is taken to be `steps` recorded steps at full speed.
    """
    summed = embodiment.adds_up
    low, high = np.quantile(actions, 0.01, axis=0), np.quantile(actions, 0.99, axis=0)
    centre = np.where(summed, 0.0, (low + high) / 2.0)
    spread = np.where(summed, np.maximum(np.abs(low), np.abs(high)) * steps, (high - low) / 2.0)
    spread = np.where(spread < 1e-3, 1.0, spread)
    return ActionScale(tuple(float(x) for x in centre), tuple(float(x) for x in spread), tuple(bool(x) for x in summed))
