"""What reports are written with: files that are whole or not there, tables in Markdown, shares in per cent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from wow.bench.intervals import Estimate


def write_text(path: Path, text: str) -> None:
    """Old content or new, never half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def write_json(path: Path, content: object) -> None:
    """The same for JSON, which has no NaN."""
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def grid(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its first row the head."""
    head, *body = (line(row) for row in rows)
    return "\n".join([head, line(["---"] * len(rows[0])), *body])


def line(cells: Sequence[str]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def shown(found: Estimate | None, digits: int = 2) -> str:
    """An estimate for people: `12.34 (11.00 to 13.50)`."""
    if found is None:
        return "N/A"
    decimals = digits if abs(found.value) < 1000 else 0
    if found.low is None or found.high is None:
        return f"{found.value:.{decimals}f}"
    return f"{found.value:.{decimals}f} ({found.low:.{decimals}f} to {found.high:.{decimals}f})"


def percent(estimate: Estimate | None) -> str:
    """A share with its interval; nothing where there is none."""
    if estimate is None:
        return ""
    value = f"{100 * estimate.value:.1f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"
