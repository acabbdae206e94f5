"""The gripper's commands over a clip: constant but for a few openings and closings, found together (Viterbi 1967)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVELS = 41
"""Commands that are told apart, evenly from the lowest to the highest."""
EVENT_SHARE = 0.25
"""Changes of more than this share of the range are an opening or a closing."""
FORGIVEN = 3.0
"""Deviations up to which a reading counts as squared; one frame misread does not open a hand."""


@dataclass(frozen=True)
class GripperEvent:
    """The gripper's command changes in transition `transition`, that is between frame `transition` and the next.

    probability: how likely the model finds such an event in this transition.
    """

    transition: int
    kind: Literal["open", "close"]
    probability: float


def find_commands(
    readings: Array, deviations: Array, chances: Array, low: float = 0.0, high: float = 1.0
) -> tuple[Array, Array]:
    """The commands of T transitions, and their deviations [T].

    readings, deviations: what each transition's command looks like [T]. chances: the probability that it stays, rises
    and falls [T, 3].
    """
    levels = np.linspace(low, high, LEVELS)
    off = np.abs(levels[None] - readings[:, None]) / np.maximum(deviations, 1e-6)[:, None]
    cost = np.where(off < FORGIVEN, 0.5 * off**2, FORGIVEN * (off - 0.5 * FORGIVEN))
    turn = np.array([_turns(row) for row in -np.log(np.clip(chances, 1e-4, 1.0))])
    path = _cheapest(cost, turn)
    commands = levels[path]
    belief = _beliefs(cost, turn)
    spread = np.sqrt((belief * (levels[None] - commands[:, None]) ** 2).sum(axis=1) + (levels[1] - levels[0]) ** 2 / 12)
    return commands, spread


def find_events(commands: Array, chances: Array, gripper: str, least: float = EVENT_SHARE) -> tuple[GripperEvent, ...]:
    """The transitions in which a command differs by more than `least` from the one before.

    gripper: the card's sign convention in words; a rising command opens unless the card says that 1 is closed.
    """
    change = np.diff(commands)
    opens = not ("1 closed" in gripper or "0 open" in gripper)
    return tuple(
        GripperEvent(
            int(i) + 1,
            "open" if (change[i] > 0) == opens else "close",
            float(chances[i + 1, 1 if change[i] > 0 else 2]),
        )
        for i in np.flatnonzero(np.abs(change) > least)
    )


def _turns(chance_cost: Array) -> Array:
    """The cost of going from one level to another [LEVELS, LEVELS]: rising above the diagonal, falling below."""
    stays, rises, falls = chance_cost
    steps = np.arange(LEVELS)[None] - np.arange(LEVELS)[:, None]
    # Any of the other levels may follow an event: their share of its chance.
    cost: Array = np.where(steps == 0, stays, np.where(steps > 0, rises, falls) + np.log(LEVELS - 1.0))
    return cost


def _cheapest(cost: Array, turn: Array) -> NDArray[np.int64]:
    best, came = cost[0], np.zeros(cost.shape, np.int64)
    for i in range(1, len(cost)):
        ways = best[:, None] + turn[i]
        came[i] = ways.argmin(axis=0)
        best = ways.min(axis=0) + cost[i]
    path = np.zeros(len(cost), np.int64)
    path[-1] = best.argmin()
    for i in range(len(cost) - 1, 0, -1):
        path[i - 1] = came[i][path[i]]
    return path


def _beliefs(cost: Array, turn: Array) -> Array:
    """The probability of each level in each transition [T, LEVELS], given the whole clip (forward and backward)."""
    forward, backward = np.zeros(cost.shape), np.zeros(cost.shape)
    forward[0] = -cost[0]
    for i in range(1, len(cost)):
        forward[i] = np.logaddexp.reduce(forward[i - 1][:, None] - turn[i], axis=0) - cost[i]
    for i in range(len(cost) - 2, -1, -1):
        backward[i] = np.logaddexp.reduce(backward[i + 1][None] - cost[i + 1][None] - turn[i + 1], axis=1)
    total = forward + backward
    belief: Array = np.exp(total - np.logaddexp.reduce(total, axis=1, keepdims=True))
    return belief
