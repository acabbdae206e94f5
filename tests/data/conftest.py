"""Tiny episodes, datasets and foreign layouts that the tests of this room share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wow.data import DatasetWriter
from wow.data.video_file import write_video
from wow.types import Camera, Dimension, Embodiment, Episode, UInt8, Video

FPS = 10.0
CARD = Embodiment(
    robot="toy",
    rate=FPS,
    action=tuple(Dimension(f"delta_{axis}", "m", "world", -1.0, 1.0) for axis in "xyz"),
    state=tuple(Dimension(axis, "m", "world") for axis in "xy"),
    action_kind="delta",
    rotation="none",
    gripper="none",
    cameras=(Camera("front", 32, 48),),
)


def moving_picture(seed: int, length: int, height: int = 32, width: int = 48) -> UInt8:
    """Smooth colours that drift, so that every frame differs from every other and survives compression."""
    phase = np.random.default_rng(seed).uniform(0, 6, 3)
    y, x, t = np.meshgrid(np.arange(height) / 16, np.arange(width) / 16, np.arange(length) / 4, indexing="ij")
    channels = [127 + 90 * np.sin(x * (1 + c) + y + t + phase[c]) for c in range(3)]
    return np.stack(channels, -1).transpose(2, 0, 1, 3).astype(np.uint8)


@pytest.fixture
def card() -> Embodiment:
    return CARD


@pytest.fixture
def make_episode() -> Callable[..., Episode]:
    def make(seed: int = 0, length: int = 9, cameras: Sequence[str] = ("front",), **changes: object) -> Episode:
        generator = np.random.default_rng(seed)
        values: dict[str, object] = {
            "videos": {name: Video(moving_picture(seed, length), FPS) for name in cameras},
            "actions": generator.normal(size=(length, 3)).astype(np.float32),
            "embodiment": CARD,
            "task": f"push block {seed % 3}",
            "states": generator.normal(size=(length, 2)).astype(np.float32),
            "captions": (f"the robot pushes block {seed % 3}", "push it"),
            "source": "expert",
            "success": [True, False, None][seed % 3],
            "signals": {
                "sim.qpos": generator.normal(size=(length, 4)),
                "sim.contact": generator.random(length) > 0.5,
                "sim.segmentation": generator.integers(0, 4, (length, 6, 8)).astype(np.uint8),
            },
            "facts": {"seed": seed, "nested": {"of": [1, "two"]}},
        }
        return Episode(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def make_dataset(tmp_path: Path, make_episode: Callable[..., Episode]) -> Callable[..., Path]:
    def make(num_episodes: int = 3, name: str = "dataset", lengths: Sequence[int] = (9, 7, 12)) -> Path:
        root = tmp_path / name
        with DatasetWriter(root, CARD, fps=FPS) as writer:
            for seed in range(num_episodes):
                writer.add(make_episode(seed, lengths[seed % len(lengths)]))
        return root

    return make


@pytest.fixture
def make_v2(tmp_path: Path) -> Callable[..., Path]:
    """A LeRobot v2.0 or v2.1 dataset as those versions laid it out."""

    def make(version: str = "v2.0", num_episodes: int = 2, length: int = 8) -> Path:
        root = tmp_path / f"lerobot-{version}"
        (root / "data/chunk-000").mkdir(parents=True)
        (root / "videos/chunk-000/observation.images.top").mkdir(parents=True)
        (root / "meta").mkdir()
        whole = ("frame_index", "episode_index", "index", "task_index")
        features = {
            "observation.images.top": {"dtype": "video", "shape": [32, 48, 3], "names": ["height", "width", "channel"]},
            "observation.state": {"dtype": "float64", "shape": [2], "names": {"motors": ["shoulder", "wrist.roll"]}},
            "action": {"dtype": "float64", "shape": [2], "names": ["shoulder", "wrist.roll"]},
            "next.reward": {"dtype": "float32", "shape": [1], "names": None},
            **{key: {"dtype": "int64", "shape": [1], "names": None} for key in whole},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        }
        info = {
            "codebase_version": version,
            "robot_type": "so100",
            "fps": 10,
            "total_episodes": num_episodes,
            "total_frames": num_episodes * length,
            "chunks_size": 1000,
            "splits": {"train": f"0:{num_episodes}"},
            "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
            "features": features,
        }
        (root / "meta/info.json").write_text(json.dumps(info))
        episodes, stats = [], []
        for episode in range(num_episodes):
            values = np.random.default_rng(episode).normal(size=(length, 2))
            columns = {
                "observation.state": list(values),
                "action": list(values + 1),
                "next.reward": np.zeros(length, np.float32),
                "timestamp": (np.arange(length) / 10).astype(np.float32),
                "frame_index": np.arange(length),
                "episode_index": np.full(length, episode),
                "index": np.arange(length) + episode * length,
                "task_index": np.zeros(length, np.int64),
            }
            pq.write_table(pa.table(columns), root / f"data/chunk-000/episode_{episode:06d}.parquet")
            video = root / f"videos/chunk-000/observation.images.top/episode_{episode:06d}.mp4"
            write_video(video, Video(moving_picture(episode, length), 10))
            episodes.append({"episode_index": episode, "tasks": ["lift the cup", "valid"], "length": length})
            action = values + 1
            numbers = {kind: getattr(action, kind)(0).tolist() for kind in ("mean", "std", "min", "max")}
            stats.append({"episode_index": episode, "stats": {"action": {**numbers, "count": [length]}}})
        (root / "meta/episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in episodes))
        (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "lift the cup"}\n')
        if version == "v2.1":
            (root / "meta/episodes_stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in stats))
        return root

    return make


@pytest.fixture
def make_annotated(tmp_path: Path) -> Callable[..., Path]:
    """Annotation JSON with two cameras per episode; `surplus` frames more than states in the videos of episode 1."""

    def make(surplus: int = 0, length: int = 6) -> Path:
        root = tmp_path / "annotated"
        (root / "annotation/val").mkdir(parents=True)
        for number in range(2):
            name = f"{number:04d}"
            (root / "videos/val" / name).mkdir(parents=True)
            frames = length + (surplus if number == 1 else 0)
            for camera in (0, 1):
                write_video(root / f"videos/val/{name}/{camera}.mp4", Video(moving_picture(number + camera, frames), 4))
            states = np.random.default_rng(number).normal(size=(length, 7)).round(3)
            annotation = {
                "texts": ["fold the towel"],
                "episode_id": name,
                "success": 1 - number,
                "videos": [{"video_path": f"videos/val/{name}/{camera}.mp4"} for camera in (0, 1)],
                "states": states.tolist(),
                "joints": np.zeros((length, 8)).tolist(),
            }
            (root / f"annotation/val/{name}.json").write_text(json.dumps(annotation))
        return root

    return make
