"""Asking a model until it answers in the agreed form: what it says is data, what does not fit is asked for again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from queue import SimpleQueue
from typing import Protocol, TypeVar

from wow.refine.untrusted import read_object
from wow.types import UInt8, WowError

T = TypeVar("T")

TRIES = 3
"""How often a question is put at most."""
FAILURES = (WowError, RuntimeError, ValueError, ArithmeticError, LookupError, OSError)
"""What asking may end in, a model's breakdown and our own mistakes included."""


class Reply(Protocol):
    """What a model said, how many tokens that took, and what they cost."""

    @property
    def text(self) -> str: ...
    @property
    def tokens(self) -> int: ...
    @property
    def cost(self) -> float: ...


@dataclass
class Spent:
    """What answers took so far, also those that could not be used; several threads may add to it."""

    tokens: int = 0
    cost: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def add(self, tokens: int, cost: float) -> None:
        """One more answer."""
        with self._lock:
            self.tokens += tokens
            self.cost += cost


class Spending:
    """What those who ask a model have in common: their bill. See `Spender`."""

    spent: Spent

    @property
    def tokens(self) -> int:
        """Tokens that were spent so far."""
        return self.spent.tokens

    @property
    def cost(self) -> float:
        """What they cost."""
        return self.spent.cost


class Speaker(Protocol):
    """A model that looks at pictures and answers in words: behind an endpoint, or in this process."""

    def __call__(
        self,
        system: str,
        text: str,
        pictures: Sequence[UInt8] = (),
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = 400,
        seconds: float | None = None,
    ) -> Reply:
        """Its answer. Raises WowError where it has none within `seconds`."""


@dataclass(frozen=True)
class Question:
    """What is asked. schema: of the JSON object that the answer shall be. max_tokens: of the answer."""

    system: str
    text: str
    schema: Mapping[str, object]
    pictures: Sequence[UInt8] = ()
    max_tokens: int = 400


def ask(
    speaker: Speaker,
    question: Question,
    read: Callable[[Mapping[str, object]], T],
    deadline: float,
    on_spent: Callable[[int, float], None] = lambda tokens, cost: None,
) -> tuple[T, Spent]:
    """What `read` makes of the answer, and what all tries took.

    read: raises ValueError, in words that help a model, where the object is not what was agreed. deadline: of
    `time.monotonic`. on_spent: told tokens and cost of each try, of those in vain too. Raises WowError where no answer
    fits.
    """
    spent, text, why = Spent(), question.text, ""
    for _ in range(TRIES):
        left = deadline - time.monotonic()
        if left <= 0:
            raise WowError(f"no time was left for the model to answer in the agreed form{why and f' ({why})'}")
        reply = speaker(
            question.system,
            text,
            question.pictures,
            schema=question.schema,
            max_tokens=question.max_tokens,
            seconds=left,
        )
        spent.add(reply.tokens, reply.cost)
        on_spent(reply.tokens, reply.cost)
        try:
            return read(read_object(reply.text)), spent
        except ValueError as problem:
            why = str(problem)
            text = f"{question.text}\n\nYour last answer could not be used: {why}. Answer with the JSON object only."
    raise WowError(
        f"the model did not answer in the agreed form, {TRIES} times ({why}); name one that follows a JSON schema, "
        f"or judge without it: --critic checks"
    )


def all_at_once(tasks: Sequence[Callable[[], T]]) -> list[T]:
    """What each of the tasks returns, in their order, run side by side; raises the first error that one raises.

    Threads that are not waited for at exit: Ctrl-C ends a program while an endpoint is silent.
    """
    done: SimpleQueue[tuple[int, T | Exception | None]] = SimpleQueue()

    def run(place: int, task: Callable[[], T]) -> None:
        result: T | Exception | None = None
        try:
            result = task()
        except FAILURES as problem:
            result = problem
        finally:
            done.put((place, result))

    for place, task in enumerate(tasks):
        threading.Thread(target=run, args=(place, task), daemon=True).start()
    found: dict[int, T] = {}
    while len(found) < len(tasks):
        place, result = done.get()
        if isinstance(result, Exception):
            raise result
        assert result is not None, "its traceback has been printed"
        found[place] = result
    return [found[place] for place in range(len(tasks))]


@cache
def prompt_file(name: str) -> str:
    """The text of a prompt in the folder `prompts`."""
    return (resources.files("wow.refine") / "prompts" / f"{name}.txt").read_text().strip()


def whole_number(answer: Mapping[str, object], key: str, low: int, high: int) -> int:
    """The whole number of that name. Raises ValueError where it is none from low to high."""
    value = answer.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f'"{key}" is a whole number from {low} to {high}')
    return value


def words(answer: Mapping[str, object], key: str) -> str:
    """The text of that name. Raises ValueError where it is none."""
    value = answer.get(key)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{key}" is a text')
    return value
