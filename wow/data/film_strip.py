"""Film strips: videos as rows of frames in one picture, because people would rather look than read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from wow.types import UInt8

_MARGIN = 4
_CAPTION = 14


def film_strip(videos: Mapping[str, UInt8], num_frames: int = 8, scale: int = 1) -> Image.Image:
    """One row per video [T, H, W, 3], its name above it, with `num_frames` frames evenly spread from first to last."""
    rows = {name: _spread(frames, num_frames) for name, frames in videos.items()}
    width = max(sum(frame.shape[1] * scale + _MARGIN for frame in row) for row in rows.values()) + _MARGIN
    height = sum(row[0].shape[0] * scale + _CAPTION + _MARGIN for row in rows.values()) + _MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    top = _MARGIN
    for name, row in rows.items():
        draw.text((_MARGIN, top), name, fill="black")
        top += _CAPTION
        left = _MARGIN
        for frame in row:
            picture = Image.fromarray(frame)
            if scale != 1:
                picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
            sheet.paste(picture, (left, top))
            left += picture.width + _MARGIN
        top += row[0].shape[0] * scale + _MARGIN
    return sheet


def _spread(frames: UInt8, count: int) -> list[UInt8]:
    return [frames[place] for place in np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)]
