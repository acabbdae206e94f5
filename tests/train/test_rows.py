"""Rows of several arrays are what numpy would make of them side by side, and stay where they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from wow.train.rows import Rows

LENGTHS = some.lists(some.integers(0, 5), min_size=1, max_size=5).filter(sum)


@given(LENGTHS, some.data())
def test_they_are_read_like_one_array(lengths: list[int], data: some.DataObject) -> None:
    whole = np.arange(6 * sum(lengths)).reshape(-1, 2, 3)
    rows = Rows(np.split(whole, np.cumsum(lengths)[:-1]))
    count = len(whole)
    assert len(rows) == count and rows.shape == whole.shape and rows.dtype == whole.dtype
    place = some.integers(-count, count - 1)
    one, several = data.draw(place), np.array(data.draw(some.lists(place, min_size=4, max_size=4))).reshape(2, 2)
    some_slice = data.draw(some.slices(count))
    for wanted in (one, several, some_slice):
        assert np.array_equal(rows[wanted], whole[wanted])
    chosen = several.reshape(-1) % count
    picked = rows.select(chosen)
    assert np.array_equal(picked[:], whole[chosen])
    assert np.array_equal(picked.select(np.array([3, 0]))[:], whole[chosen][[3, 0]])
    assert np.array_equal(Rows([picked, rows])[:], np.concatenate([whole[chosen], whole]))


def test_a_row_that_is_not_there_is_not_read() -> None:
    rows = Rows([np.zeros((2, 4)), np.zeros((3, 4))])
    for missing in (5, -6, np.array([0, 9])):
        with pytest.raises(IndexError, match="of 5"):
            rows[missing]
    with pytest.raises(ValueError, match="one shape"):
        Rows([np.zeros((2, 4)), np.zeros((2, 5))])


def test_files_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((4, 2), np.uint8))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r+")
    rows = Rows([mapped])
    mapped[2] = 7
    assert rows[2].tolist() == [7, 7], "nothing was copied when the rows were put together"
