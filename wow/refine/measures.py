"""What can be measured of a video that is wrong with it: numbers that are small for every true one. Nothing is learned.

Each measure is a pure function of what is seen and says how strongly, and between which frames. All take a camera that
stands still, a single robot, and a world in which things move when they are touched.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wow.refine.seen import CALM, MAYBE, Array, Bool, Seen, difference

NEAR = 6
"""Pixels (of 128) between two changes that belong together."""
STILL = 0.02
"""A step of less than this share of the largest one is none."""
SOME = 0.3
"""Mean difference [of 255] below which steps are the noise of compression."""


@dataclass(frozen=True)
class Measure:
    """value: 0 where all is well. span: the first and last frame between which it is seen. where: its middle in the
    picture as (x, y), both from 0 to 1; None for all of it."""

    value: float
    span: tuple[int, int] = (0, 0)
    where: tuple[float, float] | None = None


def stillness(seen: Seen) -> Measure:
    """1 where nothing ever moves; less the more of the picture does, 0 from a thousandth of it on."""
    share = float((difference(seen.frames.max(axis=0), seen.frames.min(axis=0)) > 2 * CALM).mean())
    return Measure(max(1.0 - share / 0.001, 0.0), (0, len(seen)))


def standstill(seen: Seen) -> Measure:
    """Frames that the picture stands still in the midst of motion, times how fast that was, in largest steps."""
    steps = np.diag(seen.apart, 1)
    largest = float(max(steps.max(), SOME))
    best = Measure(0.0)
    for first, last in _runs(steps < STILL * largest):
        before = steps[first - 1] if first > 0 else 0.0
        after = steps[last + 1] if last + 1 < len(steps) else 0.0
        value = float(min(before, after)) / largest * (last - first + 1)
        if value > best.value:
            best = Measure(value, (first, last + 1))
    return best


def leap(seen: Seen) -> Measure:
    """The largest step, in steps before and after it: a cut, or a jump of the whole scene."""
    steps = np.diag(seen.apart, 1)
    if len(steps) < 3:
        return Measure(0.0)
    around = np.maximum(np.r_[steps[1], steps[:-1]], np.r_[steps[1:], steps[-2]])
    ratios = steps / (around + SOME)
    worst = int(ratios.argmax())
    return Measure(float(ratios[worst]), (worst, worst + 1))


def backwards(seen: Seen) -> Measure:
    """By how many usual steps the way through the frames gets shorter if a stretch of them is turned round.

    Two cuts are where such a stretch was turned: the frame before it fits its end, its beginning the frame after it.
    """
    apart, count = seen.apart, len(seen) + 1
    best = Measure(0.0)
    usual = float(np.median(np.diag(apart, 1))) + SOME
    for first in range(1, count - 2):
        last = np.arange(first + 2, count)
        gain = apart[first - 1, first] - apart[first - 1, last]
        inner = last[:-1]
        gain[:-1] += apart[inner, inner + 1] - apart[first, inner + 1]
        place = int(gain.argmax())
        if gain[place] / usual > best.value:
            best = Measure(float(gain[place]) / usual, (first, int(last[place])))
    return best


def untouched(seen: Seen) -> Measure:
    """The largest area that changes in a step though no motion leads to it, in space and time, from the main one."""
    chains = list(_chains(seen.changed).values())
    if len(chains) < 2:
        return Measure(0.0)
    main = max(chains, key=lambda chain: sum(part.size for part in chain))
    parts = [max(chain, key=lambda part: part.size) for chain in chains if chain is not main]
    worst = max(parts, key=lambda part: part.size)
    steps = [part.step for chain in chains if worst in chain for part in chain]
    return Measure(float(worst.size), (min(steps), max(steps) + 1), worst.where)


def blink(seen: Seen) -> Measure:
    """The largest area that becomes something else in one step, calm before and after, nothing moving beside it."""
    changed, maybe, calm = seen.changed, seen.step > MAYBE, seen.step < CALM
    best = Measure(0.0)
    for step in range(1, len(seen) - 1):
        before, after = calm[max(step - 2, 0) : step].all(axis=0), calm[step + 1 : step + 3].all(axis=0)
        sudden = changed[step] & before & after
        if sudden.sum() > best.value:
            moving = (maybe[step] & ~sudden) | maybe[step - 1] | maybe[step + 1]
            area, where = _largest_alone(sudden, moving)
            if area > best.value:
                best = Measure(area, (step, step + 1), where)
    return best


def trembling(seen: Seen) -> Measure:
    """How much longer the way of a cell of the picture is, in six steps, than the furthest it gets: 1 straight, 2 there
    and back, up to 6 for what is moved anew in every frame."""
    width = 6
    if len(seen) < width:
        return Measure(0.0)
    lags = [_by_cell(np.abs(seen.tiny[lag:] - seen.tiny[:-lag]).mean(axis=-1)) for lag in range(1, width + 1)]
    best = Measure(0.0)
    for first in range(len(seen) - width + 1):
        way = lags[0][first : first + width].sum(axis=0)
        reach = np.max([lag[first : first + width - place].max(axis=0) for place, lag in enumerate(lags)], axis=0)
        ratio = np.where(reach > MAYBE / 2, way / np.maximum(reach, 1e-6), 0.0)
        row, column = np.unravel_index(int(ratio.argmax()), ratio.shape)
        if ratio[row, column] > best.value:
            where = (float(column) + 0.5) / ratio.shape[1], (float(row) + 0.5) / ratio.shape[0]
            best = Measure(float(ratio[row, column]), (first, first + width), where)
    return best


def drift(seen: Seen) -> Measure:
    """How far the middle pixel's colour is from where it was [of 255]: light that changes, or a camera that moves."""
    shares = [float(np.median(difference(frame, seen.frames[0]))) for frame in seen.frames]
    worst = int(np.argmax(shares))
    return Measure(shares[worst], (0, worst))


