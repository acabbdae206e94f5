"""The report as one HTML file: opens anywhere, loads nothing, runs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wow.bench.charts import bars, legend, radar
from wow.bench.dimensions.registry import METRICS
from wow.bench.executability import CEILING, EXECUTABLE, FLOOR, HEAD, NOTE, Executed, has_any
from wow.bench.gaps import HEAD as HEAD_OF_GAPS
from wow.bench.gaps import gaps
from wow.bench.glossary import ABOUT, MEANINGS, direction
from wow.bench.intervals import Estimate
from wow.bench.leaderboard import Leaderboard, estimate_of
from wow.bench.pace import HEAD as PACE
from wow.bench.pace import NOTE as PACE_NOTE
from wow.bench.pace import rows_of
from wow.bench.scoreboard import STRATA
from wow.bench.scores_v2 import GROUP_TITLES, GROUPS, SCALES, SUCCESS
from wow.bench.sheet import definitions, document, number, plain, table
from wow.bench.showcase import SECONDS, Shown, best_and_worst
from wow.bench.suite_results import Results
from wow.bench.text import write_text


def write_page(path: Path, board: Leaderboard, show: int) -> None:
    """Writes the page, whole or not at all."""
    write_text(path, page(board, show))


def page(board: Leaderboard, show: int) -> str:
    """The page as text. show: how many of the best and of the worst samples of each run."""
    first = board.runs[0]
    title = f"WoWBench: {first.content['suite']}"
    body = [
        f'<p class="how">{first.content["counts"]["samples"]} samples, suite hash <code>{first.digest[:16]}</code>. '
        "Means with 95 % bootstrap intervals over samples. Scale v2 is absolute (fixed anchors, arithmetic means); "
        "scale v1 is relative to the runs on this page (geometric means).</p>",
        "<h2>Leaderboard</h2>",
        _leaderboard(board),
        *_charts(board),
        "<h2>Metrics</h2>",
        _metrics(board),
        f'<p class="small">{plain(ABOUT)}</p>',
        definitions("What each metric is", {METRICS[name].title: meaning for name, meaning in MEANINGS.items()}),
        *(_strata(board, kind) for kind in STRATA),
        "<h2>What has no value, and why</h2>",
        _missing(board),
        *_agreements(board),
        *_pace(board),
        *(_films(run, show) for run in board.runs),
        "<h2>Samples and problems</h2>",
        *(_problems(run.content) for run in board.runs),
        "<h2>Where the numbers come from</h2>",
        *(_origin(run.content) for run in board.runs),
    ]
    return document(title, body)


def _leaderboard(board: Leaderboard) -> str:
    rows = []
    for place, run in enumerate(board.runs):
        cells = [number(board.v2[place].groups.get(group), 1) for group in GROUPS]
        relative = "N/A: needs two runs" if board.v1 is None else number(board.v1[place].estimate(), 1)
        overall = [number(board.v2[place].overall, 1), relative, number(board.v2[place].executable, 1)]
        executed = board.executed[place].html()
        scored = str(run.content["counts"]["scored"])
        rows.append([plain(board.labels[place]), *cells, *overall, executed, scored])
    head = ["run", *(GROUP_TITLES[group] for group in GROUPS), "overall v2", "overall v1", EXECUTABLE, HEAD, "samples"]
    return table(head, rows) + _note(board) + _relative(board)


def _relative(board: Leaderboard) -> str:
    """The groups on the first scale; nothing for a run alone."""
    if board.v1 is None:
        return ""
    rows = [
        [plain(label), *(number(scores.estimate(group), 1) for group in GROUPS), number(scores.estimate(), 1)]
        for label, scores in zip(board.labels, board.v1, strict=True)
    ]
    return table(["run, on scale v1", *(GROUP_TITLES[group] for group in GROUPS), "overall"], rows)


def _note(board: Leaderboard) -> str:
    """What the scores are over, and what they are without."""
    scores = board.v2[0].scores
    said = f"{board.over} Over what all runs have: {_titles(board.shared) or 'nothing'}."
    if scores.missing:
        said += f" Without: {_titles(scores.missing)}."
    if scores.substitutes:
        stand_ins = [f"{_titles([name])} for {_titles([SCALES[name].substitute_for])}" for name in scores.substitutes]
        said += f" In place of what is missing: {'; '.join(stand_ins)}."
    return f'<p class="small">{plain(said)} {plain(NOTE)}</p>'


def _titles(names: Sequence[str]) -> str:
    return "; ".join(METRICS[name].title if name in METRICS else name for name in names)


def _charts(board: Leaderboard) -> list[str]:
    if not board.shared:
        return []
    runs = list(zip(board.labels, board.v2, strict=True))
    groups = {label: {GROUP_TITLES[g]: found.value for g, found in scores.groups.items()} for label, scores in runs}
    axes = [GROUP_TITLES[group] for group in GROUPS if any(GROUP_TITLES[group] in found for found in groups.values())]
    each = {label: [(METRICS[n].title, scores.scores.metrics.get(n)) for n in board.shared] for label, scores in runs}
    drawn = [f"<div><h3>Groups, scale v2</h3>{radar(axes, groups, 'groups, 0 to 100')}</div>"]
    if board.strata["ability"]:
        abilities = {
            label: {
                name: estimate.value
                for name, found in board.strata["ability"].items()
                if (estimate := found[place].overall) is not None
            }
            for place, label in enumerate(board.labels)
        }
        chart = radar(list(board.strata["ability"]), abilities, "abilities, 0 to 100")
        drawn.append(f"<div><h3>Abilities, scale v2</h3>{chart}</div>")
    drawn.append(f"<div><h3>Each metric, scale v2</h3>{bars(each, 'metrics, 0 to 100')}</div>")
    if done := _done(board):
        chart = bars(done, "executed success of each sub-task, 0 to 100")
        drawn.append(f"<div><h3>Executed success by sub-task [%]</h3>{chart}</div>")
    said = '<p class="small">From 0 to 100, more is better.</p>'
    return [legend(board.labels), said, f'<div class="charts">{"".join(drawn)}</div>']


def _done(board: Leaderboard) -> dict[str, list[tuple[str, float | None]]]:
    """How many percent of each sub-task each run's videos get done, what the best run does best first; {} for none."""
    kinds = board.strata["sub_task"]
    if not kinds or not has_any([one.executed for found in kinds.values() for one in found]):
        return {}
    shares = {
        name: [None if one.executed.success is None else 100.0 * one.executed.success.value for one in found]
        for name, found in kinds.items()
    }
    ranked = sorted(shares, key=lambda name: [-(share or 0.0) for share in shares[name]])
    return {
        label: [(name.replace("-", " "), shares[name][place]) for name in ranked]
        for place, label in enumerate(board.labels)
    }


