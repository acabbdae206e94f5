"""Read LeRobot datasets: v3.0 (several episodes may share a file), v2.1 and v2.0 (one file per episode)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wow.data.dataset import Array, Clip, Contents, EpisodeRecord, Item, Pictures, Problem, placed, usable
from wow.data.embodiment import CARD, infer_embodiment, read_embodiment
from wow.data.layout import (
    ACTION,
    BOOKKEEPING,
    EPISODES,
    INFO,
    STATE,
    STATS,
    TASKS,
    Features,
    camera_name,
    cameras_in,
    column_to_numpy,
)
from wow.data.ledger import read_committed, size_of
from wow.data.statistics import merge_summaries
from wow.types import Embodiment, Statistics, UInt8, WowError

READABLE = ("v3.0", "v2.1", "v2.0")


def read_lerobot(root: Path, *, skip_bad: bool = False) -> Contents:
    """The episodes of a LeRobot dataset. Raises WowError for one that is damaged or of an unknown version."""
    info = _json(root / INFO)
    missing = [key for key in ("codebase_version", "fps", "features", "data_path") if key not in info]
    if missing:
        raise WowError(f"{root / INFO}: has no {missing[0]}; a LeRobot dataset states {', '.join(READABLE)} and more")
    version = str(info["codebase_version"])
    if version not in READABLE:
        raise WowError(f"{root / INFO}: is LeRobot {version}; {', '.join(READABLE)} can be read")
    if ACTION not in info["features"] and STATE not in info["features"] and not cameras_in(info["features"]):
        raise WowError(f"{root / INFO}: names no action, no {STATE} and no camera")
    return _read_v3(root, info, skip_bad) if version == "v3.0" else _read_v2(root, info, skip_bad)


@dataclass(frozen=True)
class ParquetRows:
    """An episode's rows of a parquet: those of one episode where several share the file."""

    file: Path
    features: Features
    episode: int | None = None

    def read(self, keys: Sequence[str] | None = None) -> dict[str, Array]:
        no_numbers = ("video", "image", "string")
        columns = [key for key, feature in self.features.items() if feature["dtype"] not in no_numbers]
        try:
            with pq.ParquetFile(self.file) as parquet:
                present = parquet.schema_arrow.names
                # A promised action or state must be there; other columns are often promised in vain.
                due = list(keys) if keys else [key for key in columns if key in present or key in (ACTION, STATE)]
                wanted = self._wanted(due, present)
                table = parquet.read(columns=[*wanted, *self._filter_key(present)], use_threads=False)
        except (pa.ArrowException, OSError) as problem:
            raise WowError(f"{self.file}: not a readable parquet ({_first_line(problem)})") from problem
        if self.episode is not None and "episode_index" in table.column_names:
            table = table.filter(pc.equal(table.column("episode_index"), self.episode))
        try:
            return {key: column_to_numpy(table.column(key), self.features[key]) for key in wanted}
        except (ValueError, pa.ArrowException) as problem:
            raise WowError(f"{self.file}: its columns are not as info.json says ({_first_line(problem)})") from problem

    def _wanted(self, keys: list[str], present: Sequence[str]) -> list[str]:
        for key in keys:
            if key not in present or key not in self.features:
                raise WowError(f"{self.file}: has no column {key}; it has {', '.join(present)}")
        return keys

    def _filter_key(self, present: Sequence[str]) -> list[str]:
        return ["episode_index"] if self.episode is not None and "episode_index" in present else []


@dataclass(frozen=True)
class ParquetPictures:
    """Frames stored as PNG or JPEG inside a parquet column."""

    file: Path
    key: str
    episode: int | None = None

    def count(self) -> int:
        return len(self._cells())

    def read(self, indices: Sequence[int], out: UInt8 | None = None) -> UInt8:
        from PIL import Image

        cells = self._cells()
        pictures = []
        for index in indices:
            content = cells[index]["bytes"]
            if content is None:
                content = (self.file.parents[2] / cells[index]["path"]).read_bytes()
            pictures.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
        return placed(pictures, out)

    def _cells(self) -> list[dict[str, Any]]:
        filters = None if self.episode is None else [("episode_index", "==", self.episode)]
        try:
            cells: list[dict[str, Any]] = pq.read_table(self.file, columns=[self.key], filters=filters)[
                self.key
            ].to_pylist()
        except (pa.ArrowException, OSError, KeyError) as problem:
            raise WowError(f"{self.file}: has no readable pictures {self.key} ({_first_line(problem)})") from problem
        return cells


def _read_v3(root: Path, info: Mapping[str, Any], skip_bad: bool) -> Contents:
    features: Features = info["features"]
    is_ours = (root / CARD).exists()
    promised = int(info.get("total_episodes", 0))
    table = read_committed(root, features, promised) if is_ours else _foreign_table(root)
    rows = table.drop([name for name in table.column_names if name.startswith("stats/")]).to_pylist()
    rows.sort(key=lambda row: int(row["episode_index"]))
    items = [_v3_item(root, info, row) for row in rows]
    sizes = {int(row["episode_index"]): row.get("bytes") for row in rows}

    def check(item: Item) -> list[Problem]:
        # An episode that we wrote agreed with itself when committed: as long as its size is the same, so does it now.
        if is_ours and sizes[item.record.index] == size_of(_files(item)):
            return []
        return _missing_or_short(item)

    good, problems = usable(items, skip_bad=skip_bad, check=check)
    if promised > len(rows):
        note = f"promises {promised} episodes, there are {len(rows)}"
        problems = (*problems, Problem(root / INFO, None, note))
    return Contents(_embodiment(root, info), float(info["fps"]), good, problems)


