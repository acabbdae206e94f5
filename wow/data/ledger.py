"""Which episodes a dataset holds: LeRobot's table of episodes, and the journal that makes adding to it crash-safe.

A finished episode is one line in `meta/journal.jsonl`; its line end is the instant from which the episode counts. The
table `meta/episodes/…` that LeRobot reads is replaced as a whole every so often, and the journal then starts anew. An
episode that is in both (killed in between) is the same episode; a line without its end (killed while writing) is none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wow.data.layout import EPISODES, FILES_PER_CHUNK, Features, chunk_and_file, data_file, read_parquet, video_file
from wow.data.statistics import QUANTILES
from wow.types import WowError

JOURNAL = "meta/journal.jsonl"
STATISTICS = ("min", "max", "mean", "std", "count", *QUANTILES)


@dataclass(frozen=True)
class Entry:
    """One committed episode. start: index of its first frame in the dataset. bytes: total size of its files."""

    index: int
    length: int
    start: int
    task: str
    captions: tuple[str, ...]
    source: str
    success: bool | None
    facts: Mapping[str, object]
    summaries: Mapping[str, Mapping[str, Sequence[float]]]
    bytes: int


def video_keys(features: Features) -> list[str]:
    """The keys of the cameras that are stored as mp4."""
    return [key for key, feature in features.items() if feature["dtype"] == "video"]


def files_of(root: Path, index: int, features: Features) -> list[Path]:
    """Every file that belongs to episode `index`: its parquet and its mp4s."""
    return [data_file(root, index), *(video_file(root, key, index) for key in video_keys(features))]


def size_of(files: Sequence[Path]) -> int:
    """Their total size in bytes; -1 where one is missing."""
    try:
        return sum(file.stat().st_size for file in files)
    except FileNotFoundError:
        return -1


class Journal:
    """The episodes committed since the table was last written. `append` is the commit."""

    def __init__(self, root: Path) -> None:
        self._path = root / JOURNAL
        self._file: IO[bytes] = self._path.open("ab", buffering=0)

    def append(self, entry: Entry) -> None:
        """Commit an episode whose files are in place."""
        self._file.write(json.dumps(asdict(entry)).encode() + b"\n")

    def restart(self) -> None:
        """Forget all lines; to be called when the table holds them."""
        self._file.close()
        self._path.unlink(missing_ok=True)
        self._file = self._path.open("ab", buffering=0)

    def close(self) -> None:
        """Close the file; it is deleted where it holds nothing."""
        self._file.close()
        if self._path.exists() and self._path.stat().st_size == 0:
            self._path.unlink()


def read_committed(root: Path, features: Features, promised: int) -> pa.Table:
    """All committed episodes of a dataset of ours, in order: the table, then the journal's further ones.

    promised: how many info.json says there are. Raises WowError where the table is damaged or lost, so that nothing is
    ever taken for empty that is not.
    """
    # The journal first: a writer at work may move its lines into the table while we read.
    pending = _read_journal(root / JOURNAL)
    path = root / EPISODES
    parts = []
    if path.exists():
        try:
            parts.append(read_parquet(path))
        except (pa.ArrowException, OSError) as problem:
            raise WowError(f"{path}: the table of episodes is damaged ({problem}); restore it from a copy") from problem
    known = sum(map(len, parts))
    if known < promised:
        raise WowError(f"{path}: the table of episodes has {known} of the {promised} promised; restore it from a copy")
    further: list[Entry] = []
    for entry in pending:
        if entry.index < known:
            continue
        expected = known + len(further)
        if entry.index != expected:
            raise WowError(f"{root / JOURNAL}: starts at episode {entry.index}, not {expected}: {path} was lost")
        if size_of(files_of(root, entry.index, features)) != entry.bytes:
            break
        further.append(entry)
    return pa.concat_tables([*parts, to_table(further, features)], promote_options="default")


def _read_journal(path: Path) -> list[Entry]:
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            break
        entries.append(Entry(**{**values, "captions": tuple(values["captions"])}))
    return entries


def to_table(entries: Sequence[Entry], features: Features) -> pa.Table:
    """Entries as rows of LeRobot's table of episodes, ours in the last columns."""
    return pa.Table.from_pylist([_row(entry, features) for entry in entries], schema=_schema(features))


