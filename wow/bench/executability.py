"""Executability beside every score: how often what a video shows does the task, between its ceiling and its floor.

Each sample counts 0 or 1, so the intervals are those of shares (Wilson's), which are sound for few samples too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.bench.intervals import Estimate, share
from wow.bench.scoreboard import Scoreboard
from wow.bench.scores_v2 import SUCCESS
from wow.bench.sheet import number
from wow.bench.text import shown

CEILING, FLOOR = "executed_truth", "executed_shuffled"
EXECUTABLE = "overall with execution"
HEAD = "executed (truth / shuffled)"
NOTE = (
    "Executed: the share of videos whose actions, read by inverse dynamics, do the task in the simulator; beside it "
    "that of the truth, read in the same way (the ceiling), and of the video's actions in a random order (the floor). "
    f"Its 95 % intervals are Wilson's. {EXECUTABLE.capitalize()}: the mean of the groups of scale v2 and of that share "
    "times 100; it is ours, the papers have none."
)


@dataclass(frozen=True)
class Executed:
    """Shares of samples, each None where it was not measured."""

    success: Estimate | None
    ceiling: Estimate | None
    floor: Estimate | None

    def markdown(self) -> str:
        """`0.40 (0.30 to 0.51); truth 0.80 (0.70 to 0.88); shuffled 0.05 (0.02 to 0.11)`."""
        if self.success is None:
            return "N/A"
        return f"{shown(self.success)}; truth {shown(self.ceiling)}; shuffled {shown(self.floor)}"

    def html(self) -> str:
        """The same as a cell."""
        if self.success is None:
            return "N/A"
        beside = (("truth", self.ceiling), ("shuffled", self.floor))
        return number(self.success, 2) + "".join(f"<i>{name} {shown(found)}</i>" for name, found in beside)


def executed_over(board: Scoreboard, rows: NDArray[np.int64]) -> Executed:
    """Over some samples of a run."""
    return Executed(*(_share(board.values[name][rows]) if name in board.values else None for name in _NAMES))


def executed_in(metrics: Mapping[str, Any]) -> Executed:
    """Over the whole suite, from the metrics of a `results.json`."""
    told = [(metrics.get(name) or {}).get("estimate") for name in _NAMES]
    return Executed(*(share(round(one["value"] * one["n"]), one["n"]) if one and one["n"] else None for one in told))


def has_any(found: Sequence[Executed]) -> bool:
    """Whether anything was executed in any of the runs."""
    return any(one.success is not None for one in found)


_NAMES = (SUCCESS, CEILING, FLOOR)


def _share(values: NDArray[np.float64]) -> Estimate | None:
    known = values[~np.isnan(values)]
    return share(round(float(known.sum())), len(known)) if len(known) else None
