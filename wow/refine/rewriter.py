"""A language model as refiner: it is shown the goal, the robot and what critics said, and its prompt is checked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from wow.refine.contract import Attempt
from wow.refine.interview import Question, Speaker, Spending, Spent, ask, prompt_file, words
from wow.refine.same_goal import change_of_goal
from wow.refine.untrusted import one_line
from wow.types import Embodiment

REMEMBERED = 8
"""Attempts that it is told of: the last ones."""
FEWEST, MOST = 3, 60
"""Words of a prompt."""
LONGEST = 400
"""Letters of a prompt."""
SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"prompt": {"type": "string"}},
    "required": ["prompt"],
    "additionalProperties": False,
}


@dataclass
class LlmRefiner(Spending):
    """Asks a model for a better prompt.

    embodiment: the robot that it is told of. seconds: for one prompt, all tries in it. spent: what it took so far.
    scene: for a goal the words, in lower case, that are known to belong to its scene.
    """

    speaker: Speaker
    embodiment: Embodiment
    name: str = "llm"
    seconds: float = 60.0
    spent: Spent = field(default_factory=Spent, compare=False)
    scene: Callable[[str], Set[str]] = lambda goal: frozenset()

    def within(self, seconds: float) -> LlmRefiner:
        """The same refiner with no more time than that for a prompt; see `Patient`."""
        return replace(self, seconds=min(self.seconds, seconds))

    def __call__(self, goal: str, history: Sequence[Attempt], /) -> str:
        """A prompt that passes `fault_of`; see `Refiner`."""
        data = {
            "goal": one_line(goal, LONGEST),
            "robot": facts_of(self.embodiment),
            "tried": [_told(attempt) for attempt in history[-REMEMBERED:]],
        }
        tried = [goal, *(attempt.prompt for attempt in history)]

        def read(answer: Mapping[str, object]) -> str:
            prompt = " ".join(words(answer, "prompt").split())
            if fault := fault_of(goal, prompt, tried, self.scene(goal)):
                raise ValueError(f"the prompt cannot be used: {fault}")
            return prompt

        question = Question(prompt_file("rewrite"), json.dumps(data, ensure_ascii=False), SCHEMA, max_tokens=200)
        prompt, _ = ask(self.speaker, question, read, time.monotonic() + self.seconds, self.spent.add)
        return prompt


def fault_of(goal: str, prompt: str, tried: Sequence[str], scene: Set[str] = frozenset()) -> str | None:
    """Why a prompt cannot be used, in words; None where it can. scene: words that belong to the goal's scene."""
    count = len(prompt.split())
    if not FEWEST <= count <= MOST or len(prompt) > LONGEST:
        return (
            f"it has {count} words and {len(prompt)} letters, allowed are {FEWEST} to {MOST} words, {LONGEST} letters"
        )
    strange = sorted({letter for letter in prompt if letter in '<>{}[]|\\`"@#$^*_~=' or not letter.isprintable()})
    if strange or "://" in prompt:
        return f"it holds what no sentence does ({strange[0] if strange else '://'})"
    if not prompt.isascii() and goal.isascii():
        return "it is not in the language of the goal"
    if _plain(prompt) in {_plain(other) for other in tried}:
        return "it was tried before"
    return change_of_goal(goal, prompt, scene)


def facts_of(card: Embodiment) -> dict[str, object]:
    """What a prompt's writer should know of a robot."""
    moves = [f"{dimension.name} [{dimension.unit}], {dimension.frame}" for dimension in card.action]
    cameras = [camera.name for camera in card.cameras]
    return {"name": card.robot, "gripper": card.gripper, "rotation": card.rotation, "moves": moves, "cameras": cameras}


def _told(attempt: Attempt) -> dict[str, object]:
    """An attempt in words that cannot be mistaken for orders by their marks."""
    verdict = attempt.verdict
    return {
        "prompt": one_line(attempt.prompt, LONGEST),
        "completed": verdict.completed,
        "success_probability": round(verdict.success_probability, 2),
        "scores": {name: round(score, 1) for name, score in verdict.scores.items()},
        "critics": one_line(verdict.reason),
    }


def _plain(prompt: str) -> str:
    return " ".join(prompt.lower().split()).rstrip(".")
