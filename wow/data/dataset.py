"""A dataset of any format, opened: what it holds without decoding, and its episodes, frames and signals on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wow.data.layout import ACTION, BOOKKEEPING, STATE
from wow.data.video_file import VideoFile
from wow.types import Embodiment, Episode, UInt8, Video, WowError

KEPT_ARRAY_BYTES = 1 << 16
KEPT_ARRAYS = 50_000

Array = NDArray[np.generic]


@dataclass(frozen=True)
class EpisodeRecord:
    """What is known of an episode without decoding it. length: its frames. index: its position in the dataset.

    facts: as in Episode; `facts["episode"]` is what the files call it where that is not its index.
    """

    index: int
    length: int
    task: str
    captions: tuple[str, ...] = ()
    success: bool | None = None
    source: str = "unknown"
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a dataset. episode: what the files call it, None where it concerns the whole dataset.

    left_out: whether the episode is not part of the opened dataset. number: as in `Item`, where it is known.
    """

    file: Path
    episode: int | str | None
    what: str
    left_out: bool = False
    number: int | None = None

    def __str__(self) -> str:
        where = "" if self.episode is None else f" episode {self.episode}:"
        return f"{self.file}:{where} {self.what}{' (left out)' if self.left_out else ''}"


class Pictures(Protocol):
    """The frames of one camera over one episode, on disk."""

    @property
    def file(self) -> Path:
        """The file that they are in."""
        ...

    def count(self) -> int:
        """How many there are, found without decoding."""
        ...

    def read(self, indices: Sequence[int], out: UInt8 | None = None) -> UInt8:
        """Those at `indices`: uint8 [N, H, W, 3] RGB, written into `out` where one is given."""
        ...


class Columns(Protocol):
    """The per-frame numbers of one episode, on disk."""

    @property
    def file(self) -> Path:
        """The file that they are in."""
        ...

    def read(self, keys: Sequence[str] | None = None) -> dict[str, Array]:
        """Arrays [T, …] by dotted key: those asked for, or all. WowError for a key that is not there."""
        ...


@dataclass(frozen=True)
class Clip:
    """The frames of one camera in an mp4. seconds: where the episode starts in it. length: its frames there, or all."""

    file: Path
    seconds: float = 0.0
    length: int | None = None

    def count(self) -> int:
        with VideoFile(self.file) as video:
            available = len(video) - (video.index_at(self.seconds) if self.seconds else 0)
        return available if self.length is None else min(available, self.length)

    def read(self, indices: Sequence[int], out: UInt8 | None = None) -> UInt8:
        with VideoFile(self.file) as video:
            first = video.index_at(self.seconds) if self.seconds else 0
            return video.frames([first + index for index in indices], out)


@dataclass(frozen=True)
class NoColumns:
    """The numbers of an episode that has none: pictures and text only."""

    file: Path

    def read(self, keys: Sequence[str] | None = None) -> dict[str, Array]:
        if keys:
            raise WowError(f"{self.file}: holds no {keys[0]}; it is video and text only")
        return {}


@dataclass(frozen=True)
class Item:
    """One episode of a format: its record, where its parts are, and how the files call it.

    number: by which people ask for it. It counts from 0, also the episodes that are left out.
    """

    record: EpisodeRecord
    pictures: Mapping[str, Pictures]
    columns: Columns
    name: int | str
    number: int


@dataclass(frozen=True)
class Contents:
    """What a format's `read` finds: the episodes that are usable, and what is wrong with the others or the whole."""

    embodiment: Embodiment
    fps: float
    items: tuple[Item, ...]
    problems: tuple[Problem, ...] = ()


