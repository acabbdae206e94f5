"""Pictures from disk, fitted to the size that a model takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from wow.types import UInt8, WowError

LARGEST = 64_000_000
"""Pixels of the largest picture that is read: a small file can claim to be a huge picture."""


def read_picture(path: Path) -> UInt8:
    """The picture in a file, uint8 [H, W, 3]. Raises WowError where there is none that can be read."""
    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > LARGEST:
                raise WowError(
                    f"{path} is {picture.width}x{picture.height}, more than {LARGEST // 10**6} megapixels: shrink it"
                )
            return np.asarray(picture.convert("RGB"))
    except FileNotFoundError:
        raise WowError(f"there is no picture at {path}: name a PNG or JPEG file") from None
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
        raise WowError(f"{path} cannot be read as a picture ({error}): name a PNG or JPEG file") from None


def fit_picture(picture: UInt8, size: int) -> tuple[UInt8, str]:
    """The picture as [size, size, 3] with its aspect kept, and a sentence that says what was done.

    It is scaled until its shorter side fits; what then sticks out on the longer side is cut off evenly at both ends.
    """
    height, width = picture.shape[:2]
    if (height, width) == (size, size):
        return picture, f"taken as it is ({size}x{size})"
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
