"""Recorded motions painted anew keep their actions, come out the same after a stop, and teach inverse dynamics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("metaworld")

from wow.assembly import load_codec
from wow.cli.main import main
from wow.data import Dataset, open_dataset
from wow.train.idm_data import open_source, truth_of
from wow.train.latents import codec_hash
from wow.weights import shipped


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "data"
    words = ["data", "collect", "--tasks", "button-press", "--episodes", "2", "--workers", "1", "--seed", "5"]
    assert main([*words, "--out", str(folder)]) == 0
    return folder


def paint(recorded: Path, out: Path, clips: int) -> Dataset:
    assert main(["data", "paint", str(recorded), "--clips", str(clips), "--out", str(out)]) == 0
    return open_dataset(out)


def test_a_clip_is_painted_for_what_was_done(recorded: Path, tmp_path: Path) -> None:
    painted, episodes = paint(recorded, tmp_path / "painted", 4), list(open_dataset(recorded))
    firsts = [episode.videos["front"].frames.astype(int) for episode in episodes]
    for episode in painted:
        assert len(episode) == 17 and episode.source == "painted" and episode.success is None
        frames = episode.videos["front"].frames.astype(int)
        begun = min(float(np.abs(seen - frames[0]).mean()) for first in firsts for seen in first)
        assert begun < 3.0, "it does not begin with a recorded picture"
        ends = [recorded.signals["sim.hand"][0] + recorded.actions[:-1, :3].sum(axis=0) for recorded in episodes]
        assert min(np.abs(episode.signals["sim.hand"][-1] - end).max() for end in ends) < 1e-4
        moved = episode.signals["sim.hand"][-1] - episode.signals["sim.hand"][0]
        assert np.allclose(episode.actions[:-1, :3].sum(axis=0), moved, atol=1e-4)
    assert all(np.abs(episode.actions[-1, :6]).max() == 0 for episode in painted)


def test_a_stopped_painting_goes_on_and_comes_out_the_same(recorded: Path, tmp_path: Path) -> None:
    paint(recorded, tmp_path / "twice", 1)
    twice, once = paint(recorded, tmp_path / "twice", 3), paint(recorded, tmp_path / "once", 3)
    assert len(twice) == len(once) == 3
    for one, other in zip(twice, once, strict=True):
        assert one.facts == other.facts and np.array_equal(one.actions, other.actions)
        assert np.abs(one.videos["front"].frames.astype(int) - other.videos["front"].frames.astype(int)).mean() < 1.0


def test_inverse_dynamics_find_in_it_what_they_need(recorded: Path, tmp_path: Path) -> None:
    paint(recorded, tmp_path / "painted", 2)
    source = open_source(tmp_path / "painted", None, imagined=True)
    truth = truth_of(source, np.arange(17), 0)
    assert np.isfinite(truth.places).all()
    assert np.allclose(np.diff(truth.places[:, :3], axis=0), truth.actions[:, :3], atol=1e-5)


def test_no_clips_are_refused(toy_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "paint", str(toy_data), "--clips", "0", "--out", str(tmp_path / "none")]) == 2
    assert "--clips is at least 1" in capsys.readouterr().err


def test_the_codec_learns_from_what_the_transformer_paints(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "codec", "--from", "wow-mini", "--data", str(recorded), "--out", str(tmp_path / "codec")]
    words += ["--config.frozen-latents", "--config.painted", "0.5", "--config.painted-clips", "2"]
    small = ["--config.crop", "32", "--config.train.steps", "2", "--config.train.batch-size", "2"]
    assert main([*words, *small]) == 2
    assert "--painter" in capsys.readouterr().err
    assert main([*words, *small, "--painter", "wow-mini"]) == 0
    export = ["train", "export", "--from", "wow-mini", "--codec", str(tmp_path / "codec"), "--out", str(tmp_path / "m")]
    assert main(export) == 0
    assert codec_hash(load_codec(tmp_path / "m")) == codec_hash(load_codec(shipped()))


def test_a_painter_of_other_latents_is_refused(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(recorded), "--config.crop", "32", "--config.train.steps", "1"]
    other = tmp_path / "other"
    assert main(["train", "codec", *data, "--config.train.batch-size", "2", "--out", str(other)]) == 0
    begin = ["--from", str(other), "--painter", "wow-mini", "--config.frozen-latents", "--config.painted", "0.5"]
    assert main(["train", "codec", *data, *begin, "--out", str(tmp_path / "codec")]) == 2
    assert "wow-mini paints other latents than those of" in capsys.readouterr().err
    assert not (tmp_path / "codec" / "run.json").exists()
