"""`wow bench refine`: does refining help, measured by what is executed, at equal numbers of imagined videos?"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from wow.cli.episode import EpisodeRunner, EpisodeSettings, reader
from wow.cli.imagine_foundation import check_length, is_foundation, open_agent
from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.processes import finished
from wow.cli.progress import Progress
from wow.cli.refine import CRITICS_AT_HAND, corrector, critics_for, imaginer, team_of
from wow.cli.sampling import Sampling
from wow.cli.strategies import Workplace, check_strategies
from wow.types import Actions, WowError

if TYPE_CHECKING:
    from wow.assembly import Actor, Agent, SamplingOptions
    from wow.bench.refinement import Choice, RefinementRecord, Scene
    from wow.cli.refine import Imaginer
    from wow.sim.arm import MetaWorldArm

LEDGER = "scenes.jsonl"


@dataclass(frozen=True, kw_only=True)
class BenchRefine(Sampling, MakesFolder, Seeded):
    """Compare ways to spend imagined videos by what is executed. The same command again continues."""

    tasks: str
    """Tasks with commas, or metaworld-50 or avdc-11."""
    seeds: int = 20
    """Scenes of each task, with the seeds SEED, SEED + 1, …"""
    seed: int = 100_000
    """Seed of the first scene and of its videos. Training used seeds below 100000."""
    strategies: str = "single,dense,best-of,random,sophia-words,sophia,sophia-truth"
    """Strategies with commas: sophia-words rewrites the prompt alone, as in the paper, sophia also corrects the motion.
    Also best-of-truth, and corrected: one video, painted anew as often as the budget says with its motion moved by what
    is read from it less than was meant; compare it with --corrections 0."""
    budget: str = "2,4,8"
    """Numbers of videos to compare, with commas."""
    critic: str | None = None
    """Who judges, with commas. Without it those that
    suit the model: learned,checks for wow-mini, motion,checks for one without a critic, else checks."""
    refiner: str = "grammar"
    """Who rewrites."""
    candidates: int = 1
    """Videos of a round of SOPHIA's."""
    model: str = "wow-mini"
    """A model that comes with the package or that `wow models` lists, or the folder of a checkpoint."""
    plan_from: Literal["imagined", "policy"] = "imagined"
    """Execute what is read from the video, or the motion that the model drew before it painted the video."""
    num_planning_steps: int = 4
    """Steps from noise to the motion that the video shows; with 1 all seeds move alike, and only the prompt counts."""
    steps: int = 500
    """Control steps (80 a second) of an execution at most."""
    workers: int = 1
    """Processes side by side, each with a thread and a simulator."""

    def continues(self) -> bool:
        return (self.out / "run.json").is_file()

    @property
    def critics(self) -> str:
        """Who judges."""
        return critics_for(self.model) if self.critic is None else self.critic

    @property
    def budgets(self) -> list[int]:
        """The numbers of videos, smallest first."""
        words = [word.strip() for word in self.budget.split(",")]
        if not all(word.isdigit() and int(word) > 0 for word in words):
            raise WowError(f"--budget is numbers of videos with commas, e.g. 2,4,8, not {self.budget!r}")
        return sorted({int(word) for word in words})

    @property
    def jobs(self) -> dict[int, tuple[str, int]]:
        """Task and seed by number; more seeds have further numbers."""
        from wow.sim.suites import suite_tasks

        tasks = suite_tasks(self.tasks)
        return {
            index * len(tasks) + place: (task, self.seed + index)
            for index in range(self.seeds)
            for place, task in enumerate(tasks)
        }

    def prepare(self) -> list[Path]:
        from wow.assembly import CRITICS, REFINERS, named

        if min(self.seeds, self.candidates, self.steps, self.workers) < 1:
            raise WowError("--seeds, --candidates, --steps and --workers are at least 1")
        check_strategies(self.strategies)
        named(CRITICS_AT_HAND if self.critic is None else self.critic, CRITICS, "critic")
        named(self.refiner, REFINERS, "refiner")
        _ = self.budgets, self.jobs, self.options()
        if self.plan_from == "policy" and is_foundation(self.model):
            raise WowError(f"{self.model} has no plan of its own: leave --plan-from out, or take wow-mini")
        check_length(self.model, self.num_frames)
        return super().prepare()

    def run(self) -> Summary:
        from wow.bench.ledger import Ledger, claim
        from wow.bench.refinement import RefinementRecord

        claim(self.out, self._identity())
        ledger = Ledger(self.out / LEDGER, RefinementRecord)
        done = {number: found for number, found in ledger.finished().items() if number in self.jobs}
        missing = {number: job for number, job in self.jobs.items() if number not in done}
        with Progress("refine", total=len(self.jobs), unit="scenes", start=len(done)) as progress:
            try:
                for number, records in self._measured(missing):
                    ledger.append(number, records)
                    done[number] = records
                    progress.advance()
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"saved {len(done)} of {len(self.jobs)} scenes in {self.out}; the same command continues"
                ) from None
        return self._report([record for number in self.jobs for record in done[number]], len(missing))

    def _measured(self, jobs: dict[int, tuple[str, int]]) -> Iterator[tuple[int, list[RefinementRecord]]]:
        """The records of each scene as it is finished."""
        if self.workers == 1 or len(jobs) < 2:
            for number, (task, seed) in jobs.items():
                yield number, compare(self, task, seed)
            return
        work = ((number, (self, task, seed)) for number, (task, seed) in jobs.items())
        yield from finished(compare, work, self.workers)

    def _identity(self) -> dict[str, object]:
        from wow.assembly import model_hash, outsiders
        from wow.sim.suites import suite_tasks

        names = ("seed", "strategies", "refiner", "candidates", "plan_from", "steps")
        settings = {name: getattr(self, name) for name in names} | self.sampling()
        hashed = model_hash(self.model)
        chosen = {"tasks": list(suite_tasks(self.tasks)), "budget": self.budgets, "critic": self.critics}
        return {**settings, **chosen, "model_hash": hashed, **outsiders(self.critics, self.refiner)}

    def _report(self, records: list[RefinementRecord], num_new: int) -> Summary:
        from wow.bench.refinement import gains, lines, write_refinement
        from wow.bench.report import Provenance, machine

        origin = Provenance(
            command=shlex.join(["wow", *sys.argv[1:]]),
            system=f"{self.model}, judged by {self.critics}, rewritten by {self.refiner}, {self.plan_from} executed",
            data=f"{self.tasks}: {self.seeds} scenes each from seed {self.seed}",
            machine=machine(self.workers),
            date=time.strftime("%Y-%m-%d %H:%M %Z"),
        )
        write_refinement(self.out, records, origin, self._identity())
        return {
            "out": self.out,
            "scenes": len(self.jobs),
            "run_now": num_new,
            **{line.label: line.success.value for line in lines(records)},
            **{f"{gain.of} over {gain.over}": asdict(gain.all_tasks) for gain in gains(records)},
            "report": self.out / "results.md",
        }


