"""The loss budget: every failure is the first failing stage's, and runs that do not belong together are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from wow.bench.execution import ExecutionRecord
from wow.bench.intervals import share
from wow.bench.ledger import Ledger, claim
from wow.bench.losses import DEMONSTRATION, Budget, loss_budget, read_stage
from wow.cli.main import main
from wow.types import WowError

DIFFICULTY = {"reach": "easy", "hammer": "hard"}


def run_of(
    folder: Path, plan_from: str, succeeds: str, seed: int = 7, truth: bool | None = None, model: str = "abc"
) -> Path:
    """A run over reach and hammer with one seed after another: "1" where the episode succeeds, task by task."""
    known = None if plan_from == "actions" else model
    claim(folder, {"plan_from": plan_from, "seed": seed, "model": "wow-mini", "model_hash": known, "replan_every": 8})
    ledger = Ledger(folder / "episodes.jsonl", ExecutionRecord)
    for number, word in enumerate(succeeds):
        task = ("reach", "hammer")[number % 2]
        record = ExecutionRecord(task, seed + number // 2, word == "1", 1, 1, 1, truth_succeeds=truth)
        ledger.append(number, [record])
    return folder


def budget_of(folder: Path, runs: Mapping[str, str]) -> Budget:
    return loss_budget([read_stage(run_of(folder / name, name, said)) for name, said in runs.items()], DIFFICULTY)


def lost(budget: Budget, difficulty: str = "") -> dict[str, int]:
    return {loss.stage: loss.episodes for loss in budget.losses if loss.difficulty == difficulty}


ALL = {"actions": "01111111", "video": "00111111", "codec": "10011111", "imagined": "00001101"}


def test_a_failure_is_that_of_the_first_stage_that_fails(tmp_path: Path) -> None:
    budget = budget_of(tmp_path, dict(reversed(ALL.items())))
    assert lost(budget) == {"controller": 1, "inverse dynamics": 1, "codec": 1, "imagination": 2}
    assert sum(lost(budget).values()) == len(budget.first) == ALL["imagined"].count("0"), "each failure counts once"
    assert budget.success["video"] == share(6, 8) and budget.success["imagined"] == share(3, 8)
    codec = next(loss for loss in budget.losses if loss.stage == "codec" and not loss.difficulty)
    assert codec.of_all == share(1, 8) and codec.of_failures == share(1, 5)
    assert lost(budget, "easy")["controller"] == 1 and lost(budget, "hard")["controller"] == 0


def test_with_the_plan_alone_planning_and_painting_are_told_apart(tmp_path: Path) -> None:
    budget = budget_of(tmp_path, {**ALL, "policy": "11110111"})
    assert lost(budget) == {"controller": 1, "inverse dynamics": 1, "codec": 1, "planning": 0, "painting": 2}
    budget = budget_of(tmp_path / "other", {**ALL, "policy": "00000000"})
    assert lost(budget)["planning"] == 2 and lost(budget)["painting"] == 0
    assert lost(budget_of(tmp_path / "plan", {"actions": "0111", "policy": "0011"})) == {"controller": 1, "planning": 1}


def test_a_stage_that_nobody_ran_is_named_with_the_next_one(tmp_path: Path) -> None:
    budget = budget_of(tmp_path, {name: ALL[name] for name in ("actions", "imagined")})
    assert lost(budget) == {"controller": 1, "inverse dynamics or codec or imagination": 4}


def test_where_the_expert_fails_nobody_else_is_to_blame(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "a", "actions", "01", truth=False), run_of(tmp_path / "i", "imagined", "01")]
    assert lost(loss_budget([read_stage(run) for run in runs], DIFFICULTY))[DEMONSTRATION] == 1


def test_only_scenes_that_all_have_count_and_the_report_says_so(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "a", "actions", "1111"), run_of(tmp_path / "i", "imagined", "0101", seed=8)]
    budget = loss_budget([read_stage(run) for run in runs], DIFFICULTY)
    assert budget.success["actions"].n == 2 and "2 scenes" in budget.notes[0] and "2 of" in budget.notes[1]


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"plan_from": "imagined", "seed": 100}, "share no scene"),
        ({"plan_from": "actions"}, "both have --plan-from actions"),
        ({"plan_from": "clone"}, "no stage"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(
    tmp_path: Path, other: dict[str, object], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = run_of(tmp_path / "one", "actions", "11")
    two = run_of(tmp_path / "two", succeeds="11", **other)  # type: ignore[arg-type]
    assert main(["bench", "losses", str(one), str(two), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert complaint in said and "\n" not in said


def test_runs_of_two_models_or_of_none_are_refused(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "v", "video", "11"), run_of(tmp_path / "i", "imagined", "11", model="xyz")]
    with pytest.raises(WowError, match="different models"):
        loss_budget([read_stage(run) for run in runs], DIFFICULTY)
    with pytest.raises(WowError, match="is no run"):
        read_stage(tmp_path)


def test_the_command_writes_a_table_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(run_of(tmp_path / name, name, said)) for name, said in ALL.items()]
    assert main(["bench", "losses", *runs, "--out", str(tmp_path / "out"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["lost_by"]["imagination"] == 2 and summary["scenes"] == 8
    content = json.loads((tmp_path / "out/losses.json").read_text())
    assert len(content["failures"]) == 5 and content["losses"][0]["of_all"]["n"] == 8
    page = (tmp_path / "out/losses.md").read_text()
    assert "| codec | 1 | 20.0 (3.6 to 62.4) |" in page