def _row(entry: Entry, features: Features) -> dict[str, Any]:
    chunk, file = chunk_and_file(entry.index)
    fps = next((f["info"]["video.fps"] for f in features.values() if f["dtype"] == "video"), 1)
    row: dict[str, Any] = {
        "episode_index": entry.index,
        "tasks": [entry.task],
        "length": entry.length,
        "data/chunk_index": chunk,
        "data/file_index": file,
        "dataset_from_index": entry.start,
        "dataset_to_index": entry.start + entry.length,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
        "success": entry.success,
        "source": entry.source,
        "captions": list(entry.captions),
        "facts": json.dumps(entry.facts),
        "bytes": entry.bytes,
    }
    for key in video_keys(features):
        row |= {
            f"videos/{key}/chunk_index": chunk,
            f"videos/{key}/file_index": file,
            f"videos/{key}/from_timestamp": 0.0,
            f"videos/{key}/to_timestamp": entry.length / fps,
        }
    for key, summary in entry.summaries.items():
        is_image = features[key]["dtype"] == "video"
        for name in STATISTICS:
            row[f"stats/{key}/{name}"] = as_lerobot(name, summary[name], is_image)
    return row


def as_lerobot(name: str, values: Sequence[float], is_image: bool) -> list[Any]:
    """A statistic in the shape that LeRobot gives it: [D], for images [3, 1, 1], counts always [1] and whole."""
    if name == "count":
        return [int(values[0])]
    return [[[value]] for value in values] if is_image else list(values)


def _schema(features: Features) -> pa.Schema:
    whole, number, text = pa.int64(), pa.float64(), pa.string()
    fields: dict[str, pa.DataType] = {"episode_index": whole, "tasks": pa.list_(text), "length": whole}
    fields |= dict.fromkeys(("data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index"), whole)
    for key in video_keys(features):
        fields |= dict.fromkeys((f"videos/{key}/chunk_index", f"videos/{key}/file_index"), whole)
        fields |= dict.fromkeys((f"videos/{key}/from_timestamp", f"videos/{key}/to_timestamp"), number)
    for key in summarised(features):
        vector = pa.list_(number)
        kind = pa.list_(pa.list_(vector)) if features[key]["dtype"] == "video" else vector
        fields |= {f"stats/{key}/{name}": pa.list_(whole) if name == "count" else kind for name in STATISTICS}
    fields |= {"meta/episodes/chunk_index": whole, "meta/episodes/file_index": whole}
    fields |= {"success": pa.bool_(), "source": text, "captions": pa.list_(text), "facts": text, "bytes": whole}
    return pa.schema(fields)


def summarised(features: Features) -> list[str]:
    """The features whose statistics are kept: cameras, states and actions."""
    return [key for key in features if key in ("action", "observation.state") or features[key]["dtype"] == "video"]


def summaries_in(table: pa.Table, features: Features) -> list[dict[str, dict[str, list[float]]]]:
    """The statistics of every episode in a table of ours: one mapping of feature to summary per row."""
    columns = {
        (key, name): _numbers(table.column(f"stats/{key}/{name}")).reshape(len(table), -1)
        for key in summarised(features)
        for name in STATISTICS
        if f"stats/{key}/{name}" in table.column_names and len(table)
    }
    keys = {key for key, _ in columns}
    return [
        {key: {name: columns[key, name][row].tolist() for name in STATISTICS} for key in keys}
        for row in range(len(table) if keys else 0)
    ]


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """All numbers of a column of nested lists, flat."""
    values = column.combine_chunks()
    while pa.types.is_list(values.type):
        values = values.flatten()
    return np.asarray(values.to_numpy(zero_copy_only=False), np.float64)


def drop_orphans(root: Path, num_episodes: int) -> None:
    """Delete what a killed writer left: files of episodes from `num_episodes` on, and files with temporary names."""
    for path in (*root.glob("data/chunk-*/*"), *root.glob("videos/*/chunk-*/*"), *root.glob("meta/**/*.tmp")):
        if path.name.endswith(".tmp") or _number(path) >= num_episodes:
            path.unlink()


def _number(path: Path) -> int:
    try:
        return int(path.parent.name.split("-")[1]) * FILES_PER_CHUNK + int(path.stem.split("-")[1])
    except (IndexError, ValueError):
        return -1


def replace_file(path: Path, content: bytes) -> None:
    """Give `path` a new content in one instant: readers see the old or the new, never a part."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as the content of a parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content
