"""Radar and bar charts as SVG: text that a browser draws, nothing to load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

COLOURS = ("#2a6fdb", "#d9632a", "#2f9e5f", "#8e44ad", "#c0392b", "#16808c", "#b7950b", "#5d6d7e")
"""One for each run, in turn."""
GREY = "#8a94a6"


def radar(axes: Sequence[str], runs: Mapping[str, Mapping[str, float]], size: int = 320) -> str:
    """A polygon for each run over at least three axes from 0 (centre) to 100; an axis a run lacks counts as 0."""
    if len(axes) < 3:
        return bars({name: [(axis, scores.get(axis)) for axis in axes] for name, scores in runs.items()})
    width, centre, radius = size + 180, ((size + 180) / 2, size / 2), size / 2 - 34
    points = [2 * math.pi * place / len(axes) - math.pi / 2 for place in range(len(axes))]

    def at(angle: float, share: float) -> str:
        x, y = centre[0] + radius * share * math.cos(angle), centre[1] + radius * share * math.sin(angle)
        return f"{x:.1f},{y:.1f}"

    drawn = [f'<svg viewBox="0 0 {width} {size}" width="{width}" height="{size}" role="img">']
    for share in (0.25, 0.5, 0.75, 1.0):
        ring = " ".join(at(angle, share) for angle in points)
        drawn.append(f'<polygon points="{ring}" fill="none" stroke="{GREY}" stroke-opacity=".35"/>')
    for axis, angle in zip(axes, points, strict=True):
        x, y = at(angle, 1.13).split(",")
        anchor = "middle" if abs(math.cos(angle)) < 0.2 else ("start" if math.cos(angle) > 0 else "end")
        drawn.append(f'<text x="{x}" y="{y}" text-anchor="{anchor}" dominant-baseline="middle">{escape(axis)}</text>')
    for number, (name, scores) in enumerate(runs.items()):
        colour = COLOURS[number % len(COLOURS)]
        shape = " ".join(at(angle, scores.get(axis, 0.0) / 100) for axis, angle in zip(axes, points, strict=True))
        drawn.append(
            f'<polygon points="{shape}" fill="{colour}" fill-opacity=".12" stroke="{colour}" stroke-width="2">'
            f"<title>{escape(name)}</title></polygon>"
        )
    return "".join([*drawn, "</svg>"])


def bars(runs: Mapping[str, Sequence[tuple[str, float | None]]], width: int = 560) -> str:
    """A bar from 0 to 100 for each label, one below the other for each run; None is said to be not there."""
    labels = list(dict.fromkeys(label for scores in runs.values() for label, _ in scores))
    thick, gap, left = 12, 8, 210
    height = len(labels) * (thick * len(runs) + gap) + gap
    drawn = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">']
    for row, label in enumerate(labels):
        top = gap + row * (thick * len(runs) + gap)
        middle = top + thick * len(runs) / 2
        drawn.append(
            f'<text x="{left - 8}" y="{middle}" text-anchor="end" dominant-baseline="middle">{escape(label)}</text>'
        )
        for number, (name, scores) in enumerate(runs.items()):
            drawn.append(_bar(name, dict(scores).get(label), number, left, top + number * thick, thick, width))
    return "".join([*drawn, "</svg>"])


def _bar(name: str, score: float | None, number: int, left: int, top: float, thick: int, width: int) -> str:
    room, middle = width - left - 50, top + thick / 2
    if score is None:
        return f'<text x="{left}" y="{middle}" dominant-baseline="middle" fill="{GREY}">N/A</text>'
    long, colour = max(1.0, room * score / 100), COLOURS[number % len(COLOURS)]
    return (
        f'<rect x="{left}" y="{top + 1}" width="{long:.1f}" height="{thick - 2}" rx="2" fill="{colour}">'
        f"<title>{escape(name)}: {score:.1f}</title></rect>"
        f'<text x="{left + long + 5:.1f}" y="{middle}" dominant-baseline="middle">{score:.1f}</text>'
    )


def legend(names: Sequence[str]) -> str:
    """Which colour is whose."""
    marks = [
        f'<span class="key"><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{escape(name)}</span>'
        for number, name in enumerate(names)
    ]
    return f'<p class="legend">{"".join(marks)}</p>'
