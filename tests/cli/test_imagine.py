"""`wow imagine` from the command line, on a tiny checkpoint: what it writes, and how it says no."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow.cli.main import main
from wow.data.video_file import read_video


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    import importlib.util

    spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "test_assembly.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    module.save_tiny_checkpoint(folder)
    return str(folder)


@pytest.fixture
def picture(tmp_path: Path) -> str:
    path = tmp_path / "scene.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 96, 3), dtype=np.uint8)).save(path)
    return str(path)


def imagine(picture: str, checkpoint: str, out: Path, *words: str) -> int:
    fast = ["--model", checkpoint, "--num-frames", "5", "--num-inference-steps", "1", "--out", str(out)]
    return main(["imagine", picture, *words, *fast])


def test_it_writes_videos_a_strip_and_what_was_asked(
    picture: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert imagine(picture, checkpoint, out, "open the drawer", "--candidates", "2", "--seed", "5", "--json") == 0
    assert {path.name for path in out.iterdir()} == {
        "vision.mp4", "vision-1.mp4", "filmstrip.png", "sample_args.json", "sample_outputs.json",
    }  # fmt: skip
    assert len(read_video(out / "vision.mp4")) == 5
    asked = json.loads((out / "sample_args.json").read_text())
    assert asked["instruction"] == "open the drawer" and asked["seed"] == 5 and len(asked["model_hash"]) == 64
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "cut to 64x64 at left and right" in summary["image_fitting"]


def test_the_same_seed_writes_the_same_file(picture: str, checkpoint: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert imagine(picture, checkpoint, tmp_path / name, "push", "--seed", "3") == 0
    assert (tmp_path / "one/vision.mp4").read_bytes() == (tmp_path / "two/vision.mp4").read_bytes()


def test_actions_from_a_file_are_followed(picture: str, checkpoint: str, tmp_path: Path) -> None:
    np.save(tmp_path / "actions.npy", np.zeros((4, 7)))
    (tmp_path / "actions.json").write_text(json.dumps({"values": [[0.0] * 7] * 4}))
    for suffix in ("npy", "json"):
        assert imagine(picture, checkpoint, tmp_path / suffix, "--actions", str(tmp_path / f"actions.{suffix}")) == 0
    assert (tmp_path / "npy/vision.mp4").read_bytes() == (tmp_path / "json/vision.mp4").read_bytes()


def refused(capsys: pytest.CaptureFixture[str], code: int, *expected: str) -> None:
    error = capsys.readouterr().err
    assert code == 2 and "Traceback" not in error and len(error.strip().splitlines()) == 1
    assert all(word in error for word in expected), error


def test_mistakes_are_one_line_each(
    picture: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    refused(capsys, main(["imagine"]), "picture", 'wow imagine scene.png "open the drawer"', "--batch")
    refused(capsys, main(["imagine", "--actions", "a.npy", "--out", str(out)]), "wow imagine scene.png")
    refused(capsys, imagine(str(tmp_path / "none.png"), checkpoint, out, "push"), "no picture", "none.png")
    (tmp_path / "text.png").write_text("not a picture")
    refused(capsys, imagine(str(tmp_path / "text.png"), checkpoint, out, "push"), "cannot be read as a picture")
    refused(capsys, imagine(picture, checkpoint, tmp_path / "a", ""), "instruction is empty")
    refused(capsys, imagine(picture, checkpoint, tmp_path / "b"), "what the robot should do")
    refused(capsys, imagine(picture, checkpoint, tmp_path / "c", "push", "--candidates", "0"), "--candidates")
    refused(capsys, imagine(picture, "wow-maxi", tmp_path / "d", "push"), "wow-mini")
    refused(capsys, imagine(picture, checkpoint, tmp_path / "e", "push", "--guidance-scale", "-1"), "--guidance-scale")
    np.save(tmp_path / "narrow.npy", np.zeros((4, 6)))
    refused(capsys, imagine(picture, checkpoint, tmp_path / "f", "--actions", str(tmp_path / "narrow.npy")), "delta_x")
    assert not list(tmp_path.glob("*/vision.mp4"))


@pytest.mark.parametrize(
    "words",
    [
        ["imagine", "PICTURE", "LONG"],
        ["refine", "PICTURE", "LONG", "--critic", "checks"],
        ["refine", "PICTURE", "LONG", "--critic", "checks", "--expand"],
        ["run", "--task", "door-close", "LONG"],
        ["run", "--task", "door-close", "LONG", "--plan-from", "policy"],
        ["run", "--task", "door-close", "LONG", "--refine", "--critic", "checks"],
        ["run", "--image", "PICTURE", "LONG", "--no-execute"],
    ],
    ids=lambda words: " ".join(word for word in words if word.islower() or word.startswith("-")),
)
def test_an_instruction_that_is_too_long_is_refused_whoever_is_given_it(
    words: list[str], picture: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"PICTURE": picture, "LONG": "carefully " * 70 + "open the drawer"}
    asked = [given.get(word, word) for word in words]
    code = main([*asked, "--model", checkpoint, "--num-frames", "5", "--out", str(tmp_path / "out")])
    refused(capsys, code, "73 words (73 tokens)", "reads 62 tokens", "say it shorter")
    assert not list(tmp_path.rglob("*.mp4"))


def test_an_existing_folder_is_never_overwritten(
    picture: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "vision.mp4").write_text("mine")
    refused(capsys, imagine(picture, checkpoint, out, "push"), "never overwritten")
    assert (out / "vision.mp4").read_text() == "mine"


def test_a_corrupted_checkpoint_is_named(
    picture: str, checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    next(copy.glob("codec-*.safetensors")).write_bytes(b"short")
    refused(capsys, imagine(picture, str(copy), tmp_path / "out", "push"), "corrupted", "codec-")
