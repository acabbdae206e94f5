"""What a report has no number for: of every metric the reason, and of how many samples and runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wow.bench.dimensions.contract import Metric
from wow.bench.dimensions.registry import METRICS
from wow.bench.leaderboard import Leaderboard

NOT_ASKED = "was not asked for (--metrics)"
EVERY = "all"


@dataclass(frozen=True)
class Gap:
    """A metric that has no value. samples: of how many, or that all lack it. runs: the labels of those that do."""

    metric: Metric
    why: str
    samples: str
    runs: tuple[str, ...]

    def row(self, board: Leaderboard) -> list[str]:
        """Metric, needs, reason, samples, runs: a line of a table."""
        whose = EVERY if len(self.runs) == len(board.runs) else ", ".join(self.runs)
        return [self.metric.title, ", ".join(self.metric.needs), f"N/A: {self.why}", self.samples, whose]


HEAD = ["metric", "needs", "why", "samples", "runs"]


def gaps(board: Leaderboard) -> list[Gap]:
    """Of every metric there is, also of those that a run has for some samples only; runs with one reason together."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name in METRICS:
        for label, run in zip(board.labels, board.runs, strict=True):
            for why, samples in _reasons(run.content["metrics"].get(name)):
                found.setdefault((name, why, samples), []).append(label)
    return [Gap(METRICS[name], why, samples, tuple(runs)) for (name, why, samples), runs in found.items()]


def _reasons(told: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Why a run lacks a metric, each with the number of samples."""
    if told is None:
        return [(NOT_ASKED, EVERY)]
    if told["estimate"] is None:
        return [(str(told["why"]), EVERY)]
    return [(str(why), str(count)) for why, count in told.get("not_measured", {}).items() if count]
