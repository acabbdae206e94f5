"""What an inverse dynamics model is worth, as tables, and its error-coverage curve as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wow.bench.execution import BIN_COLOURS
from wow.bench.intervals import Estimate, mean, share
from wow.bench.inverse import RECORDED, WIDTHS, InverseRecord
from wow.bench.tables import Row, Table, grouped

TRANSLATION, ROTATION, GRIPPER, EVENTS, OFFSET, COVERED = (
    "translation [mm]",
    "rotation [deg]",
    "gripper right",
    "gripper events found",
    "their offset [transitions]",
    "within one deviation",
)
REPLAYED = "replayed, succeeds"
COLUMNS = (TRANSLATION, ROTATION, GRIPPER, EVENTS, OFFSET, COVERED)
FIELDS = {TRANSLATION: "translation", ROTATION: "rotation", GRIPPER: "gripper"}
ONE = WIDTHS.index(1.0)


def inverse_tables(records: Sequence[InverseRecord]) -> list[Table]:
    """For each kind of clip one table of all episodes, one robot by robot where there are several, one by difficulty
    where that is known, and one of coverage. Last, where actions were executed, which of them succeed.
    """
    tables = []
    for kind, found in grouped(records, lambda record: record.clips).items():
        tables.append(_whole_table(kind, found))
        if len({record.robot for record in found}) > 1:
            tables.append(_robot_table(kind, found))
        if any(record.difficulty for record in found):
            tables.append(_bin_table(kind, found))
        if any(record.covered is not None for record in found):
            tables.append(_coverage_table(kind, found))
    executed = [record for record in records if record.replayed is not None]
    return [*tables, _replay_table(executed)] if executed else tables


def coverage(records: Sequence[InverseRecord]) -> dict[str, dict[str, list[Estimate]]]:
    """By kind of clip and by system and camera: the share of errors within each of `WIDTHS` deviations."""
    curves: dict[str, dict[str, list[Estimate]]] = {}
    for kind, of_kind in grouped(records, lambda record: record.clips).items():
        for label, found in _by_label(of_kind).items():
            known = [record.covered for record in found if record.covered is not None]
            if known:
                curves.setdefault(kind, {})[label] = [mean(column) for column in zip(*known, strict=True)]
    return curves


def expected_coverage(width: float) -> float:
    """The share of errors within so many deviations where errors are normal."""
    return math.erf(width / math.sqrt(2.0))


def save_coverage(path: Path, curves: Mapping[str, Mapping[str, Sequence[Estimate]]]) -> None:
    """Writes a PNG: for each kind of clip the curves with their intervals, beside the normal distribution's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * max(len(curves), 1), 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, max(len(curves), 1), squeeze=False)[0]
    smooth = np.linspace(0.0, WIDTHS[-1], 100)
    for axis, (kind, lines) in zip(axes, curves.items(), strict=False):
        normal = [100 * expected_coverage(float(width)) for width in smooth]
        axis.plot(smooth, normal, color="black", linestyle="--", linewidth=1, label="normal errors")
        for label, line in lines.items():
            shares = [100 * found.value for found in line]
            (drawn,) = axis.plot(WIDTHS, shares, marker=".", linewidth=1.2, label=label)
            low, high = (
                [100 * (end if end is not None else found.value) for found, end in ends] for ends in _ends(line)
            )
            axis.fill_between(WIDTHS, low, high, alpha=0.2, color=drawn.get_color(), linewidth=0)
        axis.set_title(kind, fontsize=9)
        axis.set_xlabel("deviations to each side", fontsize=8)
        axis.set_ylabel("errors within [%]", fontsize=8)
        axis.set_xlim(0, WIDTHS[-1])
        axis.set_ylim(0, 100)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7, loc="lower right")
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=120, format="png")
    part.replace(path)


# ---- inside ----


def _by_label(records: Sequence[InverseRecord]) -> dict[str, list[InverseRecord]]:
    """The records of each system and camera; a baseline has no camera."""
    return grouped(
        records, lambda record: record.system if record.view == "none" else f"{record.system}, {record.view}"
    )


def _ends(line: Sequence[Estimate]) -> tuple[list[tuple[Estimate, float | None]], list[tuple[Estimate, float | None]]]:
    return [(found, found.low) for found in line], [(found, found.high) for found in line]


def _whole_table(kind: str, records: Sequence[InverseRecord]) -> Table:
    return Table(
        name=f"inverse_{kind.split()[0]}",
        title=f"Actions read from video: {kind}",
        columns=COLUMNS,
        rows=tuple(Row(label, _cells(found)) for label, found in _by_label(records).items()),
        notes=(
            "Lengths of the error of a transition, averaged over an episode; means over episodes, n of them.",
            _explanation(kind),
        ),
    )


