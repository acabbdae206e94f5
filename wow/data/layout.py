"""Where LeRobotDataset v3.0 keeps what, and how it describes features. Shared by the writer and the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wow.types import Camera, Dimension, Episode, WowError

VERSION = "v3.0"
FILES_PER_CHUNK = 1000
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
IMAGES = "observation.images."
STATE = "observation.state"
ACTION = "action"
BOOKKEEPING: dict[str, str] = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}

Features = dict[str, dict[str, Any]]


def chunk_and_file(number: int) -> tuple[int, int]:
    """Chunk and file index of the `number`-th file."""
    return divmod(number, FILES_PER_CHUNK)


def data_file(root: Path, number: int) -> Path:
    """The parquet of the `number`-th file."""
    chunk, file = chunk_and_file(number)
    return root / DATA_PATH.format(chunk_index=chunk, file_index=file)


def video_file(root: Path, key: str, number: int) -> Path:
    """The mp4 of one camera in the `number`-th file."""
    chunk, file = chunk_and_file(number)
    return root / VIDEO_PATH.format(video_key=key, chunk_index=chunk, file_index=file)


def features_of(episode: Episode, fps: float) -> Features:
    """LeRobot's description of every column and camera of an episode. Raises WowError for what it cannot express."""
    features: Features = {}
    for name, video in episode.videos.items():
        _, height, width, channels = video.frames.shape
        even = height % 2 == 0 and width % 2 == 0
        features[IMAGES + name] = {
            "dtype": "video",
            "shape": [height, width, channels],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": height,
                "video.width": width,
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p" if even else "yuv444p",
                "video.is_depth_map": False,
                "video.fps": tidy(fps),
                "video.channels": channels,
                "has_audio": False,
            },
        }
    if episode.states is not None:
        names = _names(episode.embodiment.state, episode.states.shape[1])
        features[STATE] = {"dtype": "float32", "shape": [episode.states.shape[1]], "names": names}
    if episode.actions.shape[1]:
        names = _names(episode.embodiment.action, episode.actions.shape[1])
        features[ACTION] = {"dtype": "float32", "shape": [episode.actions.shape[1]], "names": names}
    for key, values in episode.signals.items():
        features[key] = _signal_feature(key, values)
    return features | {key: {"dtype": kind, "shape": [1], "names": None} for key, kind in BOOKKEEPING.items()}


def camera_name(key: str) -> str:
    """The name of the camera behind a feature key: "front" for "observation.images.front"."""
    return key.removeprefix(IMAGES) if key.startswith(IMAGES) else key.removeprefix("observation.")


def cameras_in(features: Features) -> tuple[Camera, ...]:
    """The cameras among the features, with their sizes."""
    found = {key: feature for key, feature in features.items() if feature["dtype"] in ("video", "image")}
    return tuple(Camera(camera_name(key), int(f["shape"][0]), int(f["shape"][1])) for key, f in found.items())


def _signal_feature(key: str, values: np.ndarray[Any, Any]) -> dict[str, Any]:
    if key in (STATE, ACTION, *BOOKKEEPING) or key.startswith(IMAGES) or "/" in key or not key:
        raise WowError(f"a signal cannot be called '{key}': the name is reserved or has a slash in it")
    if values.dtype.kind not in "buif" or values.dtype == np.float16 or values.dtype.itemsize > 8:
        raise WowError(f"signal '{key}' is {values.dtype}: signals are bool, integers, float32 or float64")
    if values.ndim > 6 or 0 in values.shape:
        raise WowError(f"signal '{key}' has shape {list(values.shape)}: up to 5 dimensions after time, none empty")
    return {"dtype": str(values.dtype), "shape": list(values.shape[1:]) or [1], "names": None}


def _names(dimensions: tuple[Dimension, ...], width: int) -> list[str]:
    return [d.name for d in dimensions] if len(dimensions) == width else [f"dimension_{i}" for i in range(width)]


def tidy(number: float) -> float | int:
    """Whole numbers as int: LeRobot's fps is one."""
    return int(number) if float(number).is_integer() else float(number)


def info_json(
    features: Mapping[str, Any], *, robot: str, fps: float, episodes: int, frames: int, tasks: int
) -> dict[str, Any]:
    """The content of meta/info.json."""
    has_videos = any(feature["dtype"] == "video" for feature in features.values())
    return {
        "codebase_version": VERSION,
        "robot_type": robot,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": tidy(fps),
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if has_videos else None,
        "features": dict(features),
    }


def column_to_numpy(column: pa.ChunkedArray, feature: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """A parquet column as an array [T, *shape]; [T] where the shape is [1]."""
    values = column.combine_chunks()
    length = len(values)
    while pa.types.is_nested(values.type):
        values = values.flatten()
    flat = values.to_numpy(zero_copy_only=False)
    shape = tuple(feature.get("shape") or (1,))
    result: np.ndarray[Any, Any] = flat if shape == (1,) else flat.reshape(length, *shape)
    return result


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A whole parquet, or some of its columns. Several times faster on small files than pyarrow's `read_table`."""
    with pq.ParquetFile(path) as parquet:
        return parquet.read(columns=None if columns is None else list(columns), use_threads=False)
