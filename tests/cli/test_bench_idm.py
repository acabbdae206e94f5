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
from wow.data import DatasetWriter, open_dataset
from wow.types import Actions, Embodiment, Episode, Video


def reader(card: Embodiment) -> Callable[..., Actions]:
    def reads(video: Video, paced: bool, start: object = None) -> Actions:
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


def test_recorded_actions_open_the_window_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scene of an episode comes back from its seed: the truth succeeds there, and who sees no motion does not."""
    made = ["data", "collect", "--tasks", "window-open,drawer-close", "--episodes", "1", "--seed", "100003"]
    assert main([*made, "--workers", "1", "--size", "32", "--out", str(tmp_path / "data")]) == 0
    card = open_dataset(tmp_path / "data").embodiment
    monkeypatch.setattr(bench_idm, "_reader", lambda name: reader(card))
    monkeypatch.setattr(bench_idm, "_newest", lambda name: "abc")
    data, out = str(tmp_path / "data"), tmp_path / "out"
    assert main(["bench", "idm", "--data", data, "--train-data", data, "--replay", "--out", str(out)]) == 0
    records = json.loads((out / "records.json").read_text())["records"]
    replayed = {(r["system"], r["task"]): r["replayed"] for r in records if r["replayed"] is not None}
    assert replayed == {
        (system, task): system == "recorded actions"
        for system in ("wow-mini", "recorded actions")
        for task in ("window-open", "drawer-close")
    }
    assert "executed in the scene of the video" in (out / "report.md").read_text()


def test_episodes_of_no_simulator_are_not_executed(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], toy_episode: Callable[..., Episode]
) -> None:
    one = replace(toy_episode(0, 9), source="expert", success=True, facts={"task_name": "reach"})
    with DatasetWriter(tmp_path / "real", one.embodiment, fps=20.0) as writer:
        writer.add(one)
    asked = [str(tmp_path / "real") if word == str(tmp_path / "data") else word for word in command]
    assert main([*asked, "--replay"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "wow data collect" in said and "seed None" in said


def test_several_folders_are_measured_as_one(command: list[str], tmp_path: Path) -> None:
    assert main([*command, "--data", *[str(tmp_path / "data")] * 2, "--episodes", "0-1"]) == 0
    records = json.loads((tmp_path / "out/records.json").read_text())["records"]
    assert {record["episode"] for record in records} == {str(tmp_path / f"data/{number}") for number in (0, 1)}
