"""How far the scores of several runs can be trusted: both scales over draws of samples, the same draws for every run.

The first scale is relative, so a draw changes what every run is measured by: only draws that are common to all of them
say how sure a place is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.bench import scores_v1 as v1
from wow.bench.intervals import Estimate
from wow.bench.scoreboard import POOLED_RESAMPLES, RESAMPLES, ScaledV2, bootstrapped, draws, interval, scaled
from wow.bench.scores_v2 import GROUPS, SCALES, SUCCESS, score_v2
from wow.bench.suite_results import Results

Array = NDArray[np.float64]


@dataclass(frozen=True)
class V1Scores:
    """The first scale for one run among those of a leaderboard. weights: of each metric inside its group.

    spread: the overall score and every group's with an interval; empty where there are no single samples to draw.
    """

    groups: Mapping[str, float]
    overall: float
    weights: Mapping[str, float]
    spread: Mapping[str, Estimate]

    def estimate(self, group: str = "") -> Estimate | None:
        """The overall score, or a group's, with its interval; None for a group without metrics."""
        value = self.groups.get(group) if group else self.overall
        return self.spread.get(group or OVERALL, None if value is None else Estimate(value, None, None, 0))


OVERALL = "overall"


def value_of(run: Results, name: str) -> float | None:
    """A metric of a run over the whole suite."""
    told = run.content["metrics"].get(name)
    return float(told["estimate"]["value"]) if told and told["estimate"] else None


def held(runs: Sequence[Results], names: Sequence[str]) -> list[str]:
    """The metrics that no draw changes: of which only a number over the whole suite is known (FVD, from a file)."""
    return [name for name in names if any(name not in run.board.metrics for run in runs)]


def drawn_values(runs: Sequence[Results], names: Sequence[str]) -> dict[str, Array]:
    """Each metric of every run over each of the draws: [runs, draws]. The runs have the same samples.

    Nothing where there are fewer than two samples.
    """
    keys = runs[0].board.keys if runs else ()
    if len(keys) < 2:
        return {}
    boards = [run.board.restricted(keys) for run in runs]
    is_pooled = any(name in board.parts for name in names for board in boards)
    drawn = draws(boards[0].rows(), POOLED_RESAMPLES if is_pooled else RESAMPLES)
    fixed = held(runs, names)
    return {
        name: np.stack(
            [
                np.full(len(drawn), value_of(run, name)) if name in fixed else bootstrapped(board, name, drawn)
                for run, board in zip(runs, boards, strict=True)
            ]
        )
        for name in names
    }


def relative(values: Mapping[str, Array]) -> tuple[V1Scores, ...] | None:
    """The first scale from the metrics [runs] that every run has; None where there are none."""
    tables: dict[str, Array] = {}
    members: dict[str, list[str]] = {}
    for group in GROUPS:
        names = [name for name in values if SCALES[name].group == group]
        if names:
            columns = [v1.metric_scores(name, values[name], not SCALES[name].lower_is_better) for name in names]
            members[group], tables[group] = names, np.stack(columns, axis=1)
    if not tables:
        return None
    weights = {group: v1.correlation_weights(table) for group, table in tables.items()}
    flat = {n: float(w) for g, names in members.items() for n, w in zip(names, weights[g], strict=True)}
    found: list[V1Scores] = []
    for place in range(len(next(iter(values.values())))):
        groups = {group: v1.group_score(table[place], weights[group]) for group, table in tables.items()}
        found.append(V1Scores(groups, v1.overall_score(list(groups.values())), flat, {}))
    return tuple(found)


def relative_scores(
    runs: Sequence[Results], shared: Sequence[str], drawn: Mapping[str, Array] | None = None
) -> tuple[V1Scores, ...] | None:
    """The first scale over metrics that every run has; None where there are none. drawn: see `drawn_values`."""
    found = relative({name: np.array([value_of(run, name) for run in runs], float) for name in shared})
    if found is None or not drawn:
        return found
    count = len(runs[0].board)
    kept = [one for one in _each(drawn, shared) if not any(np.isnan(column).any() for column in one.values())]
    tables = [scores for one in kept if (scores := relative(one)) is not None]
    spread = []
    for place, own in enumerate(found):
        columns = {group: np.array([table[place].groups[group] for table in tables]) for group in own.groups}
        columns[OVERALL] = np.array([table[place].overall for table in tables])
        points = {**own.groups, OVERALL: own.overall}
        told = {name: interval(points[name], column, count) for name, column in columns.items()}
        spread.append(V1Scores(own.groups, own.overall, own.weights, told))
    return tuple(spread)


def absolute_scores(runs: Sequence[Results], shared: Sequence[str], drawn: Mapping[str, Array]) -> list[ScaledV2]:
    """The second scale of each run over names that every run has; with what was executed, where that is one of them."""
    found = []
    for place, run in enumerate(runs):
        scores = score_v2({name: value_of(run, name) or 0.0 for name in shared})
        rows = [{name: float(column[place]) for name, column in one.items()} for one in _each(drawn, shared)]
        every = [score_v2({name: value for name, value in row.items() if value == value}) for row in rows]
        found.append(scaled(scores, every, len(run.board)))
    return found


def _each(drawn: Mapping[str, Array], names: Sequence[str]) -> list[dict[str, Array]]:
    """The metrics [runs] of one draw after the other."""
    count = len(next(iter(drawn.values()))[0]) if drawn else 0
    return [{name: drawn[name][:, index] for name in names if name in (*SCALES, SUCCESS)} for index in range(count)]
