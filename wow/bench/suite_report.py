"""The report on one run or several: Markdown for people who read text, JSON for machines; the page is in `page`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wow.bench.dimensions.registry import METRICS
from wow.bench.executability import EXECUTABLE, HEAD, NOTE, has_any
from wow.bench.gaps import HEAD as HEAD_OF_GAPS
from wow.bench.gaps import gaps
from wow.bench.glossary import ABOUT, MEANINGS, direction
from wow.bench.leaderboard import Leaderboard, estimate_of
from wow.bench.pace import HEAD as PACE
from wow.bench.pace import NOTE as PACE_NOTE
from wow.bench.pace import rows_of
from wow.bench.page import share_of, write_page
from wow.bench.scoreboard import STRATA
from wow.bench.scores_v2 import GROUP_TITLES, GROUPS, SCALES
from wow.bench.suite_compare import Difference
from wow.bench.text import grid, shown, write_json, write_text

HOW = (
    "Means with 95 % bootstrap intervals over samples. Scale v2: fixed anchors, a monotone map for each metric, "
    "arithmetic means; scale v1: relative to the runs in this table, geometric means."
)


def write_suite_report(out: Path, board: Leaderboard, show: int) -> list[Path]:
    """Writes report.html, report.md and report.json; returns their paths. show: best and worst samples of each run."""
    files = [out / f"report.{kind}" for kind in ("html", "md", "json")]
    write_page(files[0], board, show)
    write_text(files[1], markdown(board))
    write_json(files[2], report_json(board))
    return files


def report_json(board: Leaderboard) -> dict[str, Any]:
    """Everything that the report says, without the single samples."""
    runs = [{k: v for k, v in run.content.items() if k not in ("samples", "made_alike")} for run in board.runs]
    for place, run in enumerate(runs):
        run["v1"] = None if board.v1 is None else asdict(board.v1[place])
    return {"suite_hash": board.runs[0].digest, "over": board.over, "runs": runs}


def markdown(board: Leaderboard) -> str:
    """The whole report as text."""
    first = board.runs[0].content
    parts = [f"# WoWBench: {first['suite']}", f"Suite hash `{board.runs[0].digest[:16]}`. {HOW}"]
    parts += ["## Leaderboard", _leaderboard(board), "## Metrics", _metrics(board)]
    for kind in STRATA:
        table = _strata(board, kind)
        if table:
            parts += [f"## By {kind.replace('_', '-')}", table]
    parts += [
        "## What has no value, and why",
        _missing(board),
        *_agreements(board),
        *_pace(board),
        "## Anchors and maps",
        _anchors(board),
    ]
    parts += ["## Samples and problems", *(_problems(run.content) for run in board.runs)]
    parts += ["## Where the numbers come from", *(_origin(run.content) for run in board.runs)]
    return "\n\n".join(parts) + "\n"


def differences_table(differences: Sequence[Difference]) -> str:
    """A comparison as Markdown."""
    rows = [["samples", "metric", "A", "B", "A - B", "draws beyond 0", "better"]]
    for one in differences:
        share = "" if one.share != one.share else f"{one.share:.3f}"
        gap = shown(one.difference, 3)
        rows.append([one.stratum or "all", one.metric, f"{one.a:.4g}", f"{one.b:.4g}", gap, share, one.better or "-"])
    return grid(rows)


def _leaderboard(board: Leaderboard) -> str:
    titles = [GROUP_TITLES[group] for group in GROUPS]
    rows = [["run", *titles, "overall v2", "overall v1", EXECUTABLE, HEAD, "samples"]]
    for place, run in enumerate(board.runs):
        groups = [shown(board.v2[place].groups.get(group), 1) for group in GROUPS]
        relative = "N/A: needs two runs" if board.v1 is None else shown(board.v1[place].estimate(), 1)
        overall = [shown(board.v2[place].overall, 1), relative, shown(board.v2[place].executable, 1)]
        executed = board.executed[place].markdown()
        rows.append([board.labels[place], *groups, *overall, executed, str(run.content["counts"]["scored"])])
    metrics = "; ".join(METRICS[name].title for name in board.shared)
    shared = f"Over what all runs have: {metrics or 'nothing'}."
    return "\n\n".join([grid(rows), f"{board.over} {shared} {NOTE}", *_relative(board)])


def _relative(board: Leaderboard) -> list[str]:
    """The groups on the first scale; nothing for a run alone."""
    if board.v1 is None:
        return []
    rows = [["scale v1", *(GROUP_TITLES[group] for group in GROUPS), "overall"]]
    for label, scores in zip(board.labels, board.v1, strict=True):
        rows.append([label, *(shown(scores.estimate(group), 1) for group in GROUPS), shown(scores.estimate(), 1)])
    return [grid(rows)]


def _metrics(board: Leaderboard) -> str:
    """Every metric there is, whether anybody could measure it or not."""
    rows = [["metric", "needs", "better", *board.labels]]
    for name, metric in METRICS.items():
        found = [run.content["metrics"].get(name) for run in board.runs]
        estimates = [
            share_of(name, done) or (estimate_of(one["estimate"]) if one else None)
            for one, done in zip(found, board.executed, strict=True)
        ]
        unit = f" [{metric.unit}]" if metric.unit else ""
        cells = [shown(one, 3) if one is None else f"{shown(one, 3)}, n {one.n}" for one in estimates]
        better = direction(metric)
        rows.append([metric.title + unit, ", ".join(metric.needs), better, *cells])
    meanings = [f"- {METRICS[name].title}: {meaning}" for name, meaning in MEANINGS.items()]
    return "\n\n".join([grid(rows), ABOUT, "\n".join(meanings)])


def _strata(board: Leaderboard, kind: str) -> str:
    """Of each stratum every run's overall score and, below it, what was executed."""
    if not board.strata[kind]:
        return ""
    rows = [[kind.replace("_", "-"), "n", "", *board.labels]]
    for name, found in board.strata[kind].items():
        rows.append([name, str(max(one.n for one in found)), "overall v2", *(shown(one.overall, 1) for one in found)])
        if has_any([one.executed for one in found]):
            rows.append(["", "", HEAD, *(one.executed.markdown() for one in found)])
    return grid(rows)