def _robot_table(kind: str, records: Sequence[InverseRecord]) -> Table:
    """Each robot by itself."""
    rows = [
        Row(f"{robot}: {label}", _cells(found))
        for robot, of_robot in grouped(records, lambda record: record.robot).items()
        for label, found in _by_label(of_robot).items()
    ]
    return Table(
        name=f"inverse_{kind.split()[0]}_robots",
        title=f"Actions read from video, robot by robot: {kind}",
        columns=COLUMNS,
        rows=tuple(rows),
        notes=(_explanation(kind),),
    )


def _replay_table(records: Sequence[InverseRecord]) -> Table:
    """Of experts that succeed: how often their actions do again, as they are read and as they were."""
    by_label = _by_label(records)
    several = len({record.robot for record in records}) > 1
    rows = [Row(label, _replay_cells(found)) for label, found in by_label.items()]
    if several:
        rows += [
            Row(f"{robot}: {label}", _replay_cells(of_robot))
            for label, found in by_label.items()
            for robot, of_robot in grouped(found, lambda record: record.robot).items()
        ]
    return Table(
        name="inverse_replayed",
        title="Actions read from video, executed in the scene of the video",
        columns=(REPLAYED, *sorted({_part(record) for record in records}, key=_place)),
        rows=tuple(rows),
        notes=(
            "Episodes whose expert succeeds: each film is read in one piece, told where the hand begins, which a robot "
            "knows, and executed open loop at the pace of the recording.",
        ),
    )


def _replay_cells(records: Sequence[InverseRecord]) -> dict[str, Estimate | str]:
    parts = {REPLAYED: list(records), **grouped(records, _part)}
    return {
        column: share(sum(bool(record.replayed) for record in found), len(found)) for column, found in parts.items()
    }


def _part(record: InverseRecord) -> str:
    """How difficult its task is, or the task where nobody knows."""
    return record.difficulty or record.task


def _place(part: str) -> tuple[int, str]:
    """Easy before medium before hard, then tasks by name."""
    return ([*BIN_COLOURS].index(part) if part in BIN_COLOURS else len(BIN_COLOURS)), part


def _bin_table(kind: str, records: Sequence[InverseRecord]) -> Table:
    """Easy, medium and hard side by side."""
    bins = [name for name in BIN_COLOURS if any(record.difficulty == name for record in records)]
    rows = []
    for label, found in _by_label(records).items():
        by_bin = grouped(found, lambda record: record.difficulty)
        cells = {
            f"{column}, {name}": _mean_of([getattr(record, key) for record in by_bin[name]])
            for column, key in FIELDS.items()
            for name in bins
            if name in by_bin
        }
        rows.append(Row(label, cells))
    return Table(
        name=f"inverse_{kind.split()[0]}_bins",
        title=f"Actions read from video, by difficulty of the task: {kind}",
        columns=tuple(f"{column}, {name}" for column in FIELDS for name in bins),
        rows=tuple(rows),
        notes=(_explanation(kind),),
    )


def _coverage_table(kind: str, records: Sequence[InverseRecord]) -> Table:
    columns = [f"within {width:g}" for width in WIDTHS]
    normal: dict[str, Estimate | str] = {
        column: f"{expected_coverage(width):.3f}" for column, width in zip(columns, WIDTHS, strict=True)
    }
    curves = coverage(records)[kind]
    rows = [Row(label, dict(zip(columns, line, strict=True))) for label, line in curves.items()]
    return Table(
        name=f"inverse_{kind.split()[0]}_coverage",
        title=f"Shares of errors within so many deviations: {kind}",
        columns=tuple(columns),
        rows=(*rows, Row("normal errors", normal)),
        notes=("Of dimensions that move in the training data; above the normal's, deviations are too wide.",),
    )


def _cells(records: Sequence[InverseRecord]) -> dict[str, Estimate | str]:
    cells = {column: _mean_of([getattr(record, key) for record in records]) for column, key in FIELDS.items()}
    cells[COVERED] = _mean_of([None if record.covered is None else record.covered[ONE] for record in records])
    events, found = (sum(getattr(record, key) for record in records) for key in ("events", "found"))
    cells[EVENTS] = f"{found} of {events}" if events else "none"
    cells[OFFSET] = f"{sum(record.offset for record in records) / found:.2f}" if found else "none"
    return cells


def _mean_of(values: Sequence[float | None]) -> Estimate | str:
    known = [value for value in values if value is not None]
    return mean(known) if known else "none"


def _explanation(kind: str) -> str:
    if kind == RECORDED:
        return "Frames as they were recorded, at a rate that is told."
    return "A few frames for the whole episode at a pace that nobody tells, as a world model imagines it."
