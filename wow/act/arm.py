"""What executing actions needs of a robot: an arm that follows a target, and a camera that looks at the scene."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wow.types import UInt8

Array = NDArray[np.float64]


class Arm(Protocol):
    """A robot arm whose hand is pulled to a target, control step by control step, in the world frame."""

    @property
    def rate(self) -> float:
        """Control steps per second [Hz]."""

    @property
    def reach(self) -> float:
        """How far the target can be moved along each axis in one control step [m]."""

    @property
    def workspace(self) -> tuple[Array, Array]:
        """The lowest and the highest corner [3, m] of where the target may be."""

    @property
    def target(self) -> Array:
        """Where the hand is pulled to [3, m]."""

    @property
    def hand(self) -> Array:
        """Where the hand is [3, m]."""

    def advance(self, step: Array) -> bool:
        """One control step; whether the task has succeeded at its end.

        step [7]: change of the target x y z [m] and roll pitch yaw [rad], gripper command [0 closed, 1 open].
        """


class Scene(Arm, Protocol):
    """An arm and the camera that looks at it."""

    def look(self) -> UInt8:
        """What the camera sees now, uint8 [H, W, 3]."""
