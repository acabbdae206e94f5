"""Rows that lie in several files: what trains on a hundred datasets holds none of them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Rows:
    """The rows of several arrays, one after the other, or some of them in an order of one's own.

    Where the arrays are mapped files they stay on disk, and what is asked for is read. parts: arrays, or rows, of one
    dtype whose rows have one shape. order: for each row, its place among those of all parts; as they come, by default.
    """

    def __init__(self, parts: Sequence[NDArray[Any] | Rows], order: NDArray[np.int64] | None = None) -> None:
        kinds = {(part.shape[1:], part.dtype) for part in parts}
        if len(kinds) != 1:
            raise ValueError(f"rows of one array have one shape and dtype, not {sorted(map(str, kinds))}")
        self._row: tuple[int, ...] = parts[0].shape[1:]
        self.dtype: np.dtype[Any] = parts[0].dtype
        self._parts = parts
        self._begin = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        self._order = order

    def __len__(self) -> int:
        return int(self._begin[-1]) if self._order is None else len(self._order)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of all rows together."""
        return len(self), *self._row

    def __getitem__(self, wanted: int | slice | NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Those rows, like numpy: one for a number, as many as a slice holds, for an array of numbers one each."""
        rows = np.arange(*wanted.indices(len(self))) if isinstance(wanted, slice) else np.asarray(wanted)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)}")
        places = np.where(rows < 0, rows + len(self), rows)
        flat = places.reshape(-1) if self._order is None else self._order[places].reshape(-1)
        which = np.searchsorted(self._begin, flat, side="right") - 1
        found = np.empty((len(flat), *self._row), self.dtype)
        for part in np.unique(which):
            here = which == part
            found[here] = self._parts[part][flat[here] - self._begin[part]]
        return found.reshape(*places.shape, *self._row)

    def select(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows, still where they lie."""
        return Rows(self._parts, rows if self._order is None else self._order[rows])
