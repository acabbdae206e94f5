"""What agrees with executed success over runs: known correlations come out, and nothing that was executed counts."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tests.bench.suites import make_suite, scored_runs
from wow.bench.audit import audit
from wow.bench.audit_page import audit_page, validity_page
from wow.bench.charts import ladder, radar, scatter, whiskers
from wow.bench.dimensions.registry import METRICS
from wow.bench.executability import EXECUTABLE
from wow.bench.scoreboard import STRATA, Scoreboard, scoreboard_of
from wow.bench.suite_results import Results
from wow.bench.validity import OVERALL_V1, OVERALL_V2, markdown, ordered, validity
from wow.cli.main import main


def made_up(name: str, **values: float) -> Results:
    """A run of which only the values over the whole suite are known."""
    told = {
        metric: {"version": 1, "tool": "", "estimate": {"value": value, "low": None, "high": None, "n": 4}}
        for metric, value in values.items()
    }
    content = {"tested": name, "suite": "made up", "suite_hash": "x" * 64, "metrics": told, "v2": {}}
    return Results(Path(name), content, scoreboard_of([], {}, {}), ())


def variants(count: int = 14) -> list[Results]:
    """Runs that get better and better: pictures in step with success, the camera against it, drift by chance."""
    random = np.random.default_rng(0)
    return [
        made_up(
            f"variant-{place}",
            executed_success=place / count,
            executed_truth=0.9,
            psnr=15.0 + place,
            lpips=0.6 - 0.03 * place,
            ssim=0.5 + 0.4 * (place / count) ** 3,
            camera_ate=0.01 * place,
            drift=float(random.uniform()),
        )
        for place in range(count)
    ]


def test_known_agreement_comes_out_with_its_sign_and_an_interval() -> None:
    found = validity(variants())
    pearson = {name: one.pearson.value for name, one in found.correlations.items()}
    assert pearson["psnr"] == pytest.approx(1.0) and pearson["lpips"] == pytest.approx(1.0), "less is better"
    assert pearson["camera_ate"] == pytest.approx(-1.0)
    assert 0.8 < pearson["ssim"] < 0.99 and found.correlations["ssim"].spearman.value == pytest.approx(1.0)
    drift = found.correlations["drift"].pearson
    assert drift.low is not None and drift.high is not None and drift.low < 0 < drift.high and drift.n == 14
    assert pearson[OVERALL_V2] > 0.8 and OVERALL_V1 in pearson
    assert [name for name, _ in ordered(found)][:2] in ([OVERALL_V1, OVERALL_V2], [OVERALL_V2, OVERALL_V1])


def test_an_overall_score_does_not_know_what_was_executed() -> None:
    """Turning the success round turns every correlation round, and changes no overall score."""
    runs = variants()
    success = [run.content["metrics"]["executed_success"]["estimate"]["value"] for run in runs]
    for run, value in zip(runs, success[::-1], strict=True):
        run.content["metrics"]["executed_success"]["estimate"]["value"] = value
    before, after = validity(variants()), validity(runs)
    assert before.columns == after.columns and "executed_truth" not in before.columns
    for name, one in before.correlations.items():
        assert after.correlations[name].spearman.value == pytest.approx(-one.spearman.value, abs=1e-9)


def executed(name: str, psnr: float, success: Sequence[float]) -> Results:
    """A run with the executions of single samples."""
    known = made_up(name, psnr=psnr, executed_success=float(np.mean(success)))
    metrics = {METRICS[one].name: METRICS[one] for one in ("executed_success", "psnr")}
    keys = tuple(f"sample-{number}" for number in range(len(success)))
    values = {"executed_success": np.array(success, float), "psnr": np.full(len(success), psnr)}
    return replace(known, board=Scoreboard(keys, metrics, values, {}, {kind: ("all",) * len(keys) for kind in STRATA}))


def test_no_execution_is_held_against_itself() -> None:
    """Where success is the luck of single samples, the score that counts half of them knows nothing of the others."""
    random = np.random.default_rng(0)
    able = [executed(f"able-{n}", 20.0, random.random(40) < n / 12) for n in range(12)]
    assert validity(able).correlations[EXECUTABLE].pearson.value > 0.9
    lucky = [executed(f"lucky-{n}", 20.0, np.arange(40) % 2 == n % 2) for n in range(12)]
    for place, run in enumerate(lucky):
        run.board.values["executed_success"][0] = place % 3 == 0  # shares differ a little
    assert validity(lucky).correlations[EXECUTABLE].pearson.value < 0.0, "one half's luck is the other's misfortune"


def test_what_some_runs_lack_does_not_count_and_is_named() -> None:
    runs = [*variants(), made_up("bare", executed_success=0.5, psnr=20.0), made_up("never", psnr=30.0)]
    found = validity(runs)
    assert len(found.executed) == 15 and found.skipped == ("never",)
    assert set(found.lacking) == {"ssim", "lpips", "camera_ate", "drift"}
    assert set(found.correlations) == {"psnr", OVERALL_V1, OVERALL_V2}
    text = markdown(found, "about")
    assert "SSIM" in text and "Nothing was executed in never" in text


def test_without_success_that_varies_there_is_no_correlation() -> None:
    same = [made_up(f"run-{place}", executed_success=0.5, psnr=float(20 + place)) for place in range(5)]
    for runs in (same, variants()[:2], []):
        found = validity(runs)
        assert not found.correlations and "N/A" in markdown(found, "") and "N/A" in validity_page(found, "")


class Whole(HTMLParser):
    """Checks that every tag is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.circles = 0
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.circles += tag == "circle"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_pages_are_whole_and_show_every_number() -> None:
    runs = variants()
    found = validity(runs)
    page = validity_page(found, "<script>evil</script>")
    assert "evil" in page and Whole(page).circles == len(found.correlations)
    assert page.count("<title>variant-") == 2 * len(runs), "a dot for each run and overall score"
    assert all(f"{one.pearson.value:.2f}</text>" in page for one in found.correlations.values())
    rungs = {("blur", 0.5): runs[6], ("blur", 1.0): runs[2], ("lag", 0.5): runs[8], ("lag", 1.0): runs[3]}
    shown = audit_page(audit(runs[-1], rungs), "about")
    Whole(shown)
    assert "Agreement with executed success over 5 runs" in shown


