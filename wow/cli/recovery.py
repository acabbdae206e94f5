"""Episodes that begin where a model's plan has left the scene: the expert shows what is to be done from there.

A policy that has seen experts alone does not know what to do where it brought itself (DAgger, Ross et al. 2011,
arXiv 1011.0686): where a grasp was missed it stays at the goal with an empty hand. `wow data collect --source recovery`
executes the model's own plan, led astray until it fails, or breaks it off, and records the expert from there on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from wow.cli.episode import EpisodeRunner, load_agent
from wow.cli.tries import settings_of
from wow.types import Actions, Episode

if TYPE_CHECKING:
    from wow.assembly import Agent
    from wow.sim.arm import MetaWorldArm
    from wow.sim.job import Job, RecordingOptions

SOURCE = "recovery"
SHORTEST = 4
"""Transitions of a plan that is broken off that are executed at least."""
ASTRAY = 0.008
"""Standard deviation by which each transition of a plan misses that is led astray [m]; more with every attempt."""
ATTEMPTS = 5
"""How often a plan is led further astray until it fails."""
FAILED = 0.75
"""Share of the recoveries from plans that failed as a whole."""
AGAIN = 0.5
"""Share of these in which the model plans once more before the expert takes over."""
SETTLE = 20
"""Control steps for the hand to arrive at the end of a plan, and of every second one that is broken off."""


def recovery_recorder(model: str) -> Callable[[RecordingOptions], RecoveryRecorder]:
    """What makes the recorder of each process. Raises WowError where a model has no plans."""
    load_agent(settings_of(model))  # better missed here than in every process
    return partial(RecoveryRecorder, model)


class RecoveryRecorder:
    """Records recoveries from a model's plans, keeping the model and the last scene."""

    def __init__(self, model: str, options: RecordingOptions) -> None:
        import torch

        torch.set_num_threads(1)
        self._options = options
        self._runner = EpisodeRunner(settings_of(model))
        self._runner.size = options.size

    def record(self, job: Job) -> Episode:
        """The expert's episode from where the plan for a job's scene was broken off."""
        from wow.sim.record import record

        arm = self._runner.reset(job.task, job.seed)
        return record(arm.environment, job, self._options, lambda environment: self._mislead(arm, job))

    def _mislead(self, arm: MetaWorldArm, job: Job) -> None:
        """Brings the scene to where the expert takes over."""
        random = np.random.default_rng([job.seed, len(SOURCE), *job.task.encode()])
        if random.random() >= FAILED or not self._fail(arm, job, random):
            self._break_off(arm, job, random)

    def _fail(self, arm: MetaWorldArm, job: Job, random: np.random.Generator) -> bool:
        """Executes plans that fail; False, and the scene as it was, where none does."""
        scene, plan = arm.environment, self._plan(arm, job.seed)
        begin = scene.save()
        for attempt in range(ATTEMPTS):
            if not _succeeds(arm, led_astray(plan, attempt * ASTRAY, random)):
                break
            scene.restore(begin)
        else:
            return False
        failed = scene.save()
        if random.random() < AGAIN and _succeeds(arm, self._plan(arm, job.seed + 1)):
            scene.restore(failed)
        return True

    def _break_off(self, arm: MetaWorldArm, job: Job, random: np.random.Generator) -> None:
        """Executes a part of a plan; less of it where the task would be done already."""
        begin, plan = arm.environment.save(), led_astray(self._plan(arm, job.seed), ASTRAY * random.random(), random)
        settle, count = int(random.integers(2)) * SETTLE, int(random.integers(SHORTEST, len(plan) + 1))
        while count and _succeeds(arm, plan, count, settle):
            arm.environment.restore(begin)
            count //= 2

    def _plan(self, arm: MetaWorldArm, seed: int) -> Actions:
        """What the model would do from here."""
        agent = cast("Agent", self._runner.agent)  # `load_agent` lets no other in
        return agent.policy(agent.fit(arm.look())[0][0], arm.environment.task.instruction, seed=seed)


def _succeeds(arm: MetaWorldArm, plan: Actions, count: int | None = None, settle: int = SETTLE) -> bool:
    """Executes a plan, or its first transitions, in the scene. Whether that does the task."""
    from wow.assembly import GivenPlanner, LoopOptions, run_episode

    options = LoopOptions(replan_every=count, open_loop=True, settle=settle)
    return run_episode(arm, GivenPlanner(plan), options).success


def led_astray(plan: Actions, error: float, random: np.random.Generator) -> Actions:
    """The plan with an error in every transition's translation, of a standard deviation [m]."""
    values = plan.values.copy()
    values[:, :3] += error * random.normal(size=(len(plan), 3))
    return replace(plan, values=values, deviations=None)
