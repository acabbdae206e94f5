"""Radar and bar charts as SVG: text that a browser draws, nothing to load."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wow.bench.sheet import plain

COLOURS = ("#2a6fdb", "#d9632a", "#2f9e5f", "#8e44ad", "#c0392b", "#16808c", "#b7950b", "#5d6d7e", "#d6569b", "#7f5539",
           "#6b7d1f", "#2fb4d8")  # fmt: skip
"""One for each run, in turn."""
DASHES = ("", "7 4", "2 3", "9 3 2 3")
"""Of lines, so that runs can be told apart without colours."""
GREY = "#8a94a6"


def radar(axes: Sequence[str], runs: Mapping[str, Mapping[str, float]], title: str, size: int = 270) -> str:
    """A polygon for each run over at least three axes from 0 (centre) to 100; an axis a run lacks counts as 0."""
    if len(axes) < 3:
        return bars({name: [(axis, scores.get(axis)) for axis in axes] for name, scores in runs.items()}, title)
    width, centre, radius = size + 160, ((size + 160) / 2, size / 2), size / 2 - 34
    points = [2 * math.pi * place / len(axes) - math.pi / 2 for place in range(len(axes))]

    def at(angle: float, share: float) -> str:
        x, y = centre[0] + radius * share * math.cos(angle), centre[1] + radius * share * math.sin(angle)
        return f"{x:.1f},{y:.1f}"

    drawn = [opened(width, size, title)]
    for share in (0.25, 0.5, 0.75, 1.0):
        ring = " ".join(at(angle, share) for angle in points)
        drawn.append(f'<polygon points="{ring}" fill="none" stroke="{GREY}" stroke-opacity=".35"/>')
    for axis, angle in zip(axes, points, strict=True):
        x, y = at(angle, 1.13).split(",")
        anchor = "middle" if abs(math.cos(angle)) < 0.2 else ("start" if math.cos(angle) > 0 else "end")
        drawn.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" dominant-baseline="middle">{_lines(axis, x)}</text>'
        )
    for number, (name, scores) in enumerate(runs.items()):
        colour = COLOURS[number % len(COLOURS)]
        shape = " ".join(at(angle, scores.get(axis, 0.0) / 100) for axis, angle in zip(axes, points, strict=True))
        told = ", ".join(f"{axis} {scores[axis]:.1f}" for axis in axes if axis in scores)
        drawn.append(
            f'<polygon points="{shape}" fill="{colour}" fill-opacity=".12" stroke="{colour}" stroke-width="2" '
            f'stroke-dasharray="{DASHES[number % len(DASHES)]}"><title>{plain(f"{name}: {told}")}</title></polygon>'
        )
    for share in (0.5, 1.0):
        x, y = at(points[0], share).split(",")
        drawn.append(f'<text x="{float(x) + 4}" y="{float(y) + 11}" fill="{GREY}">{100 * share:g}</text>')
    return "".join([*drawn, "</svg>"])


def opened(width: float, height: float, title: str) -> str:
    """The beginning of a chart. title: what it shows, for who cannot see it."""
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg {size} role="img" aria-label="{plain(title)}">'


def _lines(label: str, x: str) -> str:
    """A word on each line where the label is long: beside the chart there is little room."""
    words = label.split() if len(label) > 14 else [label]
    return "".join(f'<tspan x="{x}" dy="{15 * (n > 0)}">{plain(word)}</tspan>' for n, word in enumerate(words))


def bars(runs: Mapping[str, Sequence[tuple[str, float | None]]], title: str, width: int = 358) -> str:
    """A bar from 0 to 100 for each label, one below the other for each run; None is said to be not there."""
    labels = list(dict.fromkeys(label for scores in runs.values() for label, _ in scores))
    thick, above = 14, 24
    step = above + thick * len(runs)
    height = len(labels) * step + 6
    drawn = [opened(width, height, title)]
    for share in (0.5, 1.0):
        x = (width - _ROOM) * share
        drawn.append(f'<line x1="{x}" x2="{x}" y1="4" y2="{height}" stroke="{GREY}" stroke-opacity=".25"/>')
    for row, label in enumerate(labels):
        top = row * step + above
        drawn.append(f'<text x="0" y="{top - 5}" font-weight="600">{plain(label)}</text>')
        for number, (name, scores) in enumerate(runs.items()):
            drawn.append(_bar(name, dict(scores).get(label), number, top + number * thick, thick, width))
    return "".join([*drawn, "</svg>"])


_ROOM = 44
"""Beside a bar, for its number."""


def _bar(name: str, score: float | None, number: int, top: float, thick: int, width: int) -> str:
    room, middle = width - _ROOM, top + thick / 2
    if score is None:
        return f'<text x="0" y="{middle}" dominant-baseline="middle" fill="{GREY}">N/A</text>'
    long, colour = max(1.0, room * score / 100), COLOURS[number % len(COLOURS)]
    return (
        f'<rect x="0" y="{top + 1}" width="{long:.1f}" height="{thick - 2}" rx="2" fill="{colour}">'
        f"<title>{plain(name)}: {score:.1f}</title></rect>"
        f'<text x="{long + 5:.1f}" y="{middle}" dominant-baseline="middle">{score:.1f}</text>'
    )


def legend(names: Sequence[str]) -> str:
    """Which colour is whose."""
    marks = [
        f'<span class="key"><i style="background:{COLOURS[number % len(COLOURS)]}"></i>{plain(name)}</span>'
        for number, name in enumerate(names)
    ]
    return f'<p class="legend">{"".join(marks)}</p>'


SEEN, PARTLY, FOOLED = COLOURS[0], "#7fa8ea", COLOURS[4]


@dataclass(frozen=True)
class Rungs:
    """A cell of a ladder. worse: by how much each rung is worse, in shares of the row's largest; below 0 where better.

    claimed: whether it ought to be seen. told: what a reader is told who points at it.
    """

    worse: Sequence[float]
    colour: str
    claimed: bool
    told: str


def ladder(columns: Sequence[str], rows: Mapping[str, Mapping[str, Rungs]], title: str) -> str:
    """For each row and column a bar for each rung, upwards where it is worse; a frame where it ought to be.

    A cell that is not there is said to be N/A.
    """
    left, top, wide, high, gap = 260, 24, 84, 30, 5
    width, height = left + len(columns) * (wide + gap), top + len(rows) * (high + gap) + gap
    drawn = [opened(width, height, title)]
    for place, column in enumerate(columns):
        x = left + place * (wide + gap) + wide / 2
        drawn.append(f'<text x="{x}" y="{top - 8}" text-anchor="middle">{plain(column)}</text>')
    for line, (label, cells) in enumerate(rows.items()):
        y = top + line * (high + gap)
        drawn.append(
            f'<text x="{left - 10}" y="{y + high / 2}" text-anchor="end" dominant-baseline="middle">'
            f"{plain(label)}</text>"
        )
        for place, column in enumerate(columns):
            drawn.append(_cell(cells.get(column), left + place * (wide + gap), y, wide, high))
    return "".join([*drawn, "</svg>"])


def _cell(cell: Rungs | None, x: float, y: float, wide: float, high: float) -> str:
    if cell is None:
        middle = f'x="{x + wide / 2}" y="{y + high / 2}" text-anchor="middle" dominant-baseline="middle"'
        return f'<text {middle} fill="{GREY}">N/A</text>'
    frame = 'stroke="currentColor" stroke-width="1.5"' if cell.claimed else f'stroke="{GREY}" stroke-opacity=".3"'
    drawn = [f"<g><title>{plain(cell.told)}</title>"]
    drawn.append(
        f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="3" fill="{GREY}" fill-opacity=".08" {frame}/>'
    )
    base, room = y + high * 0.72, wide / (len(cell.worse) + 1)
    for number, worse in enumerate(cell.worse):
        long = max(min(worse, 1.0), -1.0) * (high * 0.66 if worse > 0 else high * 0.24)
        size = max(abs(long), 1.0)
        drawn.append(
            f'<rect x="{x + room * (number + 0.6):.1f}" y="{base - size if worse > 0 else base:.1f}" '
            f'width="{room * 0.8:.1f}" height="{size:.1f}" fill="{cell.colour}"/>'
        )
    return "".join([*drawn, "</g>"])


def whiskers(rows: Sequence[tuple[str, float, float | None, float | None]], title: str, width: int = 620) -> str:
    """A dot between -1 and 1 for each label, and a line from the low to the high end of its interval."""
    left, step = 260, 22
    room, height = width - left - 60, len(rows) * step + 30
    drawn = [opened(width, height, title)]

    def at(value: float) -> float:
        return left + room * (value + 1) / 2

    for value in (-1.0, -0.5, 0.0, 0.5, 1.0):
        strong = ".8" if value == 0 else ".3"
        drawn.append(
            f'<line x1="{at(value)}" x2="{at(value)}" y1="4" y2="{height - 22}" stroke="{GREY}" '
            f'stroke-opacity="{strong}"/><text x="{at(value)}" y="{height - 6}" text-anchor="middle">{value:g}</text>'
        )
    for place, (label, value, low, high) in enumerate(rows):
        y = 14 + place * step
        drawn.append(
            f'<text x="{left - 10}" y="{y}" text-anchor="end" dominant-baseline="middle">{plain(label)}</text>'
        )
        if low is not None and high is not None:
            drawn.append(
                f'<line x1="{at(low):.1f}" x2="{at(high):.1f}" y1="{y}" y2="{y}" stroke="{COLOURS[0]}" '
                'stroke-width="2" stroke-opacity=".5"/>'
            )
        drawn.append(
            f'<circle cx="{at(value):.1f}" cy="{y}" r="4" fill="{COLOURS[0]}"/>'
            f'<text x="{width - 50}" y="{y}" dominant-baseline="middle">{value:.2f}</text>'
        )
    return "".join([*drawn, "</svg>"])


def scatter(points: Sequence[tuple[str, float, float]], across: str, up: str, size: int = 320) -> str:
    """A dot for each label: `across` from 0 to 100, `up` from 0 to 1."""
    left, low = 46, size - 40
    drawn = [opened(size, size, f"{up} over {across}")]
    for share in (0.0, 0.5, 1.0):
        x, y = left + (size - left - 12) * share, low - (low - 12) * share
        drawn.append(
            f'<line x1="{left}" x2="{size - 12}" y1="{y}" y2="{y}" stroke="{GREY}" stroke-opacity=".35"/>'
            f'<text x="{left - 6}" y="{y}" text-anchor="end" dominant-baseline="middle">{share:g}</text>'
            f'<text x="{x}" y="{low + 16}" text-anchor="middle">{100 * share:g}</text>'
        )
    for label, value, success in points:
        x, y = left + (size - left - 12) * value / 100, low - (low - 12) * success
        drawn.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[0]}" fill-opacity=".7">'
            f"<title>{plain(label)}: {value:.1f}, {success:.2f}</title></circle>"
        )
    middle = left + (size - left - 12) / 2
    drawn.append(f'<text x="{middle}" y="{size - 8}" text-anchor="middle">{plain(across)}</text>')
    drawn.append(
        f'<text x="12" y="{low / 2}" text-anchor="middle" transform="rotate(-90 12 {low / 2})">{plain(up)}</text>'
    )
    return "".join([*drawn, "</svg>"])
