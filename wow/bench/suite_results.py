"""What a run came to, as one file for machines, and how it is read again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wow.bench.agreement import agreement
from wow.bench.dimensions.contract import JUDGE, Metric
from wow.bench.dimensions.registry import METRICS
from wow.bench.intervals import Estimate
from wow.bench.ledger import Ledger
from wow.bench.pace import pace_json
from wow.bench.provenance import Provenance
from wow.bench.scoreboard import STRATA, ScaledV2, Scoreboard, estimate, scaled_v2, scoreboard_of
from wow.bench.scores_v2 import SCALES
from wow.bench.suite import Sample
from wow.bench.suite_run import SCORES, ScoreRecord, SuiteRun, record_from_json
from wow.bench.text import write_json
from wow.types import WowError

RESULTS = "results.json"
FORMAT = 1


@dataclass(frozen=True)
class Results:
    """A run that was written, with its numbers. content: the JSON. folder: where it lies."""

    folder: Path
    content: Mapping[str, Any]
    board: Scoreboard
    records: tuple[ScoreRecord, ...]

    @property
    def name(self) -> str:
        """What was tested."""
        return str(self.content["tested"])

    @property
    def digest(self) -> str:
        """The suite's hash."""
        return str(self.content["suite_hash"])

    def same_version(self, other: Results, name: str) -> bool:
        """Whether a metric means the same in both: its version and its tool."""
        one, two = (results.content["metrics"].get(name) for results in (self, other))
        return bool(one and two and (one["version"], one["tool"]) == (two["version"], two["tool"]))


def write_results(run: SuiteRun, provenance: Provenance) -> dict[str, Any]:
    """Writes `results.json` and returns its content."""
    metrics = {metric.name: metric for metric in run.metrics}
    samples = {sample.key: sample for sample in run.suite.samples}
    board = scoreboard_of(run.records, metrics, {key: _strata(sample) for key, sample in samples.items()})
    content = {
        "format": FORMAT,
        "tested": run.name,
        "suite": run.suite.name,
        "suite_path": str(run.suite.path.resolve()),
        "videos_path": str(run.videos.resolve()),
        "suite_hash": run.suite.digest,
        **asdict(provenance),
        "counts": _counts(run, board),
        "metrics": {name: _metric(run, board, metric) for name, metric in metrics.items()},
        "v2": scores_json(scaled_v2(board, board.rows())) if len(board) else {},
        "strata": strata_json(board),
        "samples": {key: _sample(samples[key], board, index) for index, key in enumerate(board.keys)},
        "problems": [asdict(problem) for problem in run.problems],
        "made_alike": {key: list(what) for key, what in run.changed.items()},
        "seconds_per_sample": _seconds(run.records),
        "pace": pace_json(run.records),
    }
    write_json(run.out / RESULTS, content)
    return content


def read_results(folder: Path) -> Results:
    """The results of a run. Raises WowError where the folder holds none."""
    path = Path(folder) / RESULTS
    if not path.is_file():
        raise WowError(f"{folder} holds no finished run ({RESULTS}): make it with wow bench run, or finish it")
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise WowError(f"{path} has format {content['format']}, {FORMAT} is read: run it again")
        metrics = {name: METRICS[name] for name in content["metrics"] if name in METRICS}
        strata = {key: {kind: str(told[kind]) for kind in STRATA} for key, told in content["samples"].items()}
    except (ValueError, KeyError, TypeError) as problem:
        raise WowError(f"{path} is broken ({problem}): run wow bench run again, it takes up what it has") from None
    latest: dict[tuple[str, str], ScoreRecord] = {}
    for records in Ledger(Path(folder) / SCORES, record_from_json).finished().values():
        latest.update({(record.key, record.metric): record for record in records})
    kept = [latest[key, name] for key in strata for name in metrics if (key, name) in latest]
    return Results(Path(folder), content, scoreboard_of(kept, metrics, strata), tuple(kept))


