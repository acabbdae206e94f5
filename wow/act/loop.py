"""Closes the loop: look, plan, execute the plan or a part of it, look again, until success or the end of a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from wow.act.arm import Scene
from wow.act.controller import Step, drive, hold, retreat, schedule
from wow.act.planner import Plan, Planner

OnStep = Callable[[int], None]
"""Told after every control step how many were done."""


@dataclass(frozen=True)
class LoopOptions:
    """How an episode is executed.

    replan_every: transitions of a plan that are executed before the scene is looked at again; None executes the whole
    of it. At the end of a plan the hand gets `settle` control steps to arrive. retreat: where a whole plan was no
    success, the hand then lets go and is taken back to where the episode began, where a model plans and paints best.
    open_loop: stop after the first plan. budget: control steps of an episode. linger: control steps after success, for
    a video that shows it.
    """

    replan_every: int | None = None
    retreat: bool = False
    open_loop: bool = False
    budget: int = 500
    settle: int = 20
    linger: int = 0

    def __post_init__(self) -> None:
        if self.budget < 1 or min(self.settle, self.linger) < 0 or self.replan_every == 0:
            raise ValueError(f"impossible options {self}")


@dataclass(frozen=True)
class Leg:
    """One plan as far as it was executed. start: control steps before it; num_steps: control steps that it took."""

    plan: Plan
    start: int
    num_steps: int


@dataclass(frozen=True)
class Outcome:
    """How an episode went.

    success_step: control steps until the first success; None without one. hand_error: how far the hand is from its
    target at the end [m]. seconds_to_execute: without planning and filming.
    """

    success_step: int | None
    num_steps: int
    legs: tuple[Leg, ...]
    hand_error: float
    seconds_to_execute: float

    @property
    def success(self) -> bool:
        return self.success_step is not None


def run_episode(
    scene: Scene,
    planner: Planner,
    options: LoopOptions = LoopOptions(),
    on_step: OnStep = lambda done: None,
) -> Outcome:
    """One episode in `scene` as it stands, until `options.linger` steps after success or the end of the budget."""
    episode, home = _Episode(scene, options, on_step), scene.target.copy()
    legs: list[Leg] = []
    while not episode.is_over:
        plan = planner(scene, len(legs))
        whole = schedule(plan.actions, scene)
        steps = whole[: options.replan_every]
        start = episode.num_steps
        episode.carry_out(drive(scene, steps))
        gripper, is_whole = float(steps[-1, -1, 6]), len(steps) == len(whole)
        if is_whole or options.open_loop:
            episode.carry_out(hold(scene, gripper, options.settle))
        if episode.success_step is not None:
            episode.carry_out(hold(scene, gripper, options.linger))
        is_last = options.open_loop or episode.success_step is not None
        if options.retreat and is_whole and not is_last:
            episode.carry_out(retreat(scene, home), is_attempt=False)
            episode.carry_out(hold(scene, 1.0, options.settle), is_attempt=False)
        legs.append(Leg(plan, start, episode.num_steps - start))
        if is_last:
            break
    return Outcome(
        success_step=episode.success_step,
        num_steps=episode.num_steps,
        legs=tuple(legs),
        hand_error=float(np.linalg.norm(scene.hand - scene.target)),
        seconds_to_execute=episode.seconds,
    )


class _Episode:
    """Carries out control steps and keeps count."""

    def __init__(self, scene: Scene, options: LoopOptions, on_step: OnStep) -> None:
        self._scene, self._options, self._on_step = scene, options, on_step
        self.num_steps = 0
        self.success_step: int | None = None
        self.seconds = 0.0

    @property
    def is_over(self) -> bool:
        if self.success_step is not None and self.num_steps >= self.success_step + self._options.linger:
            return True
        return self.num_steps >= self._options.budget

    def carry_out(self, steps: Iterator[Step], is_attempt: bool = True) -> None:
        """Advances the scene by each of the steps, until they or the episode are over.

        is_attempt: whether a success counts; what happens by chance on the way back does not.
        """
        while not self.is_over:
            began = time.perf_counter()
            step = next(steps, None)
            if step is None:
                return
            succeeds = self._scene.advance(step)
            self.seconds += time.perf_counter() - began
            self.num_steps += 1
            if succeeds and is_attempt and self.success_step is None:
                self.success_step = self.num_steps
            self._on_step(self.num_steps)
