"""The numbers of one run in rows and columns, and what follows from them: means, scores, 95 % intervals.

Intervals are percentile bootstraps over samples (Efron 1979), the same draws for all metrics, so that also an overall
score has one. Drawing a cloud with repetitions shifts its FVD: those draws are moved back to the value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.bench.dimensions.contract import Metric, NotMeasurable
from wow.bench.intervals import Estimate
from wow.bench.scores_v2 import SUCCESS, ScoresV2, score_v2
from wow.bench.suite_run import ScoreRecord

Array = NDArray[np.float64]

RESAMPLES = 500
POOLED_RESAMPLES = 200
"""For metrics of a whole suite, each draw of which costs a decomposition."""
STRATA = ("ability", "sub_task", "difficulty")


@dataclass(frozen=True)
class Scoreboard:
    """keys: the samples. values: by metric, one number for each sample, NaN where there is none. parts: by metric of a
    whole suite, [N, D], NaN likewise. strata: by kind (ability, …) the name that each sample has."""

    keys: tuple[str, ...]
    metrics: Mapping[str, Metric]
    values: Mapping[str, Array]
    parts: Mapping[str, Array]
    strata: Mapping[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.keys)

    def value(self, name: str, rows: NDArray[np.int64]) -> float | None:
        """A metric over some samples (with repetitions); None where none of them has it."""
        if name in self.parts:
            parts = self.parts[name][rows]
            parts = parts[~np.isnan(parts).any(axis=1)]
            if len(parts) == 0:
                return None
            pool = self.metrics[name].pool
            assert pool is not None
            try:
                return pool(parts)
            except NotMeasurable:
                return None
        found = self.values[name][rows]
        found = found[~np.isnan(found)]
        return float(found.mean()) if len(found) else None

    def count(self, name: str, rows: NDArray[np.int64]) -> int:
        """Of how many of the samples the metric is known."""
        table = self.parts[name] if name in self.parts else self.values[name][:, None]
        return int((~np.isnan(table[rows]).any(axis=1)).sum())

    def rows(self, kind: str = "", name: str = "") -> NDArray[np.int64]:
        """The samples of one stratum; all where no kind is named."""
        every = np.arange(len(self))
        return every if not kind else every[np.array(self.strata[kind]) == name]

    def measured(self) -> list[str]:
        """The metrics that have a value over all samples."""
        return [name for name in self.metrics if self.value(name, self.rows()) is not None]

    def only(self, names: Sequence[str]) -> Scoreboard:
        """The same samples with these metrics alone: an overall score over others would mean something else."""
        columns, tables = ({n: t for n, t in all_of.items() if n in names} for all_of in (self.values, self.parts))
        metrics = {name: metric for name, metric in self.metrics.items() if name in names}
        return Scoreboard(self.keys, metrics, columns, tables, self.strata)

    def restricted(self, keys: Sequence[str]) -> Scoreboard:
        """The same numbers for these samples only, in this order."""
        place = {key: index for index, key in enumerate(self.keys)}
        rows = [place[key] for key in keys]
        return Scoreboard(
            tuple(keys),
            self.metrics,
            {name: column[rows] for name, column in self.values.items()},
            {name: table[rows] for name, table in self.parts.items()},
            {kind: tuple(names[row] for row in rows) for kind, names in self.strata.items()},
        )


def scoreboard_of(
    records: Sequence[ScoreRecord], metrics: Mapping[str, Metric], strata: Mapping[str, Mapping[str, str]]
) -> Scoreboard:
    """The records as columns. strata: for each sample's key its ability, sub_task and difficulty."""
    keys = tuple(dict.fromkeys(record.key for record in records))
    place = {key: index for index, key in enumerate(keys)}
    values = {name: np.full(len(keys), np.nan) for name, metric in metrics.items() if metric.pool is None}
    pieces: dict[str, dict[int, tuple[float, ...]]] = {name: {} for name, m in metrics.items() if m.pool is not None}
    for record in records:
        if record.metric in values and record.value is not None:
            values[record.metric][place[record.key]] = record.value
        elif record.metric in pieces and record.parts:
            pieces[record.metric][place[record.key]] = record.parts
    parts: dict[str, Array] = {}
    for name, found in pieces.items():
        table = np.full((len(keys), len(next(iter(found.values()), ())) or 1), np.nan)
        for row, numbers in found.items():
            table[row] = numbers
        parts[name] = table
    names = {kind: tuple(strata.get(key, {}).get(kind, "unknown") for key in keys) for kind in STRATA}
    return Scoreboard(keys, metrics, values, parts, names)


def draws(rows: NDArray[np.int64], count: int, seed: int = 0) -> NDArray[np.int64]:
    """`count` samples of the rows with repetitions, each as large: [count, N]."""
    picked = np.random.default_rng(seed).integers(len(rows), size=(count, len(rows)))
    return rows[picked]


