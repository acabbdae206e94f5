"""Records episodes of robosuite: one arm, one scene, somebody who acts, seven degrees of freedom by the card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.sim.job import Job, RecordingOptions
from wow.sim.robosuite import HOLD, METRES_PER_UNIT, RADIANS_PER_UNIT, SEGMENTS, Robosuite, SceneTruth
from wow.sim.robosuite_motions import EXPERTS, Motion, draw_manner, wander
from wow.sim.robosuite_sweep import FRAMES, PosedArm, sweep
from wow.sim.robosuite_tasks import ARMS, TASKS
from wow.types import Camera, Dimension, Embodiment, Episode, Video, WowError

SOURCES = ("expert", "random", "sweep")
"""Who acts: the scripted expert, or smooth 6-D motion through the reachable workspace with gripper events; in a sweep
the same without physics, so that there are no raw actions to repeat."""

RANDOM_STEPS = 160  # control steps of a random episode: eight seconds

Array = NDArray[np.float64]


def jobs(robot: str, tasks: Sequence[str], episodes: int, source: str, seed: int) -> Iterator[Job]:
    """`episodes` jobs of one arm for each task, seeds `seed`, `seed` + 1, …; the same request gives the same jobs."""
    if source not in SOURCES:
        raise WowError(f"unknown source {source!r} for robosuite: choose one of {', '.join(SOURCES)}")
    for task in tasks:
        for number in range(episodes):
            yield Job(task, task, source, seed + number, robot)


def arm_card(robot: str, options: RecordingOptions) -> Embodiment:
    """The embodiment of an arm's recordings: 7-DoF changes of the tool's pose in the world frame.

    An action is what the tool did from one frame to the next, not what was commanded: it is what a video shows. The
    limits are the controller's: how far ahead of the tool its goal can be set over that time.
    """
    move, turn = METRES_PER_UNIT * options.stride, RADIANS_PER_UNIT * options.stride
    moves = tuple(Dimension(f"delta_{axis}", "m", "world", -move, move) for axis in "xyz")
    turns = tuple(Dimension(f"delta_{axis}", "rad", "world", -turn, turn) for axis in ("roll", "pitch", "yaw"))
    where = tuple(Dimension(f"gripper_{axis}", "m", "world") for axis in "xyz")
    facing = tuple(Dimension(f"gripper_q{part}", "1", "world", -1.0, 1.0) for part in "wxyz")
    things = tuple(Dimension(f"{thing}_{axis}", "m", "world") for thing in ("object_1", "object_2") for axis in "xyz")
    return Embodiment(
        robot=f"{ARMS[robot].title} (robosuite)",
        rate=options.fps,
        action=(*moves, *turns, Dimension("gripper", "1", "gripper", 0.0, 1.0)),
        state=(*where, *facing, Dimension("gripper_opening", "1", "gripper", 0.0, 1.0), *things),
        action_kind="delta",
        rotation="rotation-vector",
        gripper="0 closed, 1 open",
        cameras=tuple(Camera(name, options.size, options.size) for name in options.cameras),
    )


class RobosuiteRecorder:
    """Records one job after the other, keeping the scene of the last one: building it takes longer than an episode."""

    def __init__(self, options: RecordingOptions) -> None:
        self._options = options
        self._built: tuple[tuple[str, str], Robosuite] | None = None

    def record(self, job: Job) -> Episode:
        """The episode of a job."""
        key = (job.robot, job.scene)
        if self._built is None or self._built[0] != key:
            if self._built is not None:
                self._built[1].close()
            self._built = (key, Robosuite(job.robot, job.scene, cameras=(), size=self._options.size))
        return record(self._built[1], job, self._options)


def record(environment: Robosuite, job: Job, options: RecordingOptions) -> Episode:
    """One recorded episode of `job` in `environment`, which is of the job's arm and task.

    Actions are the motion of the tool between stored frames, position [m] and rotation vector [rad] in the world, and
    the mean gripper command in that interval. The raw simulator actions that made it are the signal
    `sim.raw_actions` [T, stride * 7]; replayed from the same seed they give the same states, bit for bit.
    """
    if job.source == "sweep":
        return _swept(environment, job, options)
    environment.reset(seed=job.seed)
    longest = RANDOM_STEPS if job.source == "random" else min(environment.task.max_steps, options.max_steps)
    longest -= longest % options.stride
    truth = environment.truth()
    actor = _actor(job, environment, truth)
    rows = [_look(environment, truth, options)]
    raw: list[Array] = []
    action: Array | None = next(actor, None)
    held, success_step = 0, -1
    while len(raw) < longest and (action is not None or len(raw) % options.stride):
        # Rounded to how it is stored: replaying is then exact. Who is done repeats the last one up to the next frame.
        action = raw[-1] if action is None else np.clip(action, -1.0, 1.0).astype(np.float32).astype(np.float64)
        raw.append(action)
        held = held + 1 if environment.advance(action)["success"] else 0
        success_step = len(raw) - HOLD if held == HOLD and success_step < 0 else success_step
        truth = environment.truth()
        action = _next(actor, truth)
        if len(raw) % options.stride == 0:
            rows.append(_look(environment, truth, options))
    return _episode(job, options, rows, np.array(raw), success_step)


def _swept(environment: Robosuite, job: Job, options: RecordingOptions) -> Episode:
    """A sweep, its gripper's command the only raw action that there is; the others are NaN."""
    environment.reset(seed=job.seed)  # whatever happened before, the fingers settle alike
    posed = PosedArm(environment)
    environment.reset(seed=job.seed)
    generator = np.random.default_rng([job.seed, SOURCES.index(job.source), list(ARMS).index(job.robot)])
    moments = sweep(environment.tool(), generator, 1.0 / options.fps)
    rows, raw = [], np.full((FRAMES - 1, options.stride, 7), np.nan)
    for frame, moment in enumerate(islice(moments, FRAMES)):
        posed.go(moment.tool, moment.opening)
        rows.append(_look(environment, environment.truth(), options))
        if frame:
            raw[frame - 1, :, 6] = moment.command  # what led here
    return _episode(job, options, rows, raw.reshape(-1, 7), -1)