class Dataset:
    """Episodes on disk. Opening it has decoded nothing; what is asked for is read then and there.

    records: one per episode. embodiment: the card, inferred where the data has none. fps: frames per second.
    problems: what is wrong, and which episodes were left out for it. format: the name of the layout on disk.
    """

    def __init__(self, path: Path, format: str, contents: Contents) -> None:
        self.path = path
        self.format = format
        self.embodiment = contents.embodiment
        self.fps = contents.fps
        self.problems = contents.problems
        self._items = tuple(
            replace(item, record=replace(item.record, index=index)) for index, item in enumerate(contents.items)
        )
        self.records = tuple(item.record for item in self._items)
        self._places = {item.number: index for index, item in enumerate(self._items)}
        self._kept: dict[tuple[int, str], Array] = {}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def cameras(self) -> tuple[str, ...]:
        """The names of the cameras."""
        return tuple(camera.name for camera in self.embodiment.cameras)

    @property
    def num_frames(self) -> int:
        """Frames of all episodes together, per camera."""
        return sum(record.length for record in self.records)

    @property
    def names(self) -> tuple[int | str, ...]:
        """What the files call each episode."""
        return tuple(item.name for item in self._items)

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of each episode: its index, had none been left out."""
        return tuple(item.number for item in self._items)

    @property
    def left_out(self) -> dict[int, Problem]:
        """By the number of each episode that was left out, the first of its problems."""
        return {each.number: each for each in reversed(self.problems) if each.left_out and each.number is not None}

    def index_of(self, number: int) -> int:
        """The index of the episode with that number.

        Raises WowError where there is none, and where it was left out, saying what is wrong with it.
        """
        if number in self._places:
            return self._places[number]
        if number in self.left_out:
            raise WowError(str(replace(self.left_out[number], left_out=False)))
        known = sorted({*self._places, *self.left_out})
        there_are = f"it has {len(known)}, from {known[0]} to {known[-1]}" if known else "it has none"
        raise WowError(f"{self.path}: there is no episode {number}: {there_are}")

    def files(self, index: int) -> tuple[Path, ...]:
        """The files that an episode is in: first its numbers, then its pictures."""
        item = self._item(index)
        return (item.columns.file, *(pictures.file for pictures in item.pictures.values()))

    def pictures(self, index: int, camera: str) -> Pictures:
        """Where the frames of one camera of an episode are."""
        found = self._item(index).pictures.get(camera)
        if found is None:
            raise WowError(f"{self.path}: episode {self._item(index).name} has no camera called {camera}")
        return found

    def frames(
        self, episode: int, indices: Sequence[int], camera: str | None = None, *, out: UInt8 | None = None
    ) -> UInt8:
        """The frames at `indices` of one camera (the first, if none is named): uint8 [N, H, W, 3] RGB.

        out: an array of that shape to write into, and to return.
        """
        item = self._item(episode)
        name = camera or next(iter(item.pictures), None)
        if name is None or name not in item.pictures:
            raise WowError(f"{self.path}: no camera called {name}; there are {', '.join(item.pictures) or 'none'}")
        length = item.record.length
        if len(indices) and not (min(indices) >= 0 and max(indices) < length):
            raise WowError(f"{self.path}: episode {item.name} has frames 0 to {length - 1}, not {list(indices)}")
        with _named(item):
            return item.pictures[name].read(indices, out)

    def signal(self, episode: int, key: str) -> Array:
        """One per-frame array of an episode, [T, …]: "action", "observation.state" or the key of a signal."""
        kept = self._kept.get((episode, key))
        if kept is None:
            item = self._item(episode)
            with _named(item):
                kept = item.columns.read([key])[key]
            if kept.nbytes <= KEPT_ARRAY_BYTES and len(self._kept) < KEPT_ARRAYS:
                kept.flags.writeable = False
                self._kept[episode, key] = kept
        return kept

    def episode(self, index: int, cameras: Sequence[str] | None = None) -> Episode:
        """The whole episode, decoded. cameras: only these; all if None."""
        item = self._item(index)
        record = item.record
        with _named(item):
            columns = item.columns.read()
        names = tuple(item.pictures) if cameras is None else tuple(cameras)
        width = len(self.embodiment.action)
        actions = columns.pop(ACTION, np.zeros((record.length, width), np.float32))
        states = columns.pop(STATE, None)
        return Episode(
            videos={name: Video(self.frames(index, range(record.length), name), self.fps) for name in names},
            actions=as_vectors(actions),
            embodiment=self.embodiment,
            task=record.task,
            states=None if states is None else as_vectors(states),
            captions=record.captions,
            source=record.source,
            success=record.success,
            signals={key: values for key, values in columns.items() if key not in BOOKKEEPING},
            facts=record.facts,
        )

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(index) for index in range(len(self)))

    def select(self, indices: Sequence[int]) -> Dataset:
        """The same dataset with only these episodes, in this order; they are numbered anew."""
        items = tuple(self._item(index) for index in indices)
        return Dataset(self.path, self.format, Contents(self.embodiment, self.fps, items, self.problems))

    def check(self, index: int, *, decode: bool = False) -> list[Problem]:
        """What is wrong with one episode: lengths that disagree, numbers that are not finite; frames, if decoded."""
        return check_item(self._item(index), decode=decode)

    def _item(self, index: int) -> Item:
        if not 0 <= index < len(self):
            there_are = f"0 to {len(self) - 1}" if len(self) else "none"
            raise WowError(f"{self.path}: has no episode {index}; there are {there_are}")
        return self._items[index]


def as_vectors(values: Array) -> NDArray[np.float32]:
    """Per-frame numbers as float32 [T, D]."""
    return np.ascontiguousarray(values.reshape(len(values), -1), dtype=np.float32)


def check_item(item: Item, *, decode: bool = False) -> list[Problem]:
    """What is wrong with an episode, from its numbers and its videos' tables of contents. decode: also every frame."""
    length = item.record.length
    problems = []

    def found(file: Path, what: str) -> None:
        problems.append(Problem(file, item.name, what, left_out=True))

    for camera, pictures in item.pictures.items():
        try:
            count = pictures.count()
            if count != length:
                found(pictures.file, f"camera {camera} has {count} frames, the other data {length} rows")
            elif decode:
                pictures.read(range(count))
        except WowError as problem:
            found(pictures.file, without_file(problem, pictures.file))
    try:
        columns = item.columns.read()
    except WowError as problem:
        found(item.columns.file, without_file(problem, item.columns.file))
        return problems
    for key, values in columns.items():
        if len(values) != length:
            found(item.columns.file, f"{key} has {len(values)} rows, {length} are due")
            break  # the other columns of the file are as short
        elif key in (ACTION, STATE) and not np.isfinite(vectors := as_vectors(values)).all():
            frame, dimension = np.argwhere(~np.isfinite(vectors))[0]
            found(item.columns.file, f"{key} is not a finite number at frame {frame}, dimension {dimension}")
    return problems