def _foreign_table(root: Path) -> pa.Table:
    files = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
    if not files:
        raise WowError(f"{root / EPISODES}: the table of episodes is missing")
    tables = []
    for file in files:
        try:
            names = pq.read_schema(file).names
            tables.append(pq.read_table(file, columns=[name for name in names if not name.startswith("stats/")]))
        except (pa.ArrowException, OSError) as problem:
            raise WowError(f"{file}: not a readable parquet ({_first_line(problem)})") from problem
    return pa.concat_tables(tables, promote_options="permissive")


def _v3_item(root: Path, info: Mapping[str, Any], row: Mapping[str, Any]) -> Item:
    index, length = int(row["episode_index"]), int(row["length"])
    at = {"chunk_index": row["data/chunk_index"], "file_index": row["data/file_index"]}
    parquet = root / str(info["data_path"]).format(**at)
    pictures: dict[str, Pictures] = {}
    for key, feature in info["features"].items():
        if feature["dtype"] == "image":
            pictures[camera_name(key)] = ParquetPictures(parquet, key, index)
        elif feature["dtype"] == "video" and row.get(f"videos/{key}/file_index") is not None:
            at = {"chunk_index": row[f"videos/{key}/chunk_index"], "file_index": row[f"videos/{key}/file_index"]}
            start = float(row.get(f"videos/{key}/from_timestamp") or 0.0)
            file = root / str(info["video_path"]).format(video_key=key, **at)
            end = row.get(f"videos/{key}/to_timestamp")
            frames = None if end is None else round((float(end) - start) * float(info["fps"]))
            pictures[camera_name(key)] = Clip(file, start, frames)
    tasks = list(row.get("tasks") or [""])
    record = EpisodeRecord(
        index=index,
        length=length,
        task=tasks[0],
        captions=tuple(row.get("captions") or _further_texts(tasks)),
        success=row.get("success"),
        source=row.get("source") or "unknown",
        facts=json.loads(row["facts"]) if isinstance(row.get("facts"), str) else {},
    )
    return Item(record, pictures, ParquetRows(parquet, info["features"], index), index, index)


def _missing_files(item: Item) -> list[Problem]:
    return [Problem(file, item.name, "the file is missing", True) for file in _files(item) if not file.is_file()]


def _files(item: Item) -> list[Path]:
    return [item.columns.file, *(pictures.file for pictures in item.pictures.values())]


def _missing_or_short(item: Item) -> list[Problem]:
    """Missing files, or a video that ends before the episode does; the numbers are checked when they are read."""
    problems = _missing_files(item)
    for camera, pictures in item.pictures.items():
        if problems or not isinstance(pictures, Clip):
            continue
        try:
            count = pictures.count()
            what = f"camera {camera} has {count} frames, the table says {item.record.length}"
            problems += [Problem(pictures.file, item.name, what, True)] if count != item.record.length else []
        except WowError as problem:
            problems.append(Problem(pictures.file, item.name, str(problem).removeprefix(f"{pictures.file}: "), True))
    return problems


def _read_v2(root: Path, info: Mapping[str, Any], skip_bad: bool) -> Contents:
    lines = _json_lines(root / "meta" / "episodes.jsonl")
    chunk_size = int(info.get("chunks_size") or 1000)
    problems = _promises_of_v2(root, info, len(lines))
    features = {key: feature for key, feature in info["features"].items() if _is_filmed(root, info, key)}
    items = [_v2_item(root, {**info, "features": features}, line, chunk_size) for line in lines]
    good, further = usable(items, skip_bad=skip_bad)
    embodiment = _embodiment(root, {**info, "features": features})
    return Contents(embodiment, float(info["fps"]), good, (*problems, *further))


def _promises_of_v2(root: Path, info: Mapping[str, Any], num_episodes: int) -> tuple[Problem, ...]:
    """What info.json promises and the folder does not hold. Common, and no reason to give up."""
    whats = []
    for key in info["features"]:
        if not _is_filmed(root, info, key):
            whats.append(f"names the camera {camera_name(key)} ({key}), which has no files")
    for name, span in (info.get("splits") or {}).items():
        end = int(span.split(":")[1]) if isinstance(span, str) and span.split(":")[-1].isdigit() else 0
        if end > num_episodes:
            whats.append(f"its split {name} ends at episode {end}, there are {num_episodes}")
    if int(info.get("total_episodes", num_episodes)) != num_episodes:
        whats.append(f"promises {info['total_episodes']} episodes, meta/episodes.jsonl has {num_episodes}")
    return tuple(Problem(root / INFO, None, what) for what in whats)


