"""The arms and tasks of robosuite that we use: their names, what is asked, and where in the world it happens.

World frame of robosuite, metres: x away from the robot, y to its left, z up; the table's top is at z = 0.8, the arm's
base at (-0.56, 0, 0.912).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from wow.types import WowError

TABLE_HEIGHT = 0.8
"""Height of the table's top [m]."""


@dataclass(frozen=True)
class Arm:
    """One robot arm. model: robosuite's name. title: its name in words.

    closed, open: distance between the centres of the finger pads when empty [m], measured. depth: how far
    beyond the middle of the finger pads the tool's point lies [m], where that matters.
    """

    model: str
    title: str
    closed: float
    open: float
    depth: float = 0.0


@dataclass(frozen=True)
class RobosuiteTask:
    """One task. scene: robosuite's environment. objects: bodies whose poses are told, at most two.

    max_steps: control steps (20 a second) after which an unsuccessful episode ends.
    """

    name: str
    scene: str
    instruction: str
    paraphrases: tuple[str, ...]
    objects: tuple[str, ...]
    max_steps: int


ARMS: dict[str, Arm] = {
    "panda": Arm("Panda", "Franka Panda", 0.008, 0.086),
    "sawyer": Arm("Sawyer", "Rethink Sawyer", 0.021, 0.0675),
    "ur5e": Arm("UR5e", "Universal Robots UR5e", 0.0146, 0.110),
    "iiwa": Arm("IIWA", "KUKA LBR iiwa", 0.0227, 0.1287, depth=0.025),
    "kinova3": Arm("Kinova3", "Kinova Gen3", 0.0146, 0.110),
}

_TABLE = (
    RobosuiteTask(
        "lift",
        "Lift",
        "lift the red cube",
        ("pick up the red cube", "raise the cube off the table", "grasp the red block and lift it",
         "take the cube and hold it above the table"),
        ("cube_main",),
        160,
    ),
    RobosuiteTask(
        "stack",
        "Stack",
        "stack the red cube on the green cube",
        ("put the red cube on top of the green one", "place the small red block on the green block",
         "pick up the red cube and set it on the green cube", "build a tower with the red cube on top"),
        ("cubeA_main", "cubeB_main"),
        240,
    ),
    RobosuiteTask(
        "door",
        "Door",
        "open the door",
        ("turn the handle and pull the door open", "press the handle down and open the door",
         "pull the door open by its handle", "unlatch the door and open it"),
        ("Door_latch", "Door_door"),
        300,
    ),
    RobosuiteTask(
        "reach-pose",
        "Lift",
        "move the gripper onto the coloured axes",
        ("bring the hand to the drawn pose", "reach the marked position and orientation",
         "turn and move the gripper until it matches the coloured axes", "match the pose of the coloured frame"),
        ("cube_main",),
        120,
    ),
)  # fmt: skip

TASKS: dict[str, RobosuiteTask] = {task.name: task for task in _TABLE}


def named_arms(words: str) -> tuple[str, ...]:
    """The arms in "all" or "NAME,NAME". Raises WowError with the nearest names for a typo."""
    return _named(words, ARMS, "--robots", "robot")


def named_tasks(words: str) -> tuple[str, ...]:
    """The tasks in "all" or "NAME,NAME". Raises WowError with the nearest names for a typo."""
    return _named(words, TASKS, "--tasks", "task")


def _named(words: str, known: Iterable[str], option: str, kind: str) -> tuple[str, ...]:
    names = tuple(known)
    if words.strip() == "all":
        return names
    asked = tuple(dict.fromkeys(word.strip().lower() for word in words.split(",") if word.strip()))
    if not asked:
        raise WowError(f"no {kind} named: say {option} all or {option} {','.join(names[:2])}")
    for word in asked:
        if word not in names:
            near = difflib.get_close_matches(word, names, n=1, cutoff=0.4) or [names[0]]
            raise WowError(f"no {kind} {word!r} in robosuite: did you mean {near[0]}? There are {', '.join(names)}")
    return asked