def test_charts_of_nothing_are_charts() -> None:
    for drawn in (ladder([], {}, "a"), whiskers([], "a"), scatter([], "x", "y"), ladder(["blur"], {"psnr": {}}, "a")):
        Whole(drawn)
    assert "N/A" in ladder(["blur"], {"psnr": {}}, "a")


def test_labels_of_a_radar_stay_in_the_picture() -> None:
    axes = ("visual quality", "instruction understanding", "physical law", "planning")
    drawn = radar(axes, {"run": dict.fromkeys(axes, 50.0)}, "a")
    width = float(re.findall(r'svg viewBox="0 0 (\d+)', drawn)[0])
    labels = re.findall(r'text-anchor="(\w+)"[^>]*>(.*?)</text>', drawn)
    assert len(labels) == len(axes)
    for anchor, inside in labels:
        for x, word in re.findall(r'x="([\d.]+)"[^>]*>([^<]+)<', inside):
            left = float(x) - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor] * 7 * len(word)
            assert left >= 0 and left + 7 * len(word) <= width, word


# ---- the command ----


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of worlds of several speeds; how often each succeeded is put in by hand."""
    folder = tmp_path_factory.mktemp("runs")
    speeds = {"still": 0.0, "slow": 0.7, "quick": 1.4, "right": 2.0}
    runs = scored_runs(folder, make_suite(folder / "suite", count=4), speeds, ["psnr", "object_path_l2"])
    for name, run in runs.items():
        told = json.loads((run / "results.json").read_text())
        estimate = {"value": speeds[name] / 2, "low": None, "high": None, "n": 4}
        told["metrics"]["executed_success"] = {**told["metrics"]["psnr"], "tool": "reader", "estimate": estimate}
        (run / "results.json").write_text(json.dumps(told))
    return runs


def test_the_command_prints_what_agrees_with_success(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "correlate", *map(str, folders.values()), "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    told = json.loads(printed[-1])
    assert told["runs"] == 4 and told["pearson"][OVERALL_V2] > 0.8
    assert any(line.startswith("| PSNR |") for line in printed)
    written = json.loads((tmp_path / "out" / "correlations.json").read_text())
    assert written["correlations"]["object_path_l2"]["spearman"]["value"] == pytest.approx(1.0)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".html", ".md", ".json"}


def test_what_cannot_be_correlated_is_one_line(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = list(map(str, folders.values()))[:2]
    other = scored_runs(tmp_path, make_suite(tmp_path / "other", count=5), {"lone": 1.0}, ["psnr"])["lone"]
    cases = [
        (two, "at least three"),
        ([*two, two[0]], "at least three"),
        ([*two, str(other)], "same files"),
        ([*two, str(tmp_path)], "no finished run"),
    ]
    for number, (runs, said) in enumerate(cases):
        assert main(["bench", "correlate", *runs, "--out", str(tmp_path / f"out{number}")]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert said in error and error.startswith("wow: ")
