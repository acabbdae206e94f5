"""Several runs on one suite, side by side: both published scales, and a line for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wow.bench import scores_v1 as v1
from wow.bench.intervals import Estimate
from wow.bench.scoreboard import STRATA, ScaledV2, Scoreboard, scaled_v2
from wow.bench.scores_v2 import GROUPS, SCALES
from wow.bench.suite_compare import check_alike
from wow.bench.suite_results import Results


@dataclass(frozen=True)
class V1Scores:
    """The first scale for one run among those of a leaderboard. weights: of each metric inside its group."""

    groups: Mapping[str, float]
    overall: float
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Leaderboard:
    """The runs, best first by the second scale, which is taken over the metrics that all of them have.

    v2: the scores of each; shared: those metrics; strata: by kind and name, each run's overall score there, None where
    it has no sample. v1: None where fewer than two runs stand beside each other.
    """

    runs: tuple[Results, ...]
    v2: tuple[ScaledV2, ...]
    shared: tuple[str, ...]
    strata: Mapping[str, Mapping[str, tuple[Estimate | None, ...]]]
    v1: tuple[V1Scores, ...] | None

    @property
    def labels(self) -> list[str]:
        """The runs' names, with the folder where two are called the same."""
        names = [run.name for run in self.runs]
        return [f"{r.name} ({r.folder.name})" if names.count(r.name) > 1 else r.name for r in self.runs]


def leaderboard(runs: Sequence[Results]) -> Leaderboard:
    """Raises WowError where the runs are of two suites or measured by other versions or tools."""
    check_alike(runs)
    shared = [name for name in runs[0].board.measured() if all(value_of(run, name) is not None for run in runs)]
    scored = [(run, scaled_v2(run.board.only(shared), run.board.rows())) for run in runs]
    scored.sort(key=lambda pair: -(pair[1].scores.overall or -1.0))
    ranked = [run for run, _ in scored]
    counted = tuple(scored[0][1].scores.metrics)
    strata = {kind: _stratum_scores([run.board.only(counted) for run in ranked], kind) for kind in STRATA}
    relative = relative_scores(ranked, counted) if len(ranked) > 1 else None
    return Leaderboard(tuple(ranked), tuple(scores for _, scores in scored), counted, strata, relative)


def _stratum_scores(boards: Sequence[Scoreboard], kind: str) -> dict[str, tuple[Estimate | None, ...]]:
    """For each ability, sub-task or difficulty the overall score of each run; nothing where there is only one."""
    names = sorted({name for board in boards for name in board.strata[kind]})
    if len(names) < 2:
        return {}
    rows = {name: [board.rows(kind, name) for board in boards] for name in names}
    return {
        name: tuple(scaled_v2(board, found).overall for board, found in zip(boards, rows[name], strict=True))
        for name in names
    }


def relative_scores(runs: Sequence[Results], shared: Sequence[str]) -> tuple[V1Scores, ...] | None:
    """The first scale over metrics that every run has; None where there are none."""
    tables: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    members: dict[str, list[str]] = {}
    for group in GROUPS:
        names = [name for name in shared if SCALES[name].group == group]
        if names:
            columns = [
                v1.metric_scores(
                    name, np.array([value_of(run, name) for run in runs], float), not SCALES[name].lower_is_better
                )
                for name in names
            ]
            members[group], tables[group] = names, np.stack(columns, axis=1)
    if not tables:
        return None
    weights = {group: v1.correlation_weights(table) for group, table in tables.items()}
    found: list[V1Scores] = []
    for place in range(len(runs)):
        groups = {group: v1.group_score(table[place], weights[group]) for group, table in tables.items()}
        flat = {n: float(w) for g, names in members.items() for n, w in zip(names, weights[g], strict=True)}
        found.append(V1Scores(groups, v1.overall_score(list(groups.values())), flat))
    return tuple(found)


def value_of(run: Results, name: str) -> float | None:
    """A metric of a run over the whole suite."""
    told = run.content["metrics"].get(name)
    return float(told["estimate"]["value"]) if told and told["estimate"] else None


def estimate_of(told: Mapping[str, Any] | None) -> Estimate | None:
    """An estimate as it is written."""
    return None if told is None else Estimate(told["value"], told["low"], told["high"], told["n"])
