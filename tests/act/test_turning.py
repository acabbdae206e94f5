"""Fusing turns and orientations: nothing is lost of what is exact, and together they are better than either alone."""

from __future__ import annotations

import numpy as np
import pytest

from wow import rotation
from wow.act.turning import fuse_turns


def motion(seed: int, local: bool, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Turns [T, 3] and the orientations [T+1, 3] that they lead through, up to about a quarter turn away."""
    random = np.random.default_rng(seed)
    turns = 0.04 * random.normal(size=3) + 0.03 * random.normal(size=(count, 3))
    facing = [0.5 * random.normal(size=3)]
    for turn in turns:
        facing.append(rotation.after(facing[-1], turn, local))
    return turns, np.array(facing)


@pytest.mark.parametrize("local", [False, True])
def test_exact_turns_and_orientations_stay_as_they_are(local: bool) -> None:
    turns, facing = motion(0, local)
    found, deviations = fuse_turns(turns, np.full((16, 3), 0.01), facing, np.full((17, 3), 0.05), local=local)
    assert np.allclose(found, turns, atol=1e-9)
    assert (deviations < 0.01).all() and (deviations > 0).all()


@pytest.mark.parametrize("local", [False, True])
def test_together_they_are_better_than_either_alone(local: bool) -> None:
    off = []
    for seed in range(50):
        random = np.random.default_rng([seed, 1])
        turns, facing = motion(seed, local)
        seen = turns + 0.02 * random.normal(size=turns.shape)
        faced = facing + 0.02 * random.normal(size=facing.shape)
        found, _ = fuse_turns(seen, np.full((16, 3), 0.02), faced, np.full((17, 3), 0.02), local=local)
        alone = rotation.between(faced[:-1], faced[1:], local)
        off.append([np.abs(each - turns).mean() for each in (found, seen, alone)])
    both, by_turns, by_facing = np.mean(off, axis=0)
    assert both < 0.85 * by_turns and both < 0.7 * by_facing


def test_turns_from_orientations_alone_are_in_the_frame_of_the_turns() -> None:
    """Far from the reference a rotation vector's differences are no turns: 1 rad away they would be off by a third."""
    turns, facing = motion(3, False)
    blind = np.zeros_like(turns)
    found, _ = fuse_turns(blind, np.full((16, 3), 100.0), facing, np.full((17, 3), 1e-3))
    assert np.allclose(found, turns, atol=1e-4)
