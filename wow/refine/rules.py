"""When the loop goes on and when it stops: what it may spend, and what is good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wow.refine.contract import Attempt, Round
from wow.types import WowError


@dataclass(frozen=True)
class Budget:
    """What may be spent. samples: videos. rounds, seconds, tokens, cost: None without a limit.

    A round is not begun when, by the dearest round so far, it would not end within the seconds, tokens and cost. What
    nobody can know before the first round is how long imagining takes; whoever waits for answers waits no longer than
    the seconds that are left.
    """

    samples: int = 8
    rounds: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    cost: float | None = None

    def __post_init__(self) -> None:
        given = (self.samples, self.rounds, self.seconds, self.tokens, self.cost)
        limits = [limit for limit in given if limit is not None]
        if min(limits) <= 0:
            raise WowError(f"every limit is above 0, not {min(limits):g}: one video is --max-samples 1")

    def left(self, rounds: Sequence[Round]) -> float | None:
        """The seconds that these rounds have left; None without a limit."""
        spent = sum(sum(past.seconds.values()) for past in rounds)
        return None if self.seconds is None else self.seconds - spent

    def exhausted(self, rounds: Sequence[Round]) -> str | None:
        """What there is no more of; None while a round can be paid for."""
        spent, seconds = len(attempts_of(rounds)), [sum(past.seconds.values()) for past in rounds]
        tokens = [past.tokens for past in rounds]
        if spent >= self.samples:
            return f"{spent} of {self.samples} videos are imagined"
        if self.rounds is not None and len(rounds) >= self.rounds:
            return f"{len(rounds)} of {self.rounds} rounds are over"
        if self.seconds is not None and sum(seconds) + max(seconds, default=0.0) > self.seconds:
            return f"a further round would not end within {self.seconds:g} seconds"
        if self.tokens is not None and sum(tokens) + max(tokens, default=0) > self.tokens:
            return f"a further round would take more than {self.tokens} tokens"
        costs = [past.cost for past in rounds]
        if self.cost is not None and sum(costs) + max(costs, default=0.0) > self.cost:
            return f"a further round would cost more than {self.cost:g}"
        return None


@dataclass(frozen=True)
class Rules:
    """How the search goes. candidates: videos of a round. seed: of the first video; the others follow.

    confident: the probability of success that is enough; above 1, never. patience: rounds without a better video after
    which it stops. expand: let the refiner write the first prompt too, instead of beginning with the goal itself.
    corrections: how often, at most, the motion of a prompt's videos is corrected before the words change.
    """

    budget: Budget = Budget()
    candidates: int = 2
    seed: int = 0
    confident: float = 0.9
    patience: int = 4
    expand: bool = False
    corrections: int = 3

    def __post_init__(self) -> None:
        if min(self.candidates, self.patience) < 1 or self.confident <= 0 or self.corrections < 0:
            raise WowError(
                "--candidates and --patience are at least 1, --motion-corrections is at least 0, --confident is above 0"
            )

    def stop(self, rounds: Sequence[Round]) -> str | None:
        """Why the search is over; None while it is not."""
        history = attempts_of(rounds)
        if history:
            best = best_of(history)
            if best.verdict.completed and best.verdict.success_probability >= self.confident:
                return f"completed with confidence {best.verdict.success_probability:.2f}"
            if len(rounds) - 1 - best.round >= self.patience:
                return f"nothing better in {self.patience} rounds"
        return self.budget.exhausted(rounds)

    def to_correct(self, rounds: Sequence[Round]) -> list[Attempt]:
        """The attempts of the last round whose motion is corrected next, best first; none where words are to change.

        That is so where the last round brought nothing better, and where its videos were corrected often enough.
        """
        if not rounds or not self.corrections:
            return []
        last, before = rounds[-1], attempts_of(rounds[:-1])
        recent = rounds[-self.corrections :]
        if len(recent) == self.corrections and all(is_corrected(past) for past in recent):
            return []
        if before and best_of(last.attempts).worth < best_of(before).worth:
            return []
        left = self.budget.samples - len(before) - len(last.attempts)
        return sorted(last.attempts, key=lambda attempt: attempt.worth, reverse=True)[:left]

    def seeds(self, rounds: Sequence[Round]) -> range:
        """The seeds of the next round: never one twice, and never more videos than the budget has left."""
        done = len(attempts_of(rounds))
        return range(self.seed + done, self.seed + min(done + self.candidates, self.budget.samples))


def is_corrected(done: Round) -> bool:
    """Whether its videos are those of the round before it, their motion corrected."""
    return done.attempts[0].actions is not None


def attempts_of(rounds: Sequence[Round]) -> list[Attempt]:
    """All attempts, oldest first."""
    return [attempt for past in rounds for attempt in past.attempts]


def best_of(history: Sequence[Attempt]) -> Attempt:
    """The best attempt seen; of equals the first."""
    return max(history, key=lambda attempt: attempt.worth)
