"""`wow data tries`: several plans for one scene, executed one after the other from the same state."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wow.cli.episode import EpisodeRunner, EpisodeSettings, load_agent
from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.processes import finished
from wow.cli.progress import Progress
from wow.types import Actions, Float32, UInt8, WowError

if TYPE_CHECKING:
    from wow.assembly import Agent
    from wow.data.tries import Tries
    from wow.sim.arm import MetaWorldArm

ERRORS = "errors.npy"
PLANNING_STEPS = 4
"""Steps in which plans are drawn that differ from seed to seed."""
CORRECTIONS = (0, 1, 2)
"""How often the videos are corrected that reading errors are taken from, in turns."""
ASIDE = 500_000
"""Scenes whose videos show how reading errs have seeds so much higher."""
PLANS = (("mean", 0.0), *2 * (("mean", 1.0),), ("drawn", 0.0), *2 * (("drawn", 1.0),), ("expert", 0.0), ("expert", 1.0))
"""What is tried in each scene: the policy's mean, drawn plans and the scripted expert's motion, without and with up to
so many times an error of reading."""


@dataclass(frozen=True, kw_only=True)
class MakeTries(MakesFolder, Seeded):
    """Execute several plans in each of many scenes and keep what became of them, for wow train outcome.

    A third of the plans is executed as it is, to the others is added what inverse dynamics misread in imagined videos.
    The same command again continues.
    """

    tasks: str = "all"
    """All, or task names with commas."""
    scenes: int = 20
    """Scenes of each task, with the seeds SEED, SEED + 1, …"""
    misread: int = 3
    """Imagined videos of each task whose reading errors are collected first."""
    model: str = "wow-mini"
    """Whose plans they are: a model that comes with the package, or a checkpoint's folder."""
    workers: int = os.cpu_count() or 1
    """Simulators side by side, one process each."""

    def continues(self) -> bool:
        return any(self.out.glob("*.npz"))

    def run(self) -> Summary:
        from wow.data.tries import file_of
        from wow.sim.plan import named_tasks

        tasks = named_tasks(self.tasks)
        if min(self.scenes, self.misread, self.workers) < 1:
            raise WowError("--scenes, --misread and --workers are at least 1")
        load_agent(settings_of(self.model))  # a model that is missing is better missed here than in every process
        everything = [(task, self.seed + number) for task in tasks for number in range(self.scenes)]
        missing = [job for job in everything if not file_of(self.out, *job).exists()]
        tried = successes = 0
        try:
            if missing:
                self._misread(tasks)
            done = len(everything) - len(missing)
            with Progress("try", total=len(everything), unit="scenes", start=done) as progress:
                for _, outcomes in self._in_turn(missing):
                    tried, successes = tried + len(outcomes), successes + sum(outcomes)
                    progress.advance(note=f"success {successes / tried:.0%}")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"what was tried is in {self.out}; the same command continues") from None
        return {"out": self.out, "scenes": len(everything), "plans_now": tried, "successes_now": successes}

    def _in_turn(self, jobs: list[tuple[str, int]]) -> Iterator[tuple[tuple[str, int], list[bool]]]:
        if jobs:
            work = ((job, (self.model, *job, self.out)) for job in jobs)
            yield from finished(try_scene, work, min(self.workers, len(jobs)))

    def _misread(self, tasks: tuple[str, ...]) -> None:
        """Collects how reading errs, where that is not done yet."""
        if (self.out / ERRORS).exists():
            return
        jobs = [(task, number) for task in tasks for number in range(self.misread)]
        work = ((place, (self.model, task, self.seed + ASIDE + number)) for place, (task, number) in enumerate(jobs))
        found: dict[int, Float32] = {}
        with Progress("misread", total=len(jobs), unit="videos") as progress:
            for place, error in finished(misread, work, min(self.workers, len(jobs))):
                found[place] = error
                progress.advance()
        part = self.out / f"{ERRORS}.part"
        with part.open("wb") as file:
            np.save(file, np.stack([found[place] for place in range(len(jobs))]))
        part.replace(self.out / ERRORS)


def settings_of(model: str) -> EpisodeSettings:
    """How plans are executed: as a whole."""
    return EpisodeSettings(model=model, plan_from="policy", open_loop=True)


