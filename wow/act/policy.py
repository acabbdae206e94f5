"""Executing plans that nobody reads from a video: a world model's own, and a policy's; baselines of the whole loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wow.act.arm import Scene
from wow.act.planner import Plan
from wow.types import Actions, UInt8, Video


class Plans(Protocol):
    """A world model that knows what is intended, asked for what the robot does."""

    def __call__(self, picture: UInt8, seed: int, /) -> Actions:
        """The actions that do what is left of the task, from the picture [H, W, 3]."""


class Paints(Protocol):
    """A world model as a simulator."""

    def __call__(self, picture: UInt8, actions: Actions, seed: int, /) -> Video:
        """What the actions look like from the picture [H, W, 3] on."""


@dataclass(frozen=True)
class PolicyPlanner:
    """Takes the world model's own plan as it is; `paint` shows what it expects of it. seed: of the first plan.

    The plans have the seeds of an `ImaginingPlanner` with one candidate, so that both begin with the same noise.
    """

    plan: Plans
    paint: Paints
    seed: int

    def __call__(self, scene: Scene, number: int) -> Plan:
        picture, seed = scene.look(), self.seed + 2 * number
        began = time.perf_counter()
        actions = self.plan(picture, seed)
        planned = time.perf_counter()
        video = self.paint(picture, actions, seed)
        painted = time.perf_counter()
        return Plan(actions, video, seconds_to_imagine=painted - planned, seconds_to_act=planned - began)


@dataclass(frozen=True)
class CloningPlanner:
    """Takes what a policy says, from each picture anew: behaviour cloning, the baseline of having a world model."""

    imitate: Callable[[UInt8], Actions]

    def __call__(self, scene: Scene, number: int) -> Plan:
        picture = scene.look()
        began = time.perf_counter()
        actions = self.imitate(picture)
        return Plan(actions, seconds_to_act=time.perf_counter() - began)
