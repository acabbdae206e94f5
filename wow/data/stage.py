"""Encode one episode into files of its own: the costly part of writing, which any process can do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wow.data.layout import ACTION, IMAGES, STATE, Features, features_of
from wow.data.statistics import image_summary, vector_summary
from wow.data.video_file import Encoding, write_video
from wow.types import Embodiment, Episode, WowError

FRAMES = "frames.parquet"


@dataclass(frozen=True)
class StagedEpisode:
    """An episode encoded in a folder of its own, ready to be committed. Small: it travels between processes."""

    directory: Path
    length: int
    fps: float
    task: str
    captions: tuple[str, ...]
    source: str
    success: bool | None
    facts: Mapping[str, object]
    features: Features
    summaries: Mapping[str, Mapping[str, list[float]]]
    embodiment: Embodiment


def stage_episode(episode: Episode, directory: Path, encoding: Encoding | None = None) -> StagedEpisode:
    """Encode an episode into `directory`, which is created. The costly part of writing; runs in any process.

    Raises WowError for an episode that is not whole: lengths that differ, numbers that are not finite.
    """
    check_episode(episode)
    facts = json.loads(_facts_json(episode))
    fps = next((video.fps for video in episode.videos.values()), episode.embodiment.rate)
    features = features_of(episode, fps)
    directory.mkdir(parents=True, exist_ok=True)
    summaries = {IMAGES + name: image_summary(video.frames) for name, video in episode.videos.items()}
    for name, video in episode.videos.items():
        write_video(directory / f"{IMAGES}{name}.mp4", video, encoding)
    columns: dict[str, np.ndarray[Any, Any]] = dict(episode.signals)
    for key, values in ((STATE, episode.states), (ACTION, episode.actions)):
        if key in features and values is not None:
            columns[key] = values
            summaries[key] = vector_summary(values)
    table = pa.table({key: _column(columns[key], features[key]) for key in features if key in columns})
    pq.write_table(table, directory / FRAMES, compression="zstd")
    return StagedEpisode(
        directory, len(episode), fps, episode.task, tuple(episode.captions), episode.source, episode.success,
        facts, features, summaries, replace(episode.embodiment, statistics={}),
    )  # fmt: skip


def check_episode(episode: Episode) -> None:
    """Raise WowError where an episode is empty, its parts differ in length, or a state or action is not finite."""
    length = len(episode)
    if length == 0:
        raise WowError("the episode has no frames")
    for name, video in episode.videos.items():
        if len(video) != length:
            raise WowError(f"camera {name} has {len(video)} frames, the actions {length} rows; they must agree")
    vectors = {ACTION: episode.actions} | ({} if episode.states is None else {STATE: episode.states})
    for key, values in {**vectors, **episode.signals}.items():
        if len(values) != length:
            raise WowError(f"{key} has {len(values)} rows, the actions {length}; they must agree")
    for key, values in vectors.items():
        bad = np.argwhere(~np.isfinite(values))
        if len(bad):
            raise WowError(f"{key} is not a finite number at frame {bad[0][0]}, dimension {bad[0][1]}")
    rates = {video.fps for video in episode.videos.values()}
    if len(rates) > 1:
        raise WowError(f"the cameras differ in frame rate: {sorted(rates)}; resample them to one")
    if not episode.task.strip():
        raise WowError("the episode has no task; give it an instruction")


def _facts_json(episode: Episode) -> str:
    try:
        return json.dumps(dict(episode.facts), allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise WowError(f"the episode's facts cannot be written as JSON ({problem})") from problem


def _column(values: np.ndarray[Any, Any], feature: Mapping[str, Any]) -> pa.Array:
    """Rows of numbers as an Arrow column: scalars, fixed-size lists, or nested lists for more dimensions."""
    typed = np.ascontiguousarray(values, feature["dtype"])
    column = pa.array(typed.reshape(-1))
    shape = feature["shape"]
    if shape == [1]:
        return column
    if len(shape) == 1:
        return pa.FixedSizeListArray.from_arrays(column, shape[0])
    for width in reversed(shape):
        column = pa.ListArray.from_arrays(pa.array(np.arange(0, len(column) + 1, width), pa.int32()), column)
    return column
