"""What the loop knows of the things it is handed: who imagines, who judges, who rewrites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

from wow.types import Float32, UInt8, Verdict, Video


@dataclass(frozen=True)
class Attempt:
    """One video and what was said of it.

    round: counts from 0. prompt: the text that it was imagined for; the user's goal may read otherwise. seed: of the
    imagination. verdicts: by critic's name, what each said; `verdict` is the decision that they lead to. actions: those
    that it was painted for [T - 1, D] where a corrector gave them; None where the world model made them up.
    """

    round: int
    prompt: str
    seed: int
    video: Video
    verdict: Verdict
    verdicts: dict[str, Verdict]
    actions: Float32 | None = None

    @property
    def worth(self) -> tuple[int, float, float]:
        """What attempts are compared by: by how many it was judged, is the goal reached, how good does it look.

        A video on which a critic was silent is not taken for better than one that this critic judged.
        """
        scores = self.verdict.scores.values()
        return len(self.verdicts), self.verdict.success_probability, sum(scores) / max(len(scores), 1)


@dataclass(frozen=True)
class Round:
    """The attempts at one prompt, and what they cost.

    note: why the prompt is an old one; empty where the refiner wrote a new one. problems: by critic's name, why it
    could not judge. seconds: of "rewrite", "imagine" and "judge". tokens, cost: of all models that were asked, also for
    answers that could not be used.
    """

    number: int
    prompt: str
    attempts: tuple[Attempt, ...]
    note: str = ""
    problems: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    tokens: int = 0
    cost: float = 0.0


class Imaginer(Protocol):
    """A world model."""

    def __call__(self, picture: UInt8, prompt: str, seeds: Sequence[int], /) -> list[Video]:
        """A video for each seed that begins with the picture, uint8 [H, W, 3]."""


class Critic(Protocol):
    """Judges whether a video shows a goal being reached, in a world like ours."""

    @property
    def name(self) -> str:
        """What the trace and the ensemble's weights call it."""

    def __call__(self, video: Video, goal: str, /) -> Verdict:
        """What it makes of the video. goal: what the user asked for, not the prompt that was written for it.

        Raises WowError where it cannot judge: no endpoint, no answer in time, no answer that can be read.
        """


@runtime_checkable
class Paced(Protocol):
    """A critic that has to know at which pace videos were asked for."""

    def at_pace(self, fps: float) -> Critic:
        """The same critic for videos of so many frames a second of robot time."""


class Refiner(Protocol):
    """Writes a better prompt."""

    @property
    def name(self) -> str:
        """What the trace calls it."""

    def __call__(self, goal: str, history: Sequence[Attempt], /) -> str:
        """A prompt that was not tried before and that keeps the goal. history: every attempt so far, oldest first.

        Raises WowError where it has none.
        """


class Corrector(Protocol):
    """Imagines attempts anew, with the same words and seeds but another motion."""

    def __call__(self, picture: UInt8, goal: str, attempts: Sequence[Attempt], /) -> list[tuple[Video, Float32]]:
        """A video in place of each attempt's, and the actions [T - 1, D] that it was painted for."""


@runtime_checkable
class Spender(Protocol):
    """A critic or refiner whose words cost something."""

    @property
    def tokens(self) -> int:
        """Tokens that it has spent so far, answered or not."""

    @property
    def cost(self) -> float:
        """What they cost."""


@runtime_checkable
class Patient(Protocol):
    """A critic or refiner who waits for an answer from elsewhere."""

    def within(self, seconds: float) -> Self:
        """The same, who waits no longer than that."""
