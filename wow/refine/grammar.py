"""The built-in refiner: changes in a caption of the training grammar exactly the detail that a verdict found wanting.

Where things are is not known of a picture; the refiner says what is most usual and, where the verdict blames it, tries
the next place. What was tried is never tried again, and the goal never changes: the stages are those of its task.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wow.refine.contract import Attempt
from wow.refine.phrases import DETAILS, Phrasebook, Task, Wording, shorts
from wow.refine.rules import best_of
from wow.types import SCORES, Verdict, WowError

REMEDIES: Mapping[str, tuple[str, ...]] = {
    "task_completion": ("goal", "relation"),
    "action_success": ("relation", "place", "other"),
    "physical_plausibility": ("story", "relation"),
    "kinematic_smoothness": ("story", "robot"),
    "visual_quality": ("robot", "story"),
}
"""What to say differently where a score is low."""

CLUES: Mapping[str, tuple[str, ...]] = {
    "goal": ("goal", "target", "end state", "not far enough", "short", "too far", "stop", "incomplete", "unfinished"),
    "relation": (
        *("touch", "reach", "miss", "contact", "beside", "empty", "away from", "grasp"),
        *("too near", "too high", "too low"),
    ),
    "place": (
        *("wrong object", "wrong thing", "wrong place", "nowhere", "another object"),
        *("too far left", "too far right", "to the left", "to the right"),
    ),
    "story": (
        *(
            "before",
            "wrong order",
            "stage",
            "step",
            "lift",
            "vanish",
            "disappear",
            "appear",
            "teleport",
            "jump",
            "leap",
        ),
        *("freeze", "stands still", "backwards", "reverse", "tremble", "drift", "twice", "shape", "nothing moves"),
        *("too early", "too late", "never closes", "never opens", "should not"),
    ),
    "robot": ("blur", "blurred", "blurry", "unclear", "smear", "noise", "noisy"),
}
"""Whole words of a reason that say which detail to change, in any of their endings; they come before what the scores
say, in the order in which the reason has them."""

OTHER_SIDE: Mapping[str, tuple[str, ...]] = {
    "too far left": ("right",),
    "too far right": ("left",),
    "too far away": ("front",),
    "too near": ("behind",),
    "too high": ("below",),
    "too low": ("above",),
}
"""What a place should be said to be, where the hand went too far the other way."""

QUOTED = re.compile(r'"[^"]*"|“[^”]*”')
WHO = re.compile(r"^(?:[a-z][\w-]*: )+")
"""The critic's and the question's name before a reason."""
WHERE_SEEN = re.compile(
    r"\b(?:on|in|at) the (?:(?:upper|lower|left|right|middle|top|bottom)\s?)+(?:of|half|side|part|corner)"
    r"(?: of)?(?: the)?(?: (?:upper|lower|left|right))?(?: half of the)? ?(?:picture|image|frame)?\b"
)
"""Where in the picture a fault is, which is not where a thing should be."""
NO_FINDING = re.compile(
    r"\bnothing (?:impossible|wrong|unusual|strange)\b|\bcannot tell\b|\bno (?:clear |visible |obvious )?"
    r"(?:fault|problem|error|issue|flaw|anomal|defect)|\b(?:looks|seems|is|was|were|fully) reached\b|\bon average\b"
    r"|\bas a practised one\b|\bflawless|\b(?:looks|seems|is|are) (?:fine|good|correct|plausible|smooth|sharp|clear)\b"
)
"""What sentences say that report nothing to be mended."""

VARIED = (*DETAILS, "story", "robot")


@dataclass(frozen=True)
class GrammarRefiner:
    """Proposes captions in the training grammar. known: details of the scene that are certain, by `DETAILS`."""

    book: Phrasebook
    known: Mapping[str, str] = field(default_factory=dict)
    name: str = "grammar"

    def __call__(self, goal: str, history: Sequence[Attempt]) -> str:
        tried = {attempt.prompt for attempt in history}
        for prompt in self.proposals(goal, history):
            if prompt not in tried:
                return prompt
        raise WowError(f"the built-in refiner has tried all it can say about {goal!r}")

    def proposals(self, goal: str, history: Sequence[Attempt]) -> Iterator[str]:
        """Prompts, the most promising first: the best one so far with one detail changed, then all others."""
        task = self.book.task_of(goal)
        if task is None:
            yield from self.book.unknown_prompts(goal)
            return
        base = self.book.usual(task, self.known)
        order: Sequence[str] = VARIED
        side: Sequence[str] = ()
        if history:
            best = best_of(history)
            order, side = blamed(best.verdict), wanted_side(best.verdict.reason)
            wording = self.book.read(task, best.prompt)
            base = base if wording.story is None else wording
        yield self.book.write(task, base)
        for detail in order:
            values = self._alternatives(task, detail)
            for value in sorted(values, key=lambda value: not any(word in str(value) for word in side)):
                changed = replace(base, **{detail: value})  # type: ignore[arg-type]  # options fit their detail
                yield self.book.write(task, changed)
                if detail in ("goal", "other"):
                    # There may have been no room for it: what is blamed comes before how things lie to the gripper.
                    yield self.book.write(task, replace(changed, relation=None))
        for wording in self.book.all_wordings(task, self.known):
            yield self.book.write(task, wording)
        yield from shorts(task)

    def drawn(self, goal: str, seed: int) -> list[str]:
        """Every prompt there is for a goal, in random order: what a search without a critic's advice would try."""
        task = self.book.task_of(goal)
        prompts = (
            self.book.unknown_prompts(goal)
            if task is None
            else [*shorts(task), *(self.book.write(task, wording) for wording in self._wordings(task))]
        )
        distinct = list(dict.fromkeys(prompts))
        random.Random(seed).shuffle(distinct)
        return distinct

    def _wordings(self, task: Task) -> Iterator[Wording]:
        return self.book.all_wordings(task, self.known)

    def _alternatives(self, task: Task, detail: str) -> Sequence[str | int]:
        """What else can be said of a detail; nothing where it is known."""
        if detail == "story":
            return self.book.told(task)
        if detail == "robot":
            return range(len(self.book.robots))
        return () if detail in self.known else self.book.options(task, detail)


