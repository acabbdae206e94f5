"""`wow bench idm`: a measurement that is interrupted goes on where it was, and is not mixed with another."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wow.bench import inverse
from wow.cli import bench_idm
from wow.cli.main import main
from wow.data import DatasetWriter
from wow.types import Actions, Embodiment, Episode, Video


def reader(card: Embodiment) -> Callable[[Video, bool], Actions]:
    def reads(video: Video, paced: bool) -> Actions:
        values = np.zeros((len(video) - 1, 7), np.float32)
        return Actions(values, card, deviations=np.full_like(values, 0.01))

    return reads


@pytest.fixture
def command(tmp_path: Path, toy_episode: Callable[..., Episode], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measures a model that sees nothing on four episodes."""
    card = toy_episode(0).embodiment
    with DatasetWriter(tmp_path / "data", card, fps=20.0) as writer:
        for seed, task in enumerate(("reach", "hammer", "reach", "soccer")):
            writer.add(replace(toy_episode(seed, 9), facts={"task_name": task, "seed": seed}))
    monkeypatch.setattr(bench_idm, "_reader", lambda name: reader(card))
    monkeypatch.setattr(bench_idm, "_newest", lambda name: "abc")
    data = str(tmp_path / "data")
    return ["bench", "idm", "--data", data, "--train-data", data, "--num-frames", "5", "--out", str(tmp_path / "out")]


def test_a_kill_loses_at_most_the_episode_in_flight(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []
    whole = inverse.measure_episode

    def dies_at_the_third(name: str, *rest: object) -> object:
        seen.append(name)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return whole(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(inverse, "measure_episode", dies_at_the_third)
    assert main(command) == 130
    assert "saved 2 of 4 episodes" in capsys.readouterr().err
    assert main(command) == 0
    assert seen == ["0", "1", "2", "2", "3"], "what was measured is not measured again"
    records = json.loads((tmp_path / "out/records.json").read_text())["records"]
    assert {record["episode"] for record in records} == {"0", "1", "2", "3"}
    assert {record["difficulty"] for record in records} == {"easy", "medium", "hard"}
    report = (tmp_path / "out/report.md").read_text()
    assert "translation [mm], easy | translation [mm], medium | translation [mm], hard" in report
    assert (tmp_path / "out/coverage.png").stat().st_size > 1000


def test_another_measurement_is_not_mixed_in(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    monkeypatch.setattr(bench_idm, "_newest", lambda name: "other weights")
    assert main(command) == 2
    assert "holds a run with models" in capsys.readouterr().err