_benches: dict[BenchRefine, _Bench] = {}


def compare(command: BenchRefine, task: str, seed: int) -> list[RefinementRecord]:
    """All strategies in one scene, in a process that keeps its model and its last scene."""
    import torch

    if command.workers > 1:
        torch.set_num_threads(1)
    if command not in _benches:
        _benches[command] = _Bench(command)
    return _benches[command].compare(task, seed)


class _Bench:
    """A model, its critics and a simulator, ready to compare strategies in one scene after the other."""

    def __init__(self, command: BenchRefine) -> None:
        from wow.assembly import grammar_refiner

        self._command = command
        self._agent: Actor = open_agent(command.model)
        if command.plan_from == "imagined" and "inverse_dynamics" not in self._agent.capabilities:
            raise WowError(f"{self._agent.name} has no inverse dynamics to execute videos: use --plan-from policy")
        reads = {"policy", "inverse_dynamics"} <= self._agent.capabilities and command.plan_from == "imagined"
        if "corrected" in check_strategies(command.strategies) and not reads:
            raise WowError(
                "only what a model plans, paints, reads and executes is corrected: leave corrected out of --strategies"
            )
        self._options: SamplingOptions = command.options()
        imagine = imaginer(self._agent, command.num_frames, self._options, command.fps)
        correct = corrector(self._agent, command.num_frames, self._options, command.fps) if reads else None
        self._team = team_of(self._agent, command.critics, command.refiner, imagine, command.fps, correct)
        self._grammar = grammar_refiner()
        self._runner = EpisodeRunner(EpisodeSettings(model=command.model), self._agent)

    def compare(self, task: str, seed: int) -> list[RefinementRecord]:
        """What each strategy comes to."""
        from wow.bench.refinement import Scene, measure

        command, arm = self._command, self._runner.reset(task, seed)
        scene = Scene(task, seed, arm.environment.task.instruction, arm.look())
        place = Workplace(scene, self._team, self._grammar, self._execute, command.candidates, seed, self._corrected)
        strategies = place.strategies(list(check_strategies(command.strategies)))
        return measure(scene, strategies, command.budgets, place.outcome)

    def _corrected(self, corrections: int) -> Imaginer:
        """Who imagines with so many corrections."""
        options = replace(self._options, corrections=corrections)
        return imaginer(self._agent, self._command.num_frames, options, self._command.fps)

    def _execute(self, choice: Choice, scene: Scene) -> bool:
        """Whether the whole plan, executed without another look, succeeds."""
        from wow.assembly import GivenPlanner, LoopOptions, run_episode

        arm = self._runner.reset(scene.task, scene.seed)
        try:
            actions = self._actions(choice, scene, arm)
        except WowError:
            return False  # a video in which nothing can be read is no success
        options = LoopOptions(open_loop=True, budget=self._command.steps)
        return run_episode(arm, GivenPlanner(actions), options).success

    def _actions(self, choice: Choice, scene: Scene, arm: MetaWorldArm) -> Actions:
        command = self._command
        if command.plan_from == "imagined":
            return reader(self._agent)(choice.video, arm.target, command.fps is not None).actions
        return cast("Agent", self._agent).policy(  # `prepare` lets no other in
            scene.picture,
            choice.prompt,
            num_frames=command.num_frames,
            seed=choice.seed,
            options=self._options,
            fps=command.fps,
        )