def _metrics(board: Leaderboard) -> str:
    """Every metric there is, whether anybody could measure it or not."""
    rows = []
    for name, metric in METRICS.items():
        told = [run.content["metrics"].get(name) for run in board.runs]
        cells = [_cell(one, share_of(name, done)) for one, done in zip(told, board.executed, strict=True)]
        scale = SCALES.get(name)
        anchors = "" if scale is None else f"{scale.low:g} to {scale.high:g}, {scale.map} {scale.parameter:g}"
        whose = "" if scale is None else (" (published)" if scale.published else " (our anchors)")
        unit = f" [{plain(metric.unit)}]" if metric.unit else ""
        better = direction(metric)
        needs = plain(", ".join(metric.needs))
        rows.append([plain(metric.title) + unit, needs, better, *cells, plain(anchors + whose)])
    return table(["metric", "needs", "better", *map(plain, board.labels), "scale v2"], rows)


def _cell(told: Mapping[str, Any] | None, share: Estimate | None = None) -> str:
    """A metric of one run: its value, its interval, and the number of samples behind it.

    share: the same with Wilson's interval, which the leaderboard has: one number has one interval.
    """
    found = share or (estimate_of(told["estimate"]) if told else None)
    return number(found, 3) if found is None else f"{number(found, 3)}<i>n {found.n}</i>"


def share_of(name: str, executed: Executed) -> Estimate | None:
    """The share of samples that a metric of execution is, with its interval; None for other metrics."""
    return {SUCCESS: executed.success, CEILING: executed.ceiling, FLOOR: executed.floor}.get(name)


