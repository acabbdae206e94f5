"""From executed episodes to a success rate: per task, per bin of difficulty and over all tasks, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from wow.bench.intervals import Estimate, mean, share
from wow.bench.report import Provenance
from wow.bench.tables import grouped
from wow.bench.text import line, percent, write_json, write_text

PARTS = 5
"""How many parts of the episodes are told apart by certainty."""

BIN_COLOURS = {"easy": "#4c9f70", "medium": "#e0a030", "hard": "#c0504d"}


@dataclass(frozen=True)
class ExecutionRecord:
    """One executed episode.

    success_step: control steps until success; None without one. plans: how often was planned. uncertainties: of each
    plan that has one, as a share of the actions' range. truth_succeeds: whether the demonstration that the first plan
    was made of does; None where there is none. hand_error, object_error: at the end, from the hand to its
    target, and from the object to its goal [m]. problem: why there was no plan to execute; None where there was one.
    """

    task: str
    seed: int
    success: bool
    success_step: int | None
    num_steps: int
    plans: int
    uncertainties: tuple[float, ...] = ()
    truth_succeeds: bool | None = None
    hand_error: float | None = None
    object_error: float | None = None
    seconds_to_imagine: float = 0.0
    seconds_to_act: float = 0.0
    seconds_to_execute: float = 0.0
    problem: str | None = None


def record_from_json(**values: Any) -> ExecutionRecord:
    """A record as JSON keeps it, where tuples are lists."""
    return ExecutionRecord(**{**values, "uncertainties": tuple(values["uncertainties"])})


@dataclass(frozen=True)
class TaskRow:
    """One task. success: with Wilson's interval. of_truth: among the episodes whose demonstration succeeds."""

    task: str
    difficulty: str
    successes: int
    success: Estimate
    of_truth: Estimate | None


@dataclass(frozen=True)
class CertaintyRow:
    """The episodes whose first plan's uncertainty lies from `above` to `upto`. success: with Wilson's interval."""

    above: float
    upto: float
    success: Estimate


@dataclass(frozen=True)
class Results:
    """What an evaluation found.

    mean_success and bins: means over episodes, their intervals drawn over whole tasks. seconds: of a plan, and of an
    episode. uncertainty: that of a half, 80 % and 95 % of the plans is below it; empty where nobody estimated it.
    certainty: the episodes in fifths, the most certain first; empty where there are too few, or nobody estimated it.
    first_plan: the share that succeeds before a second plan; None where no episode had one.
    """

    mean_success: Estimate
    rows: tuple[TaskRow, ...]
    bins: Mapping[str, Estimate]
    of_truth: Estimate | None
    seconds: Mapping[str, float]
    uncertainty: Mapping[str, float]
    problems: int
    certainty: tuple[CertaintyRow, ...] = ()
    first_plan: Estimate | None = None


def summarise(records: Sequence[ExecutionRecord], difficulty: Mapping[str, str]) -> Results:
    """The results of at least one episode. difficulty: the bin of each task."""
    by_task = grouped(records, lambda record: record.task)
    rows = tuple(
        TaskRow(
            task=task,
            difficulty=difficulty.get(task, ""),
            successes=sum(record.success for record in found),
            success=share(sum(record.success for record in found), len(found)),
            of_truth=_of_truth(found),
        )
        for task, found in sorted(by_task.items())
    )
    by_bin = grouped(records, lambda record: difficulty.get(record.task, ""))
    doubts = [doubt for record in records for doubt in record.uncertainties]
    plans = max(sum(record.plans for record in records), 1)
    return Results(
        mean_success=_over_tasks(records),
        rows=rows,
        bins={name: _over_tasks(by_bin[name]) for name in (*BIN_COLOURS, "") if name in by_bin},
        of_truth=_of_truth(records),
        seconds={
            "imagine": sum(record.seconds_to_imagine for record in records) / plans,
            "act": sum(record.seconds_to_act for record in records) / plans,
            "execute": sum(record.seconds_to_execute for record in records) / plans,
            "plans_per_episode": plans / len(records),
            "episode": fmean(r.seconds_to_imagine + r.seconds_to_act + r.seconds_to_execute for r in records),
        },
        uncertainty={f"{share:g}": float(np.quantile(doubts, share)) for share in (0.5, 0.8, 0.95)} if doubts else {},
        problems=sum(record.problem is not None for record in records),
        certainty=by_certainty(records),
        first_plan=_over_tasks([replace(record, success=record.success and record.plans == 1) for record in records])
        if any(record.plans > 1 for record in records)
        else None,
    )


def by_certainty(records: Sequence[ExecutionRecord]) -> tuple[CertaintyRow, ...]:
    """Success in `PARTS` equal parts of the episodes that say how uncertain their first plan is, most certain first.

    Empty where a part would have fewer than five episodes.
    """
    known = [record for record in records if record.uncertainties]
    if len(known) < 5 * PARTS:
        return ()
    doubts = np.array([record.uncertainties[0] for record in known])
    bounds = [0.0, *np.quantile(doubts, np.arange(1, PARTS) / PARTS), float(doubts.max())]
    part_of = np.searchsorted(np.array(bounds[1:-1]), doubts)
    parts = [[record for record, own in zip(known, part_of, strict=True) if own == part] for part in range(PARTS)]
    return tuple(
        CertaintyRow(float(low), float(high), share(sum(record.success for record in part), len(part)))
        for (low, high), part in zip(pairwise(bounds), parts, strict=True)
        if part
    )


