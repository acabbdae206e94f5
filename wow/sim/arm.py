"""Meta-World as an arm that a controller drives in metres: the 7-DoF steps of the card become raw simulator actions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wow.sim.metaworld import CONTROL_RATE, METRES_PER_UNIT, MetaWorld
from wow.types import UInt8

Array = NDArray[np.float64]


class MetaWorldArm:
    """The arm and the front camera of a Meta-World task. Its wrist never turns: rotations are not carried out."""

    def __init__(self, environment: MetaWorld, camera: str = "front") -> None:
        self.environment = environment
        self.camera = camera

    @property
    def rate(self) -> float:
        return CONTROL_RATE

    @property
    def reach(self) -> float:
        return METRES_PER_UNIT

    @property
    def workspace(self) -> tuple[Array, Array]:
        return self.environment.workspace

    @property
    def target(self) -> Array:
        return self.environment.target

    @property
    def hand(self) -> Array:
        return self.environment.truth().hand

    def advance(self, step: Array) -> bool:
        """One control step [7]: x y z [m], three rotations, gripper command [0 closed, 1 open]. Whether it succeeds."""
        raw = np.append(step[:3] / METRES_PER_UNIT, 1.0 - 2.0 * step[6])
        return bool(self.environment.advance(raw)["success"])

    def look(self) -> UInt8:
        return self.environment.picture(self.camera)

    def object_error(self) -> float | None:
        """How far the first object is from the goal [m]; None where the task has no object."""
        truth = self.environment.truth()
        place = truth.objects[0, :3]
        return float(np.linalg.norm(place - truth.goal)) if np.abs(place).sum() > 0 else None
