"""What is computed from episodes once and kept is never taken for that of others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wow.data import DatasetWriter, open_dataset
from wow.data.identity import dataset_identity
from wow.models.codec import Codec
from wow.train.idm_data import open_source, opening_of
from wow.train.latents import encode_frames
from wow.train.recipes import CODEC_RECIPES
from wow.train.relations import encode_teacher
from wow.train.store import LINK_PIXELS, open_clips
from wow.types import Dimension, Embodiment, Episode, WowError

Write = Callable[[Path, int], None]


@pytest.fixture
def write(toy_episode: Callable[..., Episode]) -> Write:
    """Two episodes of equal lengths, others for every seed; what is kept beside them stays."""

    def make(root: Path, seed: int) -> None:
        if root.exists():
            for path in root.iterdir():
                if path.name != ".cache":
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        with DatasetWriter(root, toy_episode(0).embodiment, fps=20.0) as writer:
            for number in range(2):
                writer.add(toy_episode(seed + number, 6))

    return make


class Brightness:
    """A teacher that sees how bright pictures are."""

    name = "brightness"

    def features(self, frames: np.ndarray, side: int) -> torch.Tensor:
        bright = torch.from_numpy(frames.mean(axis=(1, 2, 3)).astype(np.float32))
        return bright[:, None, None, None].expand(-1, 4, side, side)


def test_other_episodes_of_equal_lengths_are_decoded_and_encoded_anew(tmp_path: Path, write: Write) -> None:
    torch.manual_seed(0)
    codec, cache = Codec(CODEC_RECIPES["smoke"]().model).eval(), tmp_path / "data" / ".cache"

    def kept() -> list[np.ndarray]:
        source = open_source(tmp_path / "data", None)
        clips = source.clips
        latents = encode_frames(codec, clips, cache, lambda done, total: None)
        features = encode_teacher(Brightness(), clips, 2, cache, lambda done, total: None)
        assert source.robot is not None
        found = [clips.frames, clips.actions, source.places, source.robot, latents, features]
        return [np.array(each) for each in found]

    write(tmp_path / "data", 10)
    first = kept()
    stamps = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    assert all(np.array_equal(one, again) for one, again in zip(first, kept(), strict=True))
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == stamps, "the second time nothing is made"
    write(tmp_path / "data", 20)
    second = kept()
    assert all(one.shape == other.shape for one, other in zip(first, second, strict=True))
    assert not any(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_an_identity_changes_with_a_file_and_with_nothing_else(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "data", 10)

    def identity() -> str:
        return dataset_identity(open_dataset(tmp_path / "data"), tmp_path / "data")

    before = identity()
    (tmp_path / "data" / ".cache").mkdir()
    (tmp_path / "data" / ".cache" / "frames.npy").write_bytes(b"kept")
    assert identity() == before
    video = next((tmp_path / "data").rglob("*.mp4"))
    os.utime(video, ns=(0, 1))
    assert identity() != before


def test_the_order_of_folders_is_part_of_what_they_are_together(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "a", 10)
    write(tmp_path / "b", 20)
    one, other = (open_clips([tmp_path / name for name in names]).identity for names in ("ab", "ba"))
    assert one != other


def card(*names: str) -> Embodiment:
    return Embodiment("arm", 10.0, (Dimension("delta_x", "m"),), tuple(Dimension(name, "1") for name in names))


def test_where_links_are_is_known_of_the_data_that_tell_and_of_no_others(
    tmp_path: Path, toy_episode: Callable[..., Episode]
) -> None:
    card = toy_episode(0).embodiment
    wide = card.cameras[0].width
    pixels = np.arange(24, dtype=np.float32).reshape(6, 4)
    for name, signals in (("told", {LINK_PIXELS: pixels}), ("silent", {}), ("three", {LINK_PIXELS: pixels[:, :2]})):
        with DatasetWriter(tmp_path / name, card, fps=20.0) as writer:
            one = toy_episode(0, 6)
            writer.add(replace(one, signals=one.signals | signals))
    assert open_clips([tmp_path / "silent"]).links.shape == (6, 0)
    links = open_clips([tmp_path / "told", tmp_path / "silent"]).links
    assert np.allclose(links[:6], pixels / wide) and np.isnan(links[6:]).all() and len(links) == 12
    with pytest.raises(WowError, match="mark 1 and 2 links"):
        open_clips([tmp_path / "told", tmp_path / "three"])


def test_the_gripper_s_opening_is_no_part_of_its_orientation() -> None:
    place = ("gripper_x", "gripper_y", "gripper_z")
    turned = ("gripper_qw", "gripper_qx", "gripper_qy", "gripper_qz")
    assert opening_of(card(*place, *turned, "gripper_opening")) == 7
    assert opening_of(card("joint_1", "finger.opening", "gripper_qw")) == 1
    assert opening_of(card(*place, *turned)) is None
    assert opening_of(card("x", "y", "z", "roll", "pitch", "yaw", "gripper")) == 6
    assert opening_of(card("gripper_roll", "gripper_position")) == 1


def test_of_each_task_the_first_demonstrations_are_kept_and_nothing_else(
    tmp_path: Path, toy_episode: Callable[..., Episode]
) -> None:
    root = tmp_path / "data"
    told = [
        *(("open", "expert", True), ("open", "expert", False), ("shut", "expert", True), ("open", "random", False)),
        *(("open", "human", True), ("open", "expert", True), ("shut", "expert", True)),
    ]
    with DatasetWriter(root, toy_episode(0).embodiment, fps=20.0) as writer:
        for number, (task, source, success) in enumerate(told):
            episode = replace(toy_episode(number, 5 + number), task=task, source=source, success=success)
            writer.add(episode)
    whole, few = open_clips([root]), open_clips([root], demonstrations=2)
    assert [texts[0] for texts in few.texts] == ["open", "shut", "open", "shut"] and few.obeys.all()
    for place, number in enumerate((0, 2, 4, 6)):
        ours, theirs = (slice(each.start[i], each.start[i + 1]) for each, i in ((few, place), (whole, number)))
        assert (few.frames[ours] == whole.frames[theirs]).all() and (few.actions[ours] == whole.actions[theirs]).all()
    one = open_clips([root], demonstrations=1)
    assert len(one) == 2 and len({whole.identity, few.identity, one.identity}) == 3
    with pytest.raises(WowError, match="at least 1"):
        open_clips([root], demonstrations=0)
