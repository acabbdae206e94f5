"""The simulator: the same seed gives the same world, and an instant can be come back to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from wow.sim.experts import expert
from wow.sim.metaworld import SEGMENTS, MetaWorld
from wow.types import WowError


@pytest.fixture(scope="module")
def drawer() -> Iterator[MetaWorld]:
    environment = MetaWorld("drawer-open", cameras=(), size=96)
    yield environment
    environment.close()


def run(environment: MetaWorld, actions: np.ndarray) -> np.ndarray:
    states = []
    for action in actions:
        environment.advance(action)
        states.append(environment.state.copy())
    return np.array(states)


def test_the_same_seed_gives_the_same_picture_whatever_happened_before(drawer: MetaWorld) -> None:
    drawer.reset(seed=5)
    first = drawer.picture()
    drawer.reset(seed=6)
    other = drawer.picture()
    run(drawer, np.random.default_rng(0).uniform(-1, 1, (20, 4)))
    drawer.reset(seed=5)
    assert np.array_equal(first, drawer.picture())
    assert not np.array_equal(first, other)


def test_saved_state_and_actions_replay_bit_for_bit(drawer: MetaWorld) -> None:
    drawer.reset(seed=9)
    policy = expert("drawer-open")
    for _ in range(30):
        drawer.advance(policy.get_action(drawer.state))
    saved = drawer.save()
    actions = np.random.default_rng(1).uniform(-1, 1, (40, 4))
    states, picture = run(drawer, actions), drawer.picture()
    drawer.reset(seed=11)
    drawer.restore(saved)
    assert np.array_equal(states, run(drawer, actions))
    assert np.array_equal(picture, drawer.picture())


def test_a_saved_state_can_be_restored_in_another_environment(drawer: MetaWorld) -> None:
    drawer.reset(seed=9)
    saved = drawer.save()
    actions = np.random.default_rng(1).uniform(-1, 1, (25, 4))
    states = run(drawer, actions)
    other = MetaWorld("drawer-open", cameras=(), size=96)
    other.reset(seed=1)
    other.restore(saved)
    assert np.array_equal(states, run(other, actions))


def test_the_gripper_pixel_lies_on_the_gripper(drawer: MetaWorld) -> None:
    for seed in range(3):
        drawer.reset(seed=seed)
        column, row = drawer.pixels(drawer.truth().gripper[None])[0].round().astype(int)
        around = drawer.segmentation()[row - 6 : row + 7, column - 6 : column + 7]
        assert SEGMENTS.index("gripper") in around


def test_segments_of_a_scene_are_all_there(drawer: MetaWorld) -> None:
    drawer.reset(seed=0)
    seen = {SEGMENTS[value] for value in np.unique(drawer.segmentation())}
    assert seen == {"background", "arm", "gripper", "object", "fixture"}


def test_the_first_picture_shows_the_scene_as_it_is() -> None:
    """The stock reset leaves some joints drawn where they were; one step that does nothing must not move them."""
    window = MetaWorld("window-close", cameras=(), size=96)
    window.reset(seed=3)
    handle = window.truth().objects[0, :3]
    window.advance(np.array([0.0, 0.0, 0.0, -1.0]))
    assert np.abs(window.truth().objects[0, :3] - handle).max() < 0.01
    window.close()


def test_a_mistyped_task_gets_the_nearest_names() -> None:
    with pytest.raises(WowError, match="drawer-open"):
        MetaWorld("drawer-opne")
