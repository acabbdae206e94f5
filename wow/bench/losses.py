"""The loss budget: of the episodes that fail, which stage between a scene and a success fails first.

Every stage is run with the truth in the place of those before it. An episode that fails is the first stage's whose run
fails in the same scene; a stage that nobody ran is not told apart from the next one that was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wow.bench.execution import BIN_COLOURS, ExecutionRecord, record_from_json
from wow.bench.intervals import Estimate, share
from wow.bench.ledger import IDENTITY, Ledger
from wow.bench.report import Provenance
from wow.bench.text import grid, percent, write_json, write_text
from wow.types import WowError

DEMONSTRATION = "demonstration"
"""The expert itself fails there: what follows it cannot do better."""
STAGES: Mapping[str, str] = {
    "actions": "controller",
    "video": "inverse dynamics",
    "codec": "codec",
    "policy": "planning",
    "imagined": "imagination",
}
"""What each source of plans adds to the one before it, in the order in which stages follow one another."""
WAYS: Mapping[str, tuple[str, ...]] = {
    "imagined": ("actions", "video", "codec", "policy", "imagined"),
    "policy": ("actions", "policy"),
    "codec": ("actions", "video", "codec"),
    "video": ("actions", "video"),
}
"""By the last stage, which come before it: a plan that is not read from a video passes neither codec nor reader."""
Scene = tuple[str, int]


@dataclass(frozen=True)
class StageRun:
    """One evaluation: where its plans come from, and what became of each scene (task and seed)."""

    folder: Path
    plan_from: str
    settings: Mapping[str, Any]
    records: Mapping[Scene, ExecutionRecord]


@dataclass(frozen=True)
class Loss:
    """One stage in one bin ("" is all of them): of all episodes, and of those that fail, how many it loses."""

    stage: str
    difficulty: str
    episodes: int
    of_all: Estimate
    of_failures: Estimate | None


@dataclass(frozen=True)
class Budget:
    """Who loses how many. success: of each run on the scenes that all have; first: by scene, the stage that fails
    first. notes: what a reader should know."""

    runs: tuple[StageRun, ...]
    success: Mapping[str, Estimate]
    losses: tuple[Loss, ...]
    first: Mapping[Scene, str]
    notes: tuple[str, ...] = ()


def read_stage(folder: Path) -> StageRun:
    """A run of `wow run --suite`. Raises WowError where the folder is none, or says nothing about a stage."""
    try:
        settings = json.loads((folder / IDENTITY).read_text())
        plan_from = settings["plan_from"]
        found = Ledger(folder / "episodes.jsonl", record_from_json).finished()
    except (OSError, ValueError, KeyError, TypeError):
        raise WowError(f"{folder} is no run of wow run --suite: name the folders given to it as --out") from None
    if plan_from not in STAGES:
        raise WowError(f"{folder} has --plan-from {plan_from}, which is no stage; stages are {', '.join(STAGES)}")
    records = [record for batch in found.values() for record in batch]
    return StageRun(folder, plan_from, settings, {(record.task, record.seed): record for record in records})


def loss_budget(runs: Sequence[StageRun], difficulty: Mapping[str, str]) -> Budget:
    """The budget of the last stage's failures, on the scenes that all runs have. difficulty: the bin of each task.

    Raises WowError where the runs are not stages of one way, are of different models, or share no scene.
    """
    way = _in_order(runs)
    scenes = sorted(set.intersection(*(set(run.records) for run in way)))
    if not scenes:
        folders = ", ".join(str(run.folder) for run in way)
        raise WowError(f"{folders} share no scene: run the stages with the same --suite and --seed")
    names = _stage_names([run.plan_from for run in way])
    first = {scene: _first_failing(way, names, scene) for scene in scenes if not way[-1].records[scene].success}
    stages = [DEMONSTRATION, *names] if DEMONSTRATION in first.values() else names
    bins = ["", *(name for name in BIN_COLOURS if any(difficulty.get(task) == name for task, _ in scenes))]
    losses = []
    for difficult in bins:
        inside = [scene for scene in scenes if not difficult or difficulty.get(scene[0]) == difficult]
        failed = [first[scene] for scene in inside if scene in first]
        for stage in stages:
            count = failed.count(stage)
            of_failures = share(count, len(failed)) if failed else None
            losses.append(Loss(stage, difficult, count, share(count, len(inside)), of_failures))
    success = {run.plan_from: share(sum(run.records[scene].success for scene in scenes), len(scenes)) for run in way}
    return Budget(tuple(way), success, tuple(losses), first, _notes(way, len(scenes)))


def markdown(budget: Budget, origin: Provenance) -> str:
    """The report for people."""
    bins = list(dict.fromkeys(loss.difficulty for loss in budget.losses))
    last = budget.runs[-1].plan_from
    lines = ["# Loss budget", "", origin.markdown(), "", "Shares with Wilson's 95 % intervals.", ""]
    lines += ["## Success of every stage, the truth in the place of those before it", ""]
    rows = [["plans from", "adds", "success [%]", "n"]]
    names = _stage_names([run.plan_from for run in budget.runs])
    for run, name in zip(budget.runs, names, strict=True):
        found = budget.success[run.plan_from]
        rows.append([run.plan_from, name, percent(found), str(found.n)])
    lines += [grid(rows), "", f"## Which stage loses the failures of plans from {last}", ""]
    head = ["first stage that fails", "episodes", "of the failures [%]"]
    rows = [[*head, *(f"of {name or 'all'} episodes [%]" for name in bins), "n"]]
    for stage in dict.fromkeys(loss.stage for loss in budget.losses):
        by_bin = {loss.difficulty: loss for loss in budget.losses if loss.stage == stage}
        shares = [percent(by_bin[name].of_all) for name in bins]
        counts = ", ".join(str(by_bin[name].of_all.n) for name in bins)
        rows.append([stage, str(by_bin[""].episodes), percent(by_bin[""].of_failures), *shares, counts])
    lines.append(grid(rows))
    lines += [f"\n{note}" for note in budget.notes]
    return "\n".join(lines) + "\n"


def write_budget(out: Path, budget: Budget, origin: Provenance) -> None:
    """Writes `losses.json` and `losses.md`, each whole or not at all."""
    content = {
        "runs": {run.plan_from: str(run.folder) for run in budget.runs},
        "success": {name: asdict(found) for name, found in budget.success.items()},
        "losses": [asdict(loss) for loss in budget.losses],
        "failures": [
            {"task": task, "seed": seed, "first_stage": stage} for (task, seed), stage in budget.first.items()
        ],
        "notes": list(budget.notes),
        **asdict(origin),
    }
    write_json(out / "losses.json", content)
    write_text(out / "losses.md", markdown(budget, origin))


# ---- inside ----


def _in_order(runs: Sequence[StageRun]) -> list[StageRun]:
    """The runs as the stages follow one another. Raises WowError where they are no such thing."""
    by_stage: dict[str, StageRun] = {}
    for run in runs:
        if run.plan_from in by_stage:
            other = by_stage[run.plan_from].folder
            raise WowError(f"{other} and {run.folder} both have --plan-from {run.plan_from}: name one of them")
        by_stage[run.plan_from] = run
    last = next((stage for stage in WAYS if stage in by_stage), None)
    if last is None or len(by_stage) < 2:
        raise WowError("losses are told apart by at least two runs, such as --plan-from actions and imagined")
    if beside := [stage for stage in by_stage if stage not in WAYS[last]]:
        raise WowError(f"--plan-from {last} does not pass {' or '.join(beside)}: add a run with --plan-from imagined")
    way = [by_stage[stage] for stage in WAYS[last] if stage in by_stage]
    models = {run.settings.get("model_hash") for run in way} - {None}
    if len(models) > 1:
        raise WowError(f"the runs are of {len(models)} different models: losses are those of one")
    return way


def _stage_names(given: Sequence[str]) -> list[str]:
    """What fails in each run that did not in the run before: its own stage, or one before it that nobody ran."""
    way, names, passed = WAYS[given[-1]], [], []
    for stage in way:
        # A plan that is not run is no stage of its own: then planning and painting are imagination together.
        if stage == "policy" and stage not in given:
            continue
        is_painting = stage == "imagined" and "policy" in given
        passed.append("painting" if is_painting else STAGES[stage])
        if stage in given:
            names.append(" or ".join(passed))
            passed = []
    return names


def _first_failing(way: Sequence[StageRun], names: Sequence[str], scene: Scene) -> str:
    if any(run.records[scene].truth_succeeds is False for run in way):
        return DEMONSTRATION
    return next(name for run, name in zip(way, names, strict=True) if not run.records[scene].success)


def _notes(way: Sequence[StageRun], num_scenes: int) -> tuple[str, ...]:
    notes = [f"{num_scenes} scenes (task and seed) that all {len(way)} runs have."]
    left_out = {str(run.folder): len(run.records) - num_scenes for run in way if len(run.records) > num_scenes}
    if left_out:
        notes.append("Left out, as not all have them: " + ", ".join(f"{n} of {name}" for name, n in left_out.items()))
    for key in ("replan_every", "retreat", "open_loop", "budget", "unknown_pace"):
        said = {run.plan_from: run.settings.get(key) for run in way}
        if len({str(value) for value in said.values()}) > 1:
            told = ", ".join(f"{value} for {name}" for name, value in said.items())
            notes.append(f"The runs differ in more than their stage: {key} is {told}.")
    return tuple(notes)