def _is_filmed(root: Path, info: Mapping[str, Any], key: str) -> bool:
    """False for a camera that info.json names and nothing was ever recorded from."""
    return info["features"][key]["dtype"] != "video" or next(root.glob(f"videos/*/{key}/*.mp4"), None) is not None


def _v2_item(root: Path, info: Mapping[str, Any], line: Mapping[str, Any], chunk_size: int) -> Item:
    index, length = int(line["episode_index"]), int(line["length"])
    at = {"episode_chunk": index // chunk_size, "episode_index": index}
    parquet = root / str(info["data_path"]).format(**at)
    pictures: dict[str, Pictures] = {}
    for key, feature in info["features"].items():
        if feature["dtype"] == "video":
            pictures[camera_name(key)] = Clip(root / str(info["video_path"]).format(video_key=key, **at))
        elif feature["dtype"] == "image":
            pictures[camera_name(key)] = ParquetPictures(parquet, key)
    tasks = [str(task) for task in line.get("tasks") or [""]]
    record = EpisodeRecord(index, length, tasks[0], _further_texts(tasks))
    return Item(record, pictures, ParquetRows(parquet, info["features"]), index, index)


def _further_texts(tasks: Sequence[str]) -> tuple[str, ...]:
    """Further texts of an episode. Single words ("valid") are labels, not captions."""
    return tuple(task for task in tasks[1:] if " " in task.strip())


def _embodiment(root: Path, info: Mapping[str, Any]) -> Embodiment:
    """The dataset's card, or one inferred from what info.json names. The cameras are always the real ones."""
    cameras = cameras_in(info["features"])
    if (root / CARD).exists():
        return replace(read_embodiment(root / CARD), cameras=cameras)
    named = {key: _dimension_names(info["features"].get(key)) for key in (ACTION, STATE)}
    card = infer_embodiment(
        robot=str(info.get("robot_type") or "unknown"),
        rate=float(info["fps"]),
        action_names=named[ACTION],
        state_names=named[STATE],
        cameras=cameras,
        unknown=[] if info.get("robot_type") else ["the robot is not named"],
    )
    statistics = {}
    for key, values in _stored_statistics(root).items():
        if key in named and (found := _statistics(values, len(named[key]), int(info.get("total_frames") or 0))):
            statistics[key] = found
    lacking = [key for key, names in named.items() if names and key not in statistics]
    remarks = [f"the dataset states no full statistics of {key}; importing it computes them" for key in lacking]
    return replace(card, statistics=statistics, unknown=(*card.unknown, *remarks))


def _dimension_names(feature: Mapping[str, Any] | None) -> list[str]:
    """LeRobot's `names` come as a list, a mapping of one list, or not at all."""
    if feature is None:
        return []
    shape = feature.get("shape") or [1]
    names = feature.get("names")
    if isinstance(names, Mapping):
        names = next((value for value in names.values() if isinstance(value, list)), list(names))
    if isinstance(names, list) and len(names) == shape[0]:
        return [str(name) for name in names]
    return [f"dimension_{number}" for number in range(int(np.prod(shape)))]


def _stored_statistics(root: Path) -> dict[str, dict[str, Any]]:
    """Feature -> its statistics: from meta/stats.json, or v2.1's per-episode ones merged."""
    if (root / STATS).exists():
        return _json(root / STATS)
    per_episode = root / "meta" / "episodes_stats.jsonl"
    if not per_episode.exists():
        return {}
    merged: dict[str, dict[str, Any]] = {}
    lines = [line["stats"] for line in _json_lines(per_episode)]
    for key in (ACTION, STATE):
        each = [line[key] for line in lines if {"mean", "std", "min", "max", "count"} <= set(line.get(key, {}))]
        if each:
            merged[key] = merge_summaries(each)
    return merged


def _statistics(values: Mapping[str, Any], width: int, count: int) -> Statistics | None:
    kinds = ("mean", "std", "min", "max", "q01", "q99")
    if any(len(np.ravel(values.get(kind, []))) != width for kind in kinds):
        return None
    vectors = {kind: tuple(float(number) for number in np.ravel(values[kind])) for kind in kinds}
    return Statistics(count=int(np.ravel(values.get("count", count))[0]), **vectors)


def read_tasks(root: Path) -> list[str]:
    """All tasks that a v3 dataset lists, in the order of their index."""
    table = pq.read_table(root / TASKS).to_pydict()
    text = table.get("task") or table["__index_level_0__"]
    return [task for _, task in sorted(zip(table["task_index"], text, strict=True))]


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise WowError(f"{path}: not readable JSON ({_first_line(problem)})") from problem
    if not isinstance(values, dict):
        raise WowError(f"{path}: holds {type(values).__name__} where an object is due")
    return values


def _json_lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    except (OSError, ValueError) as problem:
        raise WowError(f"{path}: not readable JSON lines ({_first_line(problem)})") from problem


def _first_line(problem: BaseException) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


__all__ = ["BOOKKEEPING", "ParquetPictures", "ParquetRows", "read_lerobot", "read_tasks"]
