"""An episode as two pictures: a film strip of its frames and a plot of its actions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wow.types import Episode, UInt8

FRAMES_IN_STRIP = 8
STRIP_HEIGHT = 160
GAP = 4


def film_strip(views: Mapping[str, UInt8], num_frames: int = FRAMES_IN_STRIP) -> UInt8:
    """One row per view, evenly chosen frames from left to right, on white: uint8 [H, W, 3].

    views: name -> frames [T, H, W, 3]. All rows are as high as the highest; aspect is kept.
    """
    rows = [_row(frames, num_frames) for frames in views.values()]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate(padded)[:-GAP]


def _row(frames: UInt8, num_frames: int) -> UInt8:
    from PIL import Image

    chosen = np.linspace(0, len(frames) - 1, min(num_frames, len(frames))).round().astype(int)
    height, width = frames.shape[1:3]
    size = (max(round(width * STRIP_HEIGHT / height), 1), STRIP_HEIGHT)
    pictures = [np.asarray(Image.fromarray(frames[index]).resize(size, Image.Resampling.LANCZOS)) for index in chosen]
    spaced = [np.pad(picture, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for picture in pictures]
    return np.concatenate(spaced, axis=1)[:, :-GAP]


def save_film_strip(path: Path, episode: Episode) -> None:
    """Write the film strip of every camera of an episode as PNG."""
    from PIL import Image

    Image.fromarray(film_strip({name: video.frames for name, video in episode.videos.items()})).save(path)


def save_action_plot(path: Path, episode: Episode) -> None:
    """Write a plot of every action dimension over time as PNG, each against its own axis with its unit."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dimensions = episode.embodiment.action
    columns = max(1, -(-len(dimensions) // 12))
    rows = max(1, -(-len(dimensions) // columns))
    figure = Figure(figsize=(7 * columns, 0.9 * rows + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, squeeze=False)
    seconds = np.arange(len(episode)) / episode.embodiment.rate
    for number, dimension in enumerate(dimensions):
        axis = axes[number % rows][number // rows]
        axis.step(seconds, episode.actions[:, number], where="post", linewidth=1)
        unit = "" if dimension.unit in ("1", "unknown") else f" [{dimension.unit}]"
        axis.set_ylabel(dimension.name + unit, rotation=0, ha="right", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    for axis in axes[-1]:
        axis.set_xlabel("time [s]", fontsize=8)
    figure.suptitle(episode.task[:110], fontsize=9)
    figure.savefig(path, dpi=110)
