"""Fusing turns and orientations: nothing is lost of what is exact, and together they are better than either alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from wow.act.reading import Layout, Raw, conclude
from wow.act.turning import fuse_turns
from wow.types import Dimension, Embodiment


def motion(seed: int, local: bool, count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Turns [T, 3] and the orientations [T+1, 3] that they lead through, up to about a quarter turn away."""
    random = np.random.default_rng(seed)
    turns = 0.04 * random.normal(size=3) + 0.03 * random.normal(size=(count, 3))
    facing = [Rotation.from_rotvec(0.5 * random.normal(size=3))]
    for turn in Rotation.from_rotvec(turns):
        facing.append(facing[-1] * turn if local else turn * facing[-1])
    return turns, Rotation.concatenate(facing).as_rotvec()


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
        first, second = Rotation.from_rotvec(faced[:-1]), Rotation.from_rotvec(faced[1:])
        alone = (first.inv() * second if local else second * first.inv()).as_rotvec()
        off.append([np.abs(each - turns).mean() for each in (found, seen, alone)])
    both, by_turns, by_facing = np.mean(off, axis=0)
    assert both < 0.85 * by_turns and both < 0.7 * by_facing


def test_turns_from_orientations_alone_are_in_the_frame_of_the_turns() -> None:
    """Far from the reference a rotation vector's differences are no turns: 1 rad away they would be off by a third."""
    turns, facing = motion(3, False)
    blind = np.zeros_like(turns)
    found, _ = fuse_turns(blind, np.full((16, 3), 100.0), facing, np.full((17, 3), 1e-3))
    assert np.allclose(found, turns, atol=1e-4)


@pytest.mark.parametrize("frame", ["world", "tool"])
def test_what_a_network_says_of_orientations_mends_what_it_says_of_turns(frame: str) -> None:
    turns, facing = motion(5, frame == "tool")
    dims = tuple(
        Dimension(f"delta_{name}", "m" if name in "xyz" else "rad", frame) for name in ("x", "y", "z", "a", "b", "c")
    )
    card = Embodiment("turner", 10.0, dims, action_kind="delta", rotation="rotation-vector")
    noisy = turns + 0.05 * np.random.default_rng(0).normal(size=turns.shape)
    places = np.concatenate([np.zeros((17, 4)), facing], axis=1)
    raw = Raw(
        action=np.concatenate([np.zeros((16, 3)), noisy], axis=1),
        action_scale=np.full((16, 6), 0.05),
        chances=np.tile([1.0, 0.0, 0.0], (16, 1)),
        place=places,
        place_scale=np.full((17, 7), 0.001),
        robot=np.full(17, 0.1),
    )
    read = [
        conclude(said, card, Layout((0, 1, 2), None, 0.1, 1.0), None, seconds=0.1).actions
        for said in (raw, replace(raw, place=places[:, :4], place_scale=raw.place_scale[:, :4]))
    ]
    with_them, without = (np.abs(actions.values[:, 3:] - turns).mean() for actions in read)
    assert with_them < 0.1 * without and without > 0.02
    assert read[0].deviations is not None and (read[0].deviations[:, 3:] < 0.01).all()
