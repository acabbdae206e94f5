"""Comparing ways to spend videos: what counts as what, which tasks are in the band, and a report that says it all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow.bench.ledger import Ledger
from wow.bench.refinement import (
    Choice,
    RefinementRecord,
    Scene,
    gains,
    lines,
    measure,
    tasks_in_band,
    write_refinement,
)
from wow.bench.report import Provenance
from wow.types import Video

ORIGIN = Provenance("wow bench refine", "a model", "three tasks", "a machine", "today")
VIDEO = Video(np.zeros((2, 4, 4, 3), np.uint8), 5.0)


def strategy(name: str):  # type: ignore[no-untyped-def]
    def choose(scene: Scene, samples: int) -> Choice:
        return Choice(
            f"{name} {samples}",
            scene.seed,
            VIDEO,
            0.95 if name == "sophia" else None,
            samples,
            {"imagine": 0.4 * samples, "judge": 0.1 * samples},
        )

    return choose


def succeeds(choice: Choice, scene: Scene) -> bool:
    """The easy task always, the hopeless one never; on the third sophia at even seeds, and with 4 videos always."""
    if scene.task == "middling":
        return scene.seed % 4 == 0 or (
            choice.prompt.startswith("sophia") and (scene.seed % 2 == 0 or "4" in choice.prompt)
        )
    return scene.task == "easy"


@pytest.fixture
def records() -> list[RefinementRecord]:
    names = {name: strategy(name) for name in ("single", "best-of", "sophia")}
    scenes = [
        Scene(task, seed, "do it", VIDEO.frames[0]) for task in ("easy", "middling", "hopeless") for seed in range(8)
    ]
    return [record for scene in scenes for record in measure(scene, names, (2, 4), succeeds)]


def test_every_strategy_is_measured_with_every_budget_it_has(records: list[RefinementRecord]) -> None:
    found = {line.label: line for line in lines(records)}
    assert list(found) == ["single", "best-of 2", "best-of 4", "sophia 2", "sophia 4"]
    assert all(line.success.n == 24 for line in found.values())
    assert found["single"].videos == 1 and found["sophia 4"].videos == 4 and found["sophia 4"].seconds == 2.0
    assert found["sophia 4"].parts == pytest.approx({"rewrite": 0.0, "imagine": 1.6, "judge": 0.4})
    assert found["single"].success.value == pytest.approx(10 / 24)
    assert found["sophia 4"].success.value == pytest.approx(16 / 24)


def test_the_band_holds_tasks_that_are_neither_done_nor_hopeless(records: list[RefinementRecord]) -> None:
    assert tasks_in_band(records) == ["middling"]
    rates = {line.label: line.in_band.value for line in lines(records) if line.in_band is not None}
    assert rates == {"single": 0.25, "best-of 2": 0.25, "best-of 4": 0.25, "sophia 2": 0.5, "sophia 4": 1.0}


def test_gains_are_those_in_the_same_scenes_at_the_same_budget(records: list[RefinementRecord]) -> None:
    found = {(gain.of, gain.over): gain for gain in gains(records)}
    assert set(found) == {
        ("sophia 2", "single"), ("sophia 2", "best-of 2"), ("sophia 4", "single"), ("sophia 4", "best-of 4"),
    }  # fmt: skip
    gain = found["sophia 4", "best-of 4"]
    assert gain.all_tasks.value == pytest.approx(6 / 24) and gain.in_band is not None and gain.in_band.value == 0.75
    assert gain.all_tasks.low is not None and gain.all_tasks.low <= 0.0, "one task of three tells little"


def test_what_was_accepted_and_failed_is_counted(records: list[RefinementRecord]) -> None:
    found = {line.label: line.false_alarms for line in lines(records)}
    assert found["single"] is None, "nobody was asked"
    sophia = found["sophia 4"]
    assert sophia is not None and sophia.value == pytest.approx(8 / 24) and sophia.n == 24


def test_records_survive_their_ledger_and_the_report_says_it_all(
    records: list[RefinementRecord], tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "scenes.jsonl", RefinementRecord)
    ledger.append(0, records)
    assert ledger.finished()[0] == records
    whole = {name: value for name, value in asdict(records[0]).items() if not name.startswith("seconds_to")}
    assert RefinementRecord(**whole).seconds == records[0].seconds, "an older ledger, which knew only the sum"
    write_refinement(tmp_path, records, ORIGIN, {"seed": 1})
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["tasks_in_band"] == ["middling"] and content["by_task"]["middling"]["sophia 4"] == 1.0
    page = (tmp_path / "results.md").read_text()
    assert "| middling * | 25 | 25 | 25 | 50 | 100 |" in page and "| sophia 4 | best-of 4 | 25.0" in page
    assert np.ptp(np.asarray(Image.open(tmp_path / "results.png").convert("L"))) > 100