_runners: dict[str, EpisodeRunner] = {}


def _runner(model: str) -> EpisodeRunner:
    """The model and the last scene of this process, which computes with one thread."""
    import torch

    torch.set_num_threads(1)
    if model not in _runners:
        _runners[model] = EpisodeRunner(settings_of(model))
    return _runners[model]


def misread(model: str, task: str, seed: int) -> Float32:
    """What is read from a video that a model imagines less what it planned, as a normalised motion [T, A]."""
    from wow.assembly import SamplingOptions

    runner = _runner(model)
    agent, arm = _agent(runner), runner.reset(task, seed)
    corrections = CORRECTIONS[seed % len(CORRECTIONS)]
    options = SamplingOptions(num_planning_steps=PLANNING_STEPS, corrections=corrections)
    picture, text = agent.fit(arm.look())[0][0], arm.environment.task.instruction
    planned = agent.policy(picture, text, seed=seed, options=options)
    video = agent.imagine(picture, text, actions=planned, seed=seed, options=options)
    read = agent.act(video, paced=False)
    difference: Float32 = agent.scale.motion(read.values) - agent.scale.motion(planned.values)
    return difference


def try_scene(model: str, task: str, seed: int, out: Path) -> list[bool]:
    """Executes the plans for a scene and writes what became of them, whole or not at all. Whether each succeeded."""
    from wow.data.tries import NEVER, write_tries

    runner = _runner(model)
    agent, random = _agent(runner), np.random.default_rng([seed, *task.encode()])
    errors = np.load(out / ERRORS, allow_pickle=False)
    tries = tried(agent, runner.reset(task, seed), seed, errors, random)
    write_tries(out, tries, agent.embodiment)
    return [bool(step != NEVER) for step in tries.success_step]


def tried(
    agent: Agent, arm: MetaWorldArm, seed: int, errors: NDArray[np.float32], random: np.random.Generator
) -> Tries:
    """What becomes of `PLANS` in a scene as it stands. errors: normalised motions [N, T, A] that are added to some."""
    from wow.assembly import GivenPlanner, LoopOptions, num_control_steps, run_episode
    from wow.data.tries import NEVER, Tries

    scene, state, picture = arm.environment, arm.environment.save(), arm.look()
    texts = (scene.task.instruction, *scene.task.paraphrases)
    text = texts[0] if random.random() < 0.5 else texts[int(random.integers(len(texts)))]
    values, steps = [], []
    for source, error in PLANS:
        scene.restore(state)
        plan = _planned(agent, arm, picture, text, source, random)
        if error:
            added = error * random.uniform(0.2, 1.3) * errors[int(random.integers(len(errors)))]
            plan = replace(plan, values=agent.scale.actions(agent.scale.motion(plan.values) + added))
        outcome = run_episode(arm, GivenPlanner(plan), LoopOptions(open_loop=True))
        last, per_transition = len(plan) - 1, num_control_steps(plan, arm)
        when = outcome.success_step
        steps.append(NEVER if when is None else min((when - 1) // per_transition, last))
        values.append(plan.values)
    scene.restore(state)
    sources = tuple(f"{source} misread" if error else source for source, error in PLANS)
    return Tries(scene.task.name, seed, text, picture, np.stack(values), np.array(steps, np.int64), sources)


def _planned(
    agent: Agent, arm: MetaWorldArm, picture: UInt8, text: str, source: str, random: np.random.Generator
) -> Actions:
    """A plan from somewhere; the scene stays as it is."""
    from wow.assembly import SamplingOptions, in_transitions
    from wow.sim.foresight import foresee
    from wow.sim.job import RecordingOptions

    if source == "expert":
        expert = foresee(arm.environment, RecordingOptions(size=agent.size), pictures=False)
        return in_transitions(expert.actions, agent.max_frames - 1)
    options = SamplingOptions(num_planning_steps=1 if source == "mean" else PLANNING_STEPS)
    return agent.policy(picture, text, seed=int(random.integers(2**31)), options=options)


def _agent(runner: EpisodeRunner) -> Agent:
    from wow.assembly import Agent

    if not isinstance(runner.agent, Agent):
        raise WowError("only a model with a policy of its own has plans to try: take wow-mini")
    return runner.agent
