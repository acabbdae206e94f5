"""What the samples of an open suite are: for each leaf sub-task that the simulator can express, scenes and words.

A brief is drawn from a seed and says everything but the places of further things, which depend on the scene: `shoot`
finds those. Difficulty is that of the (first) task, `wow.sim.suites`, one harder with three or more further things;
out of distribution it counts what is different at once, and over a long horizon the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from wow.sim.changes import COLOURS, STOCK, Changes, Thing
from wow.sim.goals import rivals
from wow.sim.language import find_task
from wow.sim.phrasing import AFFORDANCES, FUNCTIONS, KINDS, MOVES, named_object, reworded
from wow.sim.placing import Wish
from wow.sim.suites import DIFFICULTY
from wow.sim.tasks import TASKS, Task
from wow.types import WowError

Random = np.random.Generator
_TEACHING = 1_000_003  # of the draws for lessons: no seed of a suite
BINS = ("easy", "medium", "hard")

MISSING: Mapping[str, str] = {
    "collision-deformable": "nothing in the Meta-World scenes is soft",
    "collision-fluid": "there are no fluids in the simulator",
    "collision-rigid-deformable": "nothing in the Meta-World scenes is soft",
    "collision-rigid-fluid": "there are no fluids in the simulator",
    "dual-arm": "the robot has one arm",
}
"""The leaf sub-tasks that the simulator cannot express, and why."""


@dataclass(frozen=True)
class Brief:
    """One sample before it is filmed.

    name: what the task's object is called. other: an instruction that means something else in the same scene.
    hides: the object has to be hidden in part at some time. moves: the things that have to be knocked away.
    """

    leaf: str
    number: int
    tasks: tuple[str, ...]
    seed: int
    difficulty: str
    prompt: str
    other: str
    name: str
    changes: Changes = STOCK
    wishes: tuple[Wish, ...] = ()
    hides: bool = False
    moves: bool = False
    about: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The sample's folder."""
        return f"{self.leaf}/{self.number:03d}"


@dataclass(frozen=True)
class _Draft:
    """What a recipe says of a brief; the rest follows."""

    tasks: tuple[str, ...]
    prompt: str = ""
    other: str = ""
    changes: Changes = STOCK
    wishes: tuple[Wish, ...] = ()
    name: str = ""
    harder: int = 0
    difficulty: str = ""
    hides: bool = False
    moves: bool = False
    about: Mapping[str, object] = field(default_factory=dict)


