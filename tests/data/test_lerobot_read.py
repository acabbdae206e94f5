"""LeRobot datasets that others wrote: three versions, several episodes in a file, and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wow.data import DatasetWriter, import_dataset, open_dataset
from wow.data.video_file import write_video
from wow.types import Episode, Video, WowError

Make = Callable[..., Path]


@pytest.mark.parametrize("version", ["v2.0", "v2.1"])
def test_version_2_is_read(make_v2: Make, version: str) -> None:
    dataset = open_dataset(make_v2(version))
    assert [(r.length, r.task, r.captions) for r in dataset.records] == [(8, "lift the cup", ())] * 2
    assert dataset.fps == 10 and dataset.cameras == ("top",) and dataset.embodiment.robot == "so100"
    assert [d.name for d in dataset.embodiment.action] == ["shoulder", "wrist.roll"]
    assert [d.name for d in dataset.embodiment.state] == ["shoulder", "wrist.roll"]
    assert [d.unit for d in dataset.embodiment.action] == ["unknown", "rad"]
    assert any("shoulder" in text for text in dataset.embodiment.unknown)
    episode = dataset.episode(1)
    values = np.random.default_rng(1).normal(size=(8, 2)).astype(np.float32)
    assert episode.states is not None and np.array_equal(episode.states, values)
    assert episode.actions.dtype == np.float32 and np.allclose(episode.actions, values + 1)
    assert set(episode.signals) == {"next.reward"}
    assert episode.videos["top"].frames.shape == (8, 32, 48, 3)
    assert dataset.problems == ()


def test_promises_that_are_not_kept_are_problems_and_not_the_end(make_v2: Make) -> None:
    root = make_v2()
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["observation.images.ghost"] = info["features"]["observation.images.top"]
    info["splits"] = {"train": "0:100"}
    (root / "meta/info.json").write_text(json.dumps(info))
    dataset = open_dataset(root)
    assert dataset.cameras == ("top",) and len(dataset) == 2
    assert ["ghost" in str(p) or "split train ends at episode 100" in str(p) for p in dataset.problems] == [True, True]


def shared_files_of_version_3(root: Path, films: list[np.ndarray], actions: list[np.ndarray]) -> None:
    """A v3.0 dataset as LeRobot writes it: all episodes in one parquet and one mp4."""
    lengths = [len(each) for each in actions]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    key = "observation.images.top"
    for folder in ("data/chunk-000", f"videos/{key}/chunk-000", "meta/episodes/chunk-000"):
        (root / folder).mkdir(parents=True)
    write_video(root / f"videos/{key}/chunk-000/file-000.mp4", Video(np.concatenate(films), 10))
    episode = np.repeat(np.arange(len(lengths)), lengths)
    frame = np.concatenate([np.arange(length) for length in lengths])
    columns = {"action": list(np.concatenate(actions)), "episode_index": episode, "frame_index": frame}
    columns |= {"index": np.arange(len(episode)), "task_index": episode % 2, "timestamp": frame / 10}
    pq.write_table(pa.table(columns), root / "data/chunk-000/file-000.parquet")
    rows = [
        {
            "episode_index": number,
            "tasks": [f"task {number % 2}"],
            "length": length,
            "data/chunk_index": 0,
            "data/file_index": 0,
            "dataset_from_index": int(starts[number]),
            "dataset_to_index": int(starts[number + 1]),
            f"videos/{key}/chunk_index": 0,
            f"videos/{key}/file_index": 0,
            f"videos/{key}/from_timestamp": float(starts[number] / 10),
            f"videos/{key}/to_timestamp": float(starts[number + 1] / 10),
            "stats/action/mean": [0.0, 0.0],
        }
        for number, length in enumerate(lengths)
    ]
    pq.write_table(pa.Table.from_pylist(rows), root / "meta/episodes/chunk-000/file-000.parquet")
    numbers = {name: {"dtype": "int64", "shape": [1]} for name in ("episode_index", "frame_index", "index")}
    features = {
        key: {"dtype": "video", "shape": [32, 32, 3], "names": ["height", "width", "channels"]},
        "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
        **numbers,
    }
    info = {
        "codebase_version": "v3.0",
        "fps": 10,
        "total_episodes": len(lengths),
        "features": features,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    }
    (root / "meta/info.json").write_text(json.dumps(info))


def test_episodes_that_share_files_are_told_apart(tmp_path: Path) -> None:
    lengths = [5, 9, 3]
    films = [np.full((n, 32, 32, 3), 60 * (i + 1), np.uint8) + np.arange(n, dtype=np.uint8)[:, None, None, None] * 5
             for i, n in enumerate(lengths)]  # fmt: skip
    actions = [np.random.default_rng(i).normal(size=(n, 2)).astype(np.float32) for i, n in enumerate(lengths)]
    shared_files_of_version_3(tmp_path, films, actions)
    dataset = open_dataset(tmp_path)
    assert [record.length for record in dataset.records] == lengths
    for index in (2, 0, 1):
        assert np.array_equal(dataset.episode(index).actions, actions[index])
        assert np.array_equal(dataset.signal(index, "action"), actions[index])
        brightness = dataset.frames(index, range(lengths[index])).mean((1, 2, 3))
        assert np.allclose(brightness, films[index].mean((1, 2, 3)), atol=1.5)


def ruined(root: Path, how: str) -> str:
    """Damage the second episode of a v2 dataset. Returns what the error must say."""
    parquet = root / "data/chunk-000/episode_000001.parquet"
    video = root / "videos/chunk-000/observation.images.top/episode_000001.mp4"
    table = pq.read_table(parquet)
    if how == "truncated video":
        video.write_bytes(video.read_bytes()[:-300])
        return "episode_000001.mp4: episode 1: not a readable video"
    if how == "missing video":
        video.unlink()
        return "episode_000001.mp4: episode 1: the video file is missing"
    if how == "other length":
        pq.write_table(table.slice(0, 6), parquet)
        return "episode_000001.parquet: episode 1: observation.state has 6 rows, 8 are due"
    if how == "short video":
        write_video(video, Video(np.zeros((5, 32, 48, 3), np.uint8), 10))
        return "episode_000001.mp4: episode 1: camera top has 5 frames, the other data 8 rows"
    if how == "missing key":
        pq.write_table(table.drop(["action"]), parquet)
        return "episode_000001.parquet: episode 1: has no column action"
    if how == "truncated parquet":
        parquet.write_bytes(parquet.read_bytes()[:-50])
        return "episode_000001.parquet: episode 1: not a readable parquet"
    assert how == "nan"
    actions = np.stack(table.column("action").to_pylist())
    actions[3, 0] = np.nan
    pq.write_table(table.set_column(table.column_names.index("action"), "action", pa.array(list(actions))), parquet)
    return "episode_000001.parquet: episode 1: action is not a finite number at frame 3, dimension 0"


RUINS = (
    "truncated video", "missing video", "other length", "short video", "missing key", "truncated parquet", "nan",
)  # fmt: skip


@pytest.mark.parametrize("how", RUINS)
def test_a_ruined_episode_is_named_and_can_be_left_out(make_v2: Make, tmp_path: Path, how: str) -> None:
    root = make_v2(num_episodes=3)
    message = ruined(root, how)
    with pytest.raises(WowError) as problem:
        open_dataset(root)
    assert message in str(problem.value) and "--skip-bad" in str(problem.value) and "\n" not in str(problem.value)
    dataset = open_dataset(root, skip_bad=True)
    assert dataset.names == (0, 2)
    assert [message in str(each) and each.left_out for each in dataset.problems] == [True]
    report = import_dataset(root, tmp_path / "imported", skip_bad=True)
    assert report.added == 2 and len(report.problems) == 1
    assert len(open_dataset(tmp_path / "imported")) == 2


def test_damage_inside_a_dataset_of_ours_is_named(make_dataset: Make) -> None:
    root = make_dataset(3)
    video = root / "videos/observation.images.front/chunk-000/file-001.mp4"
    video.write_bytes(video.read_bytes()[:-200])
    with pytest.raises(WowError, match=r"file-001\.mp4: episode 1: .* cut off or damaged"):
        open_dataset(root)
    assert open_dataset(root, skip_bad=True).names == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codebase_version": "v1.6"}, "is LeRobot v1.6; v3.0, v2.1, v2.0 can be read"),
        ({"codebase_version": "v9"}, "is LeRobot v9"),
        ({"fps": None}, "has no fps"),
        ({"features": {}}, "names no action, no observation.state and no camera"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(make_v2: Make, change: dict[str, object], message: str) -> None:
    root = make_v2()
    info = {**json.loads((root / "meta/info.json").read_text()), **change}
    info = {key: value for key, value in info.items() if value is not None}
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(WowError) as problem:
        open_dataset(root)
    assert message in str(problem.value) and "info.json" in str(problem.value)


def test_folders_that_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(WowError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WowError, match="is an empty folder"):
        open_dataset(tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(WowError, match="not a known format"):
        open_dataset(tmp_path)
    with pytest.raises(WowError, match="unknown format rlds; there are lerobot"):
        open_dataset(tmp_path, format="rlds")


def test_a_lost_table_is_never_taken_for_no_episodes(make_dataset: Make, make_episode: Callable[..., Episode]) -> None:
    root = make_dataset(2)
    (root / "meta/episodes/chunk-000/file-000.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(WowError, match="table of episodes is damaged"):
        DatasetWriter(root, make_episode().embodiment, fps=10)
    assert len(list((root / "data/chunk-000").iterdir())) == 2
    shutil.rmtree(root / "meta/episodes")
    with pytest.raises(WowError, match="has 0 of the 2 promised"):
        DatasetWriter(root, make_episode().embodiment, fps=10)
    assert len(list((root / "data/chunk-000").iterdir())) == 2
