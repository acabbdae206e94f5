"""`wow plan-memory` answers also where a model does not fit: with all settings, why, and on which machine it would."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import torch

from wow.cli.main import main

WOW = "wow-1-wan-14b-2m"


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_model_that_does_not_fit_has_its_table_and_a_command_that_finds_a_plan(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan-memory", WOW, "--ram", "25", "--json"]) == 0
    first, _, head, *rows, last = capsys.readouterr().out.splitlines()
    assert first.startswith("no plan: there is no NVIDIA GPU here") and "25 GB" in first
    assert head.split()[0] == "offload" and len(rows) >= 3 and all(row.endswith("no") for row in rows)
    summary = json.loads(last)
    assert summary["plan"] is None and summary["why_not"] in first and len(summary["settings"]) == len(rows)
    command = re.search(r"\(wow (plan-memory .*) plans for", first)
    assert command is not None
    assert main([*shlex.split(command[1]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["plan"].startswith(WOW)


def test_what_would_take_days_without_a_gpu_has_its_table_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan-memory", "wow-1-wan-1.3b-2m", "--ram", "64"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert "no NVIDIA GPU here" in first and "days" in first and last.endswith("yes")


def test_a_wish_that_does_not_fit_is_to_be_left_away(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan-memory", WOW, "--vram", "16", "--ram", "64", "--offload", "none"]) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    assert "leave --offload none away" in first and any(
        row.startswith("blocks") and row.endswith("yes") for row in rows
    )


def test_what_cannot_be_asked_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["wow-mini"], "is no foundation model"),
        (["./nowhere"], "there is no folder ./nowhere"),
        (["wow-1-wan-14b"], "did you mean"),
        ([WOW, "--vram", "0"], "--vram"),
        (["svd-xt", "--tiling", "on"], "leave --tiling away"),
    ):
        assert main(["plan-memory", *words]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
