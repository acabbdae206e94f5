"""`wow act` from the command line: what it writes, and how it says no."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow import assembly
from wow.cli.main import main
from wow.data.action_file import read_actions
from wow.data.embodiment import write_embodiment
from wow.data.video_file import write_video
from wow.train.export import as_checkpoint
from wow.types import Dimension, Embodiment, Episode, Video, WowError


@pytest.fixture(scope="module")
def model(toy_run: Path) -> str:
    return str(as_checkpoint(toy_run))


@pytest.fixture
def video(tmp_path: Path, toy_episode: Callable[..., Episode]) -> Path:
    path = tmp_path / "robot.mp4"
    write_video(path, toy_episode(2000).videos["front"])
    return path


def act(video: Path, model: str, out: Path, *words: str) -> int:
    return main(["act", str(video), "--model", model, "--out", str(out), *words])


def test_it_writes_actions_that_can_be_read_and_a_plot(
    video: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "actions.json"
    assert act(video, model, out, "--json") == 0
    card = assembly.load_inverse(Path(model)).embodiment
    actions = read_actions(out, card)
    assert actions.values.shape == (23, 7) and actions.deviations is not None and actions.seconds == 0.05
    content = json.loads(out.read_text())
    assert [dim["name"] for dim in content["dimensions"]][:2] == ["delta_x", "delta_y"]
    assert 0 <= content["confidence"] <= 1 and content["dimensions"][0]["unit"] == "m"
    assert Image.open(out.with_suffix(".png")).width > 400
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["transitions"] == 23 and summary["confidence"] == content["confidence"]


def test_the_same_video_gives_the_same_bytes(video: Path, model: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert act(video, model, tmp_path / f"{name}.json") == 0
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_told_where_the_hand_begins_it_reads_another_way_to_the_same_places(
    video: Path, model: str, tmp_path: Path
) -> None:
    """The places that are read further on stay, so that the way there leads from where the hand is said to be."""
    card = assembly.load_inverse(Path(model)).embodiment
    ways = []
    for name, words in (("untold", ()), ("here", ("0", "0", "0")), ("there", ("0.1", "0", "0"))):
        path = tmp_path / f"{name}.json"
        assert act(video, model, path, *(("--start", *words) if words else ())) == 0
        ways.append(read_actions(path, card).values[:, :3].sum(axis=0))
    untold, here, there = ways
    assert not np.allclose(untold, here)
    assert there[0] < here[0] and np.allclose(there[1:], here[1:], atol=1e-4)


def test_who_reads_no_way_of_a_hand_has_no_use_for_its_start(model: str, toy_episode: Callable[..., Episode]) -> None:
    inverse = assembly.load_inverse(Path(model))
    without = replace(inverse, layout=replace(inverse.layout, moves=()))
    with pytest.raises(WowError, match="leave out where it starts"):
        without.read(toy_episode(2000).videos["front"], start=np.zeros(3, np.float32))


def test_a_run_is_a_model_too(video: Path, toy_run: Path, tmp_path: Path) -> None:
    assert act(video, str(toy_run), tmp_path / "a.json", "--pace", "unknown") == 0
    assert json.loads((tmp_path / "a.json").read_text())["seconds"] is None


def test_a_mask_can_be_a_picture_a_video_or_none(video: Path, model: str, tmp_path: Path) -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    Image.fromarray(white).save(tmp_path / "mask.png")
    write_video(tmp_path / "mask.mp4", Video(np.repeat(white[None], 24, axis=0), 20.0))
    for number, mask in enumerate(("none", str(tmp_path / "mask.png"), str(tmp_path / "mask.mp4"))):
        assert act(video, model, tmp_path / f"{number}.json", "--mask", mask) == 0
    values = [np.array(json.loads((tmp_path / f"{number}.json").read_text())["values"]) for number in range(3)]
    assert np.array_equal(values[0], values[1]) and np.abs(values[0] - values[2]).max() < 0.01


def test_what_deserves_no_trust_is_said(
    model: str, tmp_path: Path, toy_episode: Callable[..., Episode], capsys: pytest.CaptureFixture[str]
) -> None:
    still = tmp_path / "still.mp4"
    write_video(still, Video(np.repeat(toy_episode(1).videos["front"].frames[:1], 6, axis=0), 20.0))
    assert act(still, model, tmp_path / "still.json") == 0
    assert "note: low confidence (0.00): nothing moves" in capsys.readouterr().out
    assert json.loads((tmp_path / "still.json").read_text())["confidence"] == 0.0


def refused(capsys: pytest.CaptureFixture[str], code: int, *expected: str) -> None:
    error = capsys.readouterr().err
    assert code == 2 and "Traceback" not in error and len(error.strip().splitlines()) == 1
    assert all(word in error for word in expected), error


def test_mistakes_are_one_line_each(
    video: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    refused(capsys, act(tmp_path / "none.mp4", model, out), "no video")
    (tmp_path / "text.mp4").write_text("not a video")
    refused(capsys, act(tmp_path / "text.mp4", model, out), "not a readable video")
    for name, frames in (("black", np.zeros((5, 64, 64, 3), np.uint8)), ("single", np.eye(64, dtype=np.uint8)[None])):
        picture = frames if frames.ndim == 4 else 255 * np.repeat(frames[..., None], 3, axis=-1)
        write_video(tmp_path / f"{name}.mp4", Video(picture, 20.0))
    refused(capsys, act(tmp_path / "black.mp4", model, out), "black")
    refused(capsys, act(tmp_path / "single.mp4", model, out), "one frame")
    refused(capsys, act(video, "wow-maxi", out), "wow-mini")
    refused(capsys, act(video, model, out, "--start", "0", "nan", "0.2"), "x y z in metres")
    refused(capsys, act(video, model, out, "--mask", "white"), "auto, none or a file")
    Image.new("RGB", (32, 64), "white").save(tmp_path / "narrow.png")
    refused(capsys, act(video, model, out, "--mask", str(tmp_path / "narrow.png")), "32x64", "64x64")
    joints = Embodiment("arm", 10.0, tuple(Dimension(f"joint_{i}", "rad") for i in range(7)))
    write_embodiment(tmp_path / "card.json", joints)
    refused(capsys, act(video, model, out, "--embodiment", str(tmp_path / "card.json")), "wow train idm")
    refused(capsys, act(video, model, tmp_path / "plot.png"), "plot")
    out.write_text("mine")
    refused(capsys, act(video, model, out), "never overwritten")
    assert out.read_text() == "mine"


def test_a_model_without_inverse_dynamics_says_how_to_get_one(
    video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], toy_run: Path
) -> None:
    from wow import weights

    folder = tmp_path / "blind"
    manifest = weights.read_manifest(as_checkpoint(toy_run))
    folder.mkdir()
    weights.write_manifest(folder, weights.Manifest("blind", {"text": manifest.parts["text"]}))
    refused(capsys, act(video, str(folder), tmp_path / "a.json"), "inverse_dynamics", "wow train idm")
