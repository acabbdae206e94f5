"""The grammar of the captions that the model was trained on, to write prompts by it and to read them back.

A dense caption says what is where in the picture and which stages follow: "The red puck is in the middle of the
picture, to the right of the gripper. The robot arm will grasp the red puck, lift it off the table, then carry it to the
blue target." The words come from whoever made the captions and are handed in; how often each place was said is counted
in `places.json` (by `tools/count_places.py`), most frequent first.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from itertools import product
from typing import Protocol

DETAILS = ("place", "relation", "other", "goal")
"""What a caption says of a scene: where the object is in the picture, how it lies to the gripper, how a second object
lies to it, how the goal does."""
ALIKE = 0.65
"""How alike (0 to 1) a goal must be to a text of a task to mean the same."""
FILLERS = frozenset(
    {"a", "an", "and", "at", "by", "for", "from", "in", "into", "it", "its", "of", "on", "onto", "please", "so", "that"}
    | {"the", "then", "to", "until", "with"}
)
UNKNOWN_GOAL = ("{robot} has to {goal}", "{robot} will {goal}", "{goal}")


class Task(Protocol):
    """A task in words."""

    @property
    def name(self) -> str: ...
    @property
    def instruction(self) -> str:
        """The usual short text."""

    @property
    def paraphrases(self) -> tuple[str, ...]:
        """Further short texts."""

    @property
    def objects(self) -> tuple[str, ...]:
        """What is handled, and a second object where there is one."""

    @property
    def stages(self) -> tuple[str, ...]:
        """What is done, in order, as imperatives."""

    @property
    def goal(self) -> str:
        """The goal position in words."""


@dataclass(frozen=True)
class Wording:
    """Everything that a prompt for a known task says.

    story: which way of telling the stages; None for a short text. short: which one. robot: which of the robot's names.
    The others as in `DETAILS`; None where nothing is said.
    """

    story: int | None = None
    short: int = 0
    robot: int = 0
    place: str | None = None
    relation: str | None = None
    other: str | None = None
    goal: str | None = None


@dataclass(frozen=True)
class Phrasebook:
    """The grammar. stories: ways of telling stages, with {robot}, {steps}, {last} and {instruction}. longest,
    longest_story: words of a dense caption, and of its story. places: by task and detail, phrases and how often each
    was said."""

    tasks: Sequence[Task]
    stories: Sequence[str]
    robots: Sequence[str]
    longest: int
    longest_story: int
    places: Mapping[str, Mapping[str, Mapping[str, int]]]

    def task_of(self, goal: str) -> Task | None:
        """The task that a goal in anybody's words means; None where that is not certain.

        Certain is: no word of the goal is foreign to the task's short texts, and one of them is much like it. A prompt
        that drops a word ("the blue drawer"), or turns it round, would change the user's goal.
        """
        said = content(goal)
        likeness = {
            task.name: max(_likeness(said, content(text)) for text in shorts(task))
            for task in self.tasks
            if said and set(said) <= self._vocabulary[task.name]
        }
        best = sorted(likeness, key=lambda name: -likeness[name])[:2]
        if not best or likeness[best[0]] < ALIKE or (len(best) == 2 and likeness[best[0]] == likeness[best[1]]):
            return None
        return next(task for task in self.tasks if task.name == best[0])

    def words_of(self, goal: str) -> frozenset[str]:
        """The words for the robots and for everything in the task that a goal means, in lower case."""
        task = self.task_of(goal)
        texts = [*self.robots]
        if task is not None:
            texts += [*shorts(task), *task.objects, *task.stages, task.goal]
        return frozenset(word for text in texts for word in re.findall(r"[a-z0-9]+", text.lower()))

    @cached_property
    def _vocabulary(self) -> dict[str, set[str]]:
        return {task.name: {word for text in shorts(task) for word in content(text)} for task in self.tasks}

    def options(self, task: Task, detail: str) -> tuple[str, ...]:
        """What can be said of a detail, most usual first."""
        return tuple(self.places.get(task.name, {}).get(detail, ()))

    def told(self, task: Task) -> list[int]:
        """The stories that are short enough for this task."""
        return [place for place in range(len(self.stories)) if len(self._story(task, place, 0)) <= self.longest_story]

    def usual(self, task: Task, known: Mapping[str, str]) -> Wording:
        """A dense caption that says of every detail what is known, or else what is most usual.

        Its story is the shortest, which leaves most room for details.
        """
        said = {detail: known.get(detail) or next(iter(self.options(task, detail)), None) for detail in DETAILS}
        ways = product(self.told(task), range(len(self.robots)))
        story, robot = min(ways, key=lambda way: len(self._story(task, *way)))
        return Wording(story, 0, robot, **said)

    def write(self, task: Task, wording: Wording) -> str:
        """The prompt. Details for which there is no room are left out, as they are in training."""
        if wording.story is None:
            return shorts(task)[wording.short]
        story = self._story(task, wording.story, wording.robot)
        if wording.place is None:
            return _sentence(" ".join(story))
        clauses = [f"the {task.objects[0]} is {wording.place}"]
        for _, clause in _clauses(task, wording):
            if len(" ".join([*clauses, clause]).split()) + len(story) <= self.longest:
                clauses.append(clause)
        return f"{_sentence(', '.join(clauses))} {_sentence(' '.join(story))}"

    def read(self, task: Task, prompt: str) -> Wording:
        """What a prompt says: `write`, backwards. Of a prompt in other words, what can be recognised in it."""
        if prompt in shorts(task):
            return Wording(short=shorts(task).index(prompt))
        text = prompt.lower()
        told = [
            (story, robot)
            for story in range(len(self.stories))
            for robot in range(len(self.robots))
            if " ".join(self._story(task, story, robot)).lower() in text
        ]
        story, robot = told[0] if told else (None, 0)
        said = {detail: self._said(task, detail, text) for detail in DETAILS}
        return Wording(story, 0, robot, **said)

    def _said(self, task: Task, detail: str, text: str) -> str | None:
        """Which of a detail's options a text has; the longest where one is part of another."""
        found = [
            option
            for option in self.options(task, detail)
            if (f"the {task.objects[0]} is {option}" if detail == "place" else f", {_clause(task, detail, option)}")
            in text
        ]
        return max(found, key=len, default=None)

    def _story(self, task: Task, story: int, robot: int) -> list[str]:
        *before, last = task.stages
        words = {"robot": self.robots[robot], "steps": ", ".join(before), "last": last}
        return self.stories[story].format(instruction=task.instruction, **words).split()

    def all_wordings(self, task: Task, known: Mapping[str, str]) -> Iterator[Wording]:
        """Every dense caption, the more usual details first; what is known is not varied."""
        choices = [
            (known[detail],) if detail in known else (self.options(task, detail) or (None,)) for detail in DETAILS
        ]
        for robot, story in product(range(len(self.robots)), self.told(task)):
            for place, relation, other, goal in product(*choices):
                yield Wording(story, 0, robot, place, relation, other, goal)

    def unknown_prompts(self, goal: str) -> list[str]:
        """Prompts for a goal of which only its words are known: they all have these words."""
        words = goal.strip().rstrip(".")
        prompts = [_sentence(shape.format(robot=robot, goal=words)) for shape in UNKNOWN_GOAL for robot in self.robots]
        return list(dict.fromkeys(prompts))


def counted_places() -> Mapping[str, Mapping[str, Mapping[str, int]]]:
    """How often each place is said in the captions of Meta-World: see the head of this file."""
    found: Mapping[str, Mapping[str, Mapping[str, int]]] = json.loads(
        resources.files("wow.refine").joinpath("places.json").read_text()
    )
    return found


def shorts(task: Task) -> tuple[str, ...]:
    """The short texts of a task."""
    return (task.instruction, *task.paraphrases)


def content(text: str) -> list[str]:
    """The words that carry meaning, in order."""
    return [word for word in re.findall(r"[a-z0-9]+", text.lower().replace("'s", "")) if word not in FILLERS]


def _likeness(one: Sequence[str], other: Sequence[str]) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _clause(task: Task, detail: str, phrase: str) -> str:
    """How a detail is said, in small letters."""
    if detail == "relation":
        return f"{phrase} the gripper"
    what = f"the {task.objects[1]}" if detail == "other" else task.goal
    return f"with {what} {phrase} it"


def _clauses(task: Task, wording: Wording) -> Iterator[tuple[str, str]]:
    for detail in DETAILS[1:]:
        phrase = getattr(wording, detail)
        if phrase is not None:
            yield detail, _clause(task, detail, phrase)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
