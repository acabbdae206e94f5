"""Actions over strides: recorded from frame to frame, said again for frames that lie further apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wow import rotation
from wow.types import Embodiment, Float32

Array = NDArray[np.float64]


def between_frames(actions: Float32, rows: NDArray[np.int64], card: Embodiment) -> Float32:
    """Actions [T, D] between T+1 frames that are `rows` of an episode recorded with one action per frame.

    Changes are summed over the frames that are skipped, rotation vectors composed as rotations; other dimensions take
    the value at the end of the interval. Between a frame and itself nothing changes.
    """
    own = actions[rows[0] : rows[-1] + 1].astype(np.float64)
    sums = np.concatenate([np.zeros((1, actions.shape[1])), np.cumsum(own, axis=0)])
    offsets = rows - rows[0]
    changes = sums[offsets[1:]] - sums[offsets[:-1]]
    if turns := list(card.turns):
        changes[:, turns] = turned(own[:, turns], offsets, card.turns_locally)
    held = actions[np.maximum(rows[1:] - 1, rows[0])]
    between: Float32 = np.where(card.adds_up, changes, held).astype(np.float32)
    return between


def turned(vectors: Array, offsets: NDArray[np.int64], local: bool = False) -> Array:
    """The rotation vectors [T, 3, rad] from each of T+1 moments to the next, of at most half a turn.

    vectors [N, 3]: the turn after each recorded frame; R becomes exp(r) R, in a local frame R exp(r). offsets [T+1]:
    how many of the turns each moment comes after.
    """
    so_far = rotation.orientations(vectors, local)
    turns: Array = rotation.between(so_far[offsets[:-1]], so_far[offsets[1:]], local).as_rotvec()
    return turns