def _strata(board: Leaderboard, kind: str) -> str:
    if not board.strata[kind]:
        return ""
    rows = []
    for name, found in board.strata[kind].items():
        count = max(one.n for one in found)
        rows.append([plain(name), str(count), "overall v2", *(number(one.overall, 1) for one in found)])
        if has_any([one.executed for one in found]):
            rows.append(["", "", HEAD, *(one.executed.html() for one in found)])
    head = [kind.replace("_", "-"), "samples", "", *map(plain, board.labels)]
    return f"<h2>By {kind.replace('_', '-')}</h2>{table(head, rows)}"


def _missing(board: Leaderboard) -> str:
    found = gaps(board)
    if not found:
        return "<p>Everything was measured.</p>"
    return table(HEAD_OF_GAPS, [list(map(plain, gap.row(board))) for gap in found])


def _agreements(board: Leaderboard) -> list[str]:
    """How far the judges agree with themselves; nothing where nobody was asked twice."""
    rows = []
    for label, run in zip(board.labels, board.runs, strict=True):
        for one in run.content["metrics"].values():
            if found := one.get("agreement"):
                icc = "N/A" if found["icc"] is None else f"{found['icc']:.2f}"
                gap, same = f"{found['difference']:.2f}", f"{found['same']:.0%}"
                rows.append(
                    [plain(label), plain(one["title"]), plain(one["tool"]), gap, same, icc, str(found["samples"])]
                )
    if not rows:
        return []
    head = ["run", "metric", "judge", "mean difference of two trials", "equal", "ICC(1, 1)", "samples"]
    note = (
        "The same question, put several times. ICC(1, 1): the share of the variance that lies between samples; N/A "
        "where nothing varies."
    )
    return ["<h2>Whether the judge agrees with itself</h2>", table(head, rows), f'<p class="small">{note}</p>']


def _pace(board: Leaderboard) -> list[str]:
    """How long a sample takes; nothing for runs that do not say so."""
    runs = zip(board.labels, board.runs, strict=True)
    rows = [list(map(plain, row)) for label, run in runs for row in rows_of(label, run.content.get("pace"))]
    if not rows:
        return []
    return ["<h2>How long it takes</h2>", table(PACE, rows), f'<p class="small">{plain(PACE_NOTE)}</p>']


def _films(run: Results, show: int) -> str:
    if not show:
        return ""
    best, worst, why = best_and_worst(run, show)
    parts = [f"<h2>{plain(run.name)}: best and worst samples</h2>"]
    parts.append(
        '<p class="small">Left what is scored, right the truth, both made to last about '
        f"{SECONDS} seconds. Chosen by the sample's own v2 score, from 0 to 100.</p>"
    )
    for title, found in (("Best", best), ("Worst", worst)):
        if found:
            parts.append(f'<h3>{title}</h3><div class="films">{"".join(_film(one) for one in found)}</div>')
    if why:
        parts.append(f'<p class="small">Not shown: {plain(why)}</p>')
    return "".join(parts)


def _film(one: Shown) -> str:
    numbers = [
        f"{METRICS[n].title} {one.values[n]:.3g} {METRICS[n].unit}".rstrip()
        for n in ("psnr", "ssim", "lpips")
        if n in one.values
    ]
    said = plain(f"{one.key}: what is scored, and the truth")
    return (
        f'<figure><video controls muted loop playsinline preload="auto" aria-label="{said}" poster="{one.poster}" '
        f'src="{one.film}"></video><figcaption><b>{one.score:.1f}</b> {plain(one.prompt)}<br>'
        f"<span class='small'>{plain(one.key)}; {plain(', '.join(numbers))}</span></figcaption></figure>"
    )


def _problems(content: Mapping[str, Any]) -> str:
    counts = content["counts"]
    said = (
        f"{counts['scored']} of {counts['samples']} samples scored, {counts['left_out']} left out, "
        f"{counts['other_problems']} other problems, {counts['made_alike']} made alike in size, length or rate."
    )
    lines = [f"<li>{plain(one['key'] or 'suite')}: {plain(one['what'])}</li>" for one in content["problems"]]
    listed = f"<ul>{''.join(lines)}</ul>" if lines else ""
    return f"<p><b>{plain(content['tested'])}</b>: {said}</p>{listed}"


def _origin(content: Mapping[str, Any]) -> str:
    facts = [plain(str(content[name])) for name in ("system", "data", "machine", "date")]
    return f"<p><code>{plain(content['command'])}</code><br>{'<br>'.join(facts)}</p>"
