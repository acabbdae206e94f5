"""How turns lead from orientation to orientation: in the world's axes they come last, in the tool's own first."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


def from_wxyz(quaternions: ArrayLike) -> Rotation:
    """Rotations from quaternions w x y z [..., 4], as datasets write them."""
    return Rotation.from_quat(np.roll(np.asarray(quaternions, np.float64), -1, axis=-1))


def to_wxyz(rotation: Rotation) -> Array:
    """Quaternions w x y z [..., 4], w never negative."""
    return np.roll(rotation.as_quat(canonical=True), 1, axis=-1)


def after(orientation: Rotation, turn: Rotation, local: bool = False) -> Rotation:
    """The orientation R after a turn T: T R; in a frame that turns along, R T."""
    return orientation * turn if local else turn * orientation


def between(first: Rotation, second: Rotation, local: bool = False) -> Rotation:
    """The turn that leads from one orientation to another: what `after` undoes."""
    return first.inv() * second if local else second * first.inv()


def orientations(vectors: Array, local: bool = False) -> Rotation:
    """The N+1 orientations after none, one, … of the turns [N, 3, rotation vectors], from no rotation."""
    so_far = [Rotation.identity()]
    for turn in Rotation.from_rotvec(vectors) if len(vectors) else ():
        so_far.append(after(so_far[-1], turn, local))
    return Rotation.concatenate(so_far)
