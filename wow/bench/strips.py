"""Film strips: what was imagined above, what really happened below. One for each task, and a page of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wow.bench.samples import Clip
from wow.types import UInt8

SHOWN = 8
GAP = 2
CAPTION = 14
CELL = 64


def film_strip(imagined: UInt8, truth: UInt8, caption: str) -> UInt8:
    """Two rows of up to eight frames, imagined above and true below, under a caption: uint8 [H, W, 3]."""
    chosen = np.unique(np.round(np.linspace(0, len(truth) - 1, SHOWN)).astype(int))
    rows = [_row(video[chosen]) for video in (imagined, truth)]
    return np.concatenate([_caption(caption, rows[0].shape[1]), rows[0], rows[1]])


def save_strips(clips: Sequence[Clip], videos: Sequence[UInt8], folder: Path) -> None:
    """One PNG for each task that has none in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip, video in zip(clips, videos, strict=True):
        file = folder / f"{file_name(clip.task)}.png"
        if not file.exists():
            Image.fromarray(film_strip(video, clip.frames, f"{clip.task}: {clip.prompt}")).save(file)


def save_page(folder: Path, page: Path, columns: int = 3) -> None:
    """All strips of a folder on one page, in the order of their names. Nothing is written where there is none."""
    strips = [np.asarray(Image.open(file).convert("RGB")) for file in sorted(folder.glob("*.png"))]
    if not strips:
        return
    height, width = (max(strip.shape[axis] for strip in strips) for axis in (0, 1))
    num_rows = -(-len(strips) // columns)
    canvas = np.full((num_rows * (height + 4 * GAP), columns * (width + 4 * GAP), 3), 255, dtype=np.uint8)
    for index, strip in enumerate(strips):
        column, row = divmod(index, num_rows)
        top, left = row * (height + 4 * GAP), column * (width + 4 * GAP)
        canvas[top : top + strip.shape[0], left : left + strip.shape[1]] = strip
    Image.fromarray(canvas).save(page, optimize=True)


def file_name(task: str) -> str:
    """The task's name with only letters, digits and dashes, at most 60 of them."""
    return "".join(letter if letter.isalnum() else "-" for letter in task)[:60]


def _row(frames: UInt8) -> UInt8:
    cells = [np.asarray(Image.fromarray(frame).resize((CELL, CELL), Image.Resampling.LANCZOS)) for frame in frames]
    return np.concatenate([np.pad(cell, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for cell in cells], axis=1)


def _caption(text: str, width: int) -> UInt8:
    band = Image.new("RGB", (width, CAPTION), "white")
    ImageDraw.Draw(band).text((2, 1), text, fill="black", font=ImageFont.load_default())
    return np.asarray(band)
