"""A vision-language model as critic: four questions side by side, one decision (WoW, arXiv 2509.22642, figure 7).

Physics, motion, semantics and quality are asked separately, so that a pretty picture does not buy a good score for an
impossible one. The decision follows from the four answers by the rule in `decide`, not from a fifth answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import numpy as np

from wow.refine.interview import Question, Speaker, Spending, Spent, all_at_once, ask, prompt_file, whole_number, words
from wow.refine.untrusted import one_line, quoted
from wow.types import Verdict, Video, WowError

Template = Literal["physics", "motion", "semantic", "quality"]
TEMPLATES: tuple[Template, ...] = ("physics", "motion", "semantic", "quality")
SCORE_OF: Mapping[Template, str] = {
    "physics": "physical_plausibility",
    "motion": "kinematic_smoothness",
    "semantic": "task_completion",
    "quality": "visual_quality",
}
CHANCES = {1: 0.05, 2: 0.2, 3: 0.5, 4: 0.8, 5: 0.95}
"""The probability of success that a score for task completion stands for, until the ensemble is calibrated."""
FAULTY = 2
"""A score for physics or motion that low says that what is seen did not happen in our world."""


@dataclass(frozen=True)
class Answer:
    """One template's answer. span: frames of the video. completed, action: only of the semantic one."""

    score: int
    explanation: str
    span: tuple[int, int] | None = None
    completed: bool | None = None
    action: int | None = None


@dataclass(frozen=True)
class VlmCritic(Spending):
    """Asks a model that sees. frames: shown to it, spread evenly. seconds: for the verdict. max_tokens: of an answer.

    parallel: whether the four questions are put side by side; a model in this process answers one after the other.
    """

    speaker: Speaker
    name: str = "vlm"
    frames: int = 8
    seconds: float = 120.0
    max_tokens: int = 400
    parallel: bool = True
    spent: Spent = field(default_factory=Spent, compare=False)

    def within(self, seconds: float) -> VlmCritic:
        """The same critic with no more time than that for a verdict; see `Patient`."""
        return replace(self, seconds=min(self.seconds, seconds))

    def __post_init__(self) -> None:
        if self.frames < 2 or not self.seconds > 0:
            raise WowError(
                f"a critic is shown 2 frames or more and has some time, not {self.frames} and {self.seconds:g} s"
            )

    def __call__(self, video: Video, goal: str, /) -> Verdict:
        """What the model makes of the video; see `Critic`."""
        began = time.monotonic()
        deadline = began + self.seconds
        rows = np.unique(np.linspace(0, len(video) - 1, min(self.frames, len(video))).round().astype(int)).tolist()
        tasks = [partial(self._ask, template, video, goal, rows, deadline) for template in TEMPLATES]
        replies = all_at_once(tasks) if self.parallel else [task() for task in tasks]
        answers = {template: answer for template, (answer, _) in zip(TEMPLATES, replies, strict=True)}
        bills = [bill for _, bill in replies]
        tokens, cost = sum(bill.tokens for bill in bills), sum(bill.cost for bill in bills)
        return replace(decide(answers), seconds=time.monotonic() - began, tokens=tokens, cost=cost)

    def _ask(
        self, template: Template, video: Video, goal: str, rows: list[int], deadline: float
    ) -> tuple[Answer, Spent]:
        question = Question(
            prompt_file("critic"),
            f"{prompt_file(template)}\n\nFrames shown: {', '.join(map(str, rows))}, {1 / video.fps:.2g} s from one "
            f"frame of the video to the next.\nGoal: {quoted(goal, 400)}\nAnswer: {_form(template)}",
            _schema(template),
            [video.frames[row] for row in rows],
            self.max_tokens,
        )
        return ask(self.speaker, question, partial(_read, template, len(video)), deadline, self.spent.add)


def decide(answers: Mapping[Template, Answer]) -> Verdict:
    """The verdict: completed if the semantic answer says so with 4 or 5 points, and nothing seen is impossible.

    The reason is the goal's where it is reached, otherwise that of the worst answer.
    """
    semantic = answers["semantic"]
    scores = {SCORE_OF[template]: float(answer.score) for template, answer in answers.items()}
    scores["action_success"] = float(semantic.action or semantic.score)
    impossible = sum(answer.score <= FAULTY for answer in (answers["physics"], answers["motion"]))
    chance = CHANCES[semantic.score] if semantic.completed else min(CHANCES[semantic.score], 0.2)
    chance *= 0.5**impossible
    completed = chance > 0.5
    order: tuple[Template, ...] = ("semantic", "physics", "motion", "quality")  # of two equally bad ones, the first
    worst = min(order, key=lambda template: answers[template].score)
    told: Template = "semantic" if completed else worst
    return Verdict(
        scores,
        completed,
        confidence=chance if completed else 1.0 - chance,
        reason=f"{told}: {one_line(answers[told].explanation)}",
        span=answers[told].span,
    )


def _read(template: Template, length: int, answer: Mapping[str, object]) -> Answer:
    """The answer, checked. Raises ValueError saying what is wrong with it."""
    unknown = set(answer) - set(_properties(template))
    if unknown:
        raise ValueError(f"{one_line(', '.join(sorted(unknown)), 60)!r} was not asked for")
    ends = [None if answer.get(key) is None else whole_number(answer, key, 0, length - 1) for key in ENDS]
    first, last = ends
    span = None if first is None or last is None else (min(first, last), max(first, last))
    score, explanation = whole_number(answer, "score", 1, 5), words(answer, "explanation")
    if template != "semantic":
        return Answer(score, explanation, span)
    completed = answer.get("completed")
    if not isinstance(completed, bool):
        raise ValueError('"completed" is true or false')
    return Answer(score, explanation, span, completed, whole_number(answer, "action_score", 1, 5))


ENDS = ("first_frame", "last_frame")


def _properties(template: Template) -> dict[str, object]:
    points: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": 5}
    frame: dict[str, object] = {"type": ["integer", "null"]}
    found: dict[str, object] = {"score": points, "explanation": {"type": "string"}, **dict.fromkeys(ENDS, frame)}
    if template == "semantic":
        found |= {"action_score": points, "completed": {"type": "boolean"}}
    return found


def _schema(template: Template) -> dict[str, object]:
    """The answer as a JSON schema, for servers that hold a model to one."""
    properties = _properties(template)
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _form(template: Template) -> str:
    """The answer in words, for servers that do not."""
    more = ', "action_score": 1 to 5, "completed": true or false' if template == "semantic" else ""
    return (
        f'{{"score": 1 to 5, "explanation": "...", "first_frame": number or null, "last_frame": number or null{more}}}'
    )
