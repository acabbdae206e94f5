"""`wow bench world`: what it takes, what it takes up again, and that asking costs no heavy package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wow.cli.bench import BenchWorld, held_out_wordings
from wow.types import WowError


def parsed(*words: str) -> BenchWorld:
    return BenchWorld.parse(words, "bench world")


def test_it_takes_up_its_own_runs_and_refuses_other_folders(tmp_path: Path) -> None:
    command = parsed("--data", "held-out", "--out", str(tmp_path), "--steps", "1", "4")
    assert command.steps == (1, 4)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(WowError, match="never overwritten"):
        command.prepare()
    (tmp_path / "run.json").write_text("{}")
    command.prepare()


def test_every_simulated_task_has_a_wording_that_training_never_had() -> None:
    from wow.sim.tasks import TASKS

    for by_task in held_out_wordings().values():
        assert by_task.keys() == TASKS.keys()
        for name, task in TASKS.items():
            assert by_task[name] and not {task.instruction, *task.paraphrases, *task.further} & set(by_task[name])


def test_its_help_loads_no_torch() -> None:
    loaded = "print('torch' in sys.modules, 'mujoco' in sys.modules)"
    code = f"import sys, wow.cli.bench; wow.cli.bench.held_out_wordings(); {loaded}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
