"""How long a sample takes, all in all: from its files to the last of its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from wow.bench.dimensions.contract import I3D, JUDGE
from wow.bench.dimensions.registry import METRICS
from wow.bench.suite_run import ScoreRecord

HEAD = ["seconds per sample", "imagining", "decoding", "metrics", "of these I3D", "total", "total without I3D", "judge"]
NOTE = (
    "Wall seconds, means over samples. Total: decoding and metrics, execution included; not imagining, which is the "
    "model's, and not the judge, who may be far away. What is remembered of the truth takes no time again."
)


@dataclass(frozen=True)
class Pace:
    """Mean wall seconds of a sample. metrics: without the judge's; i3d: those of them that need I3D."""

    imagining: float
    decoding: float
    metrics: float
    i3d: float
    judge: float
    total: float
    total_without_i3d: float

    def cells(self) -> list[str]:
        """As `HEAD` has it."""
        each = (self.imagining, self.decoding, self.metrics, self.i3d, self.total, self.total_without_i3d, self.judge)
        return [f"{seconds:.2f}" for seconds in each]


def pace_of(records: Sequence[ScoreRecord]) -> Pace | None:
    """Of a run, from its records; None without any."""
    count = len({record.key for record in records})
    if not count:
        return None

    def mean(need: str = "") -> float:
        spent = [r.seconds for r in records if r.metric in METRICS and (not need or need in METRICS[r.metric].needs)]
        return sum(spent) / count

    imagining = sum(record.imagining for record in records) / count
    decoding = sum(record.decoding for record in records) / count
    judge, i3d = mean(JUDGE), mean(I3D)
    metrics = mean() - judge
    total = decoding + metrics
    return Pace(*(round(seconds, 4) for seconds in (imagining, decoding, metrics, i3d, judge, total, total - i3d)))


def pace_json(records: Sequence[ScoreRecord]) -> Mapping[str, float] | None:
    """The same as it is written."""
    found = pace_of(records)
    return None if found is None else asdict(found)


def rows_of(label: str, told: Mapping[str, float] | None) -> list[list[str]]:
    """A run's line of a table; none where nobody measured it."""
    return [] if not told else [[label, *Pace(**told).cells()]]
