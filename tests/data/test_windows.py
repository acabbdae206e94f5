"""The loader: the same seed gives the same windows, and a restored one continues at the exact batch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wow.data import WindowLoader, open_dataset
from wow.data.windows import Batch
from wow.types import WowError


def same(first: Batch, second: Batch) -> bool:
    assert first.states is not None and second.states is not None
    return (
        first.windows == second.windows
        and all(np.array_equal(first.frames[name], second.frames[name]) for name in first.frames)
        and np.array_equal(first.actions, second.actions)
        and np.array_equal(first.states, second.states)
    )


def test_a_window_is_what_the_episode_holds(make_dataset: Callable[..., Path]) -> None:
    dataset = open_dataset(make_dataset(3))
    batch = next(WindowLoader(dataset, 3, 6, seed=1, stride=2))
    assert batch.frames["front"].shape == (6, 3, 32, 48, 3) and batch.actions.shape == (6, 4, 3)
    for place, window in enumerate(batch.windows):
        episode = dataset.episode(window.episode)
        rows = [window.start, window.start + 2, window.start + 4]
        assert np.array_equal(batch.frames["front"][place], episode.videos["front"].frames[rows])
        assert np.array_equal(batch.actions[place], episode.actions[rows[0] : rows[-1]])
        assert episode.states is not None and batch.states is not None
        assert np.array_equal(batch.states[place], episode.states[rows])
        assert batch.records[place].task == episode.task


def test_seed_decides_and_threads_do_not(make_dataset: Callable[..., Path]) -> None:
    dataset = open_dataset(make_dataset(3))
    with WindowLoader(dataset, 4, 3, seed=5, workers=2) as threaded:
        alone, other = WindowLoader(dataset, 4, 3, seed=5), WindowLoader(dataset, 4, 3, seed=6)
        for _ in range(4):
            batch = next(alone)
            assert same(batch, next(threaded))
            assert batch.windows != next(other).windows


@pytest.mark.parametrize("workers", [0, 2])
def test_a_restored_loader_continues_exactly(make_dataset: Callable[..., Path], workers: int) -> None:
    dataset = open_dataset(make_dataset(3))
    with WindowLoader(dataset, 4, 2, seed=5, workers=workers) as loader:
        for _ in range(3):
            next(loader)
        state = json.loads(json.dumps(loader.state()))
        expected = [next(loader) for _ in range(3)]
    with WindowLoader(dataset, 4, 2, seed=5, workers=workers) as resumed:
        next(resumed)
        resumed.restore(state)
        assert all(same(next(resumed), batch) for batch in expected)


def test_restoring_into_other_settings_is_refused(make_dataset: Callable[..., Path]) -> None:
    dataset = open_dataset(make_dataset(2))
    state = WindowLoader(dataset, 4, 2, seed=5).state()
    with pytest.raises(WowError, match="seed is 6, it was 5"):
        WindowLoader(dataset, 4, 2, seed=6).restore(state)


def test_every_window_comes_equally_often(make_dataset: Callable[..., Path]) -> None:
    dataset = open_dataset(make_dataset(3))
    loader = WindowLoader(dataset, 6, 50, seed=0)
    assert loader.num_windows == 4 + 2 + 7
    counts = Counter(window for number in range(200) for window in loader.windows(number))
    assert len(counts) == 13
    expected = 200 * 50 / 13
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_shards_draw_different_windows(make_dataset: Callable[..., Path]) -> None:
    dataset = open_dataset(make_dataset(3))
    first, second = (WindowLoader(dataset, 3, 8, seed=0, shard=shard, num_shards=2) for shard in (0, 1))
    assert first.windows(0) != second.windows(0)


def test_what_cannot_be_loaded_is_said(make_dataset: Callable[..., Path]) -> None:
    dataset = open_dataset(make_dataset(3))
    with pytest.raises(WowError, match="a window needs 25 frames, the longest episode has 12"):
        WindowLoader(dataset, 9, 2, seed=0, stride=3)
    with pytest.raises(WowError, match="no camera called rear; there are front"):
        WindowLoader(dataset, 3, 2, seed=0, cameras=["rear"])
