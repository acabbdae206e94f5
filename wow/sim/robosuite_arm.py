"""robosuite as an arm that a controller drives in metres and radians: steps of the card become raw actions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wow.sim.robosuite import CONTROL_RATE, HOLD, METRES_PER_UNIT, RADIANS_PER_UNIT, Pose, Robosuite, SceneTruth
from wow.types import UInt8

STIFFNESS = 150.0
"""Of the stock controller [1/s²]: the tool is pulled to its goal by a critically damped spring."""

AHEAD = 1.5
"""Control steps. The least error of 1, 1.5, 2 and 3, with and without an integral of it: 2.6 mm in the mean."""

Array = NDArray[np.float64]


class RobosuiteArm:
    """The arm and a camera of a robosuite scene, whose tool follows a target pose.

    The target starts where the tool is; each step moves it. The card's actions are what the tool did, so the tool is
    to be on the target at the end of the step, not to lag behind it.
    """

    def __init__(self, environment: Robosuite, camera: str = "front") -> None:
        self.environment = environment
        self.camera = camera
        self._target = environment.tool()
        self._held = 0

    @property
    def rate(self) -> float:
        return CONTROL_RATE

    @property
    def reach(self) -> float:
        """How far the tool gets along each axis in one control step at full speed [m]."""
        return METRES_PER_UNIT * float(np.sqrt(STIFFNESS)) / 2.0 / CONTROL_RATE

    @property
    def workspace(self) -> tuple[Array, Array]:
        return np.array([-0.45, -0.5, 0.78]), np.array([0.4, 0.5, 1.6])

    @property
    def target(self) -> Array:
        return self._target.position.copy()

    @property
    def hand(self) -> Array:
        return self.environment.tool().position

    def advance(self, step: Array) -> bool:
        """One control step [7]: x y z [m], rotation vector [rad], gripper command [0 closed, 1 open].

        Returns whether the task has been done for `HOLD` steps at its end.
        """
        self._target = self._target.moved(step)
        # Aimed beyond the end of the step, as if the target went on as it goes: aimed at the end, the velocity rings.
        ahead = self._target.moved((AHEAD - 1.0) * step)
        raw = np.append(pull(self.environment.truth(), ahead, AHEAD / CONTROL_RATE), 1.0 - 2.0 * step[6])
        self._held = self._held + 1 if self.environment.advance(raw)["success"] else 0
        return self._held >= HOLD

    def look(self) -> UInt8:
        return self.environment.picture(self.camera)


def pull(truth: SceneTruth, target: Pose, seconds: float) -> Array:
    """The raw action [6] in [-1, 1] with which the tool is at `target` after `seconds`, or as close as it gets.

    Solves the controller's law for its goal: from a distance x and a velocity v, a critically damped spring of rate w
    leaves the distance ((1 + w t) x + t v) exp(-w t) after the time t.
    """
    rate = np.sqrt(STIFFNESS)
    decay = np.exp(-rate * seconds)
    reached, coasted = 1.0 - (1.0 + rate * seconds) * decay, seconds * decay
    goal = (truth.tool.change_to(target) - coasted * truth.velocity) / reached
    raw: Array = np.clip(goal / np.repeat([METRES_PER_UNIT, RADIANS_PER_UNIT], 3), -1.0, 1.0)
    return raw
