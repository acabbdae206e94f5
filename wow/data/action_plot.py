"""Robot actions as a picture: every dimension's curve with its band of uncertainty, and what the gripper does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wow.types import Actions, Dimension

COLOURS = {"open": "tab:green", "close": "tab:red"}


def save_actions(path: Path, actions: Actions, events: Sequence[Mapping[str, object]] = (), title: str = "") -> None:
    """Write a PNG: a row per dimension, over time or, at an unknown pace, over transitions.

    The dark band is one standard deviation wide to each side, the light one two. events: as in an action file, e.g.
    {"transition": 7, "gripper": "close"}; a line marks each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dimensions = actions.embodiment.action
    figure = Figure(figsize=(8, 0.95 * len(dimensions) + 0.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(dimensions), 1, sharex=True, squeeze=False)[:, 0]
    ends = np.arange(len(actions) + 1) * (actions.seconds or 1.0)
    for number, (axis, dimension) in enumerate(zip(axes, dimensions, strict=True)):
        # A step plot over T transitions has T+1 corners.
        values = np.append(actions.values[:, number], actions.values[-1, number])
        if actions.deviations is not None:
            around = np.append(actions.deviations[:, number], actions.deviations[-1, number])
            for width, strength in ((2, 0.15), (1, 0.3)):
                low, high = values - width * around, values + width * around
                axis.fill_between(ends, low, high, step="post", alpha=strength, color="tab:blue", linewidth=0)
        axis.step(ends, values, where="post", linewidth=1.2, color="tab:blue")
        for event in events:
            kind = str(event.get("gripper", ""))
            at = ends[int(str(event["transition"]))]
            axis.axvline(at, color=COLOURS.get(kind, "grey"), linewidth=1, linestyle="--")
            if number == 0:
                axis.annotate(kind, (at, 1.0), xycoords=("data", "axes fraction"), fontsize=8, ha="left", va="bottom")
        axis.set_ylabel(_label(dimension), rotation=0, ha="right", va="center", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("transition, at an unknown pace" if actions.seconds is None else "time [s]", fontsize=8)
    figure.suptitle(title[:110], fontsize=9)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=110, format="png")
    part.replace(path)


def _label(dimension: Dimension) -> str:
    return dimension.name + ("" if dimension.unit in ("1", "unknown") else f" [{dimension.unit}]")