# ---- inside ----


def _runs(flags: Bool) -> list[tuple[int, int]]:
    """First and last place of every run of true ones."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def _by_cell(pixels: NDArray[np.float32]) -> Array:
    """Means of [t, 32, 32] over cells of 4x4."""
    means: Array = pixels.reshape(len(pixels), 8, 4, 8, 4).mean(axis=(2, 4)).astype(np.float64)
    return means


def _disc(radius: int) -> NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)), np.uint8)


def _largest_alone(area: Bool, moving: Bool) -> tuple[float, tuple[float, float] | None]:
    """The largest part of the area and its middle; counted less the more moves around it, nothing from half of that."""
    closed = cv2.morphologyEx(area.astype(np.uint8), cv2.MORPH_CLOSE, _disc(1))
    count, labels, statistics, middles = cv2.connectedComponentsWithStats(closed)
    best, where = 0.0, None
    for label in range(1, count):
        if statistics[label, cv2.CC_STAT_AREA] <= best:
            continue
        part = (labels == label).astype(np.uint8)
        around = (cv2.dilate(part, _disc(2)) > 0) & (part == 0)
        contact = float(moving[around].mean()) if around.any() else 0.0
        size = float((area & (part > 0)).sum()) * max(1.0 - 2.0 * contact, 0.0)
        if size > best:
            best, where = size, _share(middles[label], area)
    return best, where


def _share(point: NDArray[np.float64], area: Bool) -> tuple[float, float]:
    return float(point[0]) / area.shape[1], float(point[1]) / area.shape[0]


@dataclass(frozen=True)
class _Part:
    """What changes together in one transition: how many pixels, and their middle."""

    step: int
    size: int
    where: tuple[float, float]


def _chains(changed: Bool) -> dict[int, list[_Part]]:
    """Changes that follow from one another, in space and time, together."""
    parent: list[int] = []

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    before: NDArray[np.int64] | None = None
    found: list[tuple[int, _Part]] = []
    for step, flags in enumerate(changed):
        count, labels = cv2.connectedComponents(cv2.dilate(flags.astype(np.uint8), _disc(NEAR)))
        nodes = np.where(labels > 0, labels + len(parent) - 1, -1).astype(np.int64)
        parent.extend(range(len(parent), len(parent) + count - 1))
        if before is not None:
            both = (nodes >= 0) & (before >= 0)
            for one, other in np.unique(np.stack([nodes[both], before[both]], axis=1), axis=0):
                parent[root(int(one))] = root(int(other))
        for node in np.unique(nodes[flags]):
            rows, columns = np.nonzero(flags & (nodes == node))
            middle = _share(np.array([columns.mean(), rows.mean()]), flags)
            found.append((int(node), _Part(step, len(rows), middle)))
        before = nodes
    chains: dict[int, list[_Part]] = {}
    for node, part in found:
        chains.setdefault(root(node), []).append(part)
    return chains
