"""`wow data collect`: simulated episodes, recorded by several processes and committed one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from wow.cli.extras import needs
from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.processes import finished
from wow.cli.progress import Progress
from wow.cli.recovery import SOURCE, recovery_recorder
from wow.types import Embodiment, Episode, WowError

if TYPE_CHECKING:
    from wow.data import StagedEpisode
    from wow.sim.job import Job, RecordingOptions


SEGMENTATION = "sim.segmentation"


class Recorder(Protocol):
    """What a simulator gives to a collection: it records one job after the other in its process."""

    def record(self, job: Job) -> Episode:
        """The episode of a job."""


@dataclass(frozen=True)
class Dataset:
    """One folder of a collection: one robot's card and episodes. recorder: made once in every worker process."""

    folder: Path
    card: Embodiment
    jobs: list[Job]
    options: RecordingOptions
    recorder: Callable[[RecordingOptions], Recorder]


@dataclass(frozen=True, kw_only=True)
class Collect(MakesFolder, Seeded):
    """Record episodes of simulated tasks with their scripted experts. The same command again continues."""

    sim: Literal["metaworld", "robosuite"] = "metaworld"
    """Simulator: metaworld (50 tasks of one arm whose wrist never turns) or robosuite (five arms, seven degrees of
    freedom; each robot's episodes become a dataset of its own, OUT/panda, OUT/sawyer, …)."""
    robots: str = "all"
    """Arms of robosuite: "all", or names with commas: panda,sawyer,ur5e,iiwa,kinova3."""
    tasks: str = "all"
    """"all", or task names with commas: drawer-open,door-close (with or without -v3); robosuite: lift,stack,door,
    reach-pose."""
    episodes: int = 100
    """Episodes of each task and robot. Their scenes are drawn from the seeds SEED, SEED + 1, …"""
    source: str = "expert"
    """Who acts: expert, near_success (an expert with a flaw), random, swapped (what the expert does elsewhere),
    siblings (the experts of tasks that share a scene, in each other's), or altered (experts among things of other
    colours, sizes and kinds, told which is meant), recovery (the expert, from where a plan of --model has left the
    scene); robosuite: expert, random (smooth 6-D motion), or sweep (the same
    without physics: with --stride 10 every frame shows another pose)."""
    model: str = "wow-mini"
    """Whose plans --source recovery begins with."""
    workers: int = os.cpu_count() or 1
    """Simulators side by side, one process each."""
    cameras: str = "front"
    """Cameras with commas: front, side, wrist."""
    size: int = 128
    """Height and width of the pictures [pixels]."""
    stride: int | None = None
    """Control steps between stored frames; default: 4 of Meta-World's 80 a second, 2 of robosuite's 20."""
    segmentation: bool = False
    """Also store what each pixel shows: arm, gripper, object, fixture or background."""

    def continues(self) -> bool:
        folders = [self.out] if self.sim == "metaworld" else self.out.iterdir()
        return any((folder / "meta").is_dir() for folder in folders)

    def run(self) -> Summary:
        if self.episodes < 1 or self.workers < 1 or (self.stride is not None and self.stride < 1) or self.size < 16:
            raise WowError("--episodes, --workers and --stride are at least 1, --size at least 16")
        datasets = self._metaworld() if self.sim == "metaworld" else self._robosuite()
        for dataset in datasets:
            check_options(dataset)
        counts = [_fill(dataset, self.workers) for dataset in datasets]
        episodes, recorded, successful = (sum(column) for column in zip(*counts, strict=True))
        return {"out": self.out, "episodes": episodes, "recorded_now": recorded, "successful_now": successful}

    def _metaworld(self) -> list[Dataset]:
        from wow.sim import lessons
        from wow.sim.job import RecordingOptions
        from wow.sim.metaworld import VIEW_POINTS
        from wow.sim.plan import jobs, named_tasks
        from wow.sim.record import MetaWorldRecorder, sawyer_card

        if self.robots.strip().lower() not in ("all", "sawyer"):
            raise WowError(f"Meta-World has one robot, sawyer, not {self.robots!r}: choose others with --sim robosuite")
        options = RecordingOptions(
            cameras=self._cameras(VIEW_POINTS), size=self.size, stride=self.stride or 4, segmentation=self.segmentation
        )
        tasks, card = named_tasks(self.tasks), sawyer_card(options)
        if self.source == lessons.SOURCE:
            taught = list(lessons.jobs(tasks, self.episodes, self.seed))
            return [Dataset(self.out, card, taught, options, lessons.LessonRecorder)]
        wanted = list(jobs(tasks, self.episodes, self.source, self.seed))
        recorder = recovery_recorder(self.model) if self.source == SOURCE else MetaWorldRecorder
        return [Dataset(self.out, card, wanted, options, recorder)]

    def _robosuite(self) -> list[Dataset]:
        needs("robosuite")
        from wow.sim.job import RecordingOptions
        from wow.sim.robosuite import CONTROL_RATE, VIEW_POINTS
        from wow.sim.robosuite_record import RobosuiteRecorder, arm_card, jobs
        from wow.sim.robosuite_tasks import named_arms, named_tasks

        options = RecordingOptions(
            cameras=self._cameras(VIEW_POINTS),
            size=self.size,
            stride=self.stride or 2,
            max_steps=300,
            segmentation=self.segmentation,
            control_rate=CONTROL_RATE,
        )
        tasks = named_tasks(self.tasks)
        return [
            Dataset(
                self.out / robot,
                arm_card(robot, options),
                list(jobs(robot, tasks, self.episodes, self.source, self.seed)),
                options,
                RobosuiteRecorder,
            )
            for robot in named_arms(self.robots)
        ]

    def _cameras(self, known: Iterable[str]) -> tuple[str, ...]:
        names = tuple(name.strip() for name in self.cameras.split(","))
        if unknown := [name for name in names if name not in known]:
            raise WowError(f"unknown camera {unknown[0]!r}: choose from {', '.join(known)}")
        return names


