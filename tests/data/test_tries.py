"""Tries come back as they were written, and what is damaged is named and never run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wow.data.tries import NEVER, Tries, file_of, is_tries, read_tries, write_tries
from wow.types import Dimension, Embodiment, WowError

CARD = Embodiment("arm", 20.0, tuple(Dimension(name, "m") for name in "xyz"), action_kind="delta")


def tries(seed: int = 0, count: int = 3) -> Tries:
    random = np.random.default_rng(seed)
    return Tries(
        task="drawer-open",
        seed=seed,
        text="open the drawer",
        picture=random.integers(0, 256, (8, 8, 3), np.uint8),
        actions=random.normal(size=(count, 4, 3)).astype(np.float32),
        success_step=np.array([NEVER, 3, 0][:count], np.int64),
        sources=("mean", "drawn", "expert")[:count],
    )


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    for seed in (1, 0):
        write_tries(tmp_path, tries(seed), CARD)
    found, card = read_tries(tmp_path)
    assert [one.seed for one in found] == [0, 1] and card == CARD and is_tries(tmp_path)
    for one in found:
        before = tries(one.seed)
        assert (one.task, one.text, one.sources) == (before.task, before.text, before.sources)
        for name in ("picture", "actions", "success_step"):
            assert np.array_equal(getattr(one, name), getattr(before, name)), name


def test_what_is_no_try_is_refused() -> None:
    with pytest.raises(ValueError, match="within its transitions"):
        Tries(**{**vars(tries()), "success_step": np.array([4, 0, 0])})
    with pytest.raises(ValueError, match="3 plans"):
        Tries(**{**vars(tries()), "actions": np.zeros((2, 4, 3), np.float32)})
    with pytest.raises(ValueError, match="picture"):
        Tries(**{**vars(tries()), "picture": np.zeros((8, 8), np.uint8)})


@pytest.mark.parametrize("damage", ["cut", "pickled", "missing", "large"])
def test_a_damaged_file_is_named_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    write_tries(tmp_path, tries(), CARD)
    file = file_of(tmp_path, "drawer-open", 0)
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "pickled":
        np.savez(file, **{**vars(tries()), "actions": np.array([{}], dtype=object)})
    elif damage == "missing":
        np.savez(file, task="drawer-open")
    else:
        monkeypatch.setattr("wow.data.tries.LARGEST", 10)
    with pytest.raises(WowError, match=r"drawer-open-0\.npz: damaged tries") as problem:
        read_tries(tmp_path)
    assert "\n" not in str(problem.value)


def test_a_folder_without_tries_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(WowError, match="wow data tries --out"):
        read_tries(tmp_path)
