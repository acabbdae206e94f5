"""How many random frames per second the loader gives, beside the way that LeRobot decodes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import av
import numpy as np

from wow.data.dataset import Clip, Dataset
from wow.data.windows import Window, WindowLoader
from wow.types import UInt8, WowError

Decode = Callable[[Path, Sequence[float]], UInt8]


@dataclass(frozen=True)
class LoaderSpeed:
    """One way of decoding, measured. A window has all cameras. The rates per CPU second hold on a busy machine too."""

    windows: int
    windows_per_second: float
    frames_per_second: float
    windows_per_cpu_second: float
    frames_per_cpu_second: float


ROUNDS = 5


def measure(dataset: Dataset, loader: WindowLoader, seconds: float) -> dict[str, LoaderSpeed]:
    """The loader and two ways of decoding by timestamp, each on random windows for `seconds`, taking turns.

    `windows`: our loader. `seek`: what LeRobot's pyav backend does for each sample: open the file, seek to the keyframe
    before the first timestamp, decode and convert every frame up to the last one, pick the nearest. `from_start`: the
    same without the seek, for readers that cannot.
    """
    batches = {"windows": _loader_batches(loader)} | {
        name: _decoded_batches(dataset, loader, decode)
        for name, decode in (("seek", _decode_after_seek), ("from_start", _decode_from_start))
    }
    clocks = dict.fromkeys(batches, (0, 0.0, 0.0))
    for batch in batches.values():
        next(batch)
    for _ in range(ROUNDS):
        for name, batch in batches.items():
            clocks[name] = _turn(batch, clocks[name], seconds / ROUNDS)
    frames = loader.num_frames * len(loader.cameras)
    return {
        name: LoaderSpeed(windows, windows / wall, windows * frames / wall, windows / cpu, windows * frames / cpu)
        for name, (windows, wall, cpu) in clocks.items()
    }


def _turn(batches: Iterator[int], before: tuple[int, float, float], seconds: float) -> tuple[int, float, float]:
    """(windows, seconds, CPU seconds) after another turn."""
    windows, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        windows += next(batches)
    return before[0] + windows, before[1] + time.perf_counter() - wall, before[2] + time.process_time() - cpu


def _loader_batches(loader: WindowLoader) -> Iterator[int]:
    """Fetches batch after batch; yields how many windows each had."""
    for batch in loader:
        yield len(batch.windows)


def _decoded_batches(dataset: Dataset, loader: WindowLoader, decode: Decode) -> Iterator[int]:
    for number in count():
        for window in loader.windows(number):
            for camera in loader.cameras:
                clip = dataset.pictures(window.episode, camera)
                if not isinstance(clip, Clip):
                    raise WowError(f"{clip.file}: the pictures are not in a video; there is nothing to compare with")
                decode(clip.file, _timestamps(dataset, loader, window, clip))
        yield loader.batch_size


def _timestamps(dataset: Dataset, loader: WindowLoader, window: Window, clip: Clip) -> list[float]:
    rows = [window.start + number * loader.stride for number in range(loader.num_frames)]
    return [clip.seconds + row / dataset.fps for row in rows]


def _decode_after_seek(file: Path, timestamps: Sequence[float]) -> UInt8:
    return _decode(file, timestamps, seek=True)


def _decode_from_start(file: Path, timestamps: Sequence[float]) -> UInt8:
    return _decode(file, timestamps, seek=False)


def _decode(file: Path, timestamps: Sequence[float], *, seek: bool) -> UInt8:
    frames, stamps = [], []
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        assert stream.time_base is not None
        if seek:
            container.seek(int(timestamps[0] / stream.time_base), stream=stream, backward=True)
        for frame in container.decode(stream):
            frames.append(frame.to_ndarray(format="rgb24"))
            stamps.append(float(frame.time or 0.0))
            if stamps[-1] >= timestamps[-1] - 1e-4:
                break
    nearest = np.abs(np.asarray(stamps)[:, None] - np.asarray(timestamps)).argmin(0)
    return np.stack([frames[index] for index in nearest]).astype(np.uint8, copy=False)