def _missing(board: Leaderboard) -> str:
    found = gaps(board)
    return grid([HEAD_OF_GAPS, *(gap.row(board) for gap in found)]) if found else "Everything was measured."


def _agreements(board: Leaderboard) -> list[str]:
    """How far the judges agree with themselves; nothing where nobody was asked twice."""
    rows = [["run", "metric", "mean difference of two trials", "equal", "ICC(1, 1)", "samples"]]
    for run in board.runs:
        for one in run.content["metrics"].values():
            if found := one.get("agreement"):
                icc = "N/A" if found["icc"] is None else f"{found['icc']:.2f}"
                gap, same = f"{found['difference']:.2f}", f"{found['same']:.0%}"
                rows.append([run.name, one["title"], gap, same, icc, str(found["samples"])])
    return ["## Whether the judge agrees with itself", grid(rows)] if len(rows) > 1 else []


def _pace(board: Leaderboard) -> list[str]:
    """How long a sample takes; nothing for runs that do not say so."""
    runs = zip(board.labels, board.runs, strict=True)
    rows = [row for label, run in runs for row in rows_of(label, run.content.get("pace"))]
    return ["## How long it takes", grid([PACE, *rows]), PACE_NOTE] if rows else []


def _anchors(board: Leaderboard) -> str:
    rows = [["metric", "group", "anchors", "map", "whose anchors"]]
    counted = dict.fromkeys(name for run in board.runs for name in (run.content["v2"] or {}).get("metrics", {}))
    for name in counted:
        scale = SCALES[name]
        whose = f"ours; stands in for {scale.substitute_for}" if scale.substitute_for else "ours"
        rows.append(
            [METRICS[name].title, scale.group, f"{scale.low:g} to {scale.high:g}", f"{scale.map} {scale.parameter:g}",
             "published" if scale.published else whose]
        )  # fmt: skip
    return grid(rows)


def _problems(content: dict[str, Any] | Any) -> str:
    counts = content["counts"]
    lines = [
        f"**{content['tested']}**: {counts['scored']} of {counts['samples']} samples scored, {counts['left_out']} left "
        f"out, {counts['other_problems']} other problems, {counts['made_alike']} made alike (size, length or rate)."
    ]
    lines += [f"- {one['key'] or 'suite'}: {one['what']}" for one in content["problems"]]
    return "\n".join(lines)


def _origin(content: dict[str, Any] | Any) -> str:
    facts = [f"`{content['command']}`", content["system"], content["data"], content["machine"], content["date"]]
    return "\n".join(f"- {fact}" for fact in facts)
