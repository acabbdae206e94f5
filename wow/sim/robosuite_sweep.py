"""Dense coverage of an arm's reachable workspace without physics: the tool goes from one random pose to the next, the
joints follow by inverse kinematics, and every frame shows another pose.

A simulated step takes half as long as a picture, and between two of them little changes; a sweep is pictures alone, as
far apart as its frames are. Inverse kinematics: damped least squares (Wampler 1986); what is left of the joints'
freedom draws them to where they rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from wow.sim.robosuite import Pose, Robosuite
from wow.sim.robosuite_motions import CLOSE, OPEN, somewhere

FRAMES = 49
"""Frames of a sweep."""
SPEEDS = (0.1, 0.3)
"""How fast the tool moves from pose to pose [m/s]."""
TURNS_PER_METRE = 5.0
"""How far it turns at most while it moves a metre [rad]: 0.5 to 1.5 rad/s."""
FINGERS = 0.4
"""Seconds that the fingers take to open or close."""
SETTLING = 20
"""Control steps in which every gripper has opened or closed."""
ITERATIONS = 30
CLOSE_ENOUGH = np.repeat([0.0005, 0.002], 3)
"""Metres and radians from the pose that is asked for at which the search for joints ends."""
DAMPING = 0.03
LONGEST_STEP = 0.25
"""Of all joints together in one iteration [rad]."""
TO_REST = 0.05
"""The share of the way to rest that the freedom left is moved in one iteration."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """Where the tool is sent, how open the fingers are (0 closed, 1 open), and what they are told (`OPEN`, `CLOSE`)."""

    tool: Pose
    opening: float
    command: float


def sweep(start: Pose, generator: np.random.Generator, seconds: float) -> Iterator[Moment]:
    """Smooth motion from one random pose to the next, for ever, one moment every so many seconds."""
    here, command, opening, rest = start, OPEN, 1.0, 0.0
    while True:
        target, speed = somewhere(generator), generator.uniform(*SPEEDS)
        change = here.change_to(target)
        way = max(float(np.linalg.norm(change[:3])), float(np.linalg.norm(change[3:])) / TURNS_PER_METRE)
        lasts = max(way / speed, seconds)
        toggles = generator.uniform(0.0, lasts) if generator.random() < 0.6 else np.inf
        while rest < lasts:
            share = rest / lasts
            if rest >= toggles:
                command, toggles = -command, np.inf
            wanted = 1.0 if command == OPEN else 0.0
            opening += float(np.clip(wanted - opening, -seconds / FINGERS, seconds / FINGERS))
            yield Moment(here.moved(change * share * share * (3.0 - 2.0 * share)), opening, command)
            rest += seconds
        here, rest = target, rest - lasts


class PosedArm:
    """An arm whose joints are set, not driven. What the simulator computes of forces means nothing afterwards."""

    def __init__(self, environment: Robosuite) -> None:
        self._environment = environment
        self._model, self._data = environment.model, environment.data
        arm = environment.arm_joints
        self._places = np.array([int(self._model.jnt_qposadr[joint]) for joint in arm])
        self._freedoms = np.array([int(self._model.jnt_dofadr[joint]) for joint in arm])
        limited = self._model.jnt_limited[arm].astype(bool)[:, None]
        self._limits = np.where(limited, self._model.jnt_range[arm], [-np.inf, np.inf])
        self._rest = self._data.qpos[self._places].copy()
        fingers = np.array([int(self._model.jnt_qposadr[joint]) for joint in environment.finger_joints])
        self._fingers, self._closed, self._open = fingers, *(self._settled(way, fingers) for way in (CLOSE, OPEN))

    def go(self, tool: Pose, opening: float) -> None:
        """Brings the tool as near to a pose as the joints let it, from where they are, and sets the fingers."""
        data, jacobian = self._data, np.zeros((6, self._model.nv))
        data.qpos[self._fingers] = self._closed + opening * (self._open - self._closed)
        for _ in range(ITERATIONS):
            mujoco.mj_kinematics(self._model, data)
            mujoco.mj_comPos(self._model, data)
            left = self._environment.tool().change_to(tool)
            if (np.abs(left) < CLOSE_ENOUGH).all():
                break
            mujoco.mj_jacSite(self._model, data, jacobian[:3], jacobian[3:], self._environment.tool_site)
            own = jacobian[:, self._freedoms]
            pull = own.T @ np.linalg.inv(own @ own.T + DAMPING**2 * np.eye(6))
            joints = data.qpos[self._places]
            step = pull @ left
            step *= min(1.0, LONGEST_STEP / max(float(np.linalg.norm(step)), 1e-9))
            step += (np.eye(len(joints)) - pull @ own) @ (TO_REST * (self._rest - joints))
            data.qpos[self._places] = np.clip(joints + step, self._limits[:, 0], self._limits[:, 1])
        data.qvel[:] = 0.0
        mujoco.mj_forward(self._model, data)

    def _settled(self, command: float, fingers: NDArray[np.int64]) -> Array:
        """Where the fingers' joints come to rest when they are told to open or close."""
        for _ in range(SETTLING):
            self._environment.advance(np.array([0.0] * 6 + [command]))
        settled: Array = self._data.qpos[fingers].copy()
        return settled
