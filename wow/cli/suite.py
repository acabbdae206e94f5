"""`wow run --suite`: many episodes by several processes, one line on disk for each as soon as it is finished."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wow.cli.episode import EpisodeRunner, EpisodeSettings, load_agent
from wow.cli.options import Summary
from wow.cli.processes import finished
from wow.cli.progress import Progress
from wow.types import WowError

if TYPE_CHECKING:
    from wow.assembly import Actor
    from wow.bench.execution import ExecutionRecord, Results
    from wow.cli.imagined import DreamWriter
    from wow.data import StagedEpisode

EPISODES = "episodes.jsonl"


@dataclass(frozen=True)
class Evaluation:
    """A suite to run. The scenes of every task have the seeds seed, seed + 1, …

    record: where the video of every first plan is kept as an episode, with what became of it.
    """

    suite: str
    tasks: tuple[str, ...]
    episodes: int
    seed: int
    workers: int
    settings: EpisodeSettings
    out: Path
    record: Path | None = None

    @property
    def jobs(self) -> dict[int, tuple[str, int]]:
        """Task and seed by number. More episodes of the same tasks have further numbers: an evaluation can grow."""
        return {
            episode * len(self.tasks) + place: (task, self.seed + episode)
            for place, task in enumerate(self.tasks)
            for episode in range(self.episodes)
        }

    def run(self) -> Summary:
        """Runs the episodes that no earlier call finished, and writes the results of all."""
        from wow.bench.ledger import claim

        agent = load_agent(self.settings)  # a model that is missing is better missed here than in every process
        claim(self.out, self._identity())
        with ExitStack() as stack:
            dreams = None if self.record is None else stack.enter_context(self._dreams(agent, self.record))
            return self._run(dreams)

    def _run(self, dreams: DreamWriter | None) -> Summary:
        from wow.bench.execution import record_from_json
        from wow.bench.ledger import Ledger

        ledger = Ledger(self.out / EPISODES, record_from_json)
        done = {number: found[0] for number, found in ledger.finished().items() if found}
        missing = {number: job for number, job in self.jobs.items() if self._is_missing(done.get(number), job, dreams)}
        start = len(self.jobs) - len(missing)
        with Progress("run", total=len(self.jobs), unit="episodes", start=start) as progress:
            try:
                for number, (record, staged) in self._executed(missing, self._recording(dreams)):
                    if dreams is not None and staged is not None:
                        dreams.commit(staged)  # before the ledger says that the episode is done
                    ledger.append(number, [record])
                    done[number] = record
                    rate = sum(record.success for record in done.values()) / len(done)
                    progress.advance(note=f"success {rate:.0%}")
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"saved {len(done)} of {len(self.jobs)} episodes in {self.out}; the same command continues"
                ) from None
        return self._report([done[number] for number in self.jobs], len(missing))

    def _executed(
        self, jobs: dict[int, tuple[str, int]], recording: Recording | None
    ) -> Iterator[tuple[int, Finished]]:
        """Episodes as they are finished, with their numbers."""
        if jobs:
            work = ((number, (self.settings, task, seed, recording)) for number, (task, seed) in jobs.items())
            yield from finished(run_one, work, min(self.workers, len(jobs)))

    def _dreams(self, agent: Actor | None, folder: Path) -> DreamWriter:
        from wow.cli.imagined import DreamWriter

        if agent is None:
            raise WowError("--record keeps imagined videos: nothing is imagined with --plan-from actions")
        if self.settings.plan_from not in ("imagined", "policy"):
            raise WowError("--record keeps imagined videos: take --plan-from imagined or policy")
        fps = self.settings.fps or 1.0 / agent.typical_seconds
        return DreamWriter(folder, agent.embodiment, fps, self.settings, self._hash() or "")

    def _is_missing(self, done: ExecutionRecord | None, job: tuple[str, int], dreams: DreamWriter | None) -> bool:
        """Whether an episode is still to be run: also one that an earlier call did not record."""
        if done is None:
            return True
        return dreams is not None and done.problem is None and not dreams.has(*job)

    def _recording(self, dreams: DreamWriter | None) -> Recording | None:
        return None if dreams is None else Recording(dreams.staging, self._hash() or "")

    def _report(self, records: Sequence[ExecutionRecord], num_new: int) -> Summary:
        from wow.bench.execution import summarise, write_results
        from wow.bench.report import Provenance, machine
        from wow.sim.suites import DIFFICULTY

        results = summarise(records, DIFFICULTY)
        origin = Provenance(
            command=shlex.join(["wow", *sys.argv[1:]]),
            system=self._system(),
            data=f"{self.suite}: {len(self.tasks)} tasks, {self.episodes} episodes each",
            machine=f"{machine(self.workers)} of one thread",
            date=time.strftime("%Y-%m-%d %H:%M %Z"),
        )
        seeds = range(self.seed, self.seed + self.episodes)
        write_results(self.out, results, origin, self._identity(), seeds)
        return {
            "out": self.out,
            "episodes": len(records),
            "run_now": num_new,
            "mean_success": results.mean_success.value,
            "interval": [results.mean_success.low, results.mean_success.high],
            **{f"success_{name}": estimate.value for name, estimate in results.bins.items() if name},
            **_truth(results),
            "seconds_per_plan": dict(results.seconds),
            "report": self.out / "results.md",
        }

    def _identity(self) -> dict[str, object]:
        """What tells this evaluation from others; how many episodes and processes there are does not."""
        return {**asdict(self.settings), "suite": list(self.tasks), "seed": self.seed, "model_hash": self._hash()}

    def _hash(self) -> str | None:
        from wow.assembly import model_hash

        return None if self.settings.plan_from == "actions" else model_hash(self.settings.model)

    def _system(self) -> str:
        settings = self.settings
        if settings.plan_from == "actions":
            return "the experts' own actions"
        source = {
            "imagined": "imagined videos",
            "policy": "its own plan",
            "clone": "its policy alone",
            "codec": "true videos through the codec",
            "video": "true videos",
        }
        return f"{settings.model} {(self._hash() or '')[:12]}, {source[settings.plan_from]}, {_how(settings)}"


def _how(settings: EpisodeSettings) -> str:
    if settings.open_loop:
        return "open loop"
    if settings.replan_every is not None:
        return f"replanned every {settings.replan_every} transitions"
    return f"replanned at the end of each plan{', back where the episode began' if settings.retreat else ''}"


def _truth(results: Results) -> dict[str, object]:
    return {} if results.of_truth is None else {"success_of_demonstrations_that_succeed": results.of_truth.value}


@dataclass(frozen=True)
class Recording:
    """What a worker needs to record: where it encodes, and whose imagination it is."""

    staging: Path
    model_hash: str


Finished: TypeAlias = "tuple[ExecutionRecord, StagedEpisode | None]"


_runners: dict[EpisodeSettings, EpisodeRunner] = {}


def run_one(settings: EpisodeSettings, task: str, seed: int, recording: Recording | None = None) -> Finished:
    """One episode in a worker process, which keeps its model and its last scene; and its first plan's video, encoded.

    The process computes with one thread: as many processes as cores are faster than threads that wait for each other,
    and sums come out the same however many processes there are.
    """
    import torch

    from wow.bench.execution import ExecutionRecord

    torch.set_num_threads(1)
    if settings not in _runners:
        _runners[settings] = EpisodeRunner(settings)
    runner = _runners[settings]
    try:
        outcome = runner.run(task, seed)
    except WowError as problem:
        return ExecutionRecord(task, seed, False, None, 0, 0, problem=str(problem)), None
    plans = [leg.plan for leg in outcome.legs]
    staged = None
    if recording is not None:
        from wow.cli.imagined import Dream, stage
        from wow.sim.language import find_task

        dream = Dream(plans[0], task, seed, find_task(task).instruction, outcome.success)
        staged = stage(dream, settings, recording.model_hash, recording.staging / f"{task}-{seed}")
    record = ExecutionRecord(
        task=task,
        seed=seed,
        success=outcome.success,
        success_step=outcome.success_step,
        num_steps=outcome.num_steps,
        plans=len(plans),
        uncertainties=tuple(plan.uncertainty for plan in plans if plan.uncertainty is not None),
        truth_succeeds=plans[0].truth_succeeds,
        hand_error=outcome.hand_error,
        object_error=runner.object_error(),
        seconds_to_imagine=sum(plan.seconds_to_imagine for plan in plans),
        seconds_to_act=sum(plan.seconds_to_act for plan in plans),
        seconds_to_execute=outcome.seconds_to_execute,
    )
    return record, staged
