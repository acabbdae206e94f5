"""A motion, painted until the video shows it: what is read from it is held against what was meant, and the rest added.

A world model paints a hand centimetres from where it was told to, which is too far for fine work. But it errs alike for
motions that are alike. So the motion is painted, read back, moved by what is missing, and painted again: a fixed-point
iteration that ends with a video from which inverse dynamics read the motion that was meant.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wow.types import UInt8

LARGEST = 1.0
"""The most that a place is moved by one correction, in units of the normalised motion: what is read may be nonsense."""

Paint = Callable[[Tensor], UInt8]
"""The clips [b, t, h, w, 3] that show a normalised motion [b, t - 1, a]."""
Read = Callable[[UInt8], Tensor]
"""The motion [b, t - 1, a] that clips show, as far as anybody can read it; that of a clip is NaN where nobody can."""


def paint_until_shown(
    paint: Paint,
    read: Read | None,
    motion: Float[Tensor, "b t a"],
    summed: Bool[Tensor, " a"],
    corrections: int,
) -> UInt8:
    """The clips of a motion, painted once and then as often as they are corrected; of each the one that shows it best.

    read: None where nobody can read clips: they are painted once. summed: which dimensions say how far the hand got;
    the others are commands in [-1, 1], and stay there.
    """
    clips = paint(motion)
    if read is None or corrections == 0:
        return clips
    best, seen = clips, read(clips)
    least = distance(seen, motion, summed)
    asked = motion
    for _ in range(corrections):
        asked = moved(asked, motion, seen, summed)
        clips = paint(asked)
        seen = read(clips)
        off = distance(seen, motion, summed)
        better = off < least
        chosen = better.cpu().numpy()
        best = best.copy()
        best[chosen], least = clips[chosen], torch.where(better, off, least)
    return best


def moved(
    asked: Float[Tensor, "b t a"],
    meant: Float[Tensor, "b t a"],
    seen: Float[Tensor, "b t a"],
    summed: Bool[Tensor, " a"],
) -> Float[Tensor, "b t a"]:
    """The motion to ask for next, where `asked` was asked for, `meant` should be seen and `seen` was; see above."""
    missing = (meant - seen).nan_to_num(0.0).clamp(-LARGEST, LARGEST)
    return torch.where(summed, asked + missing, (asked + missing).clamp(-1.0, 1.0))


def distance(
    seen: Float[Tensor, "b t a"], meant: Float[Tensor, "b t a"], summed: Bool[Tensor, " a"]
) -> Float[Tensor, " b"]:
    """The mean distance of two paths; without end where one was not read."""
    apart = (seen - meant)[..., summed].square().sum(dim=-1).sqrt().mean(dim=-1)
    return apart.nan_to_num(float("inf"))
