"""Films the samples of an open suite: the scene of a brief, its experts, and everything that the simulator knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wow.sim.altered import AlteredScene
from wow.sim.briefs import Brief
from wow.sim.changes import SceneCard
from wow.sim.experts import expert
from wow.sim.job import RecordingOptions
from wow.sim.metaworld import SEGMENTS, MetaWorld, SceneTruth
from wow.sim.phrasing import dense_prompt, key_steps
from wow.sim.placing import placed
from wow.sim.record import transitions
from wow.types import Float32, UInt8, WowError

Array = NDArray[np.float64]

TRIES = 12
"""Seeds that are tried for a brief before it is given up."""
LONGEST = 420
"""Control steps of a task."""
_HOLD = 10  # control steps filmed after success
_SMALLEST = 6  # pixels of 128 x 128 that the object has to show at its best
_HIDDEN, _AT_FIRST = 0.75, 0.2  # shares of the object: seen at most when it is hidden, and at least in the first frame
_KNOCKED = 0.02  # how far a thing is knocked [m]


@dataclass(frozen=True)
class Shot:
    """A filmed brief: T frames.

    frames: uint8 [T, H, W, 3] at `fps`. labels: uint8 [T, H, W], indices into `SEGMENTS`. actions: float32 [T-1, 7] by
    the card of `sawyer_card`. gripper, objects: [T, 3] and [T, 2, 3] in the world [m]; their pixels [T, 2], [T, 2, 2].
    """

    card: SceneCard
    frames: UInt8
    fps: float
    labels: UInt8
    actions: Float32
    gripper: Float32
    objects: Float32
    gripper_pixels: Float32
    object_pixels: Float32
    dense: str
    steps: tuple[str, ...]
    seen: float
    success_steps: tuple[int, ...]


def shoot(brief: Brief, options: RecordingOptions) -> Shot:
    """The sample's film, from the first of its seeds at which its experts succeed and it shows what it is meant to.

    Raises WowError where there is none.
    """
    why = ""
    for seed in range(brief.seed, brief.seed + TRIES):
        scene = staged(brief, seed, options)
        if scene is None:
            why = "there is no room for its things"
            continue
        try:
            shot = _filmed(brief, scene, options)
        finally:
            scene.close()
        if isinstance(shot, Shot):
            return shot
        why = shot
    raise WowError(f"{brief.key}: no film in {TRIES} scenes ({why})")


def staged(brief: Brief, seed: int, options: RecordingOptions) -> AlteredScene | None:
    """The scene with its things in their places; None where they have none."""
    changes = brief.changes
    if brief.wishes:
        stock = MetaWorld(brief.tasks[0], cameras=())
        stock.reset(seed=seed)
        truth = stock.truth()
        found = placed(brief.wishes, truth.objects[0, :3], truth.goal, np.random.default_rng([seed, 1]))
        if found is None:
            return None
        changes = replace(changes, things=found)
    scene = AlteredScene(SceneCard(brief.tasks, seed, changes), size=options.size)
    scene.reset()
    return scene


@dataclass(frozen=True)
class _Instant:
    picture: UInt8
    labels: UInt8
    truth: SceneTruth
    pixels: Array
    things: Array


def _look(scene: AlteredScene) -> _Instant:
    truth = scene.truth()
    points = np.stack([truth.gripper, truth.objects[0, :3], truth.objects[1, :3]])
    things = [scene.data.body(f"thing{n}").xpos.copy() for n in range(len(scene.card.changes.things))]
    return _Instant(scene.picture(), scene.segmentation(), truth, scene.pixels(points), np.array(things).reshape(-1, 3))


def _filmed(brief: Brief, scene: AlteredScene, options: RecordingOptions) -> Shot | str:
    """The film, or the reason why it is none."""
    experts = [expert(task) for task in brief.tasks]  # one for each stage: they remember what they have done
    rows, raw, targets, stage = [_look(scene)], [], [scene.target], 0
    done: list[int] = []
    for step in range(LONGEST * len(brief.tasks)):
        action = np.clip(np.asarray(experts[scene.stage].get_action(scene.state)), -1.0, 1.0)
        raw.append(action)
        succeeds = scene.advance(action)["success"]
        if scene.stage > stage or (succeeds and len(done) < len(brief.tasks)):
            stage = scene.stage
            done.append(step + 1)
        if (step + 1) % options.stride == 0:
            rows.append(_look(scene))
            targets.append(scene.target)
            if len(done) == len(brief.tasks) and step - done[-1] >= _HOLD:
                break
    if len(done) < len(brief.tasks):
        return f"the expert fails at {brief.tasks[len(done)]}"
    shown = np.array([(row.labels == SEGMENTS.index("object")).sum() for row in rows])
    if shown.max() * (128 / options.size) ** 2 < _SMALLEST:
        return "its object is hardly seen"
    seen = float(shown.min() / shown.max())
    if brief.hides and (seen > _HIDDEN or shown[0] < _AT_FIRST * shown.max()):
        return "its object is never hidden, or at once"
    if brief.moves and not (np.linalg.norm(rows[-1].things - rows[0].things, axis=1) > _KNOCKED).all():
        return "its things are not hit"
    actions = transitions(np.array(targets), np.array(raw), options.stride)
    return _shot(brief, scene, rows, actions, options.fps, seen, done)


def _shot(
    brief: Brief,
    scene: AlteredScene,
    rows: list[_Instant],
    actions: Float32,
    fps: float,
    seen: float,
    done: list[int],
) -> Shot:
    start, goal = rows[0].truth.objects[0, :3], rows[0].truth.goal
    pixels = np.stack([row.pixels for row in rows]).astype(np.float32)
    return Shot(
        card=scene.card,
        frames=np.stack([row.picture for row in rows]),
        fps=fps,
        labels=np.stack([row.labels for row in rows]),
        actions=actions,
        gripper=np.stack([row.truth.gripper for row in rows]).astype(np.float32),
        objects=np.stack([row.truth.objects[:, :3] for row in rows]).astype(np.float32),
        gripper_pixels=pixels[:, 0],
        object_pixels=pixels[:, 1:],
        dense=dense_prompt(brief.prompt, brief.tasks, brief.name, start, goal, scene.card.changes.things, brief.hides),
        steps=key_steps(brief.tasks, brief.name),
        seen=round(seen, 3),
        success_steps=tuple(done),
    )
