"""`wow data collect`: simulated episodes, recorded by several processes and committed one by one."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.progress import Progress
from wow.types import WowError

if TYPE_CHECKING:
    from wow.data import StagedEpisode
    from wow.sim.metaworld import MetaWorld
    from wow.sim.record import Job, RecordingOptions


@dataclass(frozen=True, kw_only=True)
class Collect(MakesFolder, Seeded):
    """Record episodes of Meta-World tasks with their scripted experts. The same command again continues."""

    tasks: str = "all"
    """"all", or task names with commas: drawer-open,door-close (with or without -v3)."""
    episodes: int = 100
    """Episodes of each task. Their scenes are drawn from the seeds SEED, SEED + 1, …"""
    source: str = "expert"
    """Who acts: expert, near_success (an expert with a flaw), random, swapped (what the expert does elsewhere), or
    siblings (the experts of tasks that share a scene, in each other's)."""
    workers: int = os.cpu_count() or 1
    """Simulators side by side, one process each."""
    cameras: str = "front"
    """Cameras with commas: front, side, wrist."""
    size: int = 128
    """Height and width of the pictures [pixels]."""
    stride: int = 4
    """Control steps (80 a second) between stored frames."""
    segmentation: bool = False
    """Also store what each pixel shows: arm, gripper, object, fixture or background."""

    def continues(self) -> bool:
        return (self.out / "meta").is_dir()

    def run(self) -> Summary:
        from wow.data import DatasetWriter
        from wow.sim.metaworld import VIEW_POINTS
        from wow.sim.plan import jobs, named_tasks
        from wow.sim.record import RecordingOptions, sawyer_card

        cameras = tuple(name.strip() for name in self.cameras.split(","))
        if unknown := [name for name in cameras if name not in VIEW_POINTS]:
            raise WowError(f"unknown camera {unknown[0]!r}: choose from {', '.join(VIEW_POINTS)}")
        if self.episodes < 1 or self.workers < 1 or self.stride < 1 or self.size < 16:
            raise WowError("--episodes, --workers and --stride are at least 1, --size at least 16")
        options = RecordingOptions(cameras=cameras, size=self.size, stride=self.stride, segmentation=self.segmentation)
        wanted = list(jobs(named_tasks(self.tasks), self.episodes, self.source, self.seed))
        with DatasetWriter(self.out, sawyer_card(options), fps=options.fps) as writer:
            done = {
                (facts.get("scene"), facts.get("task_name"), facts.get("source"), facts.get("seed"))
                for facts in writer.episode_facts
            }
            missing = [job for job in wanted if job.key not in done]
            successes = 0
            start = len(wanted) - len(missing)
            # A worker outlives a killed parent by one episode: it must not write where the next run's workers do.
            staging = writer.staging / str(os.getpid())
            with Progress("collect", total=len(wanted), unit="episodes", start=start) as progress:
                try:
                    for staged in _recorded(missing, options, staging, self.workers):
                        writer.commit(staged)
                        successes += bool(writer.episode_facts[-1].get("success"))
                        progress.advance()
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(
                        f"saved {writer.num_episodes} episodes in {self.out}; the same command continues"
                    ) from None
            return {
                "out": self.out,
                "episodes": writer.num_episodes,
                "recorded_now": len(missing),
                "successful_now": successes,
            }


def _recorded(jobs: Iterable[Job], options: RecordingOptions, staging: Path, workers: int) -> Iterator[StagedEpisode]:
    """Episodes as they are finished, in any order. A few jobs a worker are in flight, so that memory stays small."""
    context = multiprocessing.get_context("spawn")
    waiting = iter(enumerate(jobs))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            running: set[Future[StagedEpisode]] = set()
            while True:
                for number, job in islice(waiting, 3 * workers - len(running)):
                    running.add(pool.submit(_record, job, options, staging / str(number)))
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise WowError("a simulator process died; run wow doctor, then the same command to continue") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_environments: dict[tuple[str, tuple[str, ...], int], MetaWorld] = {}


def _record(job: Job, options: RecordingOptions, folder: Path) -> StagedEpisode:
    """In a worker process, which keeps the environment of the last scene: building one takes longer than an episode."""
    from wow.data import stage_episode
    from wow.sim.metaworld import MetaWorld
    from wow.sim.record import record

    key = (job.scene, options.cameras, options.size)
    if key not in _environments:
        for old in _environments.values():
            old.close()
        _environments.clear()
        _environments[key] = MetaWorld(job.scene, cameras=(), size=options.size)
    folder.mkdir(parents=True, exist_ok=True)
    return stage_episode(record(_environments[key], job, options), folder)
