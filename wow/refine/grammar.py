"""The built-in refiner: changes in a caption of the training grammar exactly the detail that a verdict found wanting.

Where things are is not known of a picture; the refiner says what is most usual and, where the verdict blames it, tries
the next place. What was tried is never tried again, and the goal never changes: the stages are those of its task.
"""

from __future__ import annotations

import random
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
    "goal": ("goal", "target", "end state", "not far enough", "stops short", "incomplete", "unfinished", "too early"),
    "relation": ("touch", "reach", "miss", "contact", "beside", "empty", "away from", "grasp"),
    "place": ("wrong object", "wrong place", "nowhere", "another object", "left", "right"),
    "story": ("before", "order", "stage", "step", "lift", "vanish", "teleport", "appear", "jump", "freez", "reverse"),
    "robot": ("blur", "unclear", "robot", "arm"),
}
"""Words of a reason that say which detail to change; they come before what the scores say."""

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
        if history:
            best = best_of(history)
            order = blamed(best.verdict)
            wording = self.book.read(task, best.prompt)
            base = base if wording.story is None else wording
        yield self.book.write(task, base)
        for detail in order:
            for value in self._alternatives(task, detail):
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
    reason = verdict.reason.lower()
    by_words = [detail for detail, words in CLUES.items() if any(word in reason for word in words)]
    lowest_first = sorted(verdict.scores, key=lambda score: (verdict.scores[score], SCORES.index(score)))
    by_scores = [detail for score in lowest_first for detail in REMEDIES[score]]
    return list(dict.fromkeys([*by_words, *by_scores, *VARIED]))