def write_results(
    out: Path, results: Results, origin: Provenance, settings: Mapping[str, object], seeds: Sequence[int]
) -> None:
    """Writes `results.json`, `results.md` and the bar chart `results.png`, each whole or not at all."""
    content = {
        "mean_success": results.mean_success.value,
        "mean_success_interval": [results.mean_success.low, results.mean_success.high],
        "n": results.mean_success.n,
        "tasks": [
            {
                "task": row.task,
                "difficulty": row.difficulty,
                "n": row.success.n,
                "successes": row.successes,
                "success": row.success.value,
                "interval": [row.success.low, row.success.high],
                "of_truth": None if row.of_truth is None else asdict(row.of_truth),
            }
            for row in results.rows
        ],
        "bins": {name: asdict(estimate) for name, estimate in results.bins.items()},
        "of_truth": None if results.of_truth is None else asdict(results.of_truth),
        "first_plan": None if results.first_plan is None else asdict(results.first_plan),
        "seconds_per_plan": dict(results.seconds),
        "uncertainty_quantiles": dict(results.uncertainty),
        "success_by_certainty": [asdict(row) for row in results.certainty],
        "episodes_without_a_plan": results.problems,
        "seeds": list(seeds),
        "settings": dict(settings),
        **asdict(origin),
    }
    write_json(out / "results.json", content)
    write_text(out / "results.md", markdown(results, origin, seeds))
    save_chart(out / "results.png", results)


def markdown(results: Results, origin: Provenance, seeds: Sequence[int]) -> str:
    """The report for people."""
    lines = ["# Executed in the simulator", "", origin.markdown()]
    lines += [f"- Seeds: {min(seeds)} to {max(seeds)} for every task", ""]
    lines += [
        "Shares of episodes that succeed, with 95 % intervals: Wilson's for a task, a bootstrap over tasks otherwise.",
        "",
        "| | success [%] | of the demonstrations' successes [%] | n |",
        "| --- | --- | --- | --- |",
        _line("all tasks", results.mean_success, results.of_truth),
    ]
    if results.first_plan is not None:
        lines.append(_line("all tasks, with the first plan", results.first_plan, None))
    lines += [_line(name, estimate, None) for name, estimate in results.bins.items() if name]
    lines += [_line(f"{row.task} ({row.difficulty})", row.success, row.of_truth) for row in results.rows]
    pace = ", ".join(f"{name} {results.seconds[name]:.2f}" for name in ("imagine", "act", "execute"))
    lines += ["", f"Seconds per plan: {pace}; {results.seconds['plans_per_episode']:.1f} plans per episode."]
    if results.certainty:
        lines += [
            "",
            "Success by the uncertainty of an episode's first plan (its mean deviation, as a share of the actions' "
            "range; `--reimagine-above` takes such a number):",
            "",
            "| uncertainty | success [%] | n |",
            "| --- | --- | --- |",
            *(
                line([f"{row.above:.4f} to {row.upto:.4f}", percent(row.success), str(row.success.n)])
                for row in results.certainty
            ),
        ]
    return "\n".join([*lines, "", "![success by task](results.png)"]) + "\n"


def save_chart(path: Path, results: Results) -> None:
    """A bar for each task, best first, in its bin's colour, with its interval."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = sorted(results.rows, key=lambda row: (row.success.value, row.task))
    figure = Figure(figsize=(7, 1.4 + 0.19 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    values = [100 * row.success.value for row in rows]
    low = [100 * (row.success.value - (row.success.low or 0.0)) for row in rows]
    high = [100 * ((row.success.high or 1.0) - row.success.value) for row in rows]
    axis.barh(
        [row.task for row in rows],
        values,
        xerr=[low, high],
        color=[BIN_COLOURS.get(row.difficulty, "grey") for row in rows],
        error_kw={"linewidth": 0.8, "ecolor": "#555555"},
    )
    axis.axvline(100 * results.mean_success.value, color="black", linewidth=1, linestyle="--")
    axis.set_xlim(0, 100)
    axis.set_ylim(-0.7, len(rows) - 0.3)
    axis.set_xlabel("success [%], 95 % interval; dashed: mean over tasks")
    axis.tick_params(labelsize=7)
    used = [name for name in BIN_COLOURS if any(row.difficulty == name for row in rows)]
    if used:
        axis.legend(handles=[Patch(color=BIN_COLOURS[name], label=name) for name in used], fontsize=8)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=120, format="png")
    part.replace(path)


def _over_tasks(records: Sequence[ExecutionRecord]) -> Estimate:
    return mean([float(record.success) for record in records], [record.task for record in records])


def _of_truth(records: Sequence[ExecutionRecord]) -> Estimate | None:
    """The share of successes where the demonstration succeeds; None where there was none."""
    shown = [record for record in records if record.truth_succeeds]
    return share(sum(record.success for record in shown), len(shown)) if shown else None


def _line(label: str, success: Estimate, of_truth: Estimate | None) -> str:
    return line([label, percent(success), percent(of_truth), str(success.n)])
