"""Episodes that begin where a model's plan has left the scene: the expert shows what is to be done from there.

A policy that has seen experts alone does not know what to do where it brought itself (DAgger, Ross et al. 2011,
arXiv 1011.0686). `wow data collect --source recovery` executes a part of the model's own plan, some of it astray as a
reader's errors lead it, and records the expert from there on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from wow.cli.episode import EpisodeRunner, EpisodeSettings, load_agent
from wow.types import Actions, Episode

if TYPE_CHECKING:
    from wow.assembly import Agent
    from wow.sim.job import Job, RecordingOptions
    from wow.sim.metaworld import MetaWorld

SOURCE = "recovery"
SHORTEST = 4
"""Transitions of a plan that are executed at least before the expert takes over."""
ASTRAY = 0.008
"""Standard deviation by which a transition that is led astray misses [m], at most; each plan has a share of it."""
SETTLE = 20
"""Control steps for the hand to arrive, after every second plan."""


def recovery_recorder(model: str) -> Callable[[RecordingOptions], RecoveryRecorder]:
    """What makes the recorder of each process. Raises WowError where a model has no plans."""
    load_agent(settings_of(model))  # better missed here than in every process
    return partial(RecoveryRecorder, model)


def settings_of(model: str) -> EpisodeSettings:
    """Whose plans are executed."""
    return EpisodeSettings(model=model, plan_from="policy")


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

        scene = self._runner.reset(job.task, job.seed).environment
        return record(scene, job, self._options, lambda environment: self._mislead(environment, job))

    def _mislead(self, scene: MetaWorld, job: Job) -> None:
        """Executes a part of the model's plan; less of it where the task would be done already."""
        from wow.assembly import GivenPlanner, LoopOptions, run_episode
        from wow.sim.arm import MetaWorldArm

        agent, arm = cast("Agent", self._runner.agent), MetaWorldArm(scene)
        random = np.random.default_rng([job.seed, len(SOURCE), *job.task.encode()])
        text = scene.task.instruction
        plan = led_astray(agent.policy(agent.fit(arm.look())[0][0], text, seed=job.seed), random)
        settle = int(random.integers(2)) * SETTLE
        count, begin = int(random.integers(SHORTEST, len(plan) + 1)), scene.save()
        while count:
            options = LoopOptions(replan_every=count, open_loop=True, settle=settle)
            if not run_episode(arm, GivenPlanner(plan), options).success:
                return
            scene.restore(begin)
            count //= 2


def led_astray(plan: Actions, random: np.random.Generator) -> Actions:
    """The plan with an error in every transition's translation, by a share of `ASTRAY` that it has throughout."""
    values = plan.values.copy()
    values[:, :3] += random.normal(size=(len(plan), 3)) * ASTRAY * random.random()
    return replace(plan, values=values, deviations=None)
