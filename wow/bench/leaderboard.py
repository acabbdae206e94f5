"""Several runs on one suite, side by side: both published scales, and a line for each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.bench.executability import Executed, executed_in, executed_over
from wow.bench.intervals import Estimate
from wow.bench.same_samples import on_common_samples
from wow.bench.scoreboard import STRATA, ScaledV2, Scoreboard, scaled_v2
from wow.bench.spread import V1Scores, drawn_values, relative_scores, value_of
from wow.bench.suite_compare import check_alike
from wow.bench.suite_results import Results


@dataclass(frozen=True)
class Stratum:
    """One run on the samples of one ability, sub-task or difficulty. overall: on the second scale; None without any."""

    n: int
    overall: Estimate | None
    executed: Executed


@dataclass(frozen=True)
class Leaderboard:
    """The runs, best first by the second scale, which is taken over the metrics that all of them have.

    v2: the scores of each; shared: those metrics; strata: by kind and name, each run there. v1: None where fewer than
    two runs stand beside each other. executed: what came of executing each run's videos. over: how many samples all of
    this is over, as a sentence: those that every run has.
    """

    runs: tuple[Results, ...]
    v2: tuple[ScaledV2, ...]
    shared: tuple[str, ...]
    strata: Mapping[str, Mapping[str, tuple[Stratum, ...]]]
    v1: tuple[V1Scores, ...] | None
    executed: tuple[Executed, ...]
    over: str

    @property
    def labels(self) -> list[str]:
        """The runs' names, with the folder where two are called the same."""
        names = [run.name for run in self.runs]
        return [f"{r.name} ({r.folder.name})" if names.count(r.name) > 1 else r.name for r in self.runs]


def leaderboard(runs: Sequence[Results]) -> Leaderboard:
    """Raises WowError where the runs are of two suites, measured by other versions or tools, or share no sample."""
    check_alike(runs)
    common = on_common_samples(runs)
    runs = common.runs
    shared = [name for name in runs[0].board.measured() if all(value_of(run, name) is not None for run in runs)]
    scored = [(run, scaled_v2(run.board.only(shared), run.board.rows())) for run in runs]
    scored.sort(key=lambda pair: -(pair[1].scores.overall or -1.0))
    ranked = [run for run, _ in scored]
    counted = tuple(scored[0][1].scores.metrics)
    strata = {kind: _in_strata([run.board for run in ranked], counted, kind) for kind in STRATA}
    return Leaderboard(
        runs=tuple(ranked),
        v2=tuple(scores for _, scores in scored),
        shared=counted,
        strata=strata,
        v1=relative_scores(ranked, counted, drawn_values(ranked, counted)) if len(ranked) > 1 else None,
        executed=tuple(executed_in(run.content["metrics"]) for run in ranked),
        over=common.said(),
    )


def _in_strata(boards: Sequence[Scoreboard], counted: Sequence[str], kind: str) -> dict[str, tuple[Stratum, ...]]:
    """Each run in each ability, sub-task or difficulty; nothing where there is only one."""
    names = sorted({name for board in boards for name in board.strata[kind]})
    if len(names) < 2:
        return {}
    return {name: tuple(_stratum(board, counted, board.rows(kind, name)) for board in boards) for name in names}


def _stratum(board: Scoreboard, counted: Sequence[str], rows: NDArray[np.int64]) -> Stratum:
    return Stratum(len(rows), scaled_v2(board.only(counted), rows).overall, executed_over(board, rows))


def estimate_of(told: Mapping[str, Any] | None) -> Estimate | None:
    """An estimate as it is written."""
    return None if told is None else Estimate(told["value"], told["low"], told["high"], told["n"])