def briefs(samples: int, seed: int) -> list[Brief]:
    """So many samples, shared evenly among the sub-tasks; the first ones of a larger suite are those of a smaller."""
    leaves = list(RECIPES)
    return [brief(leaves[place % len(leaves)], place // len(leaves), seed) for place in range(samples)]


def brief(leaf: str, number: int, seed: int) -> Brief:
    """One sample of a sub-task."""
    place = list(RECIPES).index(leaf)
    draft = RECIPES[leaf](np.random.default_rng([seed, place, number]), number)
    return _brief(leaf, number, draft, 200_000 + seed * 100_000 + place * 5_000 + number * 20)


def lesson(task: str, seed: int) -> Brief:
    """A scene of a task to learn from, like the samples of one of `LESSONS`, in turn of each that the task is in.

    The scene has the very seed. Raises WowError for a task that is in none of them.
    """
    leaves = [leaf for leaf, (_, tasks) in LESSONS.items() if task in tasks]
    if not leaves:
        raise WowError(f"no altered scene is known for {task}: choose from {', '.join(TAUGHT)}")
    leaf = leaves[seed % len(leaves)]
    random = np.random.default_rng([_TEACHING, TAUGHT.index(task), seed])
    return _brief(leaf, seed, LESSONS[leaf][0](random, int(random.integers(1_000)), task), seed)


def _brief(leaf: str, number: int, draft: _Draft, seed: int) -> Brief:
    first = find_task(draft.tasks[0])
    name = draft.name or named_object(first, draft.changes.colour)
    level = BINS.index(DIFFICULTY[first.name]) + draft.harder + (len(draft.wishes) >= 3)
    return Brief(
        leaf=leaf,
        number=number,
        tasks=draft.tasks,
        seed=seed,
        difficulty=draft.difficulty or BINS[min(level, 2)],
        prompt=draft.prompt or reworded(first.instruction, first, name),
        other=draft.other or _another(first, name),
        name=name,
        changes=draft.changes,
        wishes=draft.wishes,
        hides=draft.hides,
        moves=draft.moves,
        about=draft.about,
    )


# ---- the recipes ----


def _colour(random: Random, number: int, task: str) -> _Draft:
    colours = _drawn(random, ("red", "yellow", "purple", "orange", "black"), 4)
    shape = _shape_of(task)
    wishes = tuple(Wish(Thing(shape, colour, 0.026)) for colour in colours[1 : 2 + number % 3])
    say = MOVES[task].format
    return _Draft(
        (task,), say(f"{colours[0]} {shape}"), say(f"{colours[1]} {shape}"), Changes(colours[0], scale=1.2), wishes,
        f"{colours[0]} {shape}", about={"colour": colours[0]},
    )  # fmt: skip


def _number(random: Random, number: int, task: str) -> _Draft:
    count = 2 + number % 3
    (colour,) = _drawn(random, ("red", "blue", "yellow", "orange"), 1)
    shape = _shape_of(task)
    wishes = tuple(Wish(Thing(shape, colour, 0.024), "group") for _ in range(count))
    say, words = MOVES[task].format, {2: "two", 3: "three", 4: "four"}[count]
    return _Draft(
        (task,), f"{say(f'single {shape}')}, not one of the {words}", say(f"nearest of the {words} {shape}s"),
        Changes(colour, scale=1.2), wishes, f"single {colour} {shape}", about={"number": count},
    )  # fmt: skip


def _shape(random: Random, number: int, task: str) -> _Draft:
    shape = ("cylinder", "cube")[(number // len(MOVES) + number) % 2]
    (colour,) = _drawn(random, ("red", "blue", "yellow", "purple"), 1)
    others = _drawn(random, [one for one in ("ball", "cube", "cylinder") if one != shape], 1 + number % 2)
    wishes = tuple(Wish(Thing(one, colour, 0.03)) for one in others)
    say = MOVES[task].format
    return _Draft(
        (task,), say(shape), say(others[0]), Changes(colour, shape, 1.35), wishes, f"{colour} {shape}",
        about={"shape": shape},
    )  # fmt: skip


def _size(random: Random, number: int, task: str) -> _Draft:
    large = number % 2 == 0
    (colour,) = _drawn(random, ("red", "blue", "yellow", "purple"), 1)
    shape = _shape_of(task)
    words = ("large", "small") if large else ("small", "large")
    wishes = (Wish(Thing(shape, colour, 0.018 if large else 0.042)),) * (1 + number % 3 // 2)
    say = MOVES[task].format
    return _Draft(
        (task,), say(f"{words[0]} {shape}"), say(f"{words[1]} {shape}"), Changes(colour, scale=1.5 if large else 0.9),
        wishes, f"{words[0]} {colour} {shape}", about={"size": words[0]},
    )  # fmt: skip


def _type(random: Random, number: int, task: str) -> _Draft:
    shapes, colours = _drawn(random, ("cube", "ball", "cylinder"), 3), _drawn(random, tuple(COLOURS), 3)
    wishes = tuple(Wish(Thing(shapes[n], colours[n], 0.028)) for n in range(1 + number % 3))
    return _Draft((task,), KINDS[task], wishes=wishes, about={"type": find_task(task).objects[0]})


def _function(random: Random, number: int, task: str) -> _Draft:
    return _Draft((task,), FUNCTIONS[task])


def _spatial(random: Random, number: int, task: str) -> _Draft:
    where = ("left", "right", "nearer", "farther")[number % 4]
    opposite = {"left": "right", "right": "left", "nearer": "farther", "farther": "nearer"}[where]
    (colour,) = _drawn(random, ("red", "blue", "yellow", "purple"), 1)
    shape = _shape_of(task)
    say = MOVES[task].format
    return _Draft(
        (task,), say(f"{opposite} {shape}"), say(f"{where} {shape}"), Changes(colour, scale=1.2),
        (Wish(Thing(shape, colour, 0.024), where),), f"{opposite} {colour} {shape}",
        about={"relation": opposite},
    )  # fmt: skip


def _affordance(random: Random, number: int, task: str) -> _Draft:
    return _Draft((task,), AFFORDANCES[task])


_ASIDE = ("push", "pick-place", "push-back")
_IN_VIEW = ("push", "plate-slide", "sweep", "coffee-push", "push-back", "soccer", "pick-place", "plate-slide-side",
            "coffee-pull", "basketball")  # fmt: skip
_RIGID = ("soccer", "push-back", "plate-slide", "sweep-into", "coffee-pull", "sweep", "plate-slide-back", "bin-picking",
          "push", "basketball")  # fmt: skip
_HINGED = ("drawer-close", "door-open", "window-open", "faucet-close", "handle-press", "door-lock", "drawer-open",
           "button-press", "lever-pull", "door-close", "handle-pull", "window-close", "faucet-open", "dial-turn",
           "handle-press-side", "door-unlock", "button-press-topdown")  # fmt: skip
_WITH_ANOTHER = ("hammer", "stick-push", "box-close", "assembly", "peg-insert-side", "stick-pull")
_WALLED = ("push-wall", "pick-place-wall", "button-press-wall", "button-press-topdown-wall")
_SCREENED = ("push", "coffee-push", "pick-place", "plate-slide", "soccer")
_PLAIN_AND_EASY = ("drawer-close", "button-press", "window-open", "push", "plate-slide", "handle-press", "door-close",
                   "drawer-open", "coffee-button", "reach", "faucet-open", "soccer")  # fmt: skip
_CHAINS = (
    ("drawer-open", "drawer-close"), ("coffee-push", "coffee-button"), ("drawer-open", "drawer-close", "drawer-open"),
    ("window-open", "window-close"), ("handle-press", "handle-pull"), ("window-open", "window-close", "window-open"),
    ("door-lock", "door-unlock"), ("stick-push", "stick-pull"), ("door-lock", "door-unlock", "door-lock"),
    ("door-open", "door-close"), ("drawer-close", "drawer-open"), ("handle-press", "handle-pull", "handle-press"),
    ("window-close", "window-open"), ("handle-pull", "handle-press"),
)  # fmt: skip


def _unoccluded(random: Random, number: int) -> _Draft:
    return _Draft((_IN_VIEW[number % len(_IN_VIEW)],))


def _occluded(random: Random, number: int) -> _Draft:
    if number % 3 == 0:
        return _Draft((_WALLED[number // 3 % len(_WALLED)],), hides=True, about={"hidden_by": "wall"})
    task = _SCREENED[(number - 1 - number // 3) % len(_SCREENED)]
    (colour,) = _drawn(random, ("white", "black", "yellow", "purple"), 1)
    screen = Thing("screen", colour, float(random.uniform(0.03, 0.045)), free=False)
    return _Draft(
        (task,), wishes=(Wish(screen, "before"),), hides=True, harder=int(random.integers(2)),
        about={"hidden_by": f"{colour} screen"},
    )  # fmt: skip


def _rigid(random: Random, number: int) -> _Draft:
    return _Draft((_RIGID[number % len(_RIGID)],))


def _articulated(random: Random, number: int) -> _Draft:
    return _Draft((_HINGED[number % len(_HINGED)],))


def _rigid_rigid(random: Random, number: int) -> _Draft:
    if number % 2 == 0:
        return _Draft((_WITH_ANOTHER[number // 2 % len(_WITH_ANOTHER)],))
    task = ("push", "push-back")[number // 2 % 2]
    (shape,) = _drawn(random, ("cube", "cylinder", "ball"), 1)
    (colour,) = _drawn(random, ("blue", "yellow", "orange", "purple"), 1)
    say = {"push": "push the red puck against the {} and on to the green target",
           "push-back": "drag the brown block against the {} and on to the green target"}[task]  # fmt: skip
    thing = Thing(shape, colour, 0.024, counts=True)
    return _Draft(
        (task,), say.format(f"{colour} {shape}"), wishes=(Wish(thing, "between"),), moves=True, harder=number // 4 % 2
    )


def _long(random: Random, number: int) -> _Draft:
    tasks = _CHAINS[number % len(_CHAINS)]
    words = [find_task(task).instruction for task in tasks]
    again = [f"{word} again" if word in words[:place] else word for place, word in enumerate(words)]
    other = ", then ".join(reversed(words)) if words[0] != words[-1] else words[1]
    return _Draft(tasks, ", then ".join(again), other, difficulty=BINS[min(len(tasks) - 1, 2)])


def _unseen(random: Random, number: int) -> _Draft:
    task = _PLAIN_AND_EASY[number % len(_PLAIN_AND_EASY)]
    count = 1 + number % 3
    kinds = _drawn(random, ("colour", "light", "camera", "table"), count)
    told: dict[str, object] = {}
    if "colour" in kinds:
        told["colour"] = _drawn(random, ("pink", "turquoise", "purple"), 1)[0]
    if "light" in kinds:
        told["light"] = float(random.choice([0.35, 0.5, 1.7]))
        told["tint"] = ((1.0, 0.75, 0.5), (0.6, 0.8, 1.0), (1.0, 1.0, 1.0))[int(random.integers(3))]
    if "camera" in kinds:
        told["azimuth"] = float(random.choice([-22.0, -14.0, 14.0, 22.0]))
        told["elevation"], told["distance"] = float(random.choice([-9.0, 0.0, 6.0])), float(random.choice([0.0, 0.12]))
    if "table" in kinds:
        told["table"] = _drawn(random, ("checker", "stripes", "white", "green", "blue"), 1)[0]
    changes = Changes(**told)  # type: ignore[arg-type]
    return _Draft((task,), changes=changes, difficulty=BINS[count - 1], about={"unseen": sorted(kinds)})


LESSONS: Mapping[str, tuple[Callable[[Random, int, str], _Draft], tuple[str, ...]]] = {
    "attribute-color": (_colour, tuple(MOVES)),
    "attribute-number": (_number, tuple(MOVES)),
    "attribute-shape": (_shape, tuple(MOVES)),
    "attribute-size": (_size, tuple(MOVES)),
    "attribute-type": (_type, tuple(KINDS)),
    "attribute-function": (_function, tuple(FUNCTIONS)),
    "spatial": (_spatial, _ASIDE),
    "affordance": (_affordance, tuple(AFFORDANCES)),
}
"""The sub-tasks about words for what is seen, each with its tasks. Light, camera and table are as usual in all."""


def _in_turn(recipe: Callable[[Random, int, str], _Draft], tasks: tuple[str, ...]) -> Callable[[Random, int], _Draft]:
    return lambda random, number: recipe(random, number, tasks[number % len(tasks)])


RECIPES: Mapping[str, Callable[[Random, int], _Draft]] = {
    **{leaf: _in_turn(recipe, tasks) for leaf, (recipe, tasks) in LESSONS.items()},
    # Three relations alone, one for each task: to ask for all of them would make another suite of it.
    "spatial": lambda random, number: _spatial(random, number % len(_ASIDE), _ASIDE[number % len(_ASIDE)]),
    "permanence-no-occlusion": _unoccluded,
    "permanence-semi-occlusion": _occluded,
    "collision-rigid": _rigid,
    "collision-articulated": _articulated,
    "collision-rigid-rigid": _rigid_rigid,
    "long-horizon": _long,
    "out-of-distribution": _unseen,
}
"""What can be expressed, by leaf sub-task."""

TAUGHT = tuple(name for name in TASKS if any(name in tasks for _, tasks in LESSONS.values()))
"""The tasks with lessons."""


def _drawn(random: Random, of: tuple[str, ...] | list[str], count: int) -> list[str]:
    return [of[int(place)] for place in random.permutation(len(of))[:count]]


def _shape_of(task: str) -> str:
    return "cylinder" if task in ("push", "pick-place") else "cube"


def _another(task: Task, name: str) -> str:
    """The instruction of a task that undoes this one or is meant in the same scene; else to leave its object alone."""
    near = rivals(task.name)
    if not near:
        return f"leave the {name} where it is and raise the gripper"
    return reworded(find_task(near[0]).instruction, task, name)
