"""Pictures of any size, fitted to a foundation model the way its authors fit them."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from wow.foundation.card import Card
from wow.foundation.memory import strides
from wow.types import UInt8, WowError

EXTREME_ASPECT = 4.0
"""A picture this many times as long as it is high, or the other way, shows no scene once it is fitted."""

Size = tuple[int, int]  # height, width


def clip_size(card: Card, picture: Size, wanted: Size | None = None) -> Size:
    """Height and width of the clip that a picture of that size becomes. wanted: instead of the card's own size.

    Raises WowError for a picture of extreme aspect, and for a size that the model's grid cannot hold.
    """
    height, width = picture
    if not 1 / EXTREME_ASPECT <= width / height <= EXTREME_ASPECT:
        raise WowError(
            f"the picture is {width}x{height}, and {card.name} would see little of it: "
            f"crop it until one side is at most {EXTREME_ASPECT:g} times the other"
        )
    if wanted is not None:
        return _checked(card, wanted)
    if card.fit != "area":
        return card.height, card.width
    if card.family == "wan2.2":
        return _nearest_aspect(height / width, card.height * card.width, card.multiple)
    return _same_area(height / width, card.height * card.width, card.multiple)


def fit_frames(card: Card, frames: UInt8, size: Size) -> tuple[UInt8, str]:
    """Frames [T, H, W, 3] at that size, and what was done in words; "" where nothing was."""
    height, width = frames.shape[1:3]
    if (height, width) == size:
        return frames, ""
    said = f"scaled from {width}x{height} to {size[1]}x{size[0]}"
    aspect = (size[1] / size[0]) / (width / height)
    if _cuts(card):
        how = _cover_with_pillow if card.family == "wan2.2" else _cover
        lost = 1.0 - min(aspect, 1 / aspect)
        said += f", {lost:.0%} cut off evenly at both ends" if lost > 0.005 else ""
    else:
        how = _squash
        said += f", which stretches it {aspect:.2f} times sideways" if abs(aspect - 1) > 0.02 else ""
    return np.stack([how(frame, size) for frame in frames]), said


def as_seen(card: Card, frames: UInt8, picture: UInt8) -> UInt8:
    """A clip [T, H, W, 3] in the frame of the picture [h, w, 3] that it was imagined from: its fitting undone.

    What was stretched is stretched back. Where the picture was cut, the clip is put where it was cut out, and what
    the model never saw stands still around it: whoever measures in pixels finds everything where the camera saw it.
    """
    height, width = picture.shape[:2]
    if frames.shape[1:3] == (height, width):
        return frames
    if not _cuts(card):
        return np.stack([_squash(frame, (height, width)) for frame in frames])
    scale = max(frames.shape[1] / height, frames.shape[2] / width)
    rows, columns = (
        min(round(side / scale), most) for side, most in zip(frames.shape[1:3], (height, width), strict=True)
    )
    top, left = (height - rows) // 2, (width - columns) // 2
    seen = np.repeat(picture[None], len(frames), axis=0)
    seen[:, top : top + rows, left : left + columns] = [_squash(frame, (rows, columns)) for frame in frames]
    return seen


def _cuts(card: Card) -> bool:
    """Whether pictures of another aspect lose something; Wan2.2 follows their aspect, but for the grid."""
    return card.family == "wan2.2" or card.fit == "cover"


def _checked(card: Card, size: Size) -> Size:
    height, width = size
    if card.family == "cogvideox" and size != (card.height, card.width):
        raise WowError(f"{card.name} makes clips of {card.width}x{card.height} alone: leave --resolution away")
    if min(size) < card.multiple or height % card.multiple or width % card.multiple:
        near = "x".join(str(max(1, round(side / card.multiple)) * card.multiple) for side in (width, height))
        raise WowError(f"{card.name} makes clips whose sides are multiples of {card.multiple}: try --resolution {near}")
    if max(size) > (most := _longest_side(card)):
        raise WowError(f"{card.name} makes clips of at most {most} pixels a side, not {width}x{height}: ask for less")
    return size


def _longest_side(card: Card) -> int:
    """For how many pixels of a side the transformer has positions."""
    config = card.transformer.config
    _, space = strides(card)
    if "rope_max_seq_len" in config:
        return int(config["rope_max_seq_len"]) * space * int(config["patch_size"][1])
    return int(config["max_size"][1]) * space if "max_size" in config else 8192


def _same_area(aspect: float, area: int, multiple: int) -> Size:
    """The picture's own aspect at the clip's area, both sides rounded down to the grid (Wan2.1).

    The authors' code turns 832x480 into 832x464, by a rounding error in the last digit; here it stays what it is.
    """
    height, width = (math.sqrt(area * ratio) + 1e-6 for ratio in (aspect, 1 / aspect))
    return max(int(height // multiple), 1) * multiple, max(int(width // multiple), 1) * multiple


def _nearest_aspect(aspect: float, area: int, multiple: int) -> Size:
    """Of the two sizes on the grid within the area that fix one side first, the one nearer in aspect (Wan2.2)."""
    width = int(math.sqrt(area / aspect) // multiple * multiple)
    by_width = int(area / width // multiple * multiple), width
    height = int(math.sqrt(area * aspect) // multiple * multiple)
    by_height = height, int(area / height // multiple * multiple)
    return min(by_height, by_width, key=lambda size: max(size[0] / size[1] / aspect, aspect / (size[0] / size[1])))


def _squash(frame: UInt8, size: Size) -> UInt8:
    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _cover(frame: UInt8, size: Size) -> UInt8:
    """Scaled to cover, bilinear with antialiasing, the middle of it, rounded down: as Cosmos-Predict2 and 2.5."""
    height, width = frame.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    large = math.ceil(scale * height), math.ceil(scale * width)
    picture = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1)[None].float() / 255.0
    scaled = F.interpolate(picture, size=large, mode="bilinear", antialias=True, align_corners=False)[0]
    top, left = round((large[0] - size[0]) / 2), round((large[1] - size[1]) / 2)
    cut = scaled[:, top : top + size[0], left : left + size[1]]
    result: UInt8 = (cut * 255.0).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    return result


def _cover_with_pillow(frame: UInt8, size: Size) -> UInt8:
    """Scaled to cover with a Lanczos filter, the middle of it: as Wan2.2."""
    height, width = frame.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    scaled = Image.fromarray(frame).resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    left, top = (scaled.width - size[1]) // 2, (scaled.height - size[0]) // 2
    return np.asarray(scaled.crop((left, top, left + size[1], top + size[0])))
