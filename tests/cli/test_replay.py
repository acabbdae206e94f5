"""`wow replay --sim robosuite`: what was recorded is done again, and what cannot be is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wow.cli.main import main


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sim", "robosuite", "--task", "lift"], "--robot panda"),
        (["--sim", "robosuite", "--task", "lift", "--robot", "all"], "one arm"),
        (["--sim", "robosuite", "--task", "lift", "--robot", "ur5"], "ur5e"),
        (["--sim", "robosuite", "--task", "lif", "--robot", "panda"], "did you mean lift"),
        (["--sim", "robosuite", "--task", "lift,door", "--robot", "panda"], "one task"),
        (["--task", "door-close", "--robot", "panda"], "--sim robosuite"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 7)))
    assert main(["replay", str(tmp_path / "a.npy"), *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_recorded_actions_lift_the_cube_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("robosuite", reason="the extra sim-robosuite is not installed")
    from wow.data.action_file import write_actions
    from wow.data.video_file import read_video
    from wow.sim.job import Job, RecordingOptions
    from wow.sim.robosuite import CONTROL_RATE, Robosuite
    from wow.sim.robosuite_record import record
    from wow.types import Actions

    options = RecordingOptions(size=32, stride=2, control_rate=CONTROL_RATE)
    environment = Robosuite("panda", "lift", cameras=(), size=32)
    episode = record(environment, Job("lift", "lift", "expert", 3, "panda"), options)
    environment.close()
    assert episode.success
    write_actions(tmp_path / "lift.json", Actions(episode.actions, episode.embodiment, 0.1))
    words = ["replay", str(tmp_path / "lift.json"), "--sim", "robosuite", "--robot", "panda", "--task", "lift"]
    assert main([*words, "--seed", "3", "--size", "32", "--json", "--out", str(tmp_path / "out")]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["success"] and summary["robot"].startswith("Franka Panda") and summary["hand_error_m"] < 0.03
    film = read_video(tmp_path / "out" / "executed.mp4")
    assert film.fps == 20.0 and len(film) == 1 + summary["steps"]
    assert main([*words, "--seed", "4", "--size", "32", "--json", "--out", str(tmp_path / "other")]) == 0
    elsewhere = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert not elsewhere["success"], "what lifts a cube here misses it elsewhere"
