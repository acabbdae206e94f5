"""Pictures of any size, fitted to the one that a model takes."""

from __future__ import annotations

import numpy as np
from PIL import Image

from wow.types import UInt8


def fit_picture(picture: UInt8, size: int) -> tuple[UInt8, str]:
    """The picture as [size, size, 3] with its aspect kept, and what was done in words; "" where nothing was.

    It is scaled until its shorter side fits; what then sticks out on the longer side is cut off evenly at both ends.
    """
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return picture, ""
    scale = size / min(height, width)
    wide, high = max(size, round(width * scale)), max(size, round(height * scale))
    left, top = (wide - size) // 2, (high - size) // 2
    scaled = Image.fromarray(picture).resize((wide, high), Image.Resampling.LANCZOS)
    cut = scaled.crop((left, top, left + size, top + size))
    lost = 1.0 - size * size / (wide * high)
    said = f"scaled from {width}x{height} to {wide}x{high}"
    if lost > 0:
        side = "left and right" if wide > high else "top and bottom"
        said += f", then cut to {size}x{size} at {side} ({lost:.0%} of the picture is not seen)"
    return np.asarray(cut), said


def fit_frames(frames: UInt8, size: int) -> tuple[UInt8, str]:
    """Frames [T, H, W, 3] as [T, size, size, 3], all fitted alike, and what was done in words; "" where nothing was."""
    if frames.shape[1:3] == (size, size):
        return frames, ""
    fitted = [fit_picture(frame, size) for frame in frames]
    return np.stack([picture for picture, _ in fitted]), fitted[0][1]
