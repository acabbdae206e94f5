"""Training data at memory speed: every frame of some datasets decoded once, then mapped from disk.

Decoding is what training waits for (a random window from mp4 costs milliseconds, a mapped one microseconds), so the
first run over a dataset writes `<dataset>/.cache/` and later runs read it. The cache is rebuilt when the data change.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.data import Dataset, open_dataset
from wow.data.identity import dataset_identity
from wow.train.rows import Rows
from wow.types import Embodiment, WowError

OnDone = Callable[[int, int], None]

LINK_PIXELS = "sim.link_pixels"
"""Signal of a recording [T, 2k]: where the links of the arm appear to the first camera [pixels]."""

FOLLOWS_TEXT = ("expert", "recovery", "human", "unknown")
"""Sources whose episodes do what their text says, unless they are known to have failed."""


@dataclass(frozen=True)
class Clips:
    """Episodes laid end to end: rows `start[i]` to `start[i + 1]` of `frames` and `actions` are episode i's.

    frames: uint8 [N, H, W, 3], read from disk where they are asked for. actions: float32 [N, A]. texts: for each
    episode, all it may be called; the first is the short instruction. obeys: whether the episode does what its text
    says. fps: frames per s. links: float32 [N, 2k], where the arm's links appear, column and row of each as shares of
    the picture; NaN where nobody tells, no columns where nobody ever does. identity: tells these episodes from others,
    also from others of equal lengths; what is computed from them and kept is kept under it.
    """

    frames: Rows
    actions: NDArray[np.float32]
    start: NDArray[np.int64]
    texts: tuple[tuple[str, ...], ...]
    obeys: NDArray[np.bool_]
    fps: float
    embodiment: Embodiment
    links: NDArray[np.float32]
    identity: str = ""

    def __len__(self) -> int:
        return len(self.start) - 1

    def length(self, episode: int) -> int:
        """Frames of an episode."""
        return int(self.start[episode + 1] - self.start[episode])


def open_clips(
    folders: Sequence[Path],
    camera: str | None = None,
    on_done: OnDone = lambda done, total: None,
    demonstrations: int | None = None,
) -> Clips:
    """The episodes of one or more datasets of the same robot, camera and rate; see `first_demonstrations`.

    Raises WowError where they differ.
    """
    clips = _joined(folders, [_open_one(folder, camera, on_done) for folder in folders])
    return clips if demonstrations is None else first_demonstrations(clips, demonstrations)


def first_demonstrations(clips: Clips, count: int) -> Clips:
    """The first `count` episodes of each instruction among those that do what it says, and no other episodes.

    Raises WowError where that leaves none.
    """
    taken: Counter[str] = Counter()
    chosen: list[int] = []
    for episode in np.flatnonzero(clips.obeys):
        instruction = clips.texts[episode][0]
        if taken[instruction] < count:
            taken[instruction] += 1
            chosen.append(int(episode))
    if not chosen:
        raise WowError(
            f"{count} demonstrations of each task leave no episode: ask for at least 1, of data with experts"
        )
    lengths = [clips.length(episode) for episode in chosen]
    rows = np.concatenate([np.arange(clips.start[episode], clips.start[episode + 1]) for episode in chosen])
    return replace(
        clips,
        frames=clips.frames.select(rows),
        actions=clips.actions[rows],
        links=clips.links[rows],
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        texts=tuple(clips.texts[episode] for episode in chosen),
        obeys=clips.obeys[chosen],
        identity=hashlib.sha256(f"{clips.identity} first {count}".encode()).hexdigest(),
    )


def _joined(folders: Sequence[Path], parts: Sequence[Clips]) -> Clips:
    """Several datasets' episodes, one after the other."""
    if not parts:
        raise WowError("no data named: say --data DIR")
    first = parts[0]
    for folder, part in zip(folders, parts, strict=True):
        same = (part.frames.shape[1:], part.actions.shape[1], part.fps) == (
            first.frames.shape[1:],
            first.actions.shape[1],
            first.fps,
        )
        if not same:
            raise WowError(
                f"{folder} has frames {part.frames.shape[1:3]} at {part.fps:g} Hz, {folders[0]} "
                f"{first.frames.shape[1:3]} at {first.fps:g} Hz: train on datasets of one size and rate"
            )
    if len(parts) == 1:
        return first
    lengths = np.concatenate([np.diff(part.start) for part in parts])
    return Clips(
        frames=Rows([part.frames for part in parts]),
        actions=np.concatenate([part.actions for part in parts]),
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        texts=tuple(text for part in parts for text in part.texts),
        obeys=np.concatenate([part.obeys for part in parts]),
        fps=first.fps,
        embodiment=first.embodiment,
        links=_side_by_side([part.links for part in parts]),
        identity=hashlib.sha256(" ".join(part.identity for part in parts).encode()).hexdigest(),
    )