def placed(pictures: Sequence[UInt8], out: UInt8 | None) -> UInt8:
    """The pictures as one array, `out` where one is given."""
    return np.stack(pictures) if out is None else np.stack(pictures, out=out)


def without_file(problem: WowError, file: Path) -> str:
    """The message without the file name that it starts with."""
    return str(problem).removeprefix(f"{file}: ")


class _named:
    """Adds the episode to an error that names only a file."""

    def __init__(self, item: Item) -> None:
        self._item = item

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, WowError):
            file, _, what = str(error).partition(": ")
            raise WowError(f"{file}: episode {self._item.name}: {what}") from error


def usable(
    items: Sequence[Item], *, skip_bad: bool, check: Callable[[Item], list[Problem]] = check_item
) -> tuple[tuple[Item, ...], tuple[Problem, ...]]:
    """The items without problems, and the problems of the others. Without `skip_bad`, WowError for the first one."""
    good, problems = [], []
    for item in items:
        found = numbered(check(item), item.number)
        if found and not skip_bad:
            raise bad_episode(found[0])
        problems += found
        if not found:
            good.append(item)
    return tuple(good), tuple(problems)


def numbered(problems: Sequence[Problem], number: int) -> list[Problem]:
    """The problems of the episode with that number."""
    return [replace(problem, number=number) for problem in problems]


def bad_episode(problem: Problem) -> WowError:
    """The error that a problem is when bad episodes are not to be left out."""
    return WowError(f"{replace(problem, left_out=False)}; wow data import with --skip-bad leaves it out")


def plain_value(value: Any) -> object:
    """JSON knows no numpy scalar: the plain Python value."""
    return value.item() if isinstance(value, np.generic) else value
