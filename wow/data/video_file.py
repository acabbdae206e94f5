"""One mp4 file: write a video into it, read any frame out of it by its exact index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from wow.types import UInt8, Video, WowError


@dataclass(frozen=True)
class Encoding:
    """How frames become H.264. The defaults give cheap random access and hardly visible loss.

    crf: 0 lossless to 51 worst. keyframe_interval: frames from one independently decodable frame to the next.
    preset: x264's name for time against size.
    """

    crf: int = 18
    keyframe_interval: int = 8
    preset: str = "veryfast"


def write_video(path: Path, video: Video, encoding: Encoding | None = None) -> None:
    """Write `video` to `path` as H.264 in mp4, frame i at i / fps seconds.

    No B-frames: a frame then depends on earlier ones only, back to the last keyframe. An odd height or width keeps its
    size by storing colour at full resolution (yuv444p).
    """
    chosen = encoding or Encoding()
    height, width = video.frames.shape[1:3]
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_rate(video.fps))
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv420p" if height % 2 == 0 and width % 2 == 0 else "yuv444p"
        stream.options = {
            "crf": str(chosen.crf),
            "preset": chosen.preset,
            "g": str(chosen.keyframe_interval),
            "bf": "0",
            # In pictures a few macroblocks wide, x264's macroblock tree reads memory that nobody wrote: the same frames
            # would not always give the same file.
            "x264-params": "mbtree=0",
        }
        # Several episodes are encoded at once in several processes: threads within one would only fight.
        stream.codec_context.thread_count = 1
        for frame in video.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))


def _rate(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


@dataclass(frozen=True)
class _Contents:
    """stamps: when each frame is shown, in order, in the stream's unit of time. keyframes: their indices, in order."""

    stamps: NDArray[np.int64]
    keyframes: NDArray[np.int64]


def _contents(stamps: Sequence[int], keyframes: Sequence[int]) -> _Contents:
    shown = np.unique(np.asarray(stamps, np.int64))
    return _Contents(shown, np.searchsorted(shown, np.unique(keyframes)) if keyframes else np.zeros(1, np.int64))


FILES_REMEMBERED = 8192
_known_contents: dict[tuple[str, int, int], _Contents] = {}


