"""Our own experts do what Meta-World's do, without going back and forth."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("metaworld")

from metaworld.policies import ENV_POLICY_MAP

from wow.sim.experts import Expert, OpensFirst, expert
from wow.sim.metaworld import MetaWorld


def attempt(
    environment: MetaWorld, acting: Expert, seed: int, off: tuple[float, float, float] = (0.0, 0.0, 0.0)
) -> tuple[bool, np.ndarray]:
    """Whether an expert succeeds in 240 control steps, and where the hand was till ten steps later [n, 3].

    off: how far the hand is from where the expert believes it to be, after a start of 30 steps [m].
    """
    environment.reset(seed=seed)
    hands, succeeded = [environment.state[:3].copy()], 0
    for step in range(240):
        seen = environment.state.copy()
        seen[:3] += min(1.0, step / 30) * np.array(off)
        succeeded += environment.advance(np.clip(acting.get_action(seen), -1.0, 1.0))["success"]
        hands.append(environment.state[:3].copy())
        if succeeded > 10:
            break
    return succeeded > 0, np.array(hands)


def turns(hands: np.ndarray) -> int:
    """How often a hand turns round."""
    moves = np.diff(hands[::4], axis=0)
    signs = [np.sign(axis[np.abs(axis) > 0.006]) for axis in moves.T]
    return sum(int((np.diff(axis) != 0).sum()) for axis in signs)


OWN = ["handle-pull", "handle-pull-side", "stick-pull", "push-back", "pick-out-of-hole", "peg-insert-side"]


@pytest.mark.parametrize("task", OWN)
def test_it_succeeds_and_turns_round_less_often(task: str) -> None:
    environment = MetaWorld(task, cameras=())
    own = [attempt(environment, expert(task), seed) for seed in range(4)]
    theirs = [attempt(environment, ENV_POLICY_MAP[f"{task}-v3"](), seed) for seed in range(4)]
    assert sum(success for success, _ in own) >= max(3, sum(success for success, _ in theirs))
    assert sum(turns(hands) for _, hands in own) < 0.7 * sum(turns(hands) for _, hands in theirs)


def test_whoever_aims_a_little_off_still_succeeds_more_often_than_with_meta_worlds_experts() -> None:
    own = theirs = 0
    for task in ("disassemble", "soccer", "basketball", "shelf-place", "pick-place-wall"):
        environment, random = MetaWorld(task, cameras=()), np.random.default_rng(0)
        for seed in range(500, 508):
            off = tuple(random.normal(0.0, (0.015, 0.015, 0.01)))
            own += attempt(environment, expert(task), seed, off)[0]
            theirs += attempt(environment, ENV_POLICY_MAP[f"{task}-v3"](), seed, off)[0]
    assert own >= 18 and own >= theirs + 5


def test_whoever_locks_a_door_presses_the_lever_and_stays_there() -> None:
    environment = MetaWorld("door-lock", cameras=())

    def risen(hands: np.ndarray) -> float:
        height = hands[:, 2]
        return float(height[-1] - height[len(height) // 3 :].min())

    own = [attempt(environment, expert("door-lock"), seed) for seed in range(4)]
    theirs = [attempt(environment, ENV_POLICY_MAP["door-lock-v3"](), seed) for seed in range(4)]
    assert all(success for success, _ in own)
    assert max(risen(hands) for _, hands in own) < 0.01 < 0.03 < max(risen(hands) for _, hands in theirs)


@pytest.mark.parametrize("first", ["experts", "foresight", "camera", "metaworld"])
def test_pictures_are_drawn_without_a_screen_whatever_is_imported_first(first: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL", "DISPLAY")}
    program = (
        f"import wow.sim.{first}; from wow.sim.metaworld import MetaWorld; "
        "scene = MetaWorld('reach', size=32); scene.reset(seed=0); print(scene.render().std() > 1)"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "True", done.stderr


def test_two_experts_share_no_memory() -> None:
    first, second = expert("stick-pull"), expert("stick-pull")
    seen = np.zeros(39)
    seen[6] = -0.1  # the hand is right above the stick
    for _ in range(30):
        first.get_action(seen)
    fresh = expert("stick-pull")
    assert np.array_equal(second.get_action(seen), fresh.get_action(seen))


@pytest.mark.parametrize("task", ["pick-place", "hammer", "assembly"])
def test_who_takes_over_a_closed_hand_opens_it_first(task: str) -> None:
    """Meta-World's experts come down on the thing with closed fingers, and go on doing so."""
    environment = MetaWorld(task, cameras=())

    def recovers(acting: Expert) -> bool:
        environment.reset(seed=600)
        for _ in range(40):
            environment.advance(np.array([0.3, 0.2, 0.3, 1.0]))
        return any(
            environment.advance(np.clip(acting.get_action(environment.state), -1, 1))["success"] for _ in range(240)
        )

    assert recovers(OpensFirst(expert(task))) and not recovers(expert(task))
    environment.close()


def test_a_hand_that_is_open_and_one_that_holds_are_left_alone() -> None:
    class Says:
        def __init__(self, effort: float) -> None:
            self.effort = effort

        def get_action(self, observation: np.ndarray) -> np.ndarray:
            return np.array([0.1, 0.2, 0.3, self.effort])

    def effort(said: float, *openings: float) -> list[float]:
        acting = OpensFirst(Says(said))
        return [float(acting.get_action(np.array([0, 0, 0, opening, *[0.0] * 35]))[3]) for opening in openings]

    assert effort(0.6, 0.3, 1.0) == [0.6, 0.6]
    assert effort(0.0, 0.3, 0.6, 0.95, 0.3) == [-1.0, -1.0, 0.0, 0.0], "once it was open, it is the expert's"
