"""Actions as the world model reads them: summed between the frames of a clip, and scaled to about [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.types import Embodiment, Float32

Array = NDArray[np.float32]


@dataclass(frozen=True)
class ActionScale:
    """normalised = (value - centre) / spread, per dimension, for the action between two frames of a clip."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]

    def normalise(self, actions: Array) -> Array:
        """Float32 of the same shape, about [-1, 1]."""
        centre, spread = (np.array(row, dtype=np.float32) for row in (self.centre, self.spread))
        return ((actions - centre) / spread).astype(np.float32)


def is_summed(embodiment: Embodiment) -> NDArray[np.bool_]:
    """Which dimensions add up over time [D]: the changes of a delta card, in metres or radians."""
    return np.array([embodiment.action_kind == "delta" and dim.unit in ("m", "rad") for dim in embodiment.action])


def between_frames(actions: Array, rows: NDArray[np.int64], embodiment: Embodiment) -> Float32:
    """Actions [T, D] between T+1 frames that are `rows` of an episode recorded with one action per frame.

    Changes are summed over the frames that are skipped; other dimensions take the value at the end of the interval.
    """
    sums = np.concatenate([np.zeros((1, actions.shape[1]), np.float64), np.cumsum(actions[rows[0] : rows[-1] + 1], 0)])
    offsets = rows - rows[0]
    changes = sums[offsets[1:]] - sums[offsets[:-1]]
    held = actions[np.maximum(rows[1:] - 1, rows[0])]
    between: Float32 = np.where(is_summed(embodiment), changes, held).astype(np.float32)
    return between


def scale_of(actions: Array, embodiment: Embodiment, frames_per_step: float = 2.0) -> ActionScale:
    """A scale from recorded actions [N, D]: limits where the card states both, else the 99 % range.

    frames_per_step: how many recorded frames a clip's step usually spans; changes grow with it.
    """
    summed = is_summed(embodiment)
    low, high = np.quantile(actions, 0.01, axis=0), np.quantile(actions, 0.99, axis=0)
    centre, spread = (low + high) / 2.0, np.maximum((high - low) / 2.0, 1e-3)
    centre = np.where(summed, 0.0, centre)
    spread = np.where(summed, np.maximum(np.abs(low), np.abs(high)) * frames_per_step, spread)
    spread = np.where(spread < 1e-3, 1.0, spread)
    return ActionScale(tuple(float(x) for x in centre), tuple(float(x) for x in spread))
