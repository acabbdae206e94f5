"""`wow demo` as typed, with the trained model in the real simulator: all that it promises is there, and whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow.cli.main import main
from wow.data.action_file import read_actions
from wow.data.video_file import read_video
from wow.sim.job import RecordingOptions
from wow.sim.record import sawyer_card

QUICK = ["--num-frames", "9", "--num-inference-steps", "1", "--corrections", "0"]
FILES = {"vision.mp4", "executed.mp4", "filmstrip.png", "actions.png", "sample_args.json", "sample_outputs.json"}


def test_the_main_job_leaves_videos_pictures_actions_and_what_was_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    words = ["demo", "--task", "drawer-close-v3", "--seed", "200001", *QUICK, "--out", str(out), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {path.name for path in out.iterdir()} == FILES | {"plans"}
    assert json.loads((out / "sample_outputs.json").read_text()) == told
    assert told["instruction"] == "close the drawer" and told["plans"] >= 1 and told["success"] in (True, False)
    assert Path(told["video"]) == out / "vision.mp4" and Path(told["executed"]) == out / "executed.mp4"
    asked = json.loads((out / "sample_args.json").read_text())
    assert asked["task"] == "drawer-close-v3" and asked["seed"] == 200_001 and asked["num_frames"] == 9
    assert len(asked["model_hash"]) == 64
    imagined, executed = read_video(out / "vision.mp4"), read_video(out / "executed.mp4")
    assert len(imagined) == 9 and len(executed) >= 2 and executed.fps == 20.0
    first, real = (video.frames[0].astype(float) for video in (imagined, executed))
    assert first.shape == real.shape and np.abs(first - real).mean() < 8, "what is imagined begins with what is there"
    assert np.abs(imagined.frames[-1].astype(float) - first).max() > 60, "something moves in it"
    for name in ("filmstrip.png", "actions.png"):
        with Image.open(out / name) as picture:
            picture.load()  # to its last row
            assert picture.width > 300 and picture.height > 100
    plans = sorted((out / "plans").glob("*.json"))
    assert len(plans) == told["plans"] == len(list((out / "plans").glob("*.mp4")))
    actions = read_actions(plans[0], sawyer_card(RecordingOptions()))
    assert actions.values.shape == (8, 7) and np.isfinite(actions.values).all()
    assert np.array_equal(read_video(out / "plans/00.mp4").frames, imagined.frames), "the first plan is what is shown"

    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "never overwritten" in error and str(out) in error and len(error.strip().splitlines()) == 1, error
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "drawer-clos"], "drawer-close"),
        (["--num-inference-steps", "0"], "--num-inference-steps is 1 to 1000"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["demo", *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "out").exists()
