"""Runs that scored different samples: ranked by the samples that they share, which turns a wrong order round."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tests.bench.suites import crossing, make_suite, write_film
from tests.bench.test_suite_run import run
from wow.bench.dimensions.registry import METRICS
from wow.bench.leaderboard import leaderboard, value_of
from wow.bench.page import page
from wow.bench.same_samples import on_common_samples
from wow.bench.scoreboard import estimate
from wow.bench.sources import FolderSource
from wow.bench.standings import markdown as merged
from wow.bench.standings import standings, write_standings
from wow.bench.suite_report import markdown
from wow.bench.suite_results import Results, read_results
from wow.bench.validity import validity
from wow.types import WowError

SPEEDS = {"whole": (2.0, 2.0, 0.0, 0.0), "part": (1.5, 1.5)}
"""Of each sample the speed of its square; 2 is the truth. The second run leaves out what the first cannot do."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    folder = tmp_path_factory.mktemp("common")
    suite = make_suite(folder / "suite", count=4)
    for name, speeds in SPEEDS.items():
        for number, speed in enumerate(speeds):
            write_film(folder / name / "a" / f"{number}.mp4", crossing(number, speed)[0])
        run(suite, FolderSource(folder / name, name), folder / f"{name}-run", ["psnr", "object_path_l2"])
    return {name: read_results(folder / f"{name}-run") for name in SPEEDS}


def lost(found: Results, metric: str, rows: list[int]) -> Results:
    """The run without a metric of some samples."""
    column = found.board.values[metric].copy()
    column[rows] = np.nan
    board = found.board.restricted(found.board.keys)
    board = type(board)(board.keys, board.metrics, {**board.values, metric: column}, board.parts, board.strata)
    left = estimate(board, metric, board.rows())
    told = {**found.content["metrics"][metric], "estimate": None if left is None else asdict(left)}
    content = {**found.content, "metrics": {**found.content["metrics"], metric: told}}
    return Results(found.folder, content, board, found.records)


def test_a_run_gains_nothing_by_leaving_samples_out(runs: dict[str, Results]) -> None:
    whole, part = runs["whole"], runs["part"]
    errors = [value_of(one, "object_path_l2") or 0.0 for one in (whole, part)]
    assert errors[0] > 1.5 * errors[1], "over its own samples the worse run looks better"
    common = on_common_samples([part, whole])
    assert (common.samples, common.most) == (2, 4)
    assert common.runs[0] is part and common.runs[1].board.keys == ("a/0", "a/1")
    board = leaderboard([part, whole])
    assert [one.name for one in board.runs] == ["whole", "part"]
    psnr = whole.board.values["psnr"][:2].mean()
    told = board.runs[0].content["metrics"]["psnr"]["estimate"]
    assert told["value"] == pytest.approx(psnr) and told["n"] == 2
    assert "Over the 2 samples that every run scored; one of them scored 4." in markdown(board)
    assert [len(one.content["samples"]) for one in board.runs] == [2, 2]


def test_files_alone_are_merged_by_the_same_rule_and_kept_as_they_were(
    runs: dict[str, Results], tmp_path: Path
) -> None:
    table = standings([run.folder for run in runs.values()])
    assert [one.name for one in table.runs] == ["whole", "part"] and "Over the 2 samples" in merged(table)
    write_standings(tmp_path, table)
    kept = json.loads((tmp_path / "leaderboard.json").read_text())["runs"]
    assert [one["counts"]["scored"] for one in kept] == [4, 2] and len(kept[0]["samples"]) == 4
    again = standings([tmp_path])
    assert [scores.overall for scores in again.v2] == [scores.overall for scores in table.v2]


def test_a_metric_is_over_the_samples_of_which_every_run_that_has_it_knows_it(runs: dict[str, Results]) -> None:
    whole = runs["whole"]
    gappy, bare = lost(whole, "psnr", [0]), lost(whole, "psnr", [0, 1, 2, 3])
    first, second, third = on_common_samples([whole, gappy, bare]).runs
    expected = whole.board.values["psnr"][1:].mean()
    assert value_of(first, "psnr") == value_of(second, "psnr") == pytest.approx(expected)
    assert value_of(third, "psnr") is None, "a run without it takes it from nobody"
    assert value_of(first, "object_path_l2") == value_of(whole, "object_path_l2")
    assert first.content["metrics"]["psnr"]["estimate"]["n"] == 3


def test_runs_without_a_common_sample_are_refused_and_equal_ones_stay_as_they_are(runs: dict[str, Results]) -> None:
    whole = runs["whole"]
    assert on_common_samples([whole, whole]).runs[0] is whole
    halves = [Results(whole.folder, whole.content, whole.board.restricted([key]), ()) for key in ("a/0", "a/1")]
    with pytest.raises(WowError, match="no sample was scored in all"):
        on_common_samples(halves)


def test_correlations_are_over_the_common_samples_too(runs: dict[str, Results]) -> None:
    success = {"whole": [1.0, 1.0, 0.0, 0.0], "part": [0.0, 0.0]}
    executed = []
    for name, found in runs.items():
        values = {**found.board.values, "executed_success": np.array(success[name])}
        board = type(found.board)(
            found.board.keys, {**found.board.metrics, **_executed()}, values, {}, found.board.strata
        )
        share = {"value": float(np.mean(success[name])), "low": None, "high": None, "n": len(success[name])}
        told = {**found.content["metrics"], "executed_success": {"estimate": share, "why": ""}}
        executed.append(Results(found.folder, {**found.content, "metrics": told}, board, ()))
    found_validity = validity(executed)
    assert list(found_validity.executed.values()) == [1.0, 0.0] and "2 samples" in found_validity.over


def test_the_report_says_of_every_metric_what_it_needs_how_many_samples_it_has_and_why_not(
    runs: dict[str, Results],
) -> None:
    whole = runs["whole"]
    told = {**whole.content["metrics"]["psnr"], "not_measured": {"the truth is <gone>": 3}}
    gappy = Results(
        whole.folder, {**whole.content, "metrics": {**whole.content["metrics"], "psnr": told}}, whole.board, ()
    )
    board = leaderboard([gappy])
    text, html = markdown(board), page(board, 0)
    for metric in METRICS.values():
        needs = ", ".join(metric.needs)
        assert f"| {metric.title}{f' [{metric.unit}]' if metric.unit else ''} | {needs} |" in text, metric.name
        assert f"<td>{needs}</td>" in html, metric.name
        if metric.name not in ("psnr", "object_path_l2"):
            assert f"| {metric.title} | {needs} | N/A: was not asked for (--metrics) | all | all |" in text, metric.name
    assert "| PSNR | truth video | N/A: the truth is <gone> | 3 | all |" in text
    assert "<td>N/A: the truth is &lt;gone&gt;</td><td>3</td>" in html
    assert text.count(", n 4 |") == 2 and html.count("<i>n 4</i>") == 2


def _executed() -> dict[str, object]:
    return {"executed_success": METRICS["executed_success"]}
