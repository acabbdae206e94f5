"""Pictures from disk."""

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
