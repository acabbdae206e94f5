"""From the files of a sample and of one video of it to what the metrics are shown."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from wow.bench.align import aligned, resized, spread
from wow.bench.dimensions.contract import DYNAMICS, MASKS, OTHER, TRUTH, Case
from wow.bench.suite import REGIONS, Sample
from wow.data.picture import read_picture
from wow.data.video_file import VideoFile
from wow.types import UInt8, Video, WowError

Found = TypeVar("Found")

LARGEST_VIDEO = 2 << 30
"""Bytes of the decoded frames of the largest video that is scored."""
MOST_FRAMES = 1024
"""Frames of it; a longer one is thinned evenly while it is read."""
DOT = 0.02
"""Radius of the disc that one or two key points stand for, in shares of the picture's width."""


@dataclass(frozen=True)
class Loaded:
    """A case, and what had to be done to make its videos alike."""

    case: Case
    changed: tuple[str, ...]


def load_case(
    sample: Sample,
    video: Path,
    other: Path | None = None,
    broken: Mapping[str, str] | None = None,
    acted: tuple[Path, Path] | None = None,
) -> Loaded:
    """The case of a sample and the file of a video of it. other: the same picture, another instruction; acted: the
    same picture, its own and another motion.

    A truth, masks or another video that are damaged are as if they were not there, and the case says so. broken: what
    is known to be already. Raises WowError where the first frame or the video itself is: one line that names it.
    """
    wrong = dict(broken or {})
    first = read_picture(sample.first_frame)
    truth = None if sample.truth is None else _unless_broken(TRUTH, wrong, partial(read_film, sample.truth))
    size = first.shape[:2] if truth is None else truth.frames.shape[1:3]
    height, width = size[0], size[1]
    made = aligned(read_film(video), truth, (height, width))
    labels = _unless_broken(MASKS, wrong, lambda: read_masks(sample, (height, width), first.shape[:2]))
    exact = None
    if labels is not None and truth is not None and len(labels) == len(truth):
        exact = labels[list(made.truth_rows)]
    second = None if other is None else _unless_broken(OTHER, wrong, partial(read_film, other))
    moved = None if acted is None else _unless_broken(DYNAMICS, wrong, lambda: [read_film(path) for path in acted])
    return Loaded(
        Case(
            sample=sample,
            video=made.video,
            fps=1.0 if truth is None else truth.fps * (len(made.video) - 1) / (len(truth) - 1),
            truth=made.truth,
            regions=None if labels is None else labels[0],
            exact=exact,
            other=None if second is None else resized(second.frames, (height, width)),
            acted=None if moved is None else (moved[0].frames, moved[1].frames),
            broken=wrong,
        ),
        made.changed,
    )


def _unless_broken(need: str, wrong: dict[str, str], read: Callable[[], Found]) -> Found | None:
    """What `read` gives; None, and the reason in `wrong`, where it cannot be read."""
    try:
        return read()
    except WowError as problem:
        wrong[need] = str(problem)
        return None


def read_film(path: Path) -> Video:
    """The video in a file. Raises WowError for an empty file, for a picture that pretends, and for one too large."""
    if path.is_file() and path.stat().st_size == 0:
        raise WowError(f"{path}: is empty (0 bytes)")
    with VideoFile(path) as film:
        if len(film) < 2:
            raise WowError(f"{path}: is a single picture, not a video")
        rows = spread(len(film), min(len(film), MOST_FRAMES))
        if len(rows) * film.height * film.width * 3 > LARGEST_VIDEO:
            raise WowError(f"{path}: {len(film)} frames of {film.width}x{film.height} are too much: shrink them")
        return Video(film.frames([int(row) for row in rows]), film.fps or 1.0)


def read_masks(sample: Sample, size: tuple[int, int], first: tuple[int, ...]) -> UInt8 | None:
    """The sample's regions, uint8 [T, H, W] at the height and width of `size`, T = 1 where only the first is known.

    first: the size of the first frame, in whose pixels key points are given.
    """
    if sample.masks is not None:
        stored = _stored_masks(sample.masks)
        return np.stack([cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST) for mask in stored])
    if sample.keypoints is not None:
        return _drawn(sample.keypoints, size, (size[1] / first[1], size[0] / first[0]))[None]
    return None


def _stored_masks(path: Path) -> UInt8:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_VIDEO // 3:
                raise WowError(f"{path}: its masks are larger than any video that is scored")
        with np.load(path) as content:
            masks = content["masks"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
        raise WowError(f"{path}: holds no array called masks ({problem})") from None
    if masks.dtype != np.uint8 or masks.ndim != 3 or 0 in masks.shape or masks.max() >= len(REGIONS):
        raise WowError(f"{path}: masks are uint8 [T, H, W] of {', '.join(f'{i} {r}' for i, r in enumerate(REGIONS))}")
    return np.asarray(masks)


def _drawn(path: Path, size: tuple[int, int], scale: tuple[float, float]) -> UInt8:
    """The area between a region's key points; discs where there are fewer than three."""
    try:
        told = json.loads(path.read_text())
        points = {name: np.asarray(told.get(name) or [], np.float32).reshape(-1, 2) for name in REGIONS[1:]}
    except (ValueError, AttributeError, TypeError) as problem:
        raise WowError(f"{path}: key points are lists of [x, y] for {', '.join(REGIONS[1:])} ({problem})") from None
    labels = np.zeros(size, np.uint8)
    for name, found in points.items():
        placed = np.round(found * np.asarray(scale, np.float32)).astype(np.int32)
        if len(placed) >= 3:
            cv2.fillConvexPoly(labels, cv2.convexHull(placed), REGIONS.index(name))
        for x, y in placed:
            cv2.circle(labels, (int(x), int(y)), max(1, round(DOT * size[1])), REGIONS.index(name), thickness=-1)
    return labels
