"""Records episodes: a scene, somebody who acts, and everything the simulator knows, by the card's convention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.sim.experts import OpensFirst, expert
from wow.sim.job import Job, RecordingOptions
from wow.sim.language import captions, find_task
from wow.sim.metaworld import METRES_PER_UNIT, SEGMENTS, MetaWorld, SceneTruth
from wow.types import Camera, Dimension, Embodiment, Episode, Video

SOURCES = ("expert", "near_success", "random", "swapped", "recovery")
"""Who acts: the scripted expert; the expert with a flaw; smooth noise; the expert of the next seed's scene, blindly;
the expert, from where somebody else has left the scene."""

LINK_PIXELS = "sim.link_pixels"
"""Where the links of the arm appear to the first camera, column and row of each [pixels]."""

_HOLD = 10  # control steps recorded after the first success, so that a video shows the outcome

Array = NDArray[np.float64]
Policy = Callable[[Array, int], Array]


def sawyer_card(options: RecordingOptions) -> Embodiment:
    """The embodiment of every recording: 7-DoF deltas of the hand's target in the world frame."""
    reach = METRES_PER_UNIT * options.stride
    move = tuple(Dimension(f"delta_{axis}", "m", "world", -reach, reach) for axis in "xyz")
    turn = tuple(Dimension(f"delta_{axis}", "rad", "world", -np.pi, np.pi) for axis in ("roll", "pitch", "yaw"))
    where = tuple(Dimension(f"gripper_{axis}", "m", "world") for axis in "xyz")
    things = tuple(
        Dimension(f"{thing}_{axis}", "m", "world") for thing in ("object_1", "object_2", "goal") for axis in "xyz"
    )
    return Embodiment(
        robot="Sawyer (Meta-World v3)",
        rate=options.fps,
        action=(*move, *turn, Dimension("gripper", "1", "gripper", 0.0, 1.0)),
        state=(*where, Dimension("gripper_opening", "1", "gripper", 0.0, 1.0), *things),
        action_kind="delta",
        rotation="roll-pitch-yaw",
        gripper="0 closed, 1 open",
        cameras=tuple(Camera(name, options.size, options.size) for name in options.cameras),
    )


class MetaWorldRecorder:
    """Records one job after the other, keeping the scene of the last one: building it takes longer than an episode."""

    def __init__(self, options: RecordingOptions) -> None:
        self._options = options
        self._built: MetaWorld | None = None

    def record(self, job: Job) -> Episode:
        """The episode of a job."""
        if self._built is None or self._built.task.name != job.scene:
            if self._built is not None:
                self._built.close()
            self._built = MetaWorld(job.scene, cameras=(), size=self._options.size)
        return record(self._built, job, self._options)


def record(
    environment: MetaWorld,
    job: Job,
    options: RecordingOptions,
    before: Callable[[MetaWorld], None] = lambda environment: None,
) -> Episode:
    """One recorded episode of `job` in `environment`, whose task is the job's scene.

    before: what happens in the scene between its reset and the first frame.

    Actions are the change of the hand's target between stored frames [m] and the mean gripper command in that
    interval; the raw simulator actions that made it are the signal `sim.raw_actions` [T, stride * 4].
    """
    policy = _policy(job, environment, options)
    environment.reset(seed=job.seed)
    before(environment)
    first = environment.truth()
    rows: list[_Row] = [_look(environment, options)]
    raw: list[Array] = []
    targets = [environment.target]
    success_step, came_to_an_end = -1, False
    longest = options.max_steps // 3 if job.source == "random" else options.max_steps
    for step in range(longest):
        action = np.clip(policy(environment.state, step), -1.0, 1.0)
        raw.append(action)
        if environment.advance(action)["success"] and success_step < 0 and job.scene == job.task:
            success_step = step
        if (step + 1) % options.stride == 0:
            rows.append(_look(environment, options))
            targets.append(environment.target)
            finished = success_step >= 0 and step - success_step >= _HOLD
            is_elsewhere = job.scene != job.task
            aimless = is_elsewhere or job.source == "swapped"
            came_to_an_end = (aimless and _at_rest(rows)) or (is_elsewhere and _left_alone(rows))
            if finished or came_to_an_end:
                break
    # Whether another task's expert succeeded nobody knows; one who was still at it when time was up did not.
    success = success_step >= 0 if job.scene == job.task else None if came_to_an_end else False
    return _episode(job, options, rows, np.array(raw), np.array(targets), success_step, success, first)


