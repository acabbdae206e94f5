"""Film strips: videos as rows of frames in one picture, because people would rather look than read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from wow.types import UInt8

FRAMES = 8
ROW_HEIGHT = 128
GAP = 4
CAPTION = 14


def film_strip(videos: Mapping[str, UInt8], num_frames: int = FRAMES, height: int = ROW_HEIGHT) -> Image.Image:
    """One row per video [T, H, W, 3], its name above it: `num_frames` frames evenly spread from first to last.

    Every row is `height` pixels high, the aspect of its frames kept, on white.
    """
    rows = [(name, _row(frames, num_frames, height)) for name, frames in videos.items()]
    sheet = Image.new("RGB", (max(row.shape[1] for _, row in rows), len(rows) * (CAPTION + height + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (name, row) in enumerate(rows):
        top = place * (CAPTION + height + GAP)
        draw.text((0, top), name, fill="black")
        sheet.paste(Image.fromarray(row), (0, top + CAPTION))
    return sheet


def _row(frames: UInt8, num_frames: int, height: int) -> UInt8:
    chosen = np.linspace(0, len(frames) - 1, min(num_frames, len(frames))).round().astype(int)
    size = (max(round(frames.shape[2] * height / frames.shape[1]), 1), height)
    pictures = [np.asarray(Image.fromarray(frames[index]).resize(size, Image.Resampling.LANCZOS)) for index in chosen]
    spaced = [np.pad(picture, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for picture in pictures]
    return np.concatenate(spaced, axis=1)[:, :-GAP]
