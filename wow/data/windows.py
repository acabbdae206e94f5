"""Random windows of frames, decoded straight from the files: what a training loop is fed with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wow.data.dataset import Dataset, EpisodeRecord, as_vectors
from wow.data.layout import ACTION, STATE
from wow.types import Float32, UInt8, WowError


@dataclass(frozen=True)
class Window:
    """Where a window lies: frames start, start + stride, … of an episode."""

    episode: int
    start: int


@dataclass(frozen=True)
class Batch:
    """B windows of T frames.

    frames: camera -> uint8 [B, T, H, W, 3]. actions: float32 [B, (T - 1) * stride, A], every action from the first
    frame to the last. states: float32 [B, T, S] at the frames, or None. records: the episodes that they come from.
    """

    windows: tuple[Window, ...]
    records: tuple[EpisodeRecord, ...]
    frames: Mapping[str, UInt8]
    actions: Float32
    states: Float32 | None


class WindowLoader:
    """An endless stream of batches of random windows, every possible window equally often.

    Batch n depends on the seed and n alone: the same seed gives the same batches, whatever `workers` is, and
    `state()` / `restore()` continue at the exact batch. stride: recorded frames from one frame of a window to the next.
    cameras: names; all if None. shard, num_shards: this process and how many there are; each gets its own batches.
    workers: decoding threads; 0 decodes in the calling thread. Raises WowError where no episode is long enough.
    """

    def __init__(
        self,
        dataset: Dataset,
        num_frames: int,
        batch_size: int,
        seed: int,
        *,
        cameras: Sequence[str] | None = None,
        stride: int = 1,
        shard: int = 0,
        num_shards: int = 1,
        workers: int = 0,
    ) -> None:
        if min(num_frames, batch_size, stride) < 1 or not 0 <= shard < num_shards or workers < 0:
            raise ValueError("num_frames, batch_size and stride are at least 1, shard lies in [0, num_shards)")
        unknown = [name for name in cameras or () if name not in dataset.cameras]
        if unknown:
            raise WowError(f"{dataset.path}: no camera called {unknown[0]}; there are {', '.join(dataset.cameras)}")
        self.dataset = dataset
        self.num_frames = num_frames
        self.batch_size = batch_size
        self.seed = seed
        self.stride = stride
        self.cameras = tuple(dataset.cameras if cameras is None else cameras)
        self._shard, self._num_shards = shard, num_shards
        span = (num_frames - 1) * stride + 1
        starts = np.array([max(record.length - span + 1, 0) for record in dataset.records], np.int64)
        self._ends: NDArray[np.int64] = np.cumsum(starts)
        if not len(starts) or not self._ends[-1]:
            longest = max((record.length for record in dataset.records), default=0)
            raise WowError(f"{dataset.path}: a window needs {span} frames, the longest episode has {longest}")
        self._next = 0
        self._pool = ThreadPoolExecutor(workers, "windows") if workers else None
        self._coming: deque[tuple[_Job, list[Future[None]]]] = deque()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        number, self._next = self._next, self._next + 1
        if self._pool is None:
            job = self._begun(number)
            for place, _ in enumerate(job.windows):
                self._decode(job, place)
            return self._batch(job)
        # One batch is decoded while the last one is trained on.
        while len(self._coming) < 2:
            job = self._begun(number + len(self._coming))
            self._coming.append((job, [self._pool.submit(self._decode, job, p) for p in range(self.batch_size)]))
        job, futures = self._coming.popleft()
        for future in futures:
            future.result()
        return self._batch(job)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the decoding threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def num_windows(self) -> int:
        """How many different windows there are."""
        return int(self._ends[-1])

    def windows(self, number: int) -> tuple[Window, ...]:
        """Where the windows of batch `number` lie. Decodes nothing."""
        generator = np.random.default_rng([self.seed, number, self._shard, self._num_shards])
        drawn = generator.integers(self.num_windows, size=self.batch_size)
        episodes = np.searchsorted(self._ends, drawn, side="right")
        before = np.concatenate([[0], self._ends])[episodes]
        return tuple(Window(int(e), int(d - b)) for e, d, b in zip(episodes, drawn, before, strict=True))

    def state(self) -> dict[str, int]:
        """The position, for `restore`: JSON-able. The next batch is the first one not yet handed out."""
        return {"next_batch": self._next, **self._identity()}

    def restore(self, state: Mapping[str, int]) -> None:
        """Continue where `state()` was taken. Raises WowError where the data or the settings are not the same."""
        for key, value in self._identity().items():
            if state.get(key) != value:
                raise WowError(f"{self.dataset.path}: cannot continue: {key} is {value}, it was {state.get(key)}")
        self._next = int(state["next_batch"])
        self._coming.clear()

    def _identity(self) -> dict[str, int]:
        return {
            "seed": self.seed,
            "num_windows": self.num_windows,
            "num_frames": self.num_frames,
            "stride": self.stride,
            "batch_size": self.batch_size,
            "num_shards": self._num_shards,
        }

    def _begun(self, number: int) -> _Job:
        sizes = {camera.name: (camera.height, camera.width) for camera in self.dataset.embodiment.cameras}
        shape = (self.batch_size, self.num_frames)
        return _Job(
            self.windows(number), {name: np.empty((*shape, *sizes[name], 3), np.uint8) for name in self.cameras}
        )

    def _rows(self, window: Window) -> list[int]:
        return [window.start + number * self.stride for number in range(self.num_frames)]

    def _decode(self, job: _Job, place: int) -> None:
        """Decode a window's frames straight into their place in the batch."""
        window = job.windows[place]
        for name in self.cameras:
            self.dataset.frames(window.episode, self._rows(window), name, out=job.frames[name][place])

    def _batch(self, job: _Job) -> Batch:
        card = self.dataset.embodiment
        span = (self.num_frames - 1) * self.stride
        actions = np.zeros((self.batch_size, span, len(card.action)), np.float32)
        states = np.zeros((self.batch_size, self.num_frames, len(card.state)), np.float32) if card.state else None
        for place, window in enumerate(job.windows):
            if card.action:
                rows = as_vectors(self.dataset.signal(window.episode, ACTION))
                actions[place] = rows[window.start : window.start + span]
            if states is not None:
                states[place] = as_vectors(self.dataset.signal(window.episode, STATE))[self._rows(window)]
        records = tuple(self.dataset.records[window.episode] for window in job.windows)
        return Batch(job.windows, records, job.frames, actions, states)


@dataclass(frozen=True)
class _Job:
    """A batch in the making: where its windows lie, and the arrays that their frames are decoded into."""

    windows: tuple[Window, ...]
    frames: Mapping[str, UInt8]
