"""Physics faults put into videos: what a critic learns to find, and what its checks are tested on.

Each fault is a pure function of a video, how strong it is to be, randomness, and where a thing is, where that is known;
otherwise something that moves or stands out is chosen. Nothing needs to be known about the video.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.data.things import Bool, Thing, apart, find_thing, still_background, with_thing, without
from wow.types import UInt8

ALTERED = 30
"""How far a colour channel is from what it was where a fault is seen, of 255."""
SHORTEST = 5
"""Frames of the shortest video that can have a fault."""


@dataclass(frozen=True)
class Faulty:
    """A video with a fault: uint8 [T, H, W, 3], and the first and last frame that show it; a jump shows in two."""

    frames: UInt8
    span: tuple[int, int]


Fault = Callable[[UInt8, float, np.random.Generator, Bool | None], Faulty]


def apply(name: str, frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None = None) -> Faulty:
    """The video [T, H, W, 3] with the fault of that name. It may turn out to be invisible: see `is_visible`.

    strength: in (0, 1]; what it scales, each fault says. mask: bool [T, H, W], where a thing is in every frame. Raises
    ValueError for an unknown name, another strength, or fewer than five frames.
    """
    if name not in FAULTS:
        raise ValueError(f"no fault called {name!r}: there are {', '.join(FAULTS)}")
    if not 0.0 < strength <= 1.0 or len(frames) < SHORTEST:
        raise ValueError(f"strength lies in (0, 1] and a video has {SHORTEST} frames, not {strength}, {len(frames)}")
    if mask is not None and (mask.shape != frames.shape[:3] or mask.dtype != np.bool_):
        raise ValueError(f"a mask is bool {frames.shape[:3]}, not {mask.dtype} {mask.shape}")
    return FAULTS[name](frames, strength, random, mask)


def is_visible(before: UInt8, after: UInt8, pixels: int = 12) -> bool:
    """Whether a frame differs from the one it was made of by `ALTERED`, in at least `pixels` of 128 x 128."""
    different = apart(before, after) > ALTERED
    needed = pixels * before.shape[1] * before.shape[2] / 128**2
    return bool(different.sum(axis=(1, 2)).max() >= max(needed, 1.0))


def teleport(frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None) -> Faulty:
    """From one frame to the next a thing is elsewhere, up to 0.4 of the picture away, and stays away by that much."""
    thing = _thing(frames, random, mask)
    matrix = _shift(_away(thing, strength, random))
    faulty = _replace(frames, thing, lambda number: matrix, thing.last)
    return Faulty(faulty, (thing.first - 1, thing.first))


def vanish(frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None) -> Faulty:
    """A thing is not there for up to the rest of the video; what was behind it is seen."""
    thing = _thing(frames, random, mask)
    last = _end(thing, strength)
    background = still_background(frames)
    faulty = frames.copy()
    for number in range(thing.first, last + 1):
        faulty[number] = without(frames[number], thing.masks[number], background)
    return Faulty(faulty, (thing.first, last))


def freeze(frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None) -> Faulty:
    """The picture stands still for up to 0.6 of the video, where it moved most, and then goes on as if it had not."""
    first, last = _moving_span(frames, 3 + round(strength * (0.6 * len(frames) - 3)), random)
    faulty = frames.copy()
    faulty[first : last + 1] = frames[first]
    return Faulty(faulty, (first, last))


def reverse(frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None) -> Faulty:
    """Up to 0.8 of the video runs backwards."""
    first, last = _moving_span(frames, 4 + round(strength * (0.8 * len(frames) - 4)), random)
    faulty = frames.copy()
    faulty[first : last + 1] = frames[first : last + 1][::-1]
    return Faulty(faulty, (first, last))


def duplicate(frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None) -> Faulty:
    """A second thing just like one that is there appears beside it, for up to the rest of the video."""
    thing = _thing(frames, random, mask)
    matrix = _shift(_away(thing, float(random.uniform(0.2, 0.8)), random))
    last = _end(thing, strength)
    faulty = frames.copy()
    for number in range(thing.first, last + 1):
        faulty[number] = with_thing(frames[number], frames[number], thing.masks[number], matrix)
    return Faulty(faulty, (thing.first, last))


def morph(frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None) -> Faulty:
    """A thing grows or shrinks and is sheared, more from frame to frame, up to twice or half its size."""
    thing = _thing(frames, random, mask)
    growth = strength * float(random.choice([-0.5, 1.0]))
    shear = strength * float(random.uniform(-0.6, 0.6))
    count = thing.last - thing.first + 1

    def matrix(number: int) -> NDArray[np.float64]:
        share = (number - thing.first + 1) / count
        linear = (1.0 + share * growth) * np.array([[1.0, share * shear], [0.0, 1.0]])
        return _about_centre(thing.masks[number], linear)

    return Faulty(_replace(frames, thing, matrix, thing.last), (thing.first, thing.last))


def jitter(frames: UInt8, strength: float, random: np.random.Generator, mask: Bool | None) -> Faulty:
    """A thing trembles: in every frame it is moved anew by up to 0.06 of the picture."""
    thing = _thing(frames, random, mask)
    reach = max(strength * 0.06 * min(frames.shape[1:3]), 1.0)
    angles = random.uniform(0.0, 2.0 * np.pi, len(frames)) + np.pi * np.arange(len(frames))
    offsets = reach * random.uniform(0.6, 1.0, (len(frames), 1)) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    faulty = _replace(frames, thing, lambda number: _shift((offsets[number, 0], offsets[number, 1])), thing.last)
    return Faulty(faulty, (thing.first, thing.last))


FAULTS: Mapping[str, Fault] = {
    "teleport": teleport,
    "vanish": vanish,
    "freeze": freeze,
    "reverse": reverse,
    "duplicate": duplicate,
    "morph": morph,
    "jitter": jitter,
}
"""Every fault by name."""


# ---- inside ----


def _thing(frames: UInt8, random: np.random.Generator, mask: Bool | None) -> Thing:
    """Something that is seen for at least two frames where there is such a thing, from the second frame on."""
    latest = max(len(frames) * 3 // 4, 2)
    for _ in range(4):
        thing = find_thing(frames, int(random.integers(1, latest)), random, mask)
        if thing.last > thing.first > 0:
            break
    return Thing(thing.masks, max(thing.first, 1), max(thing.last, thing.first, 1))


def _end(thing: Thing, strength: float) -> int:
    """The last frame of a fault that lasts for a share of the time that a thing is seen, at least two frames."""
    lasting = max(round(strength * (thing.last - thing.first + 1)), 2)
    return min(thing.first + lasting - 1, thing.last)


def _moving_span(frames: UInt8, length: int, random: np.random.Generator) -> tuple[int, int]:
    """First and last of `length` frames, from the second on: rather where there is more motion."""
    length = min(length, len(frames) - 2)
    motion = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    energy = np.convolve(motion[1:], np.ones(length - 1), "valid") ** 2 + 1e-9
    first = 1 + int(random.choice(len(energy), p=energy / energy.sum()))
    return first, first + length - 1


def _replace(frames: UInt8, thing: Thing, matrix: Callable[[int], NDArray[np.float64]], last: int) -> UInt8:
    """The video with a thing taken out and put back by a matrix for each frame number, until `last`."""
    background = still_background(frames)
    faulty = frames.copy()
    for number in range(thing.first, last + 1):
        mask = thing.masks[number]
        bare = without(frames[number], mask, background)
        faulty[number] = with_thing(bare, frames[number], mask, matrix(number))
    return faulty


def _shift(offset: tuple[float, float]) -> NDArray[np.float64]:
    return np.array([[1.0, 0.0, offset[0]], [0.0, 1.0, offset[1]]])


def _about_centre(mask: Bool, linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine matrix [2, 3] of a linear map that leaves the middle of a mask where it is."""
    centre = np.array([np.mean(places) if len(places) else 0.0 for places in np.nonzero(mask)[::-1]])
    return np.column_stack([linear, centre - linear @ centre])


def _away(thing: Thing, strength: float, random: np.random.Generator) -> tuple[float, float]:
    """An offset (x, y) further than the thing is wide, by up to 0.4 of the picture, that stays inside where it can."""
    height, width = thing.masks.shape[1:]
    rows, columns = np.nonzero(thing.masks[thing.first])
    if not len(rows):
        return 0.0, 0.0
    reach = max(0.4 * strength * min(height, width), 1.1 * max(thing.size), 2.0)
    for angle in random.uniform(0.0, 2.0 * np.pi, 16):
        x, y = reach * np.cos(angle), reach * np.sin(angle)
        if columns.min() + x >= 0 and columns.max() + x < width and rows.min() + y >= 0 and rows.max() + y < height:
            break
    return float(x), float(y)
