"""Who acts in robosuite: scripted experts, and smooth random motion through the workspace.

A motion is a generator: it yields raw actions [7] and is sent what the simulator knows after each. So an expert reads
like its instructions, and what one motion ends with, the next begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from wow.sim.robosuite import METRES_PER_UNIT, RADIANS_PER_UNIT, Pose, SceneTruth, tilted
from wow.sim.robosuite_tasks import TABLE_HEIGHT, Arm

Array = NDArray[np.float64]
Motion = Generator[Array, SceneTruth, SceneTruth]

OPEN, CLOSE = -1.0, 1.0
LASTING = 14
"""Control steps that an expert stays when it is done, so that a success is seen to last."""

_LEAN = 0.55  # of the hand away from the door [rad]: straight down, the forearms of some arms meet its upper edge


@dataclass(frozen=True)
class Manner:
    """How one episode is acted: speed in (0, 1] of the largest command, height [m], tilt [rad] and its side [rad]."""

    speed: float
    height: float
    tilt: float
    towards: float


def draw_manner(generator: np.random.Generator) -> Manner:
    """A manner for one episode: no two look the same. Below full speed, so that who follows a path can catch up."""
    return Manner(
        speed=generator.uniform(0.45, 0.85),
        height=generator.uniform(0.08, 0.16),
        tilt=generator.uniform(0.0, 0.35),
        towards=generator.uniform(-np.pi, np.pi),
    )


def steer(tool: Pose, target: Pose, speed: float) -> Array:
    """The raw action [6] that pulls the tool to a target, at no more than `speed` times the largest command."""
    change = tool.change_to(target)
    return np.concatenate(
        [_shortened(change[:3] / METRES_PER_UNIT, speed), _shortened(change[3:] / RADIANS_PER_UNIT, speed)]
    )


def reach(truth: SceneTruth, target: Pose, gripper: float, speed: float, patience: int = 80) -> Motion:
    """Goes to a pose, until within 8 mm and 0.06 rad, as near as it gets, or out of patience [control steps]."""
    for step in range(patience):
        left = truth.tool.change_to(target)
        is_there = np.linalg.norm(left[:3]) < 0.008 and np.linalg.norm(left[3:]) < 0.06
        is_stuck = step > 8 and np.linalg.norm(truth.velocity / np.repeat([0.01, 0.05], 3)) < 1.0
        if is_there or is_stuck:
            break
        truth = yield np.append(steer(truth.tool, target, speed), gripper)
    return truth


def hold(truth: SceneTruth, target: Pose, gripper: float, steps: int) -> Motion:
    """Stays at a pose while the gripper opens or closes, or until a success has lasted."""
    for _ in range(steps):
        truth = yield np.append(steer(truth.tool, target, 1.0), gripper)
    return truth


def grasp_cube(truth: SceneTruth, arm: Arm, manner: Manner) -> Motion:
    """From above, the fingers along the cube's sides, and closed."""
    cube = truth.objects[0]
    grip = Pose(cube[:3], _across(cube[3:], truth.tool))
    leaning = Rotation.from_rotvec(manner.tilt * np.array([np.cos(manner.towards), np.sin(manner.towards), 0.0]))
    above = Pose(grip.raised(manner.height).position, leaning.as_matrix() @ grip.rotation)
    truth = yield from reach(truth, above, OPEN, manner.speed)
    truth = yield from reach(truth, grip.raised(0.05), OPEN, manner.speed)
    truth = yield from reach(truth, grip, OPEN, min(manner.speed, 0.5), 40)
    return (yield from hold(truth, grip, CLOSE, 12))


def lift(truth: SceneTruth, arm: Arm, manner: Manner) -> Motion:
    """Grasps the cube and takes it up."""
    truth = yield from grasp_cube(truth, arm, manner)
    up = truth.tool.raised(0.06 + manner.height)
    truth = yield from reach(truth, up, CLOSE, manner.speed, 60)
    return (yield from hold(truth, up, CLOSE, LASTING))


def stack(truth: SceneTruth, arm: Arm, manner: Manner) -> Motion:
    """Grasps the first cube, carries it over the second, sets it down and lets go."""
    truth = yield from grasp_cube(truth, arm, manner)
    truth = yield from reach(truth, truth.tool.raised(0.09 + manner.height / 2), CLOSE, manner.speed, 40)
    for clearance, speed in ((0.06, manner.speed), (0.002, min(manner.speed, 0.5))):
        # The red cube's middle belongs 4.5 cm above the green one's.
        offset = truth.objects[1, :3] + [0.0, 0.0, 0.045 + clearance] - truth.objects[0, :3]
        over = Pose(truth.tool.position + offset, truth.tool.rotation)
        truth = yield from reach(truth, over, CLOSE, speed, 60)
    truth = yield from hold(truth, truth.tool, OPEN, 8)
    up = truth.tool.raised(manner.height)
    truth = yield from reach(truth, up, OPEN, manner.speed, 60)
    return (yield from hold(truth, up, OPEN, LASTING))


