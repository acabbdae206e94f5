"""The words of an open suite: what is asked by attribute, function or part, and things called as they look."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wow.sim.changes import Thing
from wow.sim.language import find_task, picture_position
from wow.sim.tasks import Task

Array = NDArray[np.float64]

MOVES: Mapping[str, str] = {
    "push": "push the {} to the green target",
    "pick-place": "pick up the {} and bring it to the blue target",
    "push-back": "drag the {} back to the green target",
    "shelf-place": "put the {} on the shelf",
}
"""Tasks with one plain thing that can look like anything."""

KINDS: Mapping[str, str] = {
    "coffee-push": "push the mug under the coffee machine and leave the other things alone",
    "soccer": "push the soccer ball into the goal and leave the other things alone",
    "hammer": "take the hammer, not the other things, and hammer the nail into the box",
    "plate-slide": "slide the plate, not the other things, into the net",
    "basketball": "dunk the basketball, not the other things, into the hoop",
    "stick-push": "take the stick, not the other things, and push the thermos with it",
    "assembly": "put the ring, not the other things, onto the peg",
    "coffee-pull": "pull the mug away from the coffee machine and leave the other things alone",
}

FUNCTIONS: Mapping[str, str] = {
    "coffee-button": "make the coffee machine brew a coffee",
    "hammer": "take the tool that drives nails and drive the nail in",
    "faucet-open": "let the water run",
    "door-lock": "make sure that nobody can open the door",
    "box-close": "cover the box so that nothing can fall out",
    "drawer-open": "make it possible to put something into the drawer",
    "stick-push": "move the thermos away with the long tool",
    "window-open": "let fresh air in",
    "peg-unplug-side": "cut off the power by pulling the plug",
    "faucet-close": "stop the water",
    "door-unlock": "make it possible to open the door",
    "lever-pull": "switch the machine over with its lever",
    "window-close": "keep the wind out",
    "stick-pull": "fetch the thermos with the long tool",
}

AFFORDANCES: Mapping[str, str] = {
    "drawer-open": "pull the drawer open by its handle",
    "door-open": "swing the door open by its handle",
    "handle-press": "push the red handle down where it can be pressed",
    "assembly": "hold the ring by its green handle and put it onto the peg",
    "faucet-open": "turn the faucet at its handle",
    "lever-pull": "swing the lever up at its blue knob",
    "window-open": "slide the window open by its handle",
    "box-close": "hold the lid by its handle and close the box",
    "dial-turn": "turn the dial at its pointer",
    "hammer": "hold the hammer by its red handle and hit the nail",
    "handle-pull": "pull the red handle up from below",
    "button-press-topdown": "press the red button from above where it gives way",
    "stick-pull": "put the stick through the thermos handle and pull",
    "peg-insert-side": "push the peg into the hole that it fits",
}

_COLOUR_WORDS = r"\b(?:red|green|blue|black|white|brown|orange|grey|dark) "
_PLAIN_NOUNS = r"\bthe (puck|block|cube)\b"


def named_object(task: Task, colour: str | None) -> str:
    """What the task's object is called once it has another colour."""
    noun = task.objects[0]
    return noun if colour is None else f"{colour} {re.sub(_COLOUR_WORDS, '', noun)}"


def reworded(text: str, task: Task, name: str | None = None) -> str:
    """A text of the task in which its object is called `name`."""
    if name is None or name == task.objects[0]:
        return text
    changed = text.replace(task.objects[0], name)
    return changed if changed != text else re.sub(_PLAIN_NOUNS, f"the {name}", text, count=1)


def dense_prompt(
    prompt: str, tasks: Sequence[str], name: str, start: Array, goal: Array, things: Sequence[Thing], screen: bool
) -> str:
    """What is where in the first picture, what is asked, and the steps that do it."""
    first = find_task(tasks[0])
    sentences = [f"the {name} is {_place(start)}"]
    if np.linalg.norm((goal - start)[:2]) > 0.08:
        sentences.append(f"{first.goal} is {_place(goal)}")
    sentences += [f"{_article(thing.colour)} {thing.shape} is {_place(np.array(thing.at))}" for thing in things]
    steps = [reworded(stage, find_task(task), name if task == tasks[0] else None) for task in tasks
             for stage in find_task(task).stages]  # fmt: skip
    where = ", ".join([*sentences[:-1], f"and {sentences[-1]}"] if len(sentences) > 1 else sentences)
    told = [where, f"the robot has to {prompt}", f"it has to {', then '.join(steps)}"]
    return " ".join(one[0].upper() + one[1:] + "." for one in told)


def key_steps(tasks: Sequence[str], name: str) -> tuple[str, ...]:
    """The steps of the tasks, each as "skill: object: the rest", in their order."""
    return tuple(_step(stage, find_task(task), name if task == tasks[0] else None) for task in tasks
                 for stage in find_task(task).stages)  # fmt: skip


def _step(stage: str, task: Task, name: str | None) -> str:
    skill, _, rest = stage.partition(" ")
    thing = name or task.objects[0]
    rest = reworded(rest, task, name).replace(f"the {thing}", "it")
    words = [word for word in re.sub(r"\bit\b", "", rest).replace(",", " ").split() if word]
    return f"{skill}: {thing}: {' '.join(words)}" if words else f"{skill}: {thing}"


def _place(point: Array) -> str:
    """Words for where in the picture a world point is."""
    across, up = picture_position(point)
    sideways = "" if abs(across) < 0.15 else "left" if across < 0 else "right"
    height = "" if abs(up) < 0.15 else "lower" if up < 0 else "upper"
    if not sideways and not height:
        return "in the middle of the picture"
    if not sideways:
        return f"in the {height} middle of the picture"
    return f"on the {height} {sideways} of the picture" if height else f"on the {sideways} of the picture"


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
