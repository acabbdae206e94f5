"""How a page without scripts shows a video: as a film strip with numbered frames, and as a picture that moves."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from wow.types import UInt8, Video

STRIP_FRAMES = 9
STRIP_HEIGHT = 96
GAP, GREY = 2, 136
FILM_FRAMES, FILM_HEIGHT = 48, 240
"""Of a moving picture: at most so many frames, and so high."""


def film_strip(video: Video, span: tuple[int, int] | None, name: str) -> str:
    """Some frames, and below them their numbers, marked in the span. name: whose it is, for who cannot see it."""
    rows = spread(len(video.frames), STRIP_FRAMES)
    kinds = ["seen" if span and span[0] <= row <= span[1] else "" for row in rows]
    numbers = "".join(f'<span class="{kind}">{row}</span>' for kind, row in zip(kinds, rows, strict=True))
    said = f"film strip of {name}: {len(rows)} of {len(video.frames)} frames"
    picture = _coded(Image.fromarray(side_by_side(video.frames[rows])), "jpeg", quality=88)
    return f'<div class="side"><div class="strip"><img alt="{said}" src="{picture}"><div>{numbers}</div></div></div>'


def moving_picture(video: Video, name: str) -> str:
    """The video at its own pace, again and again; a page without scripts and codecs plays it anywhere."""
    frames = video.frames
    rows = spread(len(frames), FILM_FRAMES)
    size = (max(round(frames.shape[2] * FILM_HEIGHT / frames.shape[1]), 1), FILM_HEIGHT)
    first, *others = (Image.fromarray(frames[row]).resize(size, Image.Resampling.BICUBIC) for row in rows)
    pause = round(1000 * len(frames) / video.fps / len(rows))
    film = _coded(first, "webp", save_all=True, append_images=others, duration=pause, loop=0, quality=70, method=0)
    return f'<img class="film" alt="video of {name}" src="{film}">'


def spread(length: int, count: int) -> list[int]:
    """At most `count` of so many frames, evenly, the first and the last among them."""
    return [int(row) for row in np.unique(np.linspace(0, length - 1, count).round().astype(int))]


def side_by_side(frames: UInt8) -> UInt8:
    """Frames [T, H, W, 3] as one picture of equally wide cells, each with half a gap on either side."""
    width = max(round(frames.shape[2] * STRIP_HEIGHT / frames.shape[1]), 1)
    cells = np.full((len(frames), STRIP_HEIGHT, width + 2 * GAP, 3), GREY, np.uint8)
    for cell, frame in zip(cells, frames, strict=True):
        cell[:, GAP:-GAP] = np.asarray(Image.fromarray(frame).resize((width, STRIP_HEIGHT)))
    return np.concatenate(cells, axis=1)


def _coded(picture: Image.Image, kind: str, **options: Any) -> str:
    """A picture as a page holds it."""
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
