"""Rotations as unit quaternions w x y z and as rotation vectors [rad], in arrays of any leading shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def quaternions(vectors: Array) -> Array:
    """Rotation vectors [..., 3] as unit quaternions [..., 4]."""
    angle = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # sinc is sin(pi x) / (pi x): this is sin(angle / 2) / angle, also at 0.
    return np.concatenate([np.cos(angle / 2), vectors * np.sinc(angle / (2 * np.pi)) / 2], axis=-1)


def vectors(quaternions: Array) -> Array:
    """Unit quaternions [..., 4] as rotation vectors [..., 3] of at most half a turn."""
    near = np.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    sine = np.linalg.norm(near[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, near[..., :1])
    scale = np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-12)
    found: Array = near[..., 1:] * scale
    return found


def product(left: Array, right: Array) -> Array:
    """The rotation `right` followed by `left` (Hamilton's product)."""
    w, v = left[..., :1], left[..., 1:]
    other_w, other_v = right[..., :1], right[..., 1:]
    real = w * other_w - (v * other_v).sum(axis=-1, keepdims=True)
    return np.concatenate([real, w * other_v + other_w * v + np.cross(v, other_v)], axis=-1)


def inverse(quaternions: Array) -> Array:
    """The rotations back."""
    found: Array = quaternions * np.array([1.0, -1.0, -1.0, -1.0])
    return found


def mean(quaternions: Array) -> Array:
    """The rotation [4] that is nearest to all of [N, 4], whatever their signs (Markley et al. 2007)."""
    found: Array = np.linalg.eigh(quaternions.T @ quaternions)[1][:, -1]
    return -found if found[np.abs(found).argmax()] < 0 else found


def after(orientation: Array, turn: Array, local: bool = False) -> Array:
    """The orientation [..., 3] after a turn [..., 3]: exp(r) R; in a frame that turns along, R exp(r)."""
    first, second = quaternions(orientation), quaternions(turn)
    return vectors(product(first, second) if local else product(second, first))


def between(first: Array, second: Array, local: bool = False) -> Array:
    """The turn [..., 3] of at most half a turn that leads from one orientation [..., 3] to another."""
    back, later = inverse(quaternions(first)), quaternions(second)
    return vectors(product(back, later) if local else product(later, back))
