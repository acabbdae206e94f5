"""`wow bench build`: resumable, reproducible, and what it writes is a suite."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from wow.bench.suite import OTHER_INSTRUCTION, REGIONS, SCENE, TRAJECTORY, open_suite
from wow.cli.main import main
from wow.sim.changes import card_from_json

WORDS = ["bench", "build", "--size", "32", "--workers", "1", "--json"]


def build(out: Path, samples: int, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The summary of a build."""
    assert main([*WORDS, "--samples", str(samples), "--out", str(out)]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_a_build_goes_on_and_comes_out_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    assert build(one, 2, capsys)["filmed_now"] == 2
    told = build(one, 3, capsys)
    assert (told["samples"], told["filmed_now"]) == (3, 1)
    half = other / "attribute-color" / ".000.part"
    half.mkdir(parents=True)
    (half / "prompt.txt").write_text("cut off")  # what a killed build leaves behind
    (other / "run.json").write_text((one / "run.json").read_text())
    assert build(other, 3, capsys)["suite_hash"] == told["suite_hash"]
    shutil.rmtree(one / "attribute-number" / "000")
    assert build(one, 3, capsys)["suite_hash"] == told["suite_hash"]

    suite = open_suite(one)
    assert not suite.problems and [s.meta.ability for s in suite.samples] == ["perception"] * 3
    for sample in suite.samples:
        assert sample.dense and sample.prompt != sample.meta.facts[OTHER_INSTRUCTION]
        assert card_from_json(sample.meta.facts[SCENE]).tasks
        assert sample.masks is not None
        with np.load(sample.masks) as stored, np.load(sample.folder / TRAJECTORY) as paths:
            assert set(np.unique(stored["masks"][0])) == set(range(len(REGIONS)))
            assert len(stored["masks"]) == len(paths["gripper"]) == len(paths["actions"]) + 1
    text = (one / "README.md").read_text()
    assert "dual-arm: the robot has one arm" in text and "attribute-color" in text
    assert "dual-arm" in json.loads((one / "suite.json").read_text())["missing"]


def test_other_settings_need_another_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text('{"kind": "open suite", "seed": 1, "size": 32}')
    assert main([*WORDS, "--samples", "1", "--out", str(tmp_path)]) == 2
    assert main(["bench", "build", "--samples", "0", "--out", str(tmp_path / "new")]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and "seed" in errors[0] and "--samples is 1" in errors[1]