@dataclass(frozen=True)
class _Row:
    pictures: dict[str, NDArray[np.uint8]]
    truth: SceneTruth
    pixels: Array
    segmentation: NDArray[np.uint8] | None


def _look(environment: MetaWorld, options: RecordingOptions) -> _Row:
    truth = environment.truth()
    points = np.stack([truth.gripper, truth.objects[0, :3], truth.goal, *environment.links])
    return _Row(
        pictures={camera: environment.picture(camera) for camera in options.cameras},
        truth=truth,
        pixels=environment.pixels(points, options.cameras[0]),
        segmentation=environment.segmentation(options.cameras[0]) if options.segmentation else None,
    )


def _at_rest(rows: list[_Row]) -> bool:
    """Whether the hand has not moved over the last six stored frames."""
    recent = np.array([row.truth.hand for row in rows[-6:]])
    return len(recent) == 6 and float(np.ptp(recent, axis=0).max()) < 0.003


def _left_alone(rows: list[_Row]) -> bool:
    """Whether a thing was moved, and has not moved any more over the last six stored frames: an expert in another
    task's scene, who is told of no success, is done with it and would only wander."""
    things = np.array([row.truth.objects[:, :3] for row in rows])
    was_moved = float(np.linalg.norm(things - things[0], axis=-1).max()) > 0.03
    return len(rows) > 6 and was_moved and float(np.ptp(things[-6:], axis=0).max()) < 0.003


def _policy(job: Job, environment: MetaWorld, options: RecordingOptions) -> Policy:
    if job.source == "swapped":
        return _replay(_expert_actions(environment, job, options))
    generator = np.random.default_rng([job.seed, SOURCES.index(job.source), len(job.task)])
    if job.source == "random":
        return _random_motion(generator)
    scripted = expert(job.task)
    if job.source == "recovery":
        scripted = OpensFirst(scripted)
    if job.source in ("expert", "recovery"):
        return lambda state, step: np.asarray(scripted.get_action(state), dtype=np.float64)
    return _perturbed(scripted, generator)


def _expert_actions(environment: MetaWorld, job: Job, options: RecordingOptions) -> list[Array]:
    """What the expert does in the scene of the next seed."""
    environment.reset(seed=job.seed + 1)
    scripted = expert(job.task)
    actions: list[Array] = []
    held = 0
    while len(actions) < options.max_steps and held < _HOLD:
        actions.append(np.asarray(scripted.get_action(environment.state), dtype=np.float64))
        held += environment.advance(actions[-1])["success"]
    return actions


def _replay(actions: list[Array]) -> Policy:
    """These actions whatever is seen; then stillness, with the gripper as it was."""
    still = np.append(np.zeros(3), actions[-1][3])
    return lambda state, step: actions[step] if step < len(actions) else still


def _random_motion(generator: np.random.Generator) -> Policy:
    """Smooth motion through the workspace: an Ornstein-Uhlenbeck velocity and a gripper that sometimes toggles."""
    velocity = generator.normal(size=3) * 0.5
    gripper = -1.0

    def act(state: Array, step: int) -> Array:
        nonlocal velocity, gripper
        velocity = 0.95 * velocity + 0.35 * generator.normal(size=3)
        centre = np.array([0.0, 0.65, 0.18]) - state[:3]
        if generator.random() < 0.03:
            gripper = -gripper
        return np.append(velocity + 1.5 * centre, gripper)

    return act


