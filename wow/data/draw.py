"""An episode as two pictures: a film strip of its frames and a plot of its actions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wow.data.film_strip import film_strip
from wow.types import Episode


def save_film_strip(path: Path, episode: Episode) -> None:
    """Write the film strip of every camera of an episode as PNG."""
    film_strip({name: video.frames for name, video in episode.videos.items()}).save(path)


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
