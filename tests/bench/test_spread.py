"""Intervals of both overall scores over runs, and of metrics of a whole suite in the audit: right in simple cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wow.bench.audit import audit
from wow.bench.dimensions.registry import METRICS
from wow.bench.leaderboard import leaderboard
from wow.bench.scoreboard import Scoreboard, estimate, scaled_v2
from wow.bench.spread import absolute_scores, drawn_values, held, relative_scores
from wow.bench.standings import markdown, standings
from wow.bench.suite_results import Results
from wow.bench.text import write_json

COUNT = 24


def made_up(name: str, values: dict[str, list[float]], parts: dict[str, np.ndarray] | None = None) -> Results:  # type: ignore[type-arg]
    """A run of which the samples' numbers are known."""
    keys = tuple(f"a/{number:02d}" for number in range(COUNT))
    columns = {metric: np.array(column) for metric, column in values.items()}
    metrics = {metric: METRICS[metric] for metric in [*columns, *(parts or {})]}
    strata = dict.fromkeys(("ability", "sub_task", "difficulty"), ("unknown",) * COUNT)
    board = Scoreboard(keys, metrics, columns, parts or {}, strata)
    told = {}
    for metric in metrics:
        found = estimate(board, metric, board.rows())
        assert found is not None
        one = {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
        told[metric] = {"version": 1, "tool": "", "estimate": one, "why": "", "title": metric}
    samples = {
        key: {"ability": "unknown", "sub_task": "unknown", "difficulty": "unknown", "prompt": "p",
              "values": {metric: float(column[row]) for metric, column in columns.items()}}
        for row, key in enumerate(keys)
    }  # fmt: skip
    content = {
        "format": 1, "tested": name, "suite": "made up", "suite_hash": "x" * 64, "metrics": told, "v2": {},
        "samples": samples, "counts": {"scored": COUNT, "samples": COUNT}, "command": "", "machine": "", "date": "",
    }  # fmt: skip
    return Results(Path(name), content, board, ())


def runs() -> list[Results]:
    """Three worlds: the first is surely the best, the other two differ by chance."""
    random = np.random.default_rng(0)
    means = {"best": (30.0, 0.9, 0.02), "one": (20.0, 0.6, 0.2), "another": (20.2, 0.59, 0.2)}
    return [
        made_up(
            name,
            {
                "psnr": random.normal(psnr, 4.0, COUNT).tolist(),
                "ssim": random.normal(ssim, 0.1, COUNT).tolist(),
                "object_path_l2": np.abs(random.normal(path, 0.05, COUNT)).tolist(),
            },
        )
        for name, (psnr, ssim, path) in means.items()
    ]


def test_both_scales_have_intervals_that_hold_their_values_and_tell_what_is_sure() -> None:
    board = leaderboard(runs())
    assert board.v1 is not None and board.runs[0].name == "best"
    for scores in board.v1:
        for group in ("", "visual", "physical"):
            found = scores.estimate(group)
            assert found is not None and found.low is not None and found.high is not None and found.n == COUNT
            assert found.low - 1e-9 <= found.value <= found.high + 1e-9
        assert scores.estimate("planning") is None
    best, second, third = (scores.estimate() for scores in board.v1)
    assert best and second and third and best.low > max(second.high or 0, third.high or 0)  # type: ignore[operator]
    assert (second.high or 0) - (second.low or 0) > 10, "which of the two is better is chance"


def test_scores_from_files_have_the_intervals_of_the_run_itself() -> None:
    found = runs()
    names = ["psnr", "ssim", "object_path_l2"]
    for run, scores in zip(found, absolute_scores(found, names, drawn_values(found, names)), strict=True):
        own = scaled_v2(run.board, run.board.rows())
        assert scores.overall == own.overall and scores.groups == own.groups
    assert relative_scores(found, names) is not None, "also without draws"


def test_a_leaderboard_of_files_shows_intervals_and_says_what_no_draw_changes(tmp_path: Path) -> None:
    for run in runs():
        told = {**run.content["metrics"]["psnr"], "estimate": {"value": 500.0, "low": 400.0, "high": 600.0, "n": COUNT}}
        write_json(tmp_path / f"{run.name}.json", {**run.content, "metrics": {**run.content["metrics"], "fvd": told}})
    table = standings(sorted(tmp_path.glob("*.json")))
    assert table.runs[0].name == "best" and held(table.runs, table.shared) == ["fvd"]
    row = next(line for line in markdown(table).splitlines() if line.startswith("| 1 | best |"))
    assert row.count(" to ") == 4, "two groups, both overall scores"
    assert "Of fvd files hold no single samples" in markdown(table)


def clouds(shift: float, seed: int) -> np.ndarray:  # type: ignore[type-arg]
    """Imagined and real features of every sample, three numbers each."""
    real = np.random.default_rng(0).normal(size=(COUNT, 3))
    return np.concatenate([real + np.random.default_rng(seed).normal(shift, 0.2, real.shape), real], axis=1)


@pytest.mark.parametrize(("shift", "word"), [(3.0, "monotone"), (0.0, "-")])
def test_the_audit_is_as_sure_of_fvd_as_its_draws_are(shift: float, word: str) -> None:
    truth = made_up("truth", {}, {"fvd": clouds(0.0, 1)})
    rungs = {("blur", strength): made_up(f"blur-{strength}", {}, {"fvd": clouds(strength * shift, 2)})
             for strength in (0.5, 1.0)}  # fmt: skip
    (sight,) = audit(truth, rungs).sights
    assert sight.at_full.low is not None and sight.at_full.high is not None
    assert sight.at_full.low <= sight.at_full.value <= sight.at_full.high
    assert sight.word == word if shift else not (sight.sees and sight.at_full.value > 1.0)