def _perturbed(scripted: Any, generator: np.random.Generator) -> Policy:
    """The expert with one flaw: it misjudges where the object is, lets go early, trembles, or stops half-way."""
    flaw = generator.choice(["misjudge", "let_go", "tremble", "stop"])
    offset = generator.normal(size=3) * np.array([0.03, 0.03, 0.01])
    moment = int(generator.integers(15, 70))

    def act(state: Array, step: int) -> Array:
        seen = state.copy()
        if flaw == "misjudge":
            seen[4:7] += offset
        action = np.asarray(scripted.get_action(seen), dtype=np.float64)
        if flaw == "let_go" and moment <= step < moment + 25:
            action[3] = -1.0
        if flaw == "tremble":
            action[:3] += generator.normal(size=3) * 0.8
        if flaw == "stop" and step >= moment:
            action[:3] = 0.0
        return action

    return act


def transitions(targets: Array, raw: Array, stride: int) -> NDArray[np.float32]:
    """Actions by the card [T, 7] from the hand's targets in T+1 stored frames [m] and the raw actions between them.

    The gripper's command is the mean of its transition, which tells when within it the gripper was opened or closed.
    """
    count = len(targets) - 1
    actions = np.zeros((count, 7), dtype=np.float32)
    actions[:, :3] = np.diff(targets, axis=0)
    efforts = raw[: count * stride, 3].reshape(count, stride).mean(axis=1)
    actions[:, 6] = (1.0 - efforts) / 2.0
    return actions


def _episode(
    job: Job,
    options: RecordingOptions,
    rows: list[_Row],
    raw: Array,
    targets: Array,
    success_step: int,
    success: bool | None,
    first: SceneTruth,
) -> Episode:
    frames = len(rows)
    truths = [row.truth for row in rows]
    stepped = np.zeros((frames, options.stride, 4), dtype=np.float32)
    stepped[: frames - 1] = raw[: (frames - 1) * options.stride].reshape(frames - 1, options.stride, 4)
    actions = np.zeros((frames, 7), dtype=np.float32)
    actions[: frames - 1] = transitions(targets, raw, options.stride)
    actions[frames - 1, 6] = actions[frames - 2, 6] if frames > 1 else 1.0
    positions = np.stack([np.concatenate([t.gripper, [t.opening], t.objects[:, :3].ravel(), t.goal]) for t in truths])
    pixels = np.stack([row.pixels for row in rows]).astype(np.float32)
    signals: dict[str, NDArray[Any]] = {
        "sim.raw_actions": stepped.reshape(frames, -1),
        "sim.hand": np.stack([t.hand for t in truths]).astype(np.float32),
        "sim.objects": np.stack([t.objects.ravel() for t in truths]).astype(np.float32),
        "sim.contact": np.array([[t.contact] for t in truths], dtype=np.float32),
        "sim.gripper_pixel": pixels[:, 0],
        "sim.object_pixel": pixels[:, 1],
        "sim.goal_pixel": pixels[:, 2],
        LINK_PIXELS: pixels[:, 3:].reshape(frames, -1),
    }
    segments = [row.segmentation.ravel() for row in rows if row.segmentation is not None]
    if segments:
        signals["sim.segmentation"] = np.stack(segments)
    task = find_task(job.task)
    objects = [first.objects[i, :3] for i in range(2) if np.abs(first.objects[i, :3]).sum() > 0]
    return Episode(
        videos={
            camera: Video(np.stack([row.pictures[camera] for row in rows]), options.fps) for camera in options.cameras
        },
        actions=actions,
        states=positions.astype(np.float32),
        embodiment=sawyer_card(options),
        task=task.instruction,
        captions=captions(task, gripper=first.gripper, objects=objects, goal=first.goal, seed=job.seed),
        source=job.source,
        success=success,
        signals=signals,
        facts={
            "task_name": job.task,
            "scene": job.scene,
            "seed": job.seed,
            "control_steps": len(raw),
            "success_step": success_step,
            "segments": list(SEGMENTS) if segments else [],
        },
    )
