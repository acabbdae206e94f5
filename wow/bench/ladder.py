"""A ladder of faults: the truth made worse in one way, a little, more and much; each rung contains the one below.

They are pure functions of a true video uint8 [T, H, W, 3], how strong the fault is to be, in (0, 1], and where the
object is in every frame, bool [T, H, W], None where nobody knows. The first frame always stays: it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from wow.bench.dimensions.contract import NotMeasurable
from wow.data.things import still_background, with_thing, without
from wow.types import UInt8

Bool = NDArray[np.bool_]
Fault = Callable[[UInt8, float, Bool | None], UInt8]

SHORTEST = 5
"""Frames of the shortest video that is made worse."""
BLUR, LAG, STANDSTILL, JUMP, EARLY = 0.03, 0.4, 0.7, 0.35, 0.7
"""At full strength: deviation of the blur in shares of the width; shares of the video that it lags behind, and stands
still; how far the object jumps in shares of the width; the share of the video that the robot leaves undone."""


def blur(frames: UInt8, strength: float, _: Bool | None) -> UInt8:
    """Everything is out of focus."""
    sigma = strength * BLUR * frames.shape[2]
    return _after_first(frames, np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]).astype(np.uint8))


def lag(frames: UInt8, strength: float, _: Bool | None) -> UInt8:
    """Everything happens later, and the end is not reached."""
    return frames[np.maximum(np.arange(len(frames)) - round(strength * LAG * len(frames)), 0)]


def freeze(frames: UInt8, strength: float, _: Bool | None) -> UInt8:
    """The picture stands still around the middle, and goes on as if it had not."""
    half = strength * STANDSTILL * len(frames) / 2
    first, last = (round(len(frames) / 2 + side * half) for side in (-1, 1))
    rows = np.arange(len(frames))
    rows[max(first, 0) : last] = max(first, 0)
    return frames[rows]


def teleport(frames: UInt8, strength: float, mask: Bool | None) -> UInt8:
    """From a third of the video on the object is elsewhere, towards the middle of the picture and beyond."""
    seen = _seen(mask)
    width = frames.shape[2]
    centre = np.array([np.mean(places) for places in np.nonzero(seen[_first_seen(seen)])[::-1]])
    way = np.array([width / 2, frames.shape[1] / 2]) - centre
    direction = way / np.linalg.norm(way) if np.linalg.norm(way) > 1 else np.array([1.0, 0.0])
    shift = direction * strength * JUMP * width
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    background, faulty = still_background(frames), frames.copy()
    for row in range(max(len(frames) // 3, 1), len(frames)):
        if seen[row].any():
            bare = without(frames[row], seen[row], background)
            faulty[row] = with_thing(bare, frames[row], seen[row], matrix)
    return faulty


def vanish(frames: UInt8, strength: float, mask: Bool | None) -> UInt8:
    """The object is gone for the last part of the video, the more the longer."""
    seen, background, faulty = _seen(mask), still_background(frames), frames.copy()
    for row in range(max(round((1 - strength) * len(frames)), 1), len(frames)):
        faulty[row] = without(frames[row], seen[row], background)
    return faulty


def wrong_object(frames: UInt8, strength: float, mask: Bool | None) -> UInt8:
    """The object has another colour from the second frame on: its channels trade places, the more the stronger."""
    seen = _seen(mask)[..., None]
    other = 255 - frames[..., [1, 2, 0]].astype(np.float64)
    mixed = np.where(seen, (1 - strength) * frames + strength * other, frames)
    return _after_first(frames, np.round(mixed).astype(np.uint8))


def reverse(frames: UInt8, strength: float, _: Bool | None) -> UInt8:
    """The last part of the video runs backwards, the more the longer."""
    first = max(round((1 - strength) * len(frames)), 1)
    return np.concatenate([frames[:first], frames[first:][::-1]])


def optimistic(frames: UInt8, strength: float, mask: Bool | None) -> UInt8:
    """The robot does only a part, the less the stronger, and in the end the object is where it should be anyway."""
    seen = _seen(mask)
    rows = np.round(np.arange(len(frames)) * (1 - strength * EARLY)).astype(int)
    background = still_background(frames)
    faulty: UInt8 = frames[rows]
    still = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    for row in range(len(frames) * 3 // 4, len(frames)):
        bare = without(faulty[row], seen[rows[row]], background)
        faulty[row] = with_thing(bare, frames[-1], seen[-1], still)
    return faulty


FAULTS: Mapping[str, Fault] = {
    "blur": blur,
    "lag": lag,
    "freeze": freeze,
    "teleport": teleport,
    "vanish": vanish,
    "wrong-object": wrong_object,
    "reverse": reverse,
    "optimistic": optimistic,
}
"""Every fault by name."""

_PIXELS = ("psnr", "ssim", "lpips")
_ROBOT = tuple(f"robot_path_{name}" for name in ("l2", "frechet"))
_OBJECT = tuple(f"object_path_{name}" for name in ("l2", "frechet"))
CLAIMS: Mapping[str, tuple[str, ...]] = {
    "blur": (*_PIXELS, "alexnet_cosine", "dino", "fvd"),
    "lag": (*_PIXELS, *_ROBOT, "executed_success"),
    "freeze": (*_PIXELS, "robot_path_l2", "fvd"),
    "teleport": _OBJECT,
    "vanish": (*_PIXELS, "object_path_l2", "small_object_error"),
    "wrong-object": (*_PIXELS, "small_object_error"),
    "reverse": (*_PIXELS, *_ROBOT, "executed_success"),
    "optimistic": (*_PIXELS, *_ROBOT, "executed_success"),
}
"""The metrics that, by what they measure, ought to see a fault, and more of it the stronger it is. Pixels see that an
object is not where it should be, but not how far away it is."""


def worsened(name: str, frames: UInt8, strength: float, mask: Bool | None) -> UInt8:
    """The video with a fault. Raises NotMeasurable where it is too short, or where the object has to be known."""
    if not 0.0 < strength <= 1.0:
        raise ValueError(f"strength lies in (0, 1], not {strength}")
    if len(frames) < SHORTEST:
        raise NotMeasurable(f"a video of {len(frames)} frames is too short to be made worse")
    return FAULTS[name](frames, strength, mask)


def _seen(mask: Bool | None) -> Bool:
    if mask is None or not mask.any():
        raise NotMeasurable("it is not known where the object is in every frame")
    return mask


def _first_seen(mask: Bool) -> int:
    return int(np.flatnonzero(mask.any(axis=(1, 2)))[0])


def _after_first(frames: UInt8, others: UInt8) -> UInt8:
    return np.concatenate([frames[:1], others[1:]])
