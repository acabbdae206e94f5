"""Success rates: what counts as what, and a report that says it all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from wow.bench.execution import ExecutionRecord, record_from_json, summarise, write_results
from wow.bench.intervals import share
from wow.bench.ledger import Ledger
from wow.bench.report import Provenance

DIFFICULTY = {"reach": "easy", "hammer": "hard"}
ORIGIN = Provenance("wow run", "a model", "two tasks", "a machine", "today")


def records() -> list[ExecutionRecord]:
    reach = [ExecutionRecord("reach", seed, True, 30, 30, 1, (0.1,), True, 0.01, None, 2, 1, 0.5) for seed in (1, 2)]
    hammer = [
        ExecutionRecord("hammer", 1, True, 60, 60, 2, (0.2, 0.3), True, 0.01, 0.02, 4.0, 2.0, 1.0),
        ExecutionRecord("hammer", 2, False, None, 500, 4, (), False, 0.02, 0.2, 8.0, 4.0, 2.0),
        ExecutionRecord("hammer", 3, False, None, 0, 0, problem="the video is black"),
    ]
    return [*reach, *hammer]


def test_shares_are_those_of_tasks_bins_and_all() -> None:
    results = summarise(records(), DIFFICULTY)
    assert [(row.task, row.successes, row.success.n) for row in results.rows] == [("hammer", 1, 3), ("reach", 2, 2)]
    assert results.rows[0].success == share(1, 3), "Wilson's interval"
    assert results.mean_success.value == 3 / 5 and results.mean_success.n == 5
    assert results.bins["easy"].value == 1.0 and results.bins["hard"].value == 1 / 3
    assert results.of_truth == share(3, 3), "of the demonstrations that succeed, all were followed"
    assert results.seconds["imagine"] == 16 / 8 and results.seconds["plans_per_episode"] == 8 / 5
    assert results.problems == 1
    assert results.first_plan is not None and results.first_plan.value == 2 / 5, "the hammer took a second one"
    assert summarise(records()[:2], DIFFICULTY).first_plan is None, "nobody planned twice"


def test_records_survive_their_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "episodes.jsonl", record_from_json)
    for number, record in enumerate(records()):
        ledger.append(number, [record])
    assert [found[0] for found in ledger.finished().values()] == records()
    assert len((tmp_path / "episodes.jsonl").read_text().splitlines()) == 5


def test_the_report_says_it_for_machines_for_people_and_for_the_eye(tmp_path: Path) -> None:
    results = summarise(records(), DIFFICULTY)
    write_results(tmp_path, results, ORIGIN, {"model_hash": "abc"}, [1, 2, 3])
    content = json.loads((tmp_path / "results.json").read_text())
    assert (
        content["mean_success"] == 0.6
        and content["seeds"] == [1, 2, 3]
        and content["settings"] == {"model_hash": "abc"}
    )
    assert content["tasks"][0]["task"] == "hammer" and content["tasks"][0]["interval"][0] < 1 / 3
    assert content["bins"]["hard"] == asdict(results.bins["hard"]) and content["command"] == "wow run"
    page = (tmp_path / "results.md").read_text()
    assert content["first_plan"]["value"] == 0.4 and "| all tasks, with the first plan | 40.0 " in page
    assert "| hammer (hard) | 33.3 (6.1 to 79.2) | 100.0 (20.7 to 100.0) | 3 |" in page
    assert np.ptp(np.asarray(Image.open(tmp_path / "results.png").convert("L"))) > 100
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.md", "results.png"}


def test_success_is_told_by_how_certain_the_first_plan_was(tmp_path: Path) -> None:
    """Fifths of the episodes, the most certain first; where a fifth would be a handful, nothing is claimed."""
    doubted = [
        ExecutionRecord("reach", seed, seed < 60, None, 1, 2, ((seed + 1) / 100, 0.9)) for seed in reversed(range(100))
    ]
    results = summarise([*doubted, *records()[3:]], DIFFICULTY)
    assert [row.success.value for row in results.certainty] == [1.0, 1.0, 1.0, 0.0, 0.0]
    assert [row.success.n for row in results.certainty] == [20] * 5, "who says nothing belongs nowhere"
    assert 0.2 < results.certainty[1].above < 0.21 and results.certainty[-1].upto == 1.0
    write_results(tmp_path, results, ORIGIN, {}, [1])
    assert "| 100.0 (83.9 to 100.0) | 20 |" in (tmp_path / "results.md").read_text()
    assert len(json.loads((tmp_path / "results.json").read_text())["success_by_certainty"]) == 5
    assert summarise(doubted[:24], DIFFICULTY).certainty == ()
    alike = [ExecutionRecord("reach", seed, True, None, 1, 1, (0.1,)) for seed in range(50)]
    assert sum(row.success.n for row in summarise(alike, DIFFICULTY).certainty) == 50
