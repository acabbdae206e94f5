"""What changes in a video from frame to frame, made ready once for all checks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from wow.types import Float32, UInt8

SIZE = 128
"""Videos are looked at with their shorter side at this many pixels; areas are counted in these."""
CHANGED, MAYBE, CALM = 20, 10, 8
"""How far a colour is from the last frame's, of 255: where something surely changed; may have; surely has not."""

Bool = NDArray[np.bool_]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A video of T+1 frames as the checks see it.

    frames: slightly blurred against the noise of compression, uint8 [T+1, h, w, 3]. step: how far the colours of each
    pixel go in each transition, uint8 [T, h, w]. tiny: the frames at 32 x 32 [T+1, 32, 32, 3]. apart: the mean
    difference of every two of them, [T+1, T+1].
    """

    frames: UInt8
    step: UInt8
    tiny: Float32
    apart: Array

    def __len__(self) -> int:
        """Transitions."""
        return len(self.step)

    @property
    def changed(self) -> Bool:
        """Where something surely changed."""
        changed: Bool = self.step > CHANGED
        return changed


def look(frames: UInt8) -> Seen:
    """The video [T+1, H, W, 3], T >= 1, as the checks see it."""
    scale = SIZE / min(frames.shape[1:3])
    size = max(round(frames.shape[2] * scale), SIZE), max(round(frames.shape[1] * scale), SIZE)
    resized = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale != 1 else frame for frame in frames]
    soft = np.stack([cv2.GaussianBlur(np.ascontiguousarray(frame), (0, 0), 1.0) for frame in resized]).astype(np.uint8)
    step = np.stack([difference(one, other) for one, other in pairwise(soft)])
    tiny = np.stack([cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA) for frame in soft]).astype(np.float32)
    apart = np.stack([np.abs(tiny - one).mean(axis=(1, 2, 3)) for one in tiny]).astype(np.float64)
    return Seen(soft, step, tiny, apart)


def difference(one: UInt8, other: UInt8) -> UInt8:
    """The largest difference of a colour at each pixel of two pictures, uint8 [h, w]."""
    return np.asarray(cv2.absdiff(one, other).max(axis=-1), np.uint8)