def _actor(job: Job, environment: Robosuite, truth: SceneTruth) -> Motion:
    generator = np.random.default_rng([job.seed, SOURCES.index(job.source), len(job.task)])
    if job.source == "random":
        return wander(truth, generator)
    return EXPERTS[job.task](truth, environment.arm, draw_manner(generator))


def _next(actor: Motion, truth: SceneTruth) -> Array | None:
    """The actor's next raw action; None when it has done what it had to."""
    try:
        return actor.send(truth)
    except StopIteration:
        return None


@dataclass(frozen=True)
class _Row:
    pictures: dict[str, NDArray[np.uint8]]
    truth: SceneTruth
    pixels: Array
    segmentation: NDArray[np.uint8] | None


def _look(environment: Robosuite, truth: SceneTruth, options: RecordingOptions) -> _Row:
    points = np.stack([truth.tool.position, truth.objects[0, :3]])
    return _Row(
        pictures={camera: environment.picture(camera) for camera in options.cameras},
        truth=truth,
        pixels=environment.pixels(points, options.cameras[0]),
        segmentation=environment.segmentation(options.cameras[0]) if options.segmentation else None,
    )


def _actions(rows: list[_Row], stepped: NDArray[np.float32]) -> NDArray[np.float32]:
    """By the card [T, 7]: what the tool did until the next frame; nothing after the last one."""
    actions = np.zeros((len(rows), 7), dtype=np.float32)
    for action, now, later in zip(actions, rows, rows[1:], strict=False):
        action[:6] = now.truth.tool.change_to(later.truth.tool)
    actions[:, 6] = (1.0 - stepped[:, :, 6].mean(axis=1)) / 2.0
    actions[-1, 6] = actions[-2, 6] if len(rows) > 1 else 1.0
    return actions


def _episode(job: Job, options: RecordingOptions, rows: list[_Row], raw: Array, success_step: int) -> Episode:
    frames, truths, task = len(rows), [row.truth for row in rows], TASKS[job.task]
    stepped = np.zeros((frames, options.stride, 7), dtype=np.float32)
    stepped[:-1] = raw[: (frames - 1) * options.stride].reshape(frames - 1, options.stride, 7)
    poses = _continuous(np.stack([truth.tool.vector() for truth in truths]))
    others = np.stack([[t.opening, *t.objects[:, :3].ravel()] for t in truths])
    pixels = np.stack([row.pixels for row in rows]).astype(np.float32)
    goal = truths[0].goal
    signals: dict[str, NDArray[Any]] = {
        "sim.raw_actions": stepped.reshape(frames, -1),
        "sim.pose": poses.astype(np.float32),
        "sim.objects": np.stack([t.objects.ravel() for t in truths]).astype(np.float32),
        "sim.goal": np.tile(np.zeros(7) if goal is None else goal.vector(), (frames, 1)).astype(np.float32),
        "sim.contact": np.array([[t.contact] for t in truths], dtype=np.float32),
        "sim.gripper_pixel": pixels[:, 0],
        "sim.object_pixel": pixels[:, 1],
    }
    segments = [row.segmentation.ravel() for row in rows if row.segmentation is not None]
    if segments:
        signals["sim.segmentation"] = np.stack(segments)
    return Episode(
        videos={name: Video(np.stack([row.pictures[name] for row in rows]), options.fps) for name in options.cameras},
        actions=_actions(rows, stepped),
        states=np.concatenate([poses, others], axis=1).astype(np.float32),
        embodiment=arm_card(job.robot, options),
        task=task.instruction,
        captions=(task.instruction, *task.paraphrases),
        source=job.source,
        success=success_step >= 0 if job.source == "expert" else None,
        signals=signals,
        facts={
            "task_name": job.task,
            "scene": job.scene,
            "seed": job.seed,
            "robot": job.robot,
            "control_steps": len(raw),
            "success_step": success_step,
            "segments": list(SEGMENTS) if segments else [],
        },
    )


def _continuous(poses: Array) -> Array:
    """The same poses [T, 7] with quaternions that do not jump to their negative from one frame to the next."""
    turned = np.sign(np.sum(poses[1:, 3:] * poses[:-1, 3:], axis=1))
    signs = np.append(1.0, np.cumprod(np.where(turned == 0.0, 1.0, turned)))
    return np.concatenate([poses[:, :3], poses[:, 3:] * signs[:, None]], axis=1)
