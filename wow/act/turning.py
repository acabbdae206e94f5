"""The most likely turns of the hand, from noisy turns and noisy orientations: as `wow.act.fuse`, around a reference."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from wow import rotation
from wow.act.fuse import fuse

Array = NDArray[np.float64]

ROUNDS = 2
"""How often what a turn does to an orientation is computed anew from where the hand is found to face."""


def fuse_turns(
    turns: Array, deviations: Array, facing: Array, around: Array, *, local: bool = False
) -> tuple[Array, Array]:
    """Turns [T, 3] and their deviations from the most likely orientations.

    turns: rotation vectors from each frame to the next [T, 3, rad], with deviations [T, 3]. facing: orientations as
    rotation vectors from a reference [T+1, 3, rad], with deviations `around`. local: whether turns are in a frame that
    turns with the hand.
    """
    path, spread = facing, deviations
    for _ in range(ROUNDS):
        # Rotation vectors do not add up; what each turn does to the vector of the orientation before it does.
        before = Rotation.from_rotvec(path[:-1])
        steps = rotation.after(before, Rotation.from_rotvec(turns), local).as_rotvec() - path[:-1]
        fused = [fuse(steps[:, i], deviations[:, i], facing[:, i], around[:, i]) for i in range(3)]
        path = np.stack([each.path for each in fused], axis=1)
        spread = np.stack([each.of_steps for each in fused], axis=1)
    faced = Rotation.from_rotvec(path)
    return rotation.between(faced[:-1], faced[1:], local).as_rotvec(), spread
