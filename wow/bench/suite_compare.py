"""Two runs on the same samples, pair by pair: by how much one is better, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.bench.intervals import Estimate
from wow.bench.scoreboard import STRATA, Scoreboard, bootstrapped, overall_draws, paired_difference
from wow.bench.scores_v2 import score_v2
from wow.bench.suite_results import Results
from wow.types import WowError

OVERALL = "overall (v2)"


@dataclass(frozen=True)
class Difference:
    """A minus B of one metric over some samples. stratum: "" for all, else e.g. "difficulty: hard".

    share: how often a draw falls on the other side of zero, times two: small where the sign can be trusted.
    better: "A" or "B" where the interval does not hold zero, else "".
    """

    metric: str
    stratum: str
    a: float
    b: float
    difference: Estimate
    share: float
    better: str


def compare(a: Results, b: Results) -> list[Difference]:
    """The differences of every metric that both have, over all samples, then of each stratum; overall over these.

    Raises WowError where the runs are of two suites, share no sample, or a metric changed between them.
    """
    check_alike([a, b])
    shared = [key for key in a.board.keys if key in set(b.board.keys)]
    if not shared:
        raise WowError(f"{a.folder} and {b.folder} have no scored sample in common: finish both runs")
    one, other = a.board.restricted(shared), b.board.restricted(shared)
    names = [name for name in one.metrics if name in other.metrics]
    found = _differences(one, other, names, "")
    for kind in STRATA:
        kinds = sorted(set(one.strata[kind]))
        for name in kinds if len(kinds) > 1 else []:
            keys = [shared[row] for row in one.rows(kind, name)]
            found += _differences(one.restricted(keys), other.restricted(keys), names, f"{kind}: {name}")
    return found


def check_alike(runs: Sequence[Results]) -> None:
    """Raises WowError where runs cannot be put into one table: other suites, or metrics of other versions or tools."""
    first = runs[0]
    for run in runs[1:]:
        if run.digest != first.digest:
            raise WowError(
                f"{first.folder} is on suite {first.digest[:12]}, {run.folder} on {run.digest[:12]}: "
                "only runs on the same files can be compared"
            )
        for name in first.content["metrics"]:
            told = first.content["metrics"][name], run.content["metrics"].get(name)
            measured = told[1] is not None and told[0]["estimate"] and told[1]["estimate"]
            if measured and not first.same_version(run, name):
                seen = [f"version {one['version']} ({one['tool'] or 'no tool'})" for one in told]
                raise WowError(f"{name} is {seen[0]} in {first.folder} and {seen[1]} in {run.folder}: run one again")


def _differences(one: Scoreboard, other: Scoreboard, names: Sequence[str], stratum: str) -> list[Difference]:
    pairs = [(name, _paired(one, other, name)) for name in names]
    found = [difference for name, boards in pairs if (difference := _difference(*boards, name, stratum)) is not None]
    shared = [name for name in one.measured() if name in other.measured()]
    one, other = one.only(shared), other.only(shared)
    values = [_overall(board) for board in (one, other)]
    if values[0] is not None and values[1] is not None:
        gap, share = paired_difference(one, other, overall_draws, values[0] - values[1])
        found.append(Difference(OVERALL, stratum, values[0], values[1], gap, share, _better(gap, True)))
    return found


def _paired(one: Scoreboard, other: Scoreboard, name: str) -> tuple[Scoreboard, Scoreboard]:
    """Only the samples of which both have the metric."""
    both = [min(board.count(name, np.array([row])) for board in (one, other)) for row in range(len(one))]
    keys = [key for key, known in zip(one.keys, both, strict=True) if known]
    return one.restricted(keys), other.restricted(keys)


def _difference(one: Scoreboard, other: Scoreboard, name: str, stratum: str) -> Difference | None:
    values = [board.value(name, board.rows()) for board in (one, other)] if len(one) else [None, None]
    if values[0] is None or values[1] is None:
        return None

    def statistic(board: Scoreboard, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        return bootstrapped(board, name, drawn)

    gap, share = paired_difference(one, other, statistic, values[0] - values[1])
    better = _better(gap, one.metrics[name].higher_is_better)
    return Difference(name, stratum, values[0], values[1], gap, share, better)


def _overall(board: Scoreboard) -> float | None:
    """The overall score on the second scale, without its interval."""
    rows = board.rows()
    return score_v2({n: value for n in board.metrics if (value := board.value(n, rows)) is not None}).overall


def _better(gap: Estimate, higher_is_better: bool) -> str:
    if gap.low is None or gap.high is None or gap.low <= 0 <= gap.high:
        return ""
    return "A" if (gap.low > 0) == higher_is_better else "B"
