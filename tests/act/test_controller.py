"""Control steps: they add up to the actions, keep their pace, and guess rightly what happens between two frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wow.act.controller import (
    drive,
    gripper_commands,
    hold,
    num_control_steps,
    retreat,
    schedule,
    spread,
    turn_limits,
)
from wow.types import Actions, Dimension, WowError

Make = Callable[..., Actions]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 12))
def test_the_steps_of_a_transition_add_up_to_its_change(seed: int, num_steps: int, num_transitions: int) -> None:
    changes = np.random.default_rng(seed).uniform(-0.04, 0.04, (num_transitions, 3))
    assert np.allclose(spread(changes, num_steps, 0.005).sum(axis=1), changes)


@given(st.integers(1, 8), st.floats(0.0, 1.0), st.floats(0.006, 0.01), st.floats(-0.01, 0.0))
def test_a_sudden_turn_between_two_frames_is_found_again(
    num_steps: int, when: float, before: float, after: float
) -> None:
    """Down and up again: the sum of the transition alone would not go down far enough."""
    turn = when * num_steps
    share = np.clip(turn - np.arange(num_steps), 0.0, 1.0)
    truth = np.concatenate(
        [np.full(num_steps, before), share * before + (1 - share) * after, np.full(num_steps, after)]
    )[:, None]
    found = spread(truth.reshape(3, num_steps, 1).sum(axis=1), num_steps, 0.005)
    assert np.allclose(found.reshape(-1, 1), truth)


def test_a_gradual_change_of_speed_is_even_within_a_transition() -> None:
    changes = np.array([[0.02], [0.018], [0.016]])
    assert np.allclose(spread(changes, 4, 0.005), np.repeat(changes[:, None] / 4, 4, axis=1))


@pytest.mark.parametrize("flip", range(1, 4))
def test_a_mean_command_says_when_the_gripper_changed(flip: int) -> None:
    truth = np.array([1.0] * (4 + flip) + [0.2] * (8 - flip))
    assert np.array_equal(gripper_commands(truth.reshape(3, 4).mean(axis=1), 4).ravel(), truth)


def test_a_change_that_does_not_say_when_is_put_in_the_middle() -> None:
    found = gripper_commands(np.array([1.0, 0.0, 0.0]), 5).ravel()
    assert found.tolist() == [1.0] * 7 + [0.0] * 8


@given(st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=9), st.integers(1, 7))
def test_gripper_commands_stay_between_closed_and_open(commands: list[float], num_steps: int) -> None:
    found = gripper_commands(np.array(commands), num_steps)
    assert found.shape == (len(commands), num_steps) and found.min() >= 0 and found.max() <= 1


def test_a_known_pace_is_kept(make_arm: type, actions: Make) -> None:
    moves = np.full((3, 3), 0.01)
    assert num_control_steps(actions(moves, seconds=0.1), make_arm()) == 8
    assert num_control_steps(actions(moves, seconds=0.001), make_arm()) == 1


@pytest.mark.parametrize("num_steps", [4, 6, 9])
def test_an_unknown_pace_is_that_of_an_arm_at_its_fastest(make_arm: type, actions: Make, num_steps: int) -> None:
    moves = np.zeros((16, 3))
    moves[:4, 1], moves[4:, 0] = 0.01 * num_steps, 0.01
    assert num_control_steps(actions(moves, seconds=None), make_arm()) == num_steps
    moves[7, 2] = 0.3
    assert num_control_steps(actions(moves, seconds=None), make_arm()) == num_steps, "one transition was misread"


def test_nothing_is_faster_than_a_recording(make_arm: type, actions: Make) -> None:
    assert num_control_steps(actions(np.full((16, 3), 1e-4), seconds=None), make_arm()) == 4
    assert num_control_steps(actions(np.zeros((1, 3)), seconds=None), make_arm()) == 4


@pytest.mark.parametrize("seed", range(20))
def test_the_target_stays_in_the_workspace_and_within_reach(make_arm: type, actions: Make, seed: int) -> None:
    arm = make_arm()
    moves = np.random.default_rng(seed).uniform(-0.3, 0.3, (12, 3))
    low, high = arm.workspace
    for step in drive(arm, schedule(actions(moves), arm)):
        assert np.abs(step[:3]).max() <= arm.reach + 1e-12
        arm.advance(step)
        assert (arm.target >= low - 1e-12).all() and (arm.target <= high + 1e-12).all()


def test_an_arm_ends_where_its_actions_lead(make_arm: type, actions: Make) -> None:
    arm = make_arm()
    moves = np.random.default_rng(0).uniform(-0.03, 0.03, (9, 3))
    for step in drive(arm, schedule(actions(moves, gripper=0.3), arm)):
        arm.advance(step)
    assert np.allclose(arm.target, moves.sum(axis=0), atol=1e-7) and len(arm.steps) == 36
    for step in hold(arm, 0.3, 5):
        arm.advance(step)
    assert np.allclose(arm.target, moves.sum(axis=0), atol=1e-7) and np.isclose(arm.steps[-1][6], 0.3)


def test_what_was_too_fast_is_caught_up_with(make_arm: type, actions: Make) -> None:
    arm = make_arm()
    for step in drive(arm, schedule(actions(np.array([[0.06, 0, 0], [0, 0, 0]])), arm)):
        arm.advance(step)
    assert np.allclose(arm.target, [0.06, 0, 0])


def test_rotations_are_spread_evenly(make_arm: type, actions: Make) -> None:
    turning = actions(np.zeros((2, 3)))
    turning.values[:, 5] = 0.4
    assert np.allclose(schedule(turning, make_arm())[..., 5], 0.1)


def test_actions_of_another_kind_are_refused(make_arm: type, actions: Make) -> None:
    given = actions(np.zeros((2, 3)))
    joints = replace(given.embodiment, action=tuple(Dimension(f"joint_{n}", "rad") for n in range(7)))
    absolute = replace(given.embodiment, action_kind="absolute")
    for card, named in ((joints, "joint_0"), (absolute, "absolute")):
        with pytest.raises(WowError, match=named):
            schedule(replace(given, embodiment=card), make_arm())


def turning(actions: Make, turns: np.ndarray, seconds: float | None) -> Actions:
    """Turns about z of a hand that may turn 0.2 rad a step of 1/20 s, which is 0.05 rad a control step."""
    made = actions(np.zeros((len(turns), 3)), seconds=seconds)
    made.values[:, 5] = turns
    dims = tuple(replace(dim, low=-0.2, high=0.2) if dim.unit == "rad" else dim for dim in made.embodiment.action)
    return replace(made, embodiment=replace(made.embodiment, action=dims))


@pytest.mark.parametrize("seed", range(10))
def test_the_hand_turns_no_faster_than_its_card_allows_and_catches_up(make_arm: type, actions: Make, seed: int) -> None:
    turns = np.concatenate([np.random.default_rng(seed).uniform(-0.6, 0.6, 6), np.zeros(30)])
    fast, arm = turning(actions, turns, 0.05), make_arm()
    steps = schedule(fast, arm)[..., 3:6]
    assert np.allclose(turn_limits(fast.embodiment, arm), 0.05) and np.abs(steps).max() <= 0.05 + 1e-9
    assert np.isclose(steps[..., 2].sum(), turns.sum(), atol=1e-5) and not steps[..., :2].any()


def test_within_the_limits_turns_are_even(make_arm: type, actions: Make) -> None:
    steps = schedule(turning(actions, np.array([0.1, -0.2]), 0.05), make_arm())
    assert np.allclose(steps[..., 5], np.repeat([[0.025], [-0.05]], 4, axis=1))


def test_at_an_unknown_pace_the_fastest_turn_but_one_sets_it(make_arm: type, actions: Make) -> None:
    assert num_control_steps(turning(actions, np.array([0.5, 0.45, 0.1]), None), make_arm()) == 9
    assert num_control_steps(turning(actions, np.array([0.1, 0.1, 0.1]), None), make_arm()) == 4


@pytest.mark.parametrize(
    ("start", "home"),
    [((0.2, -0.1, 0.05), (0.0, 0.3, 0.2)), ((0.2, 0.1, 0.4), (-0.1, 0.1, 0.2)), ((0, 0, 0), (0, 0, 0))],
)
def test_a_hand_goes_back_open_and_above_what_lies_between(
    make_arm: type, start: tuple[float, ...], home: tuple[float, ...]
) -> None:
    arm = make_arm()
    arm.target = np.array(start)
    way = [arm.target.copy()]
    for step in retreat(arm, np.array(home)):
        assert step[6] == 1.0 and not step[3:6].any()
        arm.advance(step)
        way.append(arm.target.copy())
    assert np.allclose(way[-1], home) and len(way) <= 120
    height = max(start[2], home[2])
    across = [place for place in way if np.abs(place[:2] - start[:2]).max() > 1e-9]
    on_the_way = [place for place in across if np.abs(place[:2] - home[:2]).max() > 1e-9]
    assert all(place[2] == pytest.approx(height) for place in on_the_way)


def test_a_hand_that_cannot_go_home_goes_no_further(make_arm: type) -> None:
    arm = make_arm()
    for count, step in enumerate(retreat(arm, np.array([9.0, 0.0, 0.0]))):
        arm.advance(step)
        assert count < 100
    assert arm.target[0] == pytest.approx(0.5), "the edge of its workspace"

    class Stuck(make_arm):  # type: ignore[misc, valid-type]
        def advance(self, step: np.ndarray) -> bool:
            return False

    assert len(list(islice(retreat(Stuck(), np.array([0.1, 0.0, 0.0])), 100))) == 1
