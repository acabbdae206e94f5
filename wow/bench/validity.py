"""Which numbers of a run agree with what is executed: correlations over several runs on one suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from wow.bench.correlation import FEWEST, Correlation, correlate
from wow.bench.dimensions.registry import METRICS
from wow.bench.executability import EXECUTABLE
from wow.bench.intervals import Estimate
from wow.bench.same_samples import on_common_samples
from wow.bench.scores_v2 import SUCCESS, score_v2, with_execution
from wow.bench.spread import relative_scores, value_of
from wow.bench.suite_results import Results
from wow.bench.text import grid

OVERALL_V1, OVERALL_V2 = "overall v1", "overall v2"
OVERALL = (OVERALL_V1, OVERALL_V2, EXECUTABLE)


@dataclass(frozen=True)
class Validity:
    """executed: success of each run, by its folder; runs that were not executed are in `skipped`, with the reason.

    columns: each metric and overall score of these runs, turned so that more is better. correlations: of those that
    vary with executed success. lacking: metrics that some run lacks. Overall scores are over what all runs have; both
    published ones never over what is executed. The one that is counts one half of the samples' executions, and is held
    against the success of the other half. over: how many samples all of it is over, as a sentence.
    """

    executed: Mapping[str, float]
    columns: Mapping[str, tuple[float, ...]]
    correlations: Mapping[str, Correlation]
    lacking: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    over: str = ""


def validity(runs: Sequence[Results]) -> Validity:
    """Of runs on the same suite, over the samples that all of those which were executed have.

    Raises WowError where they share none.
    """
    names = [run.folder.name for run in runs]
    labels = [n if names.count(n) == 1 else str(run.folder) for n, run in zip(names, runs, strict=True)]
    success = {label: value_of(run, SUCCESS) for label, run in zip(labels, runs, strict=True)}
    kept = [run for run, label in zip(runs, labels, strict=True) if success[label] is not None]
    common = on_common_samples(kept)
    pairs = zip([label for label in labels if success[label] is not None], common.runs, strict=True)
    executed = {label: value for label, run in pairs if (value := value_of(run, SUCCESS)) is not None}
    counted = [run for run in common.runs if value_of(run, SUCCESS) is not None]
    columns, groups, lacking = _columns(counted)
    found = {name: correlate(column, list(executed.values())) for name, column in columns.items()}
    if EXECUTABLE in columns:
        found[EXECUTABLE] = _crosswise(counted, groups)
    return Validity(
        executed=executed,
        columns=columns,
        correlations={name: one for name, one in found.items() if one is not None},
        lacking=tuple(lacking),
        skipped=tuple(label for label in labels if label not in executed),
        over=common.said() if common.samples else "",
    )


def _crosswise(runs: Sequence[Results], groups: Sequence[Sequence[float]]) -> Correlation | None:
    """Of the overall score with the execution of every other sample, with the success of the samples between.

    Both ways, and the mean of both: no execution is held against itself. groups: the scores of each run's groups. None
    where that says nothing.
    """
    columns = [run.board.values[SUCCESS] for run in runs]
    known = [column[~np.isnan(column)] for column in columns]
    if any(len(one) < 2 for one in known):
        return None
    even, odd = ([float(one[half::2].mean()) for one in known] for half in (0, 1))
    ways = []
    for counted, held in ((even, odd), (odd, even)):
        scores = [with_execution(own, share) for own, share in zip(groups, counted, strict=True)]
        ways.append(correlate(scores, held))
    one, other = ways
    if one is None or other is None:
        return None
    return Correlation(_between(one.pearson, other.pearson), _between(one.spearman, other.spearman))


def _between(one: Estimate, other: Estimate) -> Estimate:
    """The mean of two estimates, and of the ends of their intervals."""
    low, high = (
        None if first is None or second is None else (first + second) / 2.0
        for first, second in ((one.low, other.low), (one.high, other.high))
    )
    return Estimate((one.value + other.value) / 2.0, low, high, one.n)


def _columns(runs: Sequence[Results]) -> tuple[dict[str, tuple[float, ...]], list[tuple[float, ...]], list[str]]:
    """Each metric that all runs have, more is better, and the overall scores; each run's scores of its groups; and the
    metrics that only some have."""
    columns: dict[str, tuple[float, ...]] = {}
    lacking: list[str] = []
    for name, metric in METRICS.items():
        values = [value_of(run, name) for run in runs]
        known = [value for value in values if value is not None]
        if metric.group == "execution" or not known:
            continue
        if len(known) < len(runs):
            lacking.append(name)
            continue
        sign = 1.0 if metric.higher_is_better else -1.0
        columns[name] = tuple(sign * value for value in known)
    absolute = [score_v2({name: value_of(run, name) or 0.0 for name in (*columns, SUCCESS)}) for run in runs]
    counted = list(absolute[0].metrics) if absolute else []
    relative = relative_scores(runs, counted) if len(runs) > 1 else None
    if relative is not None:
        columns[OVERALL_V1] = tuple(scores.overall for scores in relative)
    overall = [scores.overall for scores in absolute if scores.overall is not None]
    if overall and len(overall) == len(runs):
        columns[OVERALL_V2] = tuple(overall)
        if all(SUCCESS in run.board.values for run in runs):
            columns[EXECUTABLE] = tuple(scores.executable or 0.0 for scores in absolute)
    return columns, [tuple(scores.groups.values()) for scores in absolute], lacking


def ordered(found: Validity) -> list[tuple[str, Correlation]]:
    """The overall scores, then every metric, the best agreement first."""
    pairs = sorted(found.correlations.items(), key=lambda pair: -pair[1].pearson.value)
    return sorted(pairs, key=lambda pair: pair[0] not in OVERALL)


def title_of(name: str) -> str:
    """A metric's title; an overall score's name."""
    return METRICS[name].title if name in METRICS else name


def correlation_table(found: Validity) -> str:
    """The correlations as Markdown."""
    if not found.correlations:
        return f"N/A: fewer than {FEWEST} runs were executed, or all with the same success."
    rows = [["metric (more is better)", "Pearson", "Spearman (rank)", "runs"]]
    for name, one in ordered(found):
        rows.append([title_of(name), shown(one.pearson), shown(one.spearman), str(one.pearson.n)])
    return grid(rows)


def success_table(found: Validity) -> str:
    """What was executed, and the overall scores, as Markdown; best first."""
    overall = [name for name in OVERALL if name in found.columns]
    rows = [["run", "executed success", *overall]]
    for place, (label, value) in sorted(enumerate(found.executed.items()), key=lambda one: -one[1][1]):
        rows.append([label, f"{value:.2f}", *(f"{found.columns[name][place]:.1f}" for name in overall)])
    return grid(rows)


def left_out(found: Validity) -> str:
    """How many samples count, and what could not, in sentences."""
    said = [found.over] if found.over else []
    if found.lacking:
        said.append(f"Not every run has {', '.join(title_of(name) for name in found.lacking)}.")
    if found.skipped:
        said.append(f"Nothing was executed in {', '.join(found.skipped)}.")
    return " ".join(said)


def markdown(found: Validity, about: str) -> str:
    """All of it for people."""
    parts = ["# Agreement with executed success", about, correlation_table(found), _KEY, left_out(found)]
    return "\n\n".join([*filter(None, parts), success_table(found)]) + "\n"


_KEY = (
    "Over runs; 95 % bootstrap intervals, drawn over runs. Overall scores are over the metrics that all runs have. "
    f"{EXECUTABLE.capitalize()}: what every other sample's execution adds to the score, against the success of the "
    "samples between, both ways."
)


def validity_json(found: Validity) -> dict[str, Any]:
    """All of it for machines."""
    return {
        "executed": dict(found.executed),
        "columns": {name: list(column) for name, column in found.columns.items()},
        "correlations": {name: asdict(one) for name, one in found.correlations.items()},
        "lacking": list(found.lacking),
        "skipped": list(found.skipped),
        "over": found.over,
    }


def shown(found: Estimate) -> str:
    """A correlation for people: `0.95 (0.80 to 0.99)`."""
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
