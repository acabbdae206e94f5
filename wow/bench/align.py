"""Two videos that are to be compared, made alike: the stated rule for other sizes, lengths and rates.

Both show the whole of what happens, so time is a share of the video: the longer one is thinned out evenly to the frames
of the shorter one, whatever its rate. Pictures get the truth's size, squeezed if need be: by area where they shrink,
linearly where they grow.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from wow.types import UInt8, Video, WowError


@dataclass(frozen=True)
class Aligned:
    """video, truth: uint8 [T, H, W, 3] of one shape; truth is None where there is none. changed: what had to be done.

    truth_rows: which frames of the truth these are.
    """

    video: UInt8
    truth: UInt8 | None
    truth_rows: tuple[int, ...]
    changed: tuple[str, ...] = ()


def aligned(video: Video, truth: Video | None, size: tuple[int, int]) -> Aligned:
    """The two as one can compare them. size: height and width of the sample's pictures.

    Raises WowError for a video of a single frame: in it nothing is imagined.
    """
    for name, one in (("the video", video), ("the truth", truth)):
        if one is not None and len(one) < 2:
            raise WowError(f"{name} is a single picture, not a video")
    changed: list[str] = []
    frames = resized(video.frames, size)
    if frames.shape != video.frames.shape:
        changed.append(f"pictures {video.frames.shape[2]}x{video.frames.shape[1]} to {size[1]}x{size[0]}")
    if truth is None:
        return Aligned(frames, None, (), tuple(changed))
    length = min(len(frames), len(truth))
    if len(frames) != len(truth):
        changed.append(f"{len(frames)} frames against {len(truth)}, both thinned to {length}")
    elif abs(video.fps - truth.fps) > 0.01 * truth.fps:
        changed.append(f"{video.fps:g} frames a second taken for {truth.fps:g}")
    rows = spread(len(truth), length)
    picked = frames[spread(len(frames), length)]
    return Aligned(picked, resized(truth.frames[rows], size), tuple(int(row) for row in rows), tuple(changed))


def spread(length: int, num_frames: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Indices of `num_frames` of `length` frames, evenly from the first to the last."""
    return np.linspace(0, length - 1, num_frames).round().astype(np.int64)


def resized(frames: UInt8, size: tuple[int, int]) -> UInt8:
    """Frames [T, H, W, 3] with the height and width of `size`; themselves where they have them."""
    if frames.shape[1:3] == size:
        return frames
    how = cv2.INTER_AREA if size[0] * size[1] < frames.shape[1] * frames.shape[2] else cv2.INTER_LINEAR
    return np.stack([cv2.resize(frame, size[::-1], interpolation=how) for frame in frames])