def bootstrapped(board: Scoreboard, name: str, drawn: NDArray[np.int64]) -> Array:
    """A metric of each draw [B], NaN where a draw has none of it."""
    if name in board.parts:
        found = [board.value(name, rows) for rows in drawn[:POOLED_RESAMPLES]]
        values = np.array([np.nan if value is None else value for value in found])
        whole = board.value(name, np.unique(drawn))
        return values if whole is None else np.maximum(values - np.nanmean(values) + whole, 0.0)
    column = board.values[name][drawn]
    known = ~np.isnan(column)
    total = np.where(known, column, 0.0).sum(axis=1)
    return np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), np.nan)


def estimate(board: Scoreboard, name: str, rows: NDArray[np.int64]) -> Estimate | None:
    """A metric over some samples with its interval; None where it has no value."""
    value, count = (board.value(name, rows), board.count(name, rows)) if len(rows) else (None, 0)
    if value is None:
        return None
    if count < 2:
        return Estimate(value, None, None, count)
    return interval(value, bootstrapped(board, name, draws(rows, RESAMPLES)), count)


def interval(value: float, resampled: Array, count: int) -> Estimate:
    """The value between the 2.5th and the 97.5th percentile of its draws."""
    kept = resampled[~np.isnan(resampled)]
    if len(kept) == 0:
        return Estimate(value, None, None, count)
    low, high = np.quantile(kept, [0.025, 0.975])
    return Estimate(value, float(low), float(high), count)


@dataclass(frozen=True)
class ScaledV2:
    """The second scale with intervals: of each group that is there, overall, and with what was executed."""

    scores: ScoresV2
    groups: Mapping[str, Estimate]
    overall: Estimate | None
    executable: Estimate | None = None


def scaled_v2(board: Scoreboard, rows: NDArray[np.int64]) -> ScaledV2:
    """The scores of some samples on the second scale: metrics first averaged over samples, then mapped."""
    values = {name: value for name in board.metrics if (value := board.value(name, rows)) is not None}
    scores = score_v2(values)
    if scores.overall is None:
        return ScaledV2(scores, {}, None)
    if len(rows) < 2:
        alone = {group: Estimate(value, None, None, len(rows)) for group, value in scores.groups.items()}
        executable = None if scores.executable is None else Estimate(scores.executable, None, None, len(rows))
        return ScaledV2(scores, alone, Estimate(scores.overall, None, None, len(rows)), executable)
    executed = () if scores.executable is None else (SUCCESS,)
    every = [score_v2(drawn) for drawn in _drawn_values(board, rows, (*scores.metrics, *executed))]
    return scaled(scores, every, len(rows))


def scaled(scores: ScoresV2, every: Sequence[ScoresV2], count: int) -> ScaledV2:
    """Scores with the intervals that they have over draws of `count` samples."""

    def around(value: float | None, drawn: Sequence[float | None]) -> Estimate | None:
        return None if value is None else interval(value, _column(drawn), count)

    groups = {
        group: interval(value, _column([one.groups.get(group) for one in every]), count)
        for group, value in scores.groups.items()
    }
    overall = around(scores.overall, [one.overall for one in every])
    return ScaledV2(scores, groups, overall, around(scores.executable, [one.executable for one in every]))


def _drawn_values(board: Scoreboard, rows: NDArray[np.int64], names: Sequence[str]) -> list[dict[str, float]]:
    count = POOLED_RESAMPLES if any(name in board.parts for name in names) else RESAMPLES
    drawn = draws(rows, count)
    columns = {name: bootstrapped(board, name, drawn) for name in names}
    return [
        {name: float(column[index]) for name, column in columns.items() if not np.isnan(column[index])}
        for index in range(count)
    ]


def paired_difference(
    one: Scoreboard, other: Scoreboard, statistic: Callable[[Scoreboard, NDArray[np.int64]], Array], value: float
) -> tuple[Estimate, float]:
    """A difference with its interval, and how often a draw lies on the other side of zero, both sides counted.

    Both boards have the same samples in the same order. statistic: the draws' values of one board.
    """
    drawn = draws(one.rows(), RESAMPLES)
    gap = statistic(one, drawn) - statistic(other, drawn)
    gap = gap[~np.isnan(gap)]
    if len(gap) == 0 or len(one) < 2:
        return Estimate(value, None, None, len(one)), float("nan")
    share = 2 * min((gap <= 0).mean(), (gap >= 0).mean())
    return interval(value, gap, len(one)), float(min(share, 1.0))


def overall_draws(board: Scoreboard, drawn: NDArray[np.int64]) -> Array:
    """The overall score (second scale) of each draw [B]."""
    columns = {name: bootstrapped(board, name, drawn) for name in board.measured()}
    count = min((len(column) for column in columns.values()), default=0)
    return _column(
        [
            score_v2({n: float(c[index]) for n, c in columns.items() if not np.isnan(c[index])}).overall
            for index in range(count)
        ]
    )


def _column(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], np.float64)
