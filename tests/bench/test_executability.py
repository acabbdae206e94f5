"""Executability in every table: the shares are those of the samples, with intervals, over all and in each stratum."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pytest

from tests.bench.suites import crossing, make_suite, write_film
from wow.bench.dimensions import contract as c
from wow.bench.dimensions.registry import chosen_metrics
from wow.bench.executability import EXECUTABLE
from wow.bench.intervals import share
from wow.bench.leaderboard import leaderboard
from wow.bench.page import page
from wow.bench.provenance import Provenance
from wow.bench.sources import FolderSource
from wow.bench.standings import markdown as merged
from wow.bench.standings import standings
from wow.bench.suite import Sample, open_suite
from wow.bench.suite_report import markdown
from wow.bench.suite_results import Results, read_results, write_results
from wow.bench.suite_run import in_this_process, run_suite
from wow.bench.text import shown
from wow.types import Video

METRICS = ("psnr", "executed_success", "executed_truth", "executed_shuffled")


@dataclass(frozen=True)
class ByEye:
    """Succeeds where the square ends far enough to the right; never with shuffled actions."""

    name: str = "by eye"

    def __call__(self, video: Video, sample: Sample, shuffled: bool = False) -> float:
        assert sample.prompt
        return 0.0 if shuffled else float(video.frames[-1, 14, 20:, 0].max() > 200)


@dataclass(frozen=True)
class Eye:
    """A toolbox with that executor alone."""

    def names(self) -> Mapping[str, str]:
        return {c.SIMULATOR: "by eye"}

    def lacks(self) -> Mapping[str, str]:
        return {}

    def open(self, needs: Collection[str]) -> c.Tools:
        assert needs
        return c.Tools(executor=ByEye())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """A world that does every third task, and a still one, on a suite of six."""
    folder = tmp_path_factory.mktemp("executed")
    suite = make_suite(folder / "suite", count=6)
    for name in ("third", "still"):
        for number in range(6):
            speed = 2.0 if name == "third" and number % 3 == 0 else 0.0
            write_film(folder / name / "a" / f"{number}.mp4", crossing(number, speed)[0])
        source = FolderSource(folder / name, name)
        done = run_suite(open_suite(suite), source, Eye(), chosen_metrics(METRICS), folder / f"{name}-run", {},
                         in_this_process)  # fmt: skip
        write_results(done, Provenance("wow bench run", name, "squares", "here", "today"))
    return [read_results(folder / f"{name}-run") for name in ("third", "still")]


def test_every_table_says_what_is_executed_beside_its_ceiling_and_its_floor(runs: list[Results]) -> None:
    board = leaderboard(runs)
    assert [run.name for run in board.runs] == ["third", "still"]
    third, still = board.executed
    assert (third.success, third.ceiling, third.floor) == (share(2, 6), share(6, 6), share(0, 6))
    assert still.success == share(0, 6) and still.success.high is not None and still.success.high > 0.3
    for kind, counts in {"difficulty": {"easy": 1, "hard": 1}, "ability": {"perception": 1, "prediction": 1}}.items():
        for name, count in counts.items():
            found = board.strata[kind][name][0]
            assert found.executed.success == share(count, 3) and found.executed.ceiling == share(3, 3) and found.n == 3
    whole = "0.33 (0.10 to 0.70); truth 1.00 (0.61 to 1.00); shuffled 0.00 (0.00 to 0.39)"
    text, html = markdown(board), page(board, 0)
    assert text.count(whole) == 1 and "executed (truth / shuffled)" in text
    assert text.count("0.33 (0.06 to 0.79); truth 1.00 (0.44 to 1.00)") == 6, "two each of three kinds of strata"
    assert "truth 1.00 (0.61 to 1.00)" in html and html.count("shuffled 0.00 (0.00 to 0.56)") == 12
    chart = html.partition("Executed success by sub-task")[2].partition("</svg>")[0]
    assert chart.count("third: 33.3") == 2 and chart.count("still: 0.0") == 2
    assert whole in merged(standings([run.folder for run in runs]))


def test_an_overall_score_counts_what_was_executed_and_the_published_one_does_not(runs: list[Results]) -> None:
    board, merged_board = leaderboard(runs), standings([run.folder for run in runs])
    for scores in (board.v2[0], merged_board.v2[0]):
        assert scores.overall is not None and scores.executable is not None
        visual = scores.scores.groups["visual"]
        assert scores.overall.value == pytest.approx(visual)
        assert scores.executable.value == pytest.approx((visual + 100 / 3) / 2)
        low, high = scores.executable.low, scores.executable.high
        assert low is not None and high is not None and low < scores.executable.value < high
    told = shown(board.v2[0].executable, 1)
    assert f"| {told} |" in markdown(board) and f"| {told} |" in merged(merged_board)
    assert EXECUTABLE in page(board, 0) and runs[0].content["v2"]["executable"]["n"] == 6


def test_where_nothing_is_executed_the_tables_say_so(runs: list[Results]) -> None:
    content = {**runs[0].content, "metrics": {"psnr": runs[0].content["metrics"]["psnr"]}}
    bare = Results(runs[0].folder, content, runs[0].board.only(["psnr"]), ())
    board = leaderboard([bare])
    assert board.executed[0].success is None and "| N/A | 6 |" in markdown(board)
    assert "Executed success by sub-task" not in page(board, 0)
