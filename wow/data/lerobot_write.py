"""Write episodes as a LeRobotDataset v3.0 that is whole at every instant, also when the writer is killed.

Each episode has its own parquet and mp4s. They get their final names first, then one line in the journal (see
`ledger`) makes the episode count; files without a line are swept away at the next start. So:

    with DatasetWriter(root, embodiment, fps=10) as writer:
        writer.add(episode)                                  # or, with the encoding in worker processes:
        writer.commit(stage_episode(episode, writer.staging / "7"))
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wow.data.embodiment import CARD, embodiment_to_json, read_embodiment, same_robot
from wow.data.layout import (
    ACTION,
    BOOKKEEPING,
    EPISODES,
    INFO,
    STATE,
    STATS,
    TASKS,
    Features,
    cameras_in,
    column_to_numpy,
    data_file,
    info_json,
    read_parquet,
    video_file,
)
from wow.data.ledger import (
    Entry,
    Journal,
    as_lerobot,
    drop_orphans,
    files_of,
    parquet_bytes,
    read_committed,
    replace_file,
    size_of,
    summaries_in,
    to_table,
    video_keys,
)
from wow.data.stage import FRAMES, StagedEpisode, stage_episode
from wow.data.statistics import RunningSummary, summary_to_statistics, vector_statistics
from wow.types import Embodiment, Episode, Statistics, WowError

STAGING = ".staging"
LOCK = "meta/.lock"
SECONDS_BETWEEN_TABLES = 2.0
SHARE_OF_TIME_FOR_TABLES = 0.05
FRAMES_FOR_STATISTICS = 1_000_000


class DatasetWriter:
    """Adds episodes to a dataset, new or begun earlier (also by a run that was killed). One at a time per dataset.

    root: the dataset's folder, created. embodiment: its card; must agree with that of a dataset begun earlier.
    fps: frames per second of every video. Raises WowError for a folder that holds something else, or a dataset that
    another process writes right now.
    """

    def __init__(self, root: Path, embodiment: Embodiment, *, fps: float) -> None:
        self.root = root
        self.embodiment = replace(embodiment, statistics={})
        self.fps = fps
        self._features: Features | None = None
        _refuse_foreign(root)
        (root / "meta" / "episodes" / "chunk-000").mkdir(parents=True, exist_ok=True)
        self._lock = _locked(root / LOCK)
        try:
            self._open()
        except BaseException:
            self._lock.close()
            raise

    def _open(self) -> None:
        self._features = None
        self._summary = RunningSummary()
        self._tasks: dict[str, int] = {}
        self._pending: list[Entry] = []
        self._table: pa.Table | None = None
        is_begun = (self.root / INFO).exists()
        if is_begun:
            self._resume()
        self._facts = _facts_in(self._table)
        self._num_frames = int(self._table.column("length").to_numpy().sum()) if self._table is not None else 0
        self._journal = Journal(self.root)
        drop_orphans(self.root, self.num_episodes)
        shutil.rmtree(self.staging, ignore_errors=True)
        self._table_written = -float("inf")
        self._table_cost = 0.0
        if is_begun:
            self._write_table()

    def _resume(self) -> None:
        info = json.loads((self.root / INFO).read_text())
        card = read_embodiment(self.root / CARD)
        if not same_robot(card, self.embodiment):
            raise WowError(f"{self.root / CARD}: describes another robot or another action; name a new folder")
        if info["fps"] != self.fps:
            raise WowError(f"{self.root}: has {info['fps']} frames per second, not {self.fps}; name a new folder")
        self.embodiment = replace(card, statistics={})
        self._features = info["features"]
        self._table = read_committed(self.root, info["features"], info["total_episodes"])
        for summaries in summaries_in(self._table, info["features"]):
            self._summary.add(summaries)
        if (self.root / TASKS).exists():
            tasks = read_parquet(self.root / TASKS).to_pydict()
            self._tasks = dict(zip(tasks["task"], tasks["task_index"], strict=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def num_episodes(self) -> int:
        """How many episodes are committed."""
        return len(self._facts)

    @property
    def episode_facts(self) -> Sequence[Mapping[str, object]]:
        """Per committed episode its facts, and `task`, `source`, `success`: what a resumed collector need not redo."""
        return self._facts

    @property
    def staging(self) -> Path:
        """A folder on the dataset's disk for `stage_episode`; swept when a writer opens or closes the dataset."""
        return self.root / STAGING

    def add(self, episode: Episode) -> int:
        """Encode and commit an episode. Returns its index."""
        return self.commit(stage_episode(episode, self.staging / f"own-{self.num_episodes}"))

    def commit(self, staged: StagedEpisode) -> int:
        """Make a staged episode part of the dataset and delete its folder. Returns its index."""
        features = self._agreed_features(staged)
        index = self.num_episodes
        for key in video_keys(features):
            _move(staged.directory / f"{key}.mp4", video_file(self.root, key, index))
        self._write_frames(staged, index)
        entry = Entry(
            index, staged.length, self._num_frames, staged.task, staged.captions, staged.source, staged.success,
            staged.facts, staged.summaries, size_of(files_of(self.root, index, features)),
        )  # fmt: skip
        self._journal.append(entry)
        self._pending.append(entry)
        self._summary.add(staged.summaries)
        self._facts.append(_facts_of(staged.facts, staged.task, staged.source, staged.success))
        self._num_frames += staged.length
        shutil.rmtree(staged.directory, ignore_errors=True)
        pause = max(SECONDS_BETWEEN_TABLES, self._table_cost / SHARE_OF_TIME_FOR_TABLES)
        if time.monotonic() - self._table_written > pause:
            self._write_table()
        return index

    def close(self) -> None:
        """Bring LeRobot's tables up to date, with exact statistics, and let go of the dataset. Harmless twice."""
        if self._lock.closed:
            return
        try:
            if self._features is not None:
                self._write_table(exact=True)
            self._journal.close()
            shutil.rmtree(self.staging, ignore_errors=True)
        finally:
            self._lock.close()

    def _agreed_features(self, staged: StagedEpisode) -> Features:
        """The dataset's features; the first episode sets them, and every later one must have the same."""
        if abs(staged.fps - self.fps) > 1e-6:
            raise WowError(f"{self.root}: has {self.fps} frames per second, the episode {staged.fps}; resample it")
        if not same_robot(staged.embodiment, self.embodiment):
            raise WowError(f"{self.root}: the episode's embodiment card differs from the dataset's")
        if self._features is None:
            self._features = staged.features
            # The cameras are those of the videos, whatever the caller's card says.
            self.embodiment = replace(self.embodiment, cameras=cameras_in(staged.features))
            self._write_card({})
            self._write_info()
        elif staged.features != self._features:
            keys = staged.features.keys() | self._features.keys()
            odd = sorted(key for key in keys if staged.features.get(key) != self._features.get(key))
            shapes = _shapes(staged.features, self._features, odd)
            raise WowError(f"{self.root}: the episode differs from those before it in {', '.join(odd)}: {shapes}")
        return self._features

    def _write_frames(self, staged: StagedEpisode, index: int) -> None:
        if staged.task not in self._tasks:
            self._tasks[staged.task] = len(self._tasks)
            replace_file(self.root / TASKS, parquet_bytes(_tasks_table(self._tasks)))
        frame = np.arange(staged.length)
        bookkeeping: dict[str, np.ndarray[Any, Any]] = {
            "timestamp": frame / self.fps,
            "frame_index": frame,
            "episode_index": np.full_like(frame, index),
            "index": frame + self._num_frames,
            "task_index": np.full_like(frame, self._tasks[staged.task]),
        }
        # An episode of pictures only has no columns of its own, and then not even a length.
        staged_table = read_parquet(staged.directory / FRAMES)
        columns = dict(zip(staged_table.column_names, staged_table.columns, strict=True))
        table = pa.table(columns | {key: bookkeeping[key].astype(kind) for key, kind in BOOKKEEPING.items()})
        target = data_file(self.root, index)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".tmp")
        pq.write_table(table, temporary, compression="zstd")
        os.replace(temporary, target)

    def _write_table(self, exact: bool = False) -> None:
        """Replace the tables that LeRobot reads; totals last, so that they never promise more than there is."""
        assert self._features is not None
        began = time.monotonic()
        parts = [part for part in (self._table, to_table(self._pending, self._features)) if part is not None]
        self._table = pa.concat_tables(parts, promote_options="default")
        self._pending = []
        replace_file(self.root / EPISODES, parquet_bytes(self._table))
        summaries = self._summary.result()
        stats: dict[str, dict[str, list[Any]]] = {}
        for key, each in summaries.items():
            is_image = self._features[key]["dtype"] == "video"
            stats[key] = {name: as_lerobot(name, value, is_image) for name, value in each.items()}
        vectors = {key: summary_to_statistics(summaries[key]) for key in (ACTION, STATE) if key in summaries}
        if exact and vectors:
            vectors = self._exact_statistics(list(vectors))
            for key, statistics in vectors.items():
                stats[key] |= {name: list(getattr(statistics, name)) for name in ("q01", "q99")}
        replace_file(self.root / STATS, json.dumps(stats).encode())
        self._write_card(vectors)
        self._write_info()
        self._journal.restart()
        self._table_written = time.monotonic()
        self._table_cost = self._table_written - began

    def _exact_statistics(self, keys: list[str]) -> dict[str, Statistics]:
        """Statistics over the stored numbers themselves, of evenly chosen episodes where there are very many frames."""
        assert self._features is not None
        step = -(-self._num_frames // FRAMES_FOR_STATISTICS) or 1
        values: dict[str, list[np.ndarray[Any, Any]]] = {key: [] for key in keys}
        for index in range(0, self.num_episodes, step):
            table = read_parquet(data_file(self.root, index), keys)
            for key in keys:
                values[key].append(column_to_numpy(table.column(key), self._features[key]))
        return {
            key: vector_statistics(np.concatenate([each.reshape(len(each), -1) for each in arrays]))
            for key, arrays in values.items()
            if arrays
        }

    def _write_card(self, statistics: Mapping[str, Statistics]) -> None:
        card = replace(self.embodiment, statistics=statistics)
        replace_file(self.root / CARD, json.dumps(embodiment_to_json(card), indent=1).encode())

    def _write_info(self) -> None:
        assert self._features is not None
        rows = self._table
        info = info_json(
            self._features,
            robot=self.embodiment.robot,
            fps=self.fps,
            episodes=len(rows) if rows is not None else 0,
            frames=int(rows.column("length").to_numpy().sum()) if rows is not None else 0,
            tasks=len(self._tasks),
        )
        replace_file(self.root / INFO, json.dumps(info, indent=4).encode())


def begun(root: Path) -> dict[str, Any] | None:
    """What meta/info.json says of a dataset of ours that was begun; None where there is none yet."""
    if not (root / INFO).is_file() or not (root / CARD).is_file():
        return None
    try:
        info: dict[str, Any] = json.loads((root / INFO).read_text())
    except (OSError, ValueError) as problem:
        raise WowError(f"{root / INFO}: not readable JSON ({problem}); name a new folder") from problem
    return info


def _facts_of(facts: Mapping[str, object], task: str, source: str, success: bool | None) -> dict[str, object]:
    return {**facts, "task": task, "source": source, "success": success}


def _facts_in(table: pa.Table | None) -> list[dict[str, object]]:
    if table is None:
        return []
    rows = table.select(["facts", "tasks", "source", "success"]).to_pylist()
    return [_facts_of(json.loads(row["facts"]), row["tasks"][0], row["source"], row["success"]) for row in rows]


def _shapes(new: Features, old: Features, keys: list[str]) -> str:
    def shown(features: Features, key: str) -> str:
        return f"{features[key]['dtype']} {features[key]['shape']}" if key in features else "absent"

    return "; ".join(f"{shown(new, key)} where the others have {shown(old, key)}" for key in keys[:3])


def _tasks_table(tasks: Mapping[str, int]) -> pa.Table:
    """LeRobot's table of tasks, which pandas reads with the task as the index."""
    table = pa.table({"task_index": pa.array(tasks.values(), pa.int64()), "task": pa.array(tasks, pa.string())})

    def column(name: str, kind: str, stored: str) -> dict[str, Any]:
        return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}

    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [column("task_index", "int64", "int64"), column("task", "unicode", "object")],
        "creator": {"library": "pyarrow", "version": pa.__version__},
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({b"pandas": json.dumps(pandas).encode()})


def _refuse_foreign(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise WowError(f"{root}: is a file; name a folder for the dataset")
    if not root.is_dir():
        return
    if (root / INFO).exists() and not (root / CARD).exists():
        raise WowError(f"{root}: a dataset that wow did not write; `wow data import {root} --out NEW` makes one of it")
    ours = ("meta", "data", "videos", ".", "staged-")
    strangers = [path.name for path in root.iterdir() if not path.name.startswith(ours)]
    if strangers and not (root / INFO).exists():
        raise WowError(f"{root}: holds other files ({strangers[0]}); name a new or empty folder for the dataset")


def _locked(path: Path) -> IO[bytes]:
    # A POSIX lock: forked encoding workers that outlive a killed writer do not keep it.
    file = path.open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        root = path.parent.parent
        raise WowError(f"{root}: another process is writing this dataset; wait, or name a new folder") from None
    return file


def _move(source: Path, target: Path) -> None:
    """Rename, or copy and then rename where the staging folder is on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, target)
    except OSError:
        temporary = target.with_name(target.name + ".tmp")
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