def _open_one(folder: Path, camera: str | None, on_done: OnDone) -> Clips:
    dataset = open_dataset(folder)
    if len(dataset) == 0:
        raise WowError(f"{folder} holds no episodes: record some with wow data collect")
    view = camera or dataset.embodiment.cameras[0].name
    cache = folder / ".cache" / f"frames-{view}"
    identity = dataset_identity(dataset, folder)
    stamp = {"episodes": len(dataset), "identity": identity}
    if not (cache / "done.json").exists() or json.loads((cache / "done.json").read_text()) != stamp:
        _decode(dataset, view, cache, stamp, on_done)
    lengths = [record.length for record in dataset.records]
    return Clips(
        frames=Rows([np.load(cache / "frames.npy", mmap_mode="r")]),
        actions=np.load(cache / "actions.npy"),
        start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        texts=tuple(tuple(dict.fromkeys((record.task, *record.captions))) for record in dataset.records),
        obeys=np.array([_obeys(record) for record in dataset.records]),
        fps=dataset.fps,
        embodiment=dataset.embodiment,
        links=_links(cache, sum(lengths)),
        identity=hashlib.sha256(f"{identity} {view}".encode()).hexdigest(),
    )


def _links(cache: Path, count: int) -> NDArray[np.float32]:
    path = cache / "links.npy"
    return np.load(path) if path.exists() else np.zeros((count, 0), np.float32)


def _side_by_side(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The links of several datasets, NaN where one does not tell. Raises WowError where they tell of different ones."""
    told = {part.shape[1] for part in parts} - {0}
    if len(told) > 1:
        raise WowError(
            f"the datasets mark {' and '.join(str(width // 2) for width in sorted(told))} links of their arms"
        )
    width = told.pop() if told else 0
    return np.concatenate(
        [np.resize(part if part.shape[1] else np.float32(np.nan), (len(part), width)) for part in parts]
    )


def _obeys(record: Any) -> bool:
    return record.source in FOLLOWS_TEXT and record.success is not False


def _decode(dataset: Dataset, camera: str, cache: Path, stamp: dict[str, Any], on_done: OnDone) -> None:
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    total = sum(record.length for record in dataset.records)
    view = next(entry for entry in dataset.embodiment.cameras if entry.name == camera)
    frames = np.lib.format.open_memmap(
        cache / "frames.npy", mode="w+", dtype=np.uint8, shape=(total, view.height, view.width, 3)
    )
    actions = np.zeros((total, len(dataset.embodiment.action)), dtype=np.float32)
    links: list[NDArray[np.float32]] = []
    row = 0
    for number in range(len(dataset)):
        episode = dataset.episode(number)
        rows = slice(row, row + len(episode))
        frames[rows], actions[rows] = episode.videos[camera].frames, episode.actions
        if LINK_PIXELS in episode.signals and camera == dataset.embodiment.cameras[0].name:
            marked = np.asarray(episode.signals[LINK_PIXELS], np.float32)
            links.append((marked / view.width).astype(np.float32))
        row += len(episode)
        on_done(number + 1, len(dataset))
    frames.flush()
    np.save(cache / "actions.npy", actions)
    if len(links) == len(dataset):
        np.save(cache / "links.npy", np.concatenate(links))
    (cache / "done.json").write_text(json.dumps(stamp))