def check_options(dataset: Dataset) -> None:
    """Raises WowError where a folder's episodes were recorded with other options: a dataset has one form."""
    from wow.data.layout import cameras_in
    from wow.data.lerobot_write import begun

    info, now = begun(dataset.folder), dataset.options
    if info is None or info["robot_type"] != dataset.card.robot:
        return  # whoever writes tells of another robot
    cameras = cameras_in(info["features"])
    size, stride = "/".join(sorted({str(camera.height) for camera in cameras})), now.control_rate / info["fps"]
    was = _options(size, [camera.name for camera in cameras], stride, SEGMENTATION in info["features"])
    asked = _options(str(now.size), now.cameras, now.stride, now.segmentation)
    if was != asked:
        before, after = zip(*(pair for pair in zip(was, asked, strict=True) if pair[0] != pair[1]), strict=True)
        raise WowError(
            f"{dataset.folder}: its episodes were recorded with {' and '.join(before)}, not {' and '.join(after)}: "
            "give the same options again, or another folder with --out"
        )


def _options(size: str, cameras: Iterable[str], stride: float, segmentation: bool) -> list[str]:
    """The options that decide what an episode is made of, as they are typed."""
    marks = "--segmentation" if segmentation else "no --segmentation"
    return [f"--size {size}", f"--cameras {','.join(sorted(cameras))}", f"--stride {stride:g}", marks]


def _fill(dataset: Dataset, workers: int) -> tuple[int, int, int]:
    """Records what is missing. How many episodes the folder then holds, were recorded now, and succeeded of these."""
    from wow.data import DatasetWriter

    with DatasetWriter(dataset.folder, dataset.card, fps=dataset.options.fps) as writer:
        done = {
            (facts.get("scene"), facts.get("task_name"), facts.get("source"), facts.get("seed"))
            for facts in writer.episode_facts
        }
        missing = [job for job in dataset.jobs if job.key not in done]
        successes = 0
        start = len(dataset.jobs) - len(missing)
        # A worker outlives a killed parent by one episode: it must not write where the next run's workers do.
        staging = writer.staging / str(os.getpid())
        label = f"collect {dataset.folder.name}"
        with Progress(label, total=len(dataset.jobs), unit="episodes", start=start) as progress:
            try:
                work = ((number, (job, staging / str(number))) for number, job in enumerate(missing))
                for _, staged in finished(_record, work, workers, _prepare, (dataset.recorder, dataset.options)):
                    writer.commit(staged)
                    successes += bool(writer.episode_facts[-1].get("success"))
                    progress.advance()
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"saved {writer.num_episodes} episodes in {dataset.folder}; the same command continues"
                ) from None
        return writer.num_episodes, len(missing), successes


_recorders: list[Recorder] = []  # of a worker process: the one that `_prepare` made


def _prepare(recorder: Callable[[RecordingOptions], Recorder], options: RecordingOptions) -> None:
    _recorders.append(recorder(options))


def _record(job: Job, folder: Path) -> StagedEpisode:
    from wow.data import stage_episode

    folder.mkdir(parents=True, exist_ok=True)
    return stage_episode(_recorders[0].record(job), folder)
