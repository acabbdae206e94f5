"""Result files of many people, merged into one table: each is a `results.json`, or a table that was merged before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wow.bench.dimensions.registry import METRICS
from wow.bench.executability import EXECUTABLE, HEAD, NOTE, executed_in
from wow.bench.leaderboard import estimate_of
from wow.bench.same_samples import on_common_samples
from wow.bench.scoreboard import STRATA, ScaledV2, Scoreboard
from wow.bench.scores_v2 import GROUP_TITLES, GROUPS, SCALES, SUCCESS
from wow.bench.spread import V1Scores, absolute_scores, drawn_values, held, relative_scores, value_of
from wow.bench.suite_compare import check_alike
from wow.bench.suite_results import FORMAT, RESULTS, Results
from wow.bench.text import grid, shown, write_json, write_text
from wow.types import WowError

TABLE = "leaderboard.json"


@dataclass(frozen=True)
class Standings:
    """The runs, best first by the second scale over `shared`, the metrics that all of them have.

    v1: the first scale over the same metrics; None where there are fewer than two runs. sources: each run's file, and
    contents what it says; the runs are over the samples that all of them have, and `over` says how many these are.
    """

    runs: tuple[Results, ...]
    sources: tuple[str, ...]
    contents: tuple[Mapping[str, Any], ...]
    v2: tuple[ScaledV2, ...]
    v1: tuple[V1Scores, ...] | None
    shared: tuple[str, ...]
    over: str


def standings(paths: Sequence[Path]) -> Standings:
    """The table of the runs in files or folders; a run that is there twice counts once.

    Raises WowError where a file is none of ours, and where two runs are of different suites, metric versions or tools,
    or share no sample.
    """
    found: dict[str, tuple[Results, str]] = {}
    for path in paths:
        for content, source in _contents(path):
            found.setdefault(json.dumps(content, sort_keys=True), (_results(content, source), source))
    if not found:
        raise WowError("name at least one results.json, or the folder of a run")
    pairs = list(found.values())
    for place in range(len(pairs)):
        check_alike([run for run, _ in pairs[place:]])
    common = on_common_samples([run for run, _ in pairs])
    shared = [
        name for name in METRICS if name in SCALES and all(value_of(run, name) is not None for run in common.runs)
    ]
    everywhere = [*shared, *([SUCCESS] if all(value_of(run, SUCCESS) is not None for run in common.runs) else [])]
    scored = absolute_scores(common.runs, everywhere, drawn_values(common.runs, everywhere))
    order = sorted(range(len(pairs)), key=lambda place: -(scored[place].scores.overall or -1.0))
    runs = tuple(common.runs[place] for place in order)
    return Standings(
        runs=runs,
        sources=tuple(pairs[place][1] for place in order),
        contents=tuple(pairs[place][0].content for place in order),
        v2=tuple(scored[place] for place in order),
        v1=relative_scores(runs, shared, drawn_values(runs, shared)) if len(runs) > 1 else None,
        shared=tuple(shared),
        over=common.said(),
    )


def write_standings(out: Path, table: Standings) -> list[Path]:
    """Writes leaderboard.md and leaderboard.json, which can be merged again; returns their paths."""
    text, numbers = out / "leaderboard.md", out / TABLE
    write_text(text, markdown(table))
    runs = [{**content, "source": source} for content, source in zip(table.contents, table.sources, strict=True)]
    write_json(numbers, {"format": FORMAT, "kind": "leaderboard", "suite_hash": table.runs[0].digest, "runs": runs})
    return [text, numbers]


def markdown(table: Standings) -> str:
    """The table for people."""
    first = table.runs[0].content
    titles = [GROUP_TITLES[group] for group in GROUPS]
    rows = [["place", "tested", *titles, "overall v2", "overall v1", EXECUTABLE, HEAD, "scored"]]
    for place, (run, scores) in enumerate(zip(table.runs, table.v2, strict=True)):
        groups = [shown(scores.groups.get(group), 1) for group in GROUPS]
        relative = None if table.v1 is None else table.v1[place].estimate()
        executed = executed_in(run.content["metrics"]).markdown()
        counted = str(run.content["counts"]["scored"])
        overall = [shown(one, 1) for one in (scores.overall, relative, scores.executable)]
        rows.append([str(place + 1), run.name, *groups, *overall, executed, counted])
    lines = [f"# Leaderboard: {first['suite']}", f"Suite hash `{table.runs[0].digest}`.", grid(rows)]
    lines += [
        f"{table.over} Both scales over what all runs have: {', '.join(table.shared) or 'nothing'}. {NOTE}",
        HOW + _fixed(table),
        "## Metrics",
        _metrics(table),
    ]
    origins = [
        f"- {run.name}: `{run.content['command']}`, {run.content['machine']}, {run.content['date']}; {source}"
        for run, source in zip(table.runs, table.sources, strict=True)
    ]
    return "\n\n".join([*lines, "## Where the numbers come from", "\n".join(origins)]) + "\n"


def _metrics(table: Standings) -> str:
    rows = [["metric", "better", *(run.name for run in table.runs)]]
    for name, metric in METRICS.items():
        told = [(run.content["metrics"].get(name) or {}).get("estimate") for run in table.runs]
        if any(told):
            better = "more" if metric.higher_is_better else "less"
            rows.append([metric.title, better, *(shown(estimate_of(one), 3) for one in told)])
    return grid(rows)


HOW = "Intervals are 95 %: scores over draws of samples, the same for all runs."


def _fixed(table: Standings) -> str:
    """Which metrics the draws could not touch, as a sentence; "" where there are none."""
    found = held(table.runs, table.shared)
    return f" Of {', '.join(found)} files hold no single samples: no draw changes it." if found else ""


def _contents(path: Path) -> list[tuple[dict[str, Any], str]]:
    """The runs of a file, or of a folder that holds one, each with where it came from."""
    file = next((path / name for name in (RESULTS, TABLE) if (path / name).is_file()), path)
    if not file.is_file():
        raise WowError(f"{path} holds no {RESULTS}: name the folder of a finished run, or the file")
    try:
        content = json.loads(file.read_text())
        if content["format"] != FORMAT:
            raise WowError(f"{file} has format {content['format']}, {FORMAT} is read: run it again")
        if content.get("kind") != "leaderboard":
            return [(content, str(file))]
        return [({k: v for k, v in run.items() if k != "source"}, str(run["source"])) for run in content["runs"]]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise WowError(f"{file} is no result of wow bench run ({problem})") from None


def _results(content: Mapping[str, Any], source: str) -> Results:
    """A run of which nothing but its file is there: no single records, and so nothing of metrics of a whole suite."""
    try:
        strata = {key: {kind: str(told[kind]) for kind in STRATA} for key, told in content["samples"].items()}
        for name in ("tested", "suite", "suite_hash", "command", "machine", "date"):
            str(content[name])
        int(content["counts"]["scored"])
        for told in content["metrics"].values():
            if (told["version"], told["tool"]) and told["estimate"]:
                estimate_of(told["estimate"])
        values = {
            name: np.array([float(told["values"].get(name, np.nan)) for told in content["samples"].values()])
            for name in content["metrics"]
            if name in METRICS and METRICS[name].pool is None
        }
    except (KeyError, TypeError, AttributeError, ValueError) as problem:
        raise WowError(f"{source} is no whole result of wow bench run ({problem})") from None
    names = {kind: tuple(told[kind] for told in strata.values()) for kind in STRATA}
    board = Scoreboard(tuple(strata), {name: METRICS[name] for name in values}, values, {}, names)
    return Results(Path(source).parent, content, board, ())
