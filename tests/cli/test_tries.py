"""`wow data tries` in the real simulator: several plans from one state, executed, and what became of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wow.cli.main import main
from wow.cli.tries import ERRORS, PLANS
from wow.data.tries import NEVER, read_tries

pytest.importorskip("metaworld")
WORDS = ["data", "tries", "--tasks", "drawer-open", "--misread", "1", "--workers", "1", "--json"]


def test_plans_are_tried_from_one_state_and_the_command_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "--seed", "100300", "--out", str(tmp_path / "tries")]
    assert main([*words, "--scenes", "1"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["plans_now"] == len(PLANS)
    (first,), card = read_tries(tmp_path / "tries")
    assert first.actions.shape == (len(PLANS), 16, 7) and card.robot.startswith("Sawyer")
    assert first.sources[-2:] == ("expert", "expert misread") and len(set(first.sources)) == 6
    # The expert is asked in the scene as it began, not in what the plans before it left behind.
    assert first.success_step[first.sources.index("expert")] != NEVER
    assert first.success_step[0] != NEVER, "wow-mini opens drawers"
    errors = np.load(tmp_path / "tries" / ERRORS)
    assert errors.shape == (1, 16, 7) and np.abs(errors).max() > 0
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "tries").iterdir()}
    assert main([*words, "--scenes", "2"]) == 0
    done = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (done["scenes"], done["plans_now"]) == (2, len(PLANS))
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "tries").iterdir()}
    assert before.items() <= after.items() and len(after) == len(before) + 1


@pytest.mark.parametrize(
    ("words", "said"), [(["--tasks", "drawer-opn"], "drawer-open"), (["--scenes", "0"], "at least 1")]
)
def test_mistakes_are_one_line(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--out", str(tmp_path / "tries"), *words]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and len(error.splitlines()) == 1
