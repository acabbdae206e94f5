"""The metric audit: which metric sees which fault, and which agrees with what is executed.

Each rung of the ladder is a run like any other. A metric sees a fault where the paired difference from the truth, over
samples, is surely worse at full strength, and is monotone where every rung is worse than the one below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.bench.dimensions.registry import METRICS
from wow.bench.intervals import Estimate, mean
from wow.bench.ladder import CLAIMS, FAULTS
from wow.bench.scoreboard import Scoreboard, bootstrapped, paired_difference
from wow.bench.suite_results import Results
from wow.bench.text import grid
from wow.bench.validity import Validity, correlation_table, left_out, success_table, validity, validity_json

TRUTH = "truth"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Sight:
    """What a metric makes of a fault. worse: by how much each rung is worse than the truth, in the metric's own unit,
    weakest first. at_full: the last of these with its interval."""

    metric: str
    fault: str
    worse: tuple[float, ...]
    at_full: Estimate

    @property
    def sees(self) -> bool:
        """Whether it is surely worse at full strength."""
        low = self.at_full.low
        return self.at_full.value > _ROUNDING and (low is None or low > 0)

    @property
    def is_fooled(self) -> bool:
        """Whether the faulty video is surely rated better than the truth."""
        high = self.at_full.high
        return self.at_full.value < -_ROUNDING and high is not None and high < 0

    @property
    def is_monotone(self) -> bool:
        """Whether every rung is worse than the one below, and the first worse than the truth."""
        steps = np.diff([0.0, *self.worse])
        return bool((steps > 0).all())

    @property
    def word(self) -> str:
        """For a table."""
        if self.is_fooled:
            return "fooled"
        if not self.sees:
            return "-"
        return "monotone" if self.is_monotone else "sees"


@dataclass(frozen=True)
class Audit:
    """sights: of every metric that could be measured, for every fault. validity: what agrees with executed success."""

    strengths: tuple[float, ...]
    sights: tuple[Sight, ...]
    validity: Validity

    def claims(self) -> list[tuple[str, str, bool]]:
        """Metric, fault, and whether what it claims holds: it sees the fault, and is monotone."""
        found = {(sight.metric, sight.fault): sight for sight in self.sights}
        asked = [(metric, fault) for fault, metrics in CLAIMS.items() for metric in metrics]
        return [(m, f, found[m, f].sees and found[m, f].is_monotone) for m, f in asked if (m, f) in found]


def rung(fault: str, strength: float) -> str:
    """The name of a run of the ladder."""
    return f"{fault}-{strength:g}"


def audit(truth: Results, rungs: Mapping[tuple[str, float], Results], others: Sequence[Results] = ()) -> Audit:
    """From the runs of the ladder, by fault and strength, and of the truth. others: count in the correlations only."""
    strengths = tuple(sorted({strength for _, strength in rungs}))
    faults = [fault for fault in FAULTS if (fault, strengths[-1]) in rungs]
    sights = [
        sight
        for name in truth.board.metrics
        for fault in faults
        if (sight := _sight(name, fault, truth, [rungs[fault, strength] for strength in strengths])) is not None
    ]
    return Audit(strengths, tuple(sights), validity([truth, *rungs.values(), *others]))


def _sight(name: str, fault: str, truth: Results, rungs: Sequence[Results]) -> Sight | None:
    sign = 1.0 if METRICS[name].higher_is_better else -1.0
    if METRICS[name].pool is not None:
        found = [_pooled(truth, run, name, sign) for run in rungs]
        worse = tuple(one.value for one in found if one is not None)
        return Sight(name, fault, worse, found[-1]) if len(worse) == len(rungs) and found[-1] is not None else None
    gaps: list[NDArray[np.float64]] = [sign * _paired(truth, run, name) for run in rungs]
    if any(len(gap) == 0 for gap in gaps):
        return None
    return Sight(name, fault, tuple(float(gap.mean()) for gap in gaps), mean(gaps[-1].tolist()))


def _pooled(truth: Results, run: Results, name: str, sign: float) -> Estimate | None:
    """The same of a metric of a whole suite, over draws of the samples of which both have it."""
    shared = [key for key in truth.board.keys if key in run.board.keys]
    if not shared or name not in run.board.metrics:
        return None
    boards = [one.board.restricted(shared) for one in (truth, run)]
    known = [row for row in range(len(shared)) if all(board.count(name, np.array([row])) for board in boards)]
    one, other = (board.restricted([shared[row] for row in known]) for board in boards)
    values = [board.value(name, board.rows()) for board in (one, other)]
    if values[0] is None or values[1] is None:
        return None

    def statistic(board: Scoreboard, drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        return sign * bootstrapped(board, name, drawn)

    return paired_difference(one, other, statistic, sign * (values[0] - values[1]))[0]


def _paired(truth: Results, run: Results, name: str) -> NDArray[np.float64]:
    """Truth minus run of the samples of which both have the metric."""
    shared = [key for key in truth.board.keys if key in run.board.keys]
    one, other = (results.board.restricted(shared).values[name] for results in (truth, run))
    gap = one - other
    return np.asarray(gap[~np.isnan(gap)])


def markdown(found: Audit, about: str) -> str:
    """The audit for people."""
    faults = list(dict.fromkeys(sight.fault for sight in found.sights))
    by_place = {(sight.metric, sight.fault): sight for sight in found.sights}
    rows = [["metric", *faults]]
    for name in dict.fromkeys(sight.metric for sight in found.sights):
        cells = [by_place[name, fault].word if (name, fault) in by_place else "N/A" for fault in faults]
        rows.append([METRICS[name].title, *cells])
    claims = found.claims()
    broken = [f"{METRICS[metric].title} on {fault}" for metric, fault, holds in claims if not holds]
    lines = ["# The metric audit", about, "## Which metric sees which fault", grid(rows), KEY]
    lines += [f"Of {len(claims)} claims {len(claims) - len(broken)} hold. Broken: {', '.join(broken) or 'none'}."]
    lines += [f"## Correlation with executed success over {len(found.validity.executed)} runs"]
    lines += [correlation_table(found.validity), left_out(found.validity), success_table(found.validity)]
    return "\n\n".join(filter(None, lines)) + "\n"


KEY = (
    "monotone: surely worse than the truth at full strength, and worse with every rung; sees: surely worse at full "
    "strength; -: not seen; fooled: surely rated better than the truth. Surely: by the 95 % interval of the paired "
    "difference over samples."
)


def audit_json(found: Audit) -> dict[str, Any]:
    """The audit for machines."""
    return {
        "strengths": list(found.strengths),
        "sights": [
            {**asdict(sight), "sees": sight.sees, "monotone": sight.is_monotone, "fooled": sight.is_fooled}
            for sight in found.sights
        ],
        "claims": [{"metric": metric, "fault": fault, "holds": holds} for metric, fault, holds in found.claims()],
        **validity_json(found.validity),
    }
