"""Things in a video without knowing what they are: found by their colour or motion, followed, taken out, put back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wow.types import UInt8

Bool = NDArray[np.bool_]

CONTRAST = 40
"""How far a colour channel of a thing is from its surroundings, of 255."""
MOTION = 24
"""How far a colour channel is from the still background where something moves, of 255."""
SMALLEST, LARGEST = 0.0008, 0.03
"""Shares of the picture that a thing may cover; of something larger, such as an arm, a piece is taken."""


@dataclass(frozen=True)
class Thing:
    """Where something is in every frame: bool [T, H, W], empty where it is not seen. It is seen from first to last."""

    masks: Bool
    first: int
    last: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the thing when first seen [pixels]."""
        rows, columns = np.nonzero(self.masks[self.first])
        return int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1


def still_background(frames: UInt8) -> UInt8:
    """The median of a video [T, H, W, 3] over time: what is there without what moves."""
    # All pixels sorted at once, frame against frame: several times faster than a median along the first axis.
    rows = list(frames)
    for turn in range(len(rows)):
        for place in range(turn % 2, len(rows) - 1, 2):
            low, high = rows[place], rows[place + 1]
            rows[place], rows[place + 1] = np.minimum(low, high), np.maximum(low, high)
    low, high = rows[(len(rows) - 1) // 2], rows[len(rows) // 2]
    middle: UInt8 = low + (high - low) // 2
    return middle


def moving_region(frames: UInt8) -> Bool:
    """Where each frame differs from the still background: bool [T, H, W]."""
    moving: Bool = apart(frames, still_background(frames)[None]) > MOTION
    return moving


def find_thing(frames: UInt8, start: int, random: np.random.Generator, mask: Bool | None = None) -> Thing:
    """Something that is seen in frame `start`, followed until it is lost. mask: where it is, where somebody knows."""
    if mask is not None:
        return _of_mask(mask, start)
    return _follow(frames, _pick(frames, start, random), start)


def without(frame: UInt8, mask: Bool, background: UInt8) -> UInt8:
    """The frame [H, W, 3] without what the mask covers: the background there, or paint where that shows it too."""
    if not mask.any():
        return frame
    hidden = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if np.median(apart(frame, background)[mask]) <= MOTION:
        painted = cv2.inpaint(np.ascontiguousarray(frame), hidden.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        return painted.astype(np.uint8)
    shown = frame.copy()
    shown[hidden] = background[hidden]
    return shown


def with_thing(frame: UInt8, picture: UInt8, mask: Bool, matrix: NDArray[np.float64]) -> UInt8:
    """The frame with what the mask covers in `picture`, moved by an affine matrix [2, 3] from place to place."""
    size = frame.shape[1], frame.shape[0]
    moved = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(mask.astype(np.float32), matrix, size, flags=cv2.INTER_LINEAR)[..., None]
    mixed: UInt8 = np.round(frame * (1.0 - cover) + moved * cover).astype(np.uint8)
    return mixed


def apart(one: UInt8, other: UInt8) -> UInt8:
    """The largest difference of a colour channel."""
    off = np.maximum(one, other) - np.minimum(one, other)
    largest: UInt8 = np.maximum(np.maximum(off[..., 0], off[..., 1]), off[..., 2])
    return largest


def _of_mask(mask: Bool, start: int) -> Thing:
    """The thing of a mask from frame `start` on, until it is out of sight."""
    seen: Bool = np.asarray(mask.any(axis=(1, 2)))
    if not seen[start]:
        start = int(np.flatnonzero(seen)[0]) if seen.any() else start
    gone = np.flatnonzero(~seen[start:])
    last = start + int(gone[0]) - 1 if len(gone) else len(mask) - 1
    kept = np.zeros_like(mask)
    kept[start : max(last, start) + 1] = mask[start : max(last, start) + 1]
    return Thing(kept, start, max(last, start))


def _pick(frames: UInt8, start: int, random: np.random.Generator) -> Bool:
    """Where something is in a frame: what stands out by its colour, or what moves; a disc where nothing does."""
    frame = frames[start]
    height, width = frame.shape[:2]
    around = max(min(height, width) // 4 | 1, 3)
    contrast = apart(frame, cv2.medianBlur(np.ascontiguousarray(frame), around).astype(np.uint8))
    regions: list[Bool] = [contrast > CONTRAST, moving_region(frames)[start]]
    if random.random() < 0.5:
        regions.reverse()
    for region in regions:
        found = _pieces(region, height * width)
        if found:
            # What stands out more is rather a thing than a shadow or an edge.
            weight = np.array([float(contrast[piece].mean()) ** 2 + 1.0 for piece in found])
            return _at_most(found[int(random.choice(len(found), p=weight / weight.sum()))], random)
    return _disc(height, width, int(random.integers(height)), int(random.integers(width)))


def _pieces(region: Bool, area: int) -> list[Bool]:
    """The connected parts of a region that are large enough to be things."""
    closed = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(closed)
    smallest = max(SMALLEST * area, 4)
    return [labels == label for label in range(1, count) if statistics[label, cv2.CC_STAT_AREA] >= smallest]


def _at_most(piece: Bool, random: np.random.Generator) -> Bool:
    """The piece, or as much of it as a thing may cover, around a random point of it."""
    height, width = piece.shape
    if piece.sum() <= LARGEST * piece.size:
        return piece
    rows, columns = np.nonzero(piece)
    chosen = int(random.integers(len(rows)))
    return piece & _disc(height, width, int(rows[chosen]), int(columns[chosen]))


def _disc(height: int, width: int, row: int, column: int) -> Bool:
    radius = max(0.08 * min(height, width), 1.0)
    y, x = np.ogrid[:height, :width]
    disc: Bool = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return disc


def _follow(frames: UInt8, mask: Bool, start: int) -> Thing:
    """The thing of a frame in the frames after it, wherever its picture matches best, until it no longer does."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    top, left = int(rows.min()), int(columns.min())
    shape = mask[top : rows.max() + 1, left : columns.max() + 1]
    reach = max(round(0.08 * min(height, width)), 1)
    masks = np.zeros((len(frames), height, width), np.bool_)
    masks[start], last = mask, start
    for number in range(start + 1, len(frames)):
        found = _match(frames[number - 1], frames[number], shape, top, left, reach)
        if found is None:
            break
        top, left = found
        masks[number, top : top + shape.shape[0], left : left + shape.shape[1]] = shape
        last = number
    return Thing(masks, start, last)


def _match(before: UInt8, after: UInt8, shape: Bool, top: int, left: int, reach: int) -> tuple[int, int] | None:
    """Where the picture of a thing went between two frames; None where nothing looks like it."""
    tall, wide = shape.shape
    template = before[top : top + tall, left : left + wide].astype(np.float32)
    low_row, low_column = max(top - reach, 0), max(left - reach, 0)
    field = after[low_row : top + tall + reach, low_column : left + wide + reach].astype(np.float32)
    cover = np.repeat(shape[..., None], 3, axis=-1).astype(np.float32)
    errors = cv2.matchTemplate(field, template, cv2.TM_SQDIFF, mask=cover)
    row, column = np.unravel_index(int(errors.argmin()), errors.shape)
    if float(errors[row, column]) > CONTRAST**2 * float(cover.sum()):
        return None
    return low_row + int(row), low_column + int(column)
