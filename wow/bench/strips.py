"""Film strips: what was imagined above, what really happened below. One for each task, and a page of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wow.bench.samples import Clip
from wow.data.film_strip import film_strip
from wow.types import UInt8

CELL = 64
GAP = 8


def save_strips(clips: Sequence[Clip], videos: Sequence[UInt8], folder: Path) -> None:
    """One PNG for each task that has none in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip, video in zip(clips, videos, strict=True):
        file = folder / f"{file_name(clip.task)}.png"
        if not file.exists():
            film_strip({f"{clip.task}: {clip.prompt}": video, "the truth": clip.frames}, height=CELL).save(file)


def save_page(folder: Path, page: Path, columns: int = 3) -> None:
    """All strips of a folder on one page, in the order of their names. Nothing is written where there is none."""
    strips = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(folder.glob("*.png"))]
    if not strips:
        return
    height, width = (max(strip.shape[axis] for strip in strips) for axis in (0, 1))
    num_rows = -(-len(strips) // columns)
    canvas = np.full((num_rows * (height + GAP), columns * (width + GAP), 3), 255, dtype=np.uint8)
    for index, strip in enumerate(strips):
        column, row = divmod(index, num_rows)
        top, left = row * (height + GAP), column * (width + GAP)
        canvas[top : top + strip.shape[0], left : left + strip.shape[1]] = strip
    Image.fromarray(canvas).save(page, optimize=True)


def file_name(task: str) -> str:
    """The task's name with only letters, digits and dashes, at most 60 of them."""
    return "".join(letter if letter.isalnum() else "-" for letter in task)[:60]
