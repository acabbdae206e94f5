"""Several runs made comparable: each metric over the very samples of which all of them have it.

A run that left out the hard samples would else be ranked above one that scored them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.bench.scoreboard import Scoreboard, estimate, scaled_v2
from wow.bench.suite_results import Results, scores_json, strata_json
from wow.types import WowError


@dataclass(frozen=True)
class Common:
    """The runs over their common samples. samples: how many these are; most: how many the largest of them scored."""

    runs: tuple[Results, ...]
    samples: int
    most: int

    def said(self) -> str:
        """Over how many samples numbers are, as a sentence."""
        if self.samples == self.most:
            return (
                f"Over {self.samples} samples." if len(self.runs) == 1 else f"All over the same {self.samples} samples."
            )
        return f"Over the {self.samples} samples that every run scored; one of them scored {self.most}."


def on_common_samples(runs: Sequence[Results]) -> Common:
    """Raises WowError where the runs share no sample."""
    boards = [run.board for run in runs]
    most = max((len(board) for board in boards), default=0)
    if len(runs) < 2 or most == 0:
        return Common(tuple(runs), most, most)
    held = [set(board.keys) for board in boards]
    shared = [key for key in boards[0].keys if all(key in keys for keys in held)]
    if not shared:
        raise WowError("no sample was scored in all of the runs: finish them, or leave out the one that scored nothing")
    masked = _masked([board.restricted(shared) for board in boards])
    pairs = zip(runs, masked, strict=True)
    return Common(tuple(_over(run, board) for run, board in pairs), len(shared), most)


def _masked(boards: Sequence[Scoreboard]) -> list[Scoreboard]:
    """Boards of the same samples in the same order, without values that another run with the metric lacks."""
    names = {name for board in boards for name in board.metrics}
    known = {name: _known(name, boards) for name in names}
    return [
        replace(
            board,
            values={name: np.where(known[name], column, np.nan) for name, column in board.values.items()},
            parts={name: np.where(known[name][:, None], table, np.nan) for name, table in board.parts.items()},
        )
        for board in boards
    ]


def _known(name: str, boards: Sequence[Scoreboard]) -> NDArray[np.bool_]:
    """Of which samples every run that has the metric at all has it."""
    columns = [~np.isnan(_column(board, name)).any(axis=1) for board in boards if name in board.metrics]
    measured = [column for column in columns if column.any()] or [np.zeros(len(boards[0]), bool)]
    return np.asarray(np.logical_and.reduce(measured), bool)


def _column(board: Scoreboard, name: str) -> NDArray[np.float64]:
    return board.parts[name] if name in board.parts else board.values[name][:, None]


def _over(run: Results, board: Scoreboard) -> Results:
    """The run with the numbers of a part of its samples; itself where that is all of them."""
    own = run.board
    is_whole = len(board) == len(own)
    changed = {n for n in own.metrics if not is_whole or board.count(n, board.rows()) != own.count(n, own.rows())}
    if not changed and is_whole:
        return run
    metrics = {name: _told(told, name, board, changed, is_whole) for name, told in run.content["metrics"].items()}
    content = {
        **run.content,
        "metrics": metrics,
        "v2": scores_json(scaled_v2(board, board.rows())),
        "strata": strata_json(board),
        "samples": {key: run.content["samples"][key] for key in board.keys},
    }
    return Results(run.folder, content, board, run.records)


def _told(told: dict[str, Any], name: str, board: Scoreboard, changed: set[str], is_whole: bool) -> dict[str, Any]:
    """What is said of one metric, over the samples of the board."""
    if name in changed:
        found = estimate(board, name, board.rows())
        why = told["why"] if found is not None else told["why"] or "no sample of which all runs have it"
        return {**told, "estimate": None if found is None else asdict(found), "why": why}
    if is_whole or name in board.metrics:
        return told
    # Of a metric of the whole suite a file holds one number, which is over other samples.
    return {**told, "estimate": None, "why": "known over other samples only"}
