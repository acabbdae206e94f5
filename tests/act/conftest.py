"""An arm without physics that the tests of this room drive: the hand is at its target after every step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from wow.types import Actions, Dimension, Embodiment

CARD = Embodiment(
    robot="point",
    rate=20.0,
    action=(
        *(Dimension(f"delta_{axis}", "m", "world", -0.04, 0.04) for axis in "xyz"),
        *(Dimension(f"delta_{axis}", "rad", "world", -3.2, 3.2) for axis in ("roll", "pitch", "yaw")),
        Dimension("gripper", "1", "gripper", 0.0, 1.0),
    ),
    action_kind="delta",
    rotation="roll-pitch-yaw",
    gripper="0 closed, 1 open",
)


class PointArm:
    """Succeeds when the hand is within 5 mm of `goal`. Its picture is where the hand is, as a grey value."""

    rate = 80.0
    reach = 0.01
    workspace = (np.full(3, -0.5), np.full(3, 0.5))

    def __init__(self, goal: tuple[float, float, float] = (9.0, 9.0, 9.0)) -> None:
        self.goal = np.array(goal)
        self.target = np.zeros(3)
        self.steps: list[np.ndarray] = []

    @property
    def hand(self) -> np.ndarray:
        return self.target

    def advance(self, step: np.ndarray) -> bool:
        assert np.abs(step[:3]).max() <= self.reach + 1e-12
        self.steps.append(step)
        self.target = self.target + step[:3]
        assert (self.target >= self.workspace[0] - 1e-12).all() and (self.target <= self.workspace[1] + 1e-12).all()
        return bool(np.linalg.norm(self.hand - self.goal) < 0.005)

    def look(self) -> np.ndarray:
        return np.full((4, 4, 3), round(100 + 100 * self.hand[0]), dtype=np.uint8)


@pytest.fixture
def make_arm() -> type[PointArm]:
    return PointArm


@pytest.fixture
def actions() -> Callable[..., Actions]:
    """Actions [T, 7] of the hand's moves [T, 3]."""

    def make(moves: np.ndarray, gripper: float | np.ndarray = 1.0, seconds: float | None = 0.05) -> Actions:
        values = np.zeros((len(moves), 7), dtype=np.float32)
        values[:, :3], values[:, 6] = moves, gripper
        return Actions(values, CARD, seconds)

    return make
