"""What an episode is called: short instructions, paraphrases, and dense captions built from the simulator's truth.

World frame of Meta-World, metres: x to the robot's right, y forward, away from the robot, z up. Captions speak of what
the project's camera shows, so left and right are those of the picture.

Texts come in two kinds, told apart by their length alone: a short one has at most `MAX_SHORT_WORDS` words, a dense one
`MIN_DENSE_WORDS` to `MAX_DENSE_WORDS`. `captions` stores both.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wow.sim.tasks import TASKS, Task
from wow.types import WowError

__all__ = ["TASKS", "Task", "captions", "dense_caption", "find_task", "is_dense", "picture_position"]

MAX_SHORT_WORDS = 16
MIN_DENSE_WORDS = 20
MAX_DENSE_WORDS = 45
MAX_STORY_WORDS = 30  # leaves room for the place of the first object

PICTURES = ("picture", "image", "view")
FAR, NEAR = ("farther away than", "behind"), ("closer than", "in front of")
ROBOTS = ("the Sawyer robot", "the Sawyer arm", "Sawyer", "the robot", "the robot arm", "the arm")
STORIES = (
    "{robot} has to {steps}, and {last}",
    "{robot} will {steps}, then {last}",
    "first {robot} should {steps}, and finally {last}",
    "the steps for {robot}: {steps}, {last}",
    "to {instruction}, {robot} must {steps}, then {last}",
)
"""What the words of dense captions are drawn from: synonyms, names of the robot, and ways to tell the stages."""

Xyz = NDArray[np.float64]


@dataclass(frozen=True)
class View:
    """A free camera of MuJoCo: where it looks [m], from how far [m] and from which side [degrees]."""

    lookat: tuple[float, float, float] = (0.0, 0.62, 0.12)
    distance: float = 1.15
    azimuth: float = 145.0
    elevation: float = -28.0
    field_of_view: float = 45.0

    def axes(self) -> tuple[Xyz, Xyz, Xyz]:
        """Unit vectors in the world: right and up in the picture, and forward into it."""
        azimuth, elevation = np.radians([self.azimuth, self.elevation])
        level = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        forward = np.cos(elevation) * level + np.sin(elevation) * np.array([0.0, 0.0, 1.0])
        right = np.array([level[1], -level[0], 0.0])
        return right, np.cross(right, forward), forward


VIEW = View()


def find_task(name: str) -> Task:
    """The task of that Meta-World name, with or without "-v3". A WowError lists the nearest names on a typo."""
    task = TASKS.get(name.removesuffix("-v3"))
    if task is None:
        near = difflib.get_close_matches(name.removesuffix("-v3"), TASKS, n=3, cutoff=0.4) or list(TASKS)[:3]
        raise WowError(f"no task {name!r} among the {len(TASKS)} of Meta-World; the nearest are {', '.join(near)}")
    return task


def picture_position(point: ArrayLike, view: View = VIEW) -> tuple[float, float]:
    """Where a world point [m] falls in a square picture: (right, up), each in [-1, 1] inside the picture."""
    right, up, forward = view.axes()
    offset = np.asarray(point, dtype=np.float64) - np.array(view.lookat)
    half = (view.distance + offset @ forward) * np.tan(np.radians(view.field_of_view) / 2)
    return float(offset @ right / half), float(offset @ up / half)


def _place(point: Xyz, rng: np.random.Generator) -> str:
    """Words for where in the picture a world point is."""
    across, _ = picture_position(point)
    picture = str(rng.choice(PICTURES))
    if abs(across) < 0.15:
        return f"in the middle of the {picture}"
    side = "left" if across < 0 else "right"
    return f"on the {side} of the {picture}" if abs(across) > 0.4 else f"slightly {side} of the {picture}'s middle"


def _relation(point: Xyz, other: Xyz, rng: np.random.Generator) -> str:
    """Words for how a point lies to another one, by the one or two directions of the picture that differ most."""
    right, _, forward = VIEW.axes()
    level = forward * (1, 1, 0) / np.linalg.norm(forward[:2])
    across, away = float((point - other) @ right), float((point - other) @ level)
    words = []
    if abs(across) > 0.04:
        words.append((abs(across), "to the right of" if across > 0 else "to the left of"))
    if abs(away) > 0.04:
        words.append((abs(away), str(rng.choice(FAR if away > 0 else NEAR))))
    height = float(point[2] - other[2])
    if not words:
        return "above" if height > 0.04 else "below" if height < -0.04 else "right at"
    largest = max(size for size, _ in words)
    return " and ".join(word for size, word in sorted(words, reverse=True) if size > largest / 2)


def _scene(task: Task, gripper: Xyz, objects: Sequence[Xyz], goal: Xyz | None, rng: np.random.Generator) -> list[str]:
    """Pieces of one sentence on what is where: the first object's place first, the rest in a drawn order."""
    pieces = []
    if len(objects) > 1:
        pieces.append(f"with the {task.objects[1]} {_relation(objects[1], objects[0], rng)} it")
    # Pressed, turned and closed positions lie within a hand's width of the object: naming a side would say nothing.
    if goal is not None and np.linalg.norm((goal - objects[0])[:2]) > 0.08:
        pieces.append(f"with {task.goal} {_relation(goal, objects[0], rng)} it")
    pieces = [pieces[i] for i in rng.permutation(len(pieces))]
    if not pieces or rng.random() < 0.6:
        # Next to the place, where "the object is" still carries over.
        pieces.insert(0, f"{_relation(objects[0], gripper, rng)} the gripper")
    return [f"the {task.objects[0]} is {_place(objects[0], rng)}", *pieces]


