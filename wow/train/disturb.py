"""Frames as bad as imagined ones: through the codec and back, out of focus, moved, in another light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from wow.models.codec import Codec
from wow.models.precision import half_where_fast
from wow.train.codec import to_tensor, to_uint8
from wow.types import Float32, UInt8, WowError


@dataclass(frozen=True)
class Disturbance:
    """What may happen to the frames of a clip, to all of them alike.

    through_codec: share of clips that are seen through a codec, where one is given, with up to codec_noise of noise on
    their latents, whose deviation is 1. blurred: share that is out of focus. shifted: share that is moved by up to two
    pixels. tint: the deviation of brightness and colour.
    """

    through_codec: float = 0.25
    codec_noise: float = 0.4
    blurred: float = 0.2
    shifted: float = 0.1
    tint: float = 0.08

    def __post_init__(self) -> None:
        if not all(0.0 <= share <= 1.0 for share in (self.through_codec, self.blurred, self.shifted)):
            raise WowError("shares of the training data lie between 0 and 1")


def paint_again(
    codec: Codec, latents: NDArray[np.float16], context: UInt8, noise: float, random: np.random.Generator
) -> UInt8:
    """The clip of latents [T, c, h, w] as an imagined one is painted: not quite right, over a context [H, W, 3]."""
    clean = torch.from_numpy(np.asarray(latents)).float()
    wrong = torch.from_numpy(random.standard_normal(clean.shape, dtype=np.float32))
    with torch.no_grad(), half_where_fast(clean.device):
        painted = codec.decode((clean + noise * wrong)[None], to_tensor(context)[None])
    return to_uint8(painted[0])


def disturb(frames: UInt8, disturbance: Disturbance, random: np.random.Generator) -> tuple[UInt8, bool]:
    """The clip [T, H, W, 3] out of focus or moved, and whether it was moved: things are then elsewhere."""
    if random.random() < disturbance.blurred:
        sigma = float(random.uniform(0.3, 1.0))
        frames = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]).astype(np.uint8)
    if random.random() >= disturbance.shifted:
        return frames, False
    x, y = random.integers(-2, 3, size=2)
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = frames.shape[2], frames.shape[1]
    moved = [cv2.warpAffine(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE) for frame in frames]
    return np.stack(moved).astype(np.uint8), True


def draw_tint(count: int, disturbance: Disturbance, random: np.random.Generator) -> tuple[Float32, Float32]:
    """For each of `count` clips, what its colours are multiplied by and moved by [count, 3]."""
    gain, offset = (random.normal(middle, disturbance.tint, (count, 3)).astype(np.float32) for middle in (1.0, 0.0))
    return gain, offset


def tinted(frames: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """uint8 [b t h w 3] as pictures [b t 3 h w] in [-1, 1], colours multiplied and moved."""
    kind = frames.device.type
    # Pictures of eight bits need no more than half precision, and this is a good part of a step's memory traffic.
    pictures = frames.to(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32)
    shape = (len(frames), 1, 1, 1, 3)
    factor, shift = (x.to(pictures.dtype).view(shape) for x in (gain / 127.5, offset - gain))
    return rearrange(torch.addcmul(shift, pictures, factor).clamp_(-1.0, 1.0), "b t h w c -> b t c h w")
