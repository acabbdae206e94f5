"""Meta-World behind the controller: what the expert does can be foreseen, stored as actions and done again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from wow.act.loop import LoopOptions, run_episode
from wow.act.planner import GivenPlanner, in_transitions
from wow.sim.arm import MetaWorldArm
from wow.sim.foresight import foresee
from wow.sim.job import Job, RecordingOptions
from wow.sim.metaworld import MetaWorld
from wow.sim.record import record

SMALL = RecordingOptions(size=32)
OPEN_LOOP = LoopOptions(open_loop=True)


@pytest.fixture(scope="module")
def pick_place() -> Iterator[MetaWorld]:
    environment = MetaWorld("pick-place", cameras=(), size=32)
    yield environment
    environment.close()


def test_a_step_of_the_card_is_a_step_of_the_simulator(pick_place: MetaWorld) -> None:
    pick_place.reset(seed=1)
    arm = MetaWorldArm(pick_place)
    before = arm.target
    for _ in range(30):
        arm.advance(np.array([0.004, 0.003, -0.002, 0, 0, 0, 0.0]))
    assert np.allclose(arm.target - before, [0.12, 0.09, -0.06], atol=1e-9)
    assert np.linalg.norm(arm.hand - arm.target) < 0.03
    assert pick_place.truth().opening < 0.5, "0 closes"
    low, high = arm.workspace
    for _ in range(80):
        arm.advance(np.array([arm.reach, 0, 0, 0, 0, 0, 1.0]))
    assert np.isclose(arm.target[0], high[0]) and (arm.target >= low).all()
    assert pick_place.truth().opening > 0.9, "1 opens"


def test_foreseeing_leaves_the_scene_as_it_is(pick_place: MetaWorld) -> None:
    pick_place.reset(seed=2)
    for _ in range(7):
        pick_place.advance(np.array([0.5, -0.5, 0.2, -1.0]))
    state, picture = pick_place.save(), pick_place.picture()
    short = replace(SMALL, max_steps=24)
    first = foresee(pick_place, short)
    assert np.array_equal(pick_place.picture(), picture)
    assert np.array_equal(pick_place.save().physics, state.physics)
    second = foresee(pick_place, short)
    assert np.array_equal(first.actions.values, second.actions.values)
    assert np.array_equal(first.video.frames, second.video.frames)


def test_what_is_foreseen_is_what_would_be_recorded(pick_place: MetaWorld) -> None:
    episode = record(pick_place, Job("pick-place", "pick-place", "expert", 100_003), SMALL)
    pick_place.reset(seed=100_003)
    future = foresee(pick_place, SMALL)
    assert future.success and np.array_equal(future.video.frames, episode.videos["front"].frames)
    assert np.array_equal(future.actions.values, episode.actions[:-1])


@pytest.mark.parametrize("paced", [True, False])
def test_the_experts_actions_do_again_what_the_expert_did(pick_place: MetaWorld, paced: bool) -> None:
    """Grasping and carrying, at its own pace; and from the actions between 17 frames, at a pace that nobody told."""
    arm = MetaWorldArm(pick_place)
    for seed in (100_000, 100_001):
        pick_place.reset(seed=seed)
        future = foresee(pick_place, SMALL, pictures=False)
        actions = future.actions if paced else in_transitions(future.actions, 16)
        outcome = run_episode(arm, GivenPlanner(actions), OPEN_LOOP)
        assert future.success and outcome.success and arm.object_error() is not None
        pick_place.reset(seed=seed)
        again = run_episode(arm, GivenPlanner(actions), OPEN_LOOP)
        assert again.success_step == outcome.success_step and again.hand_error == outcome.hand_error


def test_doing_nothing_succeeds_at_nothing(pick_place: MetaWorld) -> None:
    pick_place.reset(seed=100_000)
    actions = foresee(pick_place, SMALL, pictures=False).actions
    actions.values[:, :3] = 0.0
    assert not run_episode(MetaWorldArm(pick_place), GivenPlanner(actions), OPEN_LOOP).success