def _story(task: Task, rng: np.random.Generator) -> str:
    """The stages as one sentence, with the robot named in one of several ways."""
    robot = str(rng.choice(ROBOTS))
    *before, last = task.stages
    words = {"robot": robot, "steps": ", ".join(before), "last": last, "instruction": task.instruction}
    stories = [story.format(**words) for story in STORIES]
    fitting = [story for story in stories if len(story.split()) <= MAX_STORY_WORDS]
    return fitting[int(rng.integers(len(fitting)))]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def dense_caption(
    task: Task, *, gripper: ArrayLike, objects: Sequence[ArrayLike], goal: ArrayLike | None, rng: np.random.Generator
) -> str:
    """A caption of 20 to 45 words: what is where in the first picture, then which stages follow.

    Positions are world xyz [m] at the start of the episode; `objects` in the order of `task.objects`, further ones are
    ignored. Raises ValueError when one is missing.
    """
    if len(objects) < len(task.objects):
        raise ValueError(f"{task.name} needs the positions of {', '.join(task.objects)}, not {len(objects)} positions")
    points = [np.asarray(point, dtype=np.float64) for point in objects[: len(task.objects)]]
    target = None if goal is None else np.asarray(goal, dtype=np.float64)
    clauses = _scene(task, np.asarray(gripper, dtype=np.float64), points, target, rng)
    story = _story(task, rng)
    kept = clauses[:1]
    for clause in clauses[1:]:
        if len(" ".join([*kept, clause, story]).split()) <= MAX_DENSE_WORDS:
            kept.append(clause)
    parts = [", ".join(kept), story]
    return " ".join(_sentence(part) for part in (parts if rng.random() < 0.7 else reversed(parts)))


def captions(
    task: Task,
    *,
    gripper: ArrayLike,
    objects: Sequence[ArrayLike],
    goal: ArrayLike | None,
    seed: int,
    num_dense: int = 4,
) -> tuple[str, ...]:
    """The texts stored with an episode: the instruction, its other texts for training, then `num_dense` dense captions.

    What is held out is never among them. Positions as in `dense_caption`. The same seed gives the same texts.
    """
    rng = np.random.default_rng(seed)
    dense: dict[str, None] = {}
    for _ in range(50 * num_dense):
        if len(dense) == num_dense:
            break
        dense[dense_caption(task, gripper=gripper, objects=objects, goal=goal, rng=rng)] = None
    return (task.instruction, *task.paraphrases, *task.further, *dense)


def is_dense(text: str) -> bool:
    """Whether a text of `captions` is a dense one."""
    return len(text.split()) >= MIN_DENSE_WORDS
