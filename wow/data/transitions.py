"""Actions over strides: recorded from frame to frame, said again for frames that lie further apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wow.types import Embodiment, Float32

Array = NDArray[np.float64]

ROTATION_VECTOR = "rotation-vector"
LOCAL_FRAMES = ("gripper", "tool", "hand")
"""Coordinate frames that turn with the tool: a turn in them comes before those that were made already."""


def between_frames(actions: Float32, rows: NDArray[np.int64], card: Embodiment) -> Float32:
    """Actions [T, D] between T+1 frames that are `rows` of an episode recorded with one action per frame.

    Changes are summed over the frames that are skipped, rotation vectors composed as rotations; other dimensions take
    the value at the end of the interval. Between a frame and itself nothing changes.
    """
    own = actions[rows[0] : rows[-1] + 1].astype(np.float64)
    sums = np.concatenate([np.zeros((1, actions.shape[1])), np.cumsum(own, axis=0)])
    offsets = rows - rows[0]
    changes = sums[offsets[1:]] - sums[offsets[:-1]]
    if turns := turns_of(card):
        changes[:, list(turns)] = turned(own[:, list(turns)], offsets, card.action[turns[0]].frame in LOCAL_FRAMES)
    held = actions[np.maximum(rows[1:] - 1, rows[0])]
    between: Float32 = np.where(card.adds_up, changes, held).astype(np.float32)
    return between


def turns_of(card: Embodiment) -> tuple[int, ...]:
    """The three dimensions of a delta card that are a rotation vector; none where rotations are written otherwise."""
    summed = card.adds_up
    found = tuple(place for place, dim in enumerate(card.action) if summed[place] and dim.unit == "rad")
    return found if card.rotation == ROTATION_VECTOR and len(found) == 3 else ()


def turned(vectors: Array, offsets: NDArray[np.int64], local: bool = False) -> Array:
    """The rotation vectors [T, 3, rad] from each of T+1 moments to the next, of at most half a turn.

    vectors [N, 3]: the turn after each recorded frame; R becomes exp(r) R, in a local frame R exp(r). offsets [T+1]:
    how many of the turns each moment comes after.
    """
    so_far = np.zeros((len(vectors) + 1, 4))
    so_far[0, 0] = 1.0
    for place, turn in enumerate(_quaternions(vectors)):
        before = so_far[place]
        so_far[place + 1] = _product(before, turn) if local else _product(turn, before)
    first, second = so_far[offsets[:-1]], so_far[offsets[1:]]
    back = first * (1.0, -1.0, -1.0, -1.0)
    return _vectors(_product(back, second) if local else _product(second, back))


# ---- inside ----


def _quaternions(vectors: Array) -> Array:
    """Rotation vectors [..., 3] as unit quaternions w x y z."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # sinc is sin(pi x) / (pi x): this is sin(angle / 2) / angle, also at 0.
    return np.concatenate([np.cos(angle / 2), vectors * np.sinc(angle / (2 * np.pi)) / 2], axis=-1)


def _vectors(quaternions: Array) -> Array:
    """Unit quaternions as rotation vectors [..., 3] of at most half a turn."""
    near = np.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    sine = np.linalg.norm(near[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, near[..., :1])
    scale = np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-12)
    found: Array = near[..., 1:] * scale
    return found


def _product(left: Array, right: Array) -> Array:
    """The rotation `right` followed by `left` (Hamilton's product)."""
    w, v = left[..., :1], left[..., 1:]
    other_w, other_v = right[..., :1], right[..., 1:]
    real = w * other_w - (v * other_v).sum(axis=-1, keepdims=True)
    return np.concatenate([real, w * other_v + other_w * v + np.cross(v, other_v)], axis=-1)