def blamed(verdict: Verdict) -> list[str]:
    """The details in the order in which a verdict blames them: by its words first, then by its scores, lowest first."""
    text = findings_of(verdict.reason)
    places = {detail: min(found) for detail, words in CLUES.items() if (found := _starts(text, words))}
    by_words = sorted(places, key=lambda detail: places[detail])
    lowest_first = sorted(verdict.scores, key=lambda score: (verdict.scores[score], SCORES.index(score)))
    by_scores = [detail for score in lowest_first for detail in REMEDIES[score]]
    return list(dict.fromkeys([*by_words, *by_scores, *VARIED]))


def findings_of(reason: str) -> str:
    """The sentences of a reason that report a fault, in small letters, without what is quoted in them."""
    plain = WHO.sub("", QUOTED.sub(" ", reason).lower())
    sentences = re.split(r"(?<=[.!?;])\s+|,?\s+(?:but|however|yet|although|though)\b", plain)
    return " ".join(WHERE_SEEN.sub(" ", one) for one in sentences if not NO_FINDING.search(one))


def wanted_side(reason: str) -> tuple[str, ...]:
    """Words that a place should be told with, because the hand went too far the other way."""
    text = findings_of(reason)
    return tuple(word for clue, words in OTHER_SIDE.items() if clue in text for word in words)


def _starts(text: str, words: Sequence[str]) -> list[int]:
    """Where each of the words that a text has, in any ending, stands first."""
    found = (re.search(rf"\b{re.escape(word)}(?:s|es|d|ed|ing)?\b", text) for word in words)
    return [match.start() for match in found if match]
