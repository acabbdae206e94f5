"""Formats that are not LeRobot: each is found out, read and converted, and what is wrong with it is said."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wow.data import import_dataset, open_dataset
from wow.data.embodiment import embodiment_from_json, embodiment_to_json
from wow.data.video_file import write_video
from wow.types import Embodiment, Video, WowError

SAMPLES = os.environ.get("WOW_RECORDINGS", "")
"""A folder with recordings of others, `droid_sample` and `lerobot_v2_picknplace`."""


def film(path: Path, length: int = 5, size: int = 32, fps: float = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, Video(np.full((length, size, size, 3), 90, np.uint8), fps))


def test_annotation_json_with_several_cameras(make_annotated: Callable[..., Path]) -> None:
    dataset = open_dataset(make_annotated())
    assert dataset.format == "annotation" and dataset.cameras == ("camera_0", "camera_1") and dataset.fps == 4
    assert [(r.task, r.success, r.facts["episode_id"]) for r in dataset.records] == [
        ("fold the towel", True, "0000"),
        ("fold the towel", False, "0001"),
    ]
    episode = dataset.episode(0)
    assert episode.states is not None and episode.states.shape == (6, 7)
    assert episode.signals["observation.joints"].shape == (6, 8)
    # Actions were not recorded: following them from the first state leads through all states, up to whole turns.
    followed = episode.states[0, :6] + np.cumsum(episode.actions[:-1, :6], 0)
    turns = (followed - episode.states[1:, :6]) / (2 * np.pi)
    assert np.allclose(turns, np.round(turns), atol=1e-5) and np.abs(episode.actions[:, 3:6]).max() <= np.pi
    assert np.array_equal(episode.actions[:-1, 6], episode.states[1:, 6])
    assert any("no actions were recorded" in text for text in dataset.embodiment.unknown)


def test_one_surplus_frame_is_cut_off_and_reported(make_annotated: Callable[..., Path]) -> None:
    dataset = open_dataset(make_annotated(surplus=1))
    assert len(dataset) == 2 and dataset.episode(1).videos["camera_0"].frames.shape[0] == 6
    assert [(p.episode, p.left_out) for p in dataset.problems] == [("0001", False)] * 2
    assert "has 7 frames, 6 states" in str(dataset.problems[0])


def test_more_surplus_frames_are_an_error(make_annotated: Callable[..., Path]) -> None:
    root = make_annotated(surplus=3)
    with pytest.raises(WowError, match="episode 0001: camera camera_0 has 9 frames, the other data 6 rows"):
        open_dataset(root)
    assert open_dataset(root, skip_bad=True).names == ("0000",)
    (root / "annotation/val/0000.json").write_text('{"videos": []}')
    assert sorted(open_dataset(root, skip_bad=True).left_out) == [0, 1]


def test_a_jsonl_of_films(tmp_path: Path) -> None:
    film(tmp_path / "clips/a.mp4", length=5)
    film(tmp_path / "clips/b.mp4", length=7)
    lines = [
        {"video_path": "clips/a.mp4", "index": 3, "dense_lang": "a gripper closes around a red cup"},
        {"video_path": "clips/b.mp4", "index": 4, "dense_lang": "it lifts the cup", "original_lang": "lift"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in (tmp_path, tmp_path / "train.jsonl"):
        dataset = open_dataset(path)
        assert dataset.format == "jsonl" and dataset.names == (3, 4)
        assert [(r.task, r.captions, r.length) for r in dataset.records] == [
            ("a gripper closes around a red cup", (), 5),
            ("lift", ("it lifts the cup",), 7),
        ]
        assert dataset.episode(1).actions.shape == (7, 0)
    with (tmp_path / "train.jsonl").open("a") as file:
        file.write(
            '{"video_path": "clips/c.mp4", "index": 5}\n{"video_path": "clips/d.mp4", "dense_lang": "x"}\nnonsense\n'
        )
    with pytest.raises(WowError, match=r"train\.jsonl: episode on line 3: has no dense_lang"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, skip_bad=True)
    assert len(dataset) == 2 and len(dataset.problems) == 3
    assert dataset.numbers == (0, 1) and sorted(dataset.left_out) == [2, 3, 4]
    (tmp_path / "clips/a.mp4").unlink()
    assert open_dataset(tmp_path, skip_bad=True).numbers == (1,)


def test_a_folder_of_films_and_texts(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        film(tmp_path / f"{number}.mp4", length=4 + number)
        (tmp_path / f"{number}.txt").write_text(f"do thing {number}\nand another caption\n")
    dataset = open_dataset(tmp_path)
    assert dataset.format == "mp4-txt" and dataset.names == ("0", "2", "10")
    assert [record.length for record in dataset.records] == [4, 6, 14]
    assert dataset.records[2].task == "do thing 10" and dataset.records[2].captions == ("and another caption",)
    film(tmp_path / "11.mp4")
    film(tmp_path / "12.mp4", size=64)
    (tmp_path / "12.txt").write_text("larger")
    (tmp_path / "13.txt").write_text("without a film")
    dataset = open_dataset(tmp_path, skip_bad=True)
    assert [problem.episode for problem in dataset.problems] == ["11", "12", "13"]
    said = [str(problem) for problem in dataset.problems]
    assert "11.txt" in said[0] and "missing or empty" in said[0]
    assert "64x64 at 10 frames per second, not 32x32" in said[1] and "13.mp4" in said[2]
    (tmp_path / "2.txt").unlink()
    dataset = open_dataset(tmp_path, skip_bad=True)
    assert dataset.numbers == (0, 2) and dataset.records[dataset.index_of(2)].task == "do thing 10"
    with pytest.raises(WowError, match=r"2\.txt: episode 2: the text is missing or empty$"):
        dataset.index_of(1)


def write_hdf5(
    path: Path, *, text: object = "pick the cup", length: int = 5, rows: int = 5, **attributes: float
) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file["text"] = text
        file["action"] = np.random.default_rng(0).normal(size=(rows, 7))
        file["observations/image"] = np.arange(length * 12, dtype=np.uint8).reshape(length, 2, 2, 3)
        file.attrs.update(attributes)


def test_inverse_dynamics_hdf5(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.hdf5", fps=5)
    write_hdf5(tmp_path / "b.hdf5", text=np.array([b"pick it", b"a longer text"]), fps=5)
    dataset = open_dataset(tmp_path)
    assert dataset.format == "hdf5" and dataset.fps == 5 and dataset.names == ("a", "b")
    assert dataset.records[1].task == "pick it" and dataset.records[1].captions == ("a longer text",)
    episode = dataset.episode(0)
    assert episode.actions.shape == (5, 7) and episode.actions.dtype == np.float32
    assert np.array_equal(episode.videos["image"].frames.ravel(), np.arange(60, dtype=np.uint8))
    write_hdf5(tmp_path / "c.hdf5", rows=4, fps=5)
    (tmp_path / "d.hdf5").write_bytes((tmp_path / "a.hdf5").read_bytes()[:700])
    with pytest.raises(WowError, match=r"c\.hdf5: episode c: camera image has 5 frames, the other data 4 rows"):
        open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, skip_bad=True)
    assert dataset.names == ("a", "b") and [problem.episode for problem in dataset.problems] == ["c", "d"]
    (tmp_path / "a.hdf5").write_bytes(b"")
    dataset = open_dataset(tmp_path, skip_bad=True)
    assert dataset.numbers == (1,) and sorted(dataset.left_out) == [0, 2, 3]


def test_an_unstated_rate_is_assumed_and_said(tmp_path: Path) -> None:
    write_hdf5(tmp_path / "a.h5")
    dataset = open_dataset(tmp_path / "a.h5")
    assert dataset.fps == 10 and any("rate is not stated" in text for text in dataset.embodiment.unknown)


def test_importing_continues_and_adds_nothing_twice(make_annotated: Callable[..., Path], tmp_path: Path) -> None:
    source, target = make_annotated(surplus=1), tmp_path / "imported"
    first = import_dataset(source, target)
    assert (first.added, first.already, first.total, len(first.problems)) == (2, 0, 2, 2)
    again = import_dataset(source, target)
    assert (again.added, again.already, again.total) == (0, 2, 2)
    back, meant = open_dataset(target), open_dataset(source)
    for index in range(2):
        assert np.array_equal(back.episode(index).actions, meant.episode(index).actions)
        assert back.records[index].task == meant.records[index].task
        assert back.records[index].success == meant.records[index].success
    assert back.embodiment.action == meant.embodiment.action and back.embodiment.statistics["action"].count == 12


def test_importing_bgr_swaps_red_and_blue(tmp_path: Path) -> None:
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    frames[..., 0] = 200
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/0.mp4", Video(frames, 10))
    (tmp_path / "in/0.txt").write_text("look at the red thing that is blue")
    import_dataset(tmp_path / "in", tmp_path / "out", swap_red_and_blue=True)
    red, _, blue = open_dataset(tmp_path / "out").frames(0, [2])[0].mean((0, 1))
    assert blue > 150 and red < 60


def test_a_card_survives_json(card: Embodiment) -> None:
    full = replace(card, unknown=("the weather",))
    assert embodiment_from_json(json.loads(json.dumps(embodiment_to_json(full)))) == full
    with pytest.raises(WowError, match=r"here: not an embodiment card \('action'\)"):
        embodiment_from_json({"robot": "x", "rate": 1}, "here")
    card = {"robot": "x", "rate": 1, "action": [{"name": "a", "unit": "m", "low": -1, "high": 1}]}
    for wrong, said in (
        ({"rate": -3}, "rate is -3"),
        ({"rate": "fast"}, "rate is 'fast'"),
        ({"action": [{"name": "a", "unit": "m", "low": 5, "high": -5}]}, "from 5 to -5"),
        ({"action": [{"name": "a", "unit": "m", "low": "low"}]}, "limits of a"),
    ):
        with pytest.raises(WowError, match=f"here.*{said}"):
            embodiment_from_json({**card, **wrong}, "here")


@pytest.mark.skipif(not SAMPLES, reason="WOW_RECORDINGS names no folder")
def test_real_recordings_of_others() -> None:
    droid = open_dataset(Path(SAMPLES) / "droid_sample")
    assert len(droid) == 13 and len(droid.cameras) == 3 and not any(droid.check(index) for index in range(13))
    assert sorted({problem.episode for problem in droid.problems}) == ["0003", "0006", "0013"]
    messy = open_dataset(Path(SAMPLES) / "lerobot_v2_picknplace")
    assert len(messy) == 5 and len(messy.problems) == 2 and len(messy.embodiment.action) == 44
    assert messy.frames(4, [327, 0]).shape == (2, 256, 256, 3)


def test_importing_some_episodes_under_a_card_that_says_more(
    make_annotated: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_annotated()
    own = open_dataset(source).embodiment
    named = tuple(replace(dim, frame="robot base") for dim in own.action)
    card = replace(own, robot="Franka", action=named, gripper="0 open, 1 closed", rate=99.0, cameras=())
    import_dataset(source, tmp_path / "one", episodes=[1], card=card)
    found = open_dataset(tmp_path / "one")
    assert [record.task for record in found.records] == [open_dataset(source).records[1].task]
    assert found.embodiment.robot == "Franka" and found.embodiment.gripper == "0 open, 1 closed"
    assert found.embodiment.rate == own.rate and found.embodiment.cameras == own.cameras, "those are the source's"
    with pytest.raises(WowError, match="there is no episode 2: it has 2"):
        import_dataset(source, tmp_path / "two", episodes=[0, 2])
    with pytest.raises(WowError, match="the card of Franka has 6 actions, the data 7: delta_x"):
        import_dataset(source, tmp_path / "three", card=replace(card, action=named[:6]))
    assert not (tmp_path / "two").exists() and not (tmp_path / "three").exists()