def _strata(sample: Sample) -> dict[str, str]:
    return {kind: str(getattr(sample.meta, kind)) for kind in STRATA}


def _counts(run: SuiteRun, board: Scoreboard) -> dict[str, int]:
    left_out = len([problem for problem in run.problems if problem.left_out])
    return {
        "samples": len(run.suite.samples) + len([problem for problem in run.suite.problems if problem.left_out]),
        "scored": len(board),
        "left_out": left_out,
        "other_problems": len(run.problems) - left_out,
        "made_alike": len(run.changed),
    }


def _metric(run: SuiteRun, board: Scoreboard, metric: Metric) -> dict[str, Any]:
    of_it = [record for record in run.records if record.metric == metric.name]
    found = estimate(board, metric.name, board.rows())
    scale = SCALES.get(metric.name)
    return {
        "title": metric.title,
        "group": metric.group,
        "version": metric.version,
        "tool": next((record.tool for record in of_it if not record.why), ""),
        "needs": list(metric.needs),
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "estimate": _estimate(found),
        "agreement": _agreement(of_it) if JUDGE in metric.needs else None,
        "scale": None if scale is None else {**asdict(scale), "score": scale.score(found.value) if found else None},
        "not_measured": _reasons(of_it) if found is not None or of_it else {"no sample was scored": 0},
        "why": "" if found is not None else _why(of_it, metric),
    }


def _agreement(records: Sequence[ScoreRecord]) -> dict[str, Any] | None:
    """Of the trials of a judge; None where there was one each."""
    found = agreement([record.parts for record in records if record.value is not None])
    return None if found is None else asdict(found)


def _why(records: Sequence[ScoreRecord], metric: Metric) -> str:
    reasons = _reasons(records)
    if reasons:
        return max(reasons, key=lambda reason: reasons[reason])
    return "needs at least two samples" if metric.pool is not None else "no sample was scored"


def _reasons(records: Sequence[ScoreRecord]) -> dict[str, int]:
    """How many samples lack a metric, by the reason."""
    counted: dict[str, int] = {}
    for record in records:
        if record.why:
            counted[record.why] = counted.get(record.why, 0) + 1
    return counted


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def scores_json(found: ScaledV2) -> dict[str, Any]:
    """The second scale as it is written."""
    return {
        "overall": _estimate(found.overall),
        "executable": _estimate(found.executable),
        "groups": {group: _estimate(one) for group, one in found.groups.items()},
        "metrics": dict(found.scores.metrics),
        "missing": list(found.scores.missing),
        "substitutes": {name: SCALES[name].substitute_for for name in found.scores.substitutes},
    }


def strata_json(board: Scoreboard) -> dict[str, Any]:
    """The numbers of each ability, sub-task and difficulty as they are written."""
    return {kind: _of_strata(board, kind) for kind in STRATA}


def _of_strata(board: Scoreboard, kind: str) -> dict[str, Any]:
    """The numbers of each stratum: its samples, its scores, each metric."""
    found: dict[str, Any] = {}
    for name in sorted(set(board.strata[kind])):
        rows = board.rows(kind, name)
        metrics = {metric: _estimate(estimate(board, metric, rows)) for metric in board.metrics}
        found[name] = {"n": len(rows), "v2": scores_json(scaled_v2(board, rows)), "metrics": metrics}
    return found


def _sample(sample: Sample, board: Scoreboard, index: int) -> dict[str, Any]:
    numbers = {name: float(column[index]) for name, column in board.values.items()}
    known = {name: number for name, number in numbers.items() if number == number}
    return {"prompt": sample.prompt, **_strata(sample), "values": known}


def _seconds(records: Sequence[ScoreRecord]) -> dict[str, float]:
    """The mean seconds of each metric on one sample. What several metrics share counts for the first that asked."""
    by_metric: dict[str, list[float]] = {}
    for record in records:
        if not record.why:
            by_metric.setdefault(record.metric, []).append(record.seconds)
    return {name: round(sum(found) / len(found), 4) for name, found in by_metric.items()}