class VideoFile:
    """An open mp4 whose frames are read by index, in any order. Use as a context manager.

    Frames are numbered in the order in which they are shown, whatever order they are stored in. Opening reads the
    table of contents and decodes nothing. Raises WowError for a file that is missing, not a video or cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise WowError(f"{path}: the video file is missing")
        with _reading(path):
            self._container = av.open(str(path))
        try:
            if not self._container.streams.video:
                raise WowError(f"{path}: holds no video stream")
            self._stream = self._container.streams.video[0]
            # Windows are short: frame threads would add latency and, across loader processes, contention.
            self._stream.thread_type = "NONE"
            self._contents = self._table_of_contents()
        except WowError:
            self._container.close()
            raise
        self._stamps = self._contents.stamps
        self._keyframes = self._contents.keyframes
        self._decoder: Iterator[av.VideoFrame] | None = None
        self._position = 0
        # One for all frames: making one for each costs as much as the conversion.
        self._reformatter = VideoReformatter()

    def _table_of_contents(self) -> _Contents:
        """Where the frames are; remembered, since finding out reads the whole file."""
        file = self.path.stat()
        key = (str(self.path), file.st_mtime_ns, file.st_size)
        known = _known_contents.get(key)
        if known is None:
            known = self._read_contents()
            while len(_known_contents) >= FILES_REMEMBERED:
                _known_contents.pop(next(iter(_known_contents)), None)
            _known_contents[key] = known
        return known

    def _read_contents(self) -> _Contents:
        """From the file's own index where frames are stored in the order shown, else by going through all packets."""
        entries = self._stream.index_entries
        is_in_order = not self._stream.codec_context.has_b_frames and len(entries) == self._stream.frames > 0
        if is_in_order and not any(entry.is_discard for entry in entries):
            end = max(entry.pos + entry.size for entry in entries)
            if end > self.path.stat().st_size:
                whole = sum(entry.pos + entry.size <= self.path.stat().st_size for entry in entries)
                raise WowError(f"{self.path}: the video is cut off after {whole} of {len(entries)} frames")
            return _contents([entry.timestamp for entry in entries], [e.timestamp for e in entries if e.is_keyframe])
        stamps: list[int] = []
        keyframes: list[int] = []
        found = 0
        with _reading(self.path):
            for packet in self._container.demux(self._stream):
                found += packet.size > 0
                if packet.pts is None or packet.is_discard:
                    continue
                stamps.append(packet.pts)
                if packet.is_keyframe:
                    keyframes.append(packet.pts)
        if not stamps:
            raise WowError(f"{self.path}: the video holds no frames; it may be cut off or damaged")
        if self._stream.frames > found:
            raise WowError(f"{self.path}: the video is cut off after {found} of {self._stream.frames} frames")
        return _contents(stamps, keyframes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; no more frames can be read."""
        self._decoder = None
        self._container.close()

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self._stream.height)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self._stream.width)

    @property
    def fps(self) -> float:
        """Average frames per second; 0 where the file does not say."""
        return float(self._stream.average_rate or 0)

    def index_at(self, seconds: float) -> int:
        """The index of the frame shown at `seconds` (the nearest one)."""
        base = self._stream.time_base
        assert base is not None
        stamp = round(seconds / float(base))
        return int(np.abs(self._stamps - stamp).argmin())

    def frames(self, indices: Sequence[int], out: UInt8 | None = None) -> UInt8:
        """The frames at `indices`, in that order, repeats allowed: uint8 [N, H, W, 3] RGB.

        out: an array of that shape to write into, and to return.
        """
        if len(indices) and (min(indices) < 0 or max(indices) >= len(self)):
            raise WowError(f"{self.path}: has frames 0 to {len(self) - 1}, asked for {min(indices)} to {max(indices)}")
        shape = (len(indices), self.height, self.width, 3)
        frames = np.empty(shape, np.uint8) if out is None else out
        if frames.shape != shape:
            raise WowError(f"{self.path}: its frames are {self.width}x{self.height}, not as the dataset's card says")
        done: int | None = None
        with _reading(self.path):
            for place in sorted(range(len(indices)), key=indices.__getitem__):
                if done is not None and indices[done] == indices[place]:
                    frames[place] = frames[done]
                else:
                    self._decode(indices[place], frames[place])
                done = place
        return frames

    def _decode(self, index: int, out: UInt8) -> None:
        """Decode up to frame `index`: onward from where we are when that is no detour, else from its keyframe."""
        keyframe = int(self._keyframes[max(int(np.searchsorted(self._keyframes, index, side="right")) - 1, 0)])
        if self._decoder is None or index < self._position or keyframe > self._position:
            self._container.seek(int(self._stamps[keyframe]), stream=self._stream, backward=True)
            self._decoder = self._container.decode(self._stream)
        stamp = int(self._stamps[index])
        for frame in self._decoder:
            if frame.pts is None or frame.pts < stamp:
                continue
            if frame.pts > stamp:
                break
            self._position = index + 1
            plane = self._reformatter.reformat(frame, format="rgb24").planes[0]
            rows = np.frombuffer(memoryview(plane), np.uint8).reshape(self.height, plane.line_size)
            out[...] = rows[:, : 3 * self.width].reshape(self.height, self.width, 3)
            return
        self._decoder = None
        raise WowError(f"{self.path}: frame {index} of {len(self)} cannot be decoded; the file is damaged")


def read_video(path: Path, fps: float | None = None) -> Video:
    """The whole file as a Video. fps: overrides what the file says."""
    with VideoFile(path) as file:
        return Video(file.frames(range(len(file))), fps or file.fps or 1.0)


def probe_video(path: Path) -> tuple[int, int, int, float]:
    """(frames, height, width, fps) from the file's table of contents alone."""
    with VideoFile(path) as file:
        return len(file), file.height, file.width, file.fps


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what FFmpeg and the file system say into one line that names the file."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise WowError(f"{path}: not a readable video ({reason}); it may be cut off or damaged") from problem