def door(truth: SceneTruth, arm: Arm, manner: Manner) -> Motion:
    """Takes the lever from above, a finger on either side, presses it down until the latch is free, and pulls."""
    grip = _on_lever(truth, arm, 0.0, 0.0)
    # Off the middle, so that the far finger fits between the lever and the panel.
    around = Pose(grip.position + np.array([0.0, 0.008, 0.0]), grip.rotation)
    start = truth
    truth = yield from reach(truth, around.raised(0.06 + manner.height / 2), OPEN, manner.speed)
    truth = yield from reach(truth, around, OPEN, 0.5, 50)
    truth = yield from hold(truth, around, CLOSE, 12)
    steps = int(20 / manner.speed)
    press = [_on_lever(start, arm, 1.8 * part, 0.0) for part in np.linspace(0.0, 1.0, steps)]
    pull = [_on_lever(start, arm, 1.8, 0.42 * part) for part in np.linspace(0.0, 1.0, 2 * steps)]
    for target in (*press, *pull):
        truth = yield np.append(steer(truth.tool, target, 1.0), CLOSE)
    return (yield from hold(truth, pull[-1], CLOSE, LASTING))


def _on_lever(start: SceneTruth, arm: Arm, press: float, opened: float) -> Pose:
    """The pose that holds the lever near its end when it is turned by `press` and the door by `opened` [rad].

    The hand turns half as far as the lever, which pivots between the fingers. start: before anything has moved. The
    offsets are those of robosuite's door: the lever in the frame of its latch, the hinge in the frame of the panel.
    """
    latch, panel = (Rotation.from_quat(np.roll(pose[3:], -1)) for pose in start.objects)
    hinge = start.objects[1, :3] + panel.apply([0.255, 0.0, 0.0])
    turned = Rotation.from_rotvec([0.0, press, 0.0])
    lever = start.objects[0, :3] + latch.apply(turned.apply([0.11, -0.1, 0.0]))
    lean = Rotation.from_rotvec(latch.apply([0.0, press / 2, 0.0]))
    normal = latch.apply([0.0, -1.0, 0.0])
    swing = Rotation.from_rotvec([0.0, 0.0, opened])
    heading = float(np.arctan2(normal[1], normal[0]) - np.pi / 2)
    rotation = (swing * lean).as_matrix() @ tilted(heading, _LEAN, heading + np.pi / 2)
    return Pose(hinge + swing.apply(lever - hinge) + arm.depth * rotation[:, 2], rotation)


def reach_pose(truth: SceneTruth, arm: Arm, manner: Manner) -> Motion:
    """Goes to the pose that the coloured axes show."""
    goal = truth.goal
    assert goal is not None
    truth = yield from reach(truth, goal, OPEN, manner.speed, 200)
    return (yield from hold(truth, goal, OPEN, LASTING))


EXPERTS: dict[str, Callable[[SceneTruth, Arm, Manner], Motion]] = {
    "lift": lift,
    "stack": stack,
    "door": door,
    "reach-pose": reach_pose,
}


def wander(truth: SceneTruth, generator: np.random.Generator) -> Motion:
    """Smooth 6-D motion from one random pose to the next, for ever; the gripper toggles on the way.

    One leg in five only moves, one in five only turns, so that neither can be told from the other; one in ten pauses.
    """
    gripper = OPEN
    while True:
        target = somewhere(generator)
        kind = generator.random()
        if kind < 0.2:
            target = Pose(target.position, truth.tool.rotation)
        elif kind < 0.4:
            target = Pose(truth.tool.position, target.rotation)
        elif kind > 0.9:
            target = truth.tool
        legs = int(generator.integers(12, 45)) if kind <= 0.9 else int(generator.integers(4, 12))
        # Slower, and the friction in some arms' joints would hold them.
        speed = generator.uniform(0.35, 0.85)
        toggle = int(generator.integers(legs)) if generator.random() < 0.6 else -1
        for step in range(legs):
            left = truth.tool.change_to(target)
            if kind <= 0.9 and toggle < step and np.linalg.norm(left / np.repeat([0.02, 0.1], 3)) < 1.0:
                break
            if step == toggle:
                gripper = -gripper
            truth = yield np.append(steer(truth.tool, target, speed), gripper)


def somewhere(generator: np.random.Generator) -> Pose:
    """A pose in the reachable workspace: the hand turned by up to 1.5 rad and tilted by up to 0.9 rad."""
    tilt = 0.9 * np.sqrt(generator.random())
    # A tilted hand is wider: its lower finger would meet the table.
    low = TABLE_HEIGHT + 0.03 + 0.06 * np.sin(tilt)
    position = generator.uniform([-0.25, -0.28, low], [0.06, 0.28, 1.15])
    return Pose(position, tilted(generator.uniform(-1.5, 1.5), tilt, generator.uniform(-np.pi, np.pi)))


def _across(quaternion: Array, tool: Pose) -> Array:
    """The rotation of a tool that points straight down with its fingers on two sides of a cube, turned the least."""
    w, x, y, z = quaternion
    side = Rotation.from_quat([x, y, z, w]).as_matrix()[:2, 0]
    now = tool.rotation[:2, 0]
    turn = np.arctan2(side[1], side[0]) - np.arctan2(now[1], now[0])
    turn = (turn + np.pi / 4) % (np.pi / 2) - np.pi / 4
    heading = np.arctan2(now[1], now[0]) - np.pi / 2 + turn
    return tilted(float(heading), 0.0, 0.0)


def _shortened(vector: Array, longest: float) -> Array:
    length = float(np.linalg.norm(vector))
    return vector if length <= longest else vector * (longest / length)
