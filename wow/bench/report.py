"""The report: every number with its n, its 95 % interval, the command, the machine and the date. JSON and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from wow.bench.intervals import Estimate
from wow.bench.provenance import Provenance as Provenance
from wow.bench.provenance import machine as machine
from wow.bench.tables import BOTH_RIGHT, PSNR, RIGHT, Table
from wow.bench.text import grid, write_json, write_text

PERCENT = (RIGHT, BOTH_RIGHT)
TWO_DIGITS = (PSNR,)


def write_report(
    out: Path,
    tables: Sequence[Table],
    provenance: Provenance,
    page: str | None = None,
    title: str = "WoWBench: world model",
) -> None:
    """Writes `<table>.json` for each table, `report.json` with all of them and `report.md`. page: a picture to show."""
    origin = asdict(provenance)
    contents = {table.name: table_json(table) for table in tables}
    for name, content in contents.items():
        write_json(out / f"{name}.json", {**content, **origin})
    write_json(out / "report.json", {**origin, "tables": contents})
    sections = [_heading(provenance, title), *(markdown(table) for table in tables)]
    if page is not None:
        sections.append(f"## Film strips\n\nImagined above, real below.\n\n![film strips]({page})")
    write_text(out / "report.md", "\n\n".join(sections) + "\n")


def table_json(table: Table) -> dict[str, object]:
    """A table as JSON: each cell {"value", "low", "high", "n"} or words."""
    rows: list[dict[str, object]] = []
    for row in table.rows:
        cells = {column: asdict(cell) if isinstance(cell, Estimate) else cell for column, cell in row.cells.items()}
        rows.append({"label": row.label, **cells})
    return {"title": table.title, "rows": rows, "notes": list(table.notes)}


def markdown(table: Table) -> str:
    """A table for people: `value (low to high)`, with n in a column of its own."""
    columns = ["", *table.columns, "n"]
    rows = [columns]
    for row in table.rows:
        known = (row.cells.get(column) for column in table.columns)
        counts = dict.fromkeys(cell.n for cell in known if isinstance(cell, Estimate))
        cells = [_shown(row.cells[column], column) if column in row.cells else "" for column in table.columns]
        rows.append([row.label, *cells, ", ".join(map(str, counts))])
    return "\n".join([f"## {table.title}", "", grid(rows), *(f"\n{note}" for note in table.notes)])


def _heading(origin: Provenance, title: str) -> str:
    how = "Means with 95 % bootstrap intervals over tasks, shares with Wilson's; n counts cases."
    return "\n\n".join([f"# {title}", origin.markdown(), how])


def _shown(cell: Estimate | str, column: str) -> str:
    if isinstance(cell, str):
        return cell
    scale, digits = (100, 1) if column in PERCENT else (1, 2 if column in TWO_DIGITS or abs(cell.value) >= 2 else 3)
    value = f"{cell.value * scale:.{digits}f}"
    if cell.low is None or cell.high is None:
        return value
    return f"{value} ({cell.low * scale:.{digits}f} to {cell.high * scale:.{digits}f})"
