"""From actions to control steps: how the hand's target moves between the frames that the actions connect.

Actions say how far the target gets from one frame to the next and what the gripper's command is at the end, not what
happens in between. `schedule` fills that in, `drive` follows it on an arm. Measured on the experts of Meta-World:
moving evenly loses 3 % of their successes; most of them where the target turns around between two frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wow.act.arm import Arm
from wow.types import Actions, Embodiment, WowError

BEND = 0.5
"""A change of speed from the transition before to the one after that is more than this share of the arm's own speed is
taken for a sudden one; a smaller one for a gradual one."""

Array = NDArray[np.float64]
Step = Array


def num_control_steps(actions: Actions, arm: Arm) -> int:
    """Control steps per transition.

    Where the pace is unknown, the fastest transition but one (one may be misread) is taken to have been as fast as the
    arm can move and turn: whoever was imagined had the arm's limits too. So the gripper gets the time that it had in
    the video. No transition takes less time than the step of a recording.
    """
    if actions.seconds is not None:
        return max(1, round(actions.seconds * arm.rate))
    limits = np.append(np.full(3, arm.reach), turn_limits(actions.embodiment, arm))
    fastest = float(np.sort((np.abs(actions.values[:, :6]) / limits).max(axis=1))[-2:][0])
    return max(math.ceil(fastest - 1e-6), round(arm.rate / actions.embodiment.rate), 1)


def turn_limits(card: Embodiment, arm: Arm) -> Array:
    """How far the hand turns about each axis in one control step at most [3, rad]; infinite where nobody says.

    A card's limits are for one of its own steps, which may take several control steps.
    """
    limits = [(dimension.low, dimension.high) for dimension in card.action[3:6]]
    widest = np.array([np.inf if low is None or high is None else max(-low, high) for low, high in limits])
    found: Array = np.maximum(widest, 1e-9) * min(card.rate / arm.rate, 1.0)
    return found


def schedule(actions: Actions, arm: Arm) -> Array:
    """The control steps of every transition [T, N, 7]: target x y z [m], roll pitch yaw [rad], gripper [0, 1].

    The steps of a transition add up to its change; a turn beyond the card's limits is caught up with in the transitions
    after it. Raises WowError for actions that are no 7-DoF changes.
    """
    card = actions.embodiment
    units = [dimension.unit for dimension in card.action]
    if card.action_kind != "delta" or units[:6] != ["m"] * 3 + ["rad"] * 3 or len(units) != 7:
        raise WowError(
            f"the controller takes changes of the hand's target: x y z [m], roll pitch yaw [rad] and the gripper; "
            f"the actions of {card.robot} are {card.action_kind} {', '.join(d.name for d in card.action)}"
        )
    values = actions.values.astype(np.float64)
    num_steps = num_control_steps(actions, arm)
    moves = spread(values[:, :3], num_steps, BEND * arm.reach)
    turns = np.repeat(values[:, None, 3:6] / num_steps, num_steps, axis=1)
    turns = keep_within(turns, turn_limits(card, arm))
    return np.concatenate([moves, turns, gripper_commands(values[:, 6], num_steps)[..., None]], axis=2)


def spread(changes: Array, num_steps: int, sudden: float) -> Array:
    """Changes [T, D] as equal steps [T, N, D], but with a bend where the speed changes suddenly within a transition.

    The target then keeps the speed of the transition before, and takes that of the one after from the moment on at
    which the sum comes out right (the subcell resolution of Harten 1989). sudden: the least change of speed, per step.
    """
    speed = changes / num_steps
    before, after = np.concatenate([speed[:1], speed[:-1]]), np.concatenate([speed[1:], speed[-1:]])
    jump = before - after
    share = np.divide(speed - after, jump, out=np.full_like(jump, np.nan), where=np.abs(jump) >= max(sudden, 1e-12))
    bends = (share >= 0) & (share <= 1)
    # How much of each step lies before the bend.
    early = np.clip(share[:, None] * num_steps - np.arange(num_steps)[None, :, None], 0.0, 1.0)
    bent = early * before[:, None] + (1.0 - early) * after[:, None]
    return np.where(bends[:, None], bent, np.repeat(speed[:, None], num_steps, axis=1))


def keep_within(steps: Array, limits: Array) -> Array:
    """Steps [T, N, 3] none of which is beyond the limits [3]; what is left over follows as soon as it can."""
    if (np.abs(steps) <= limits).all():
        return steps
    kept, due = np.zeros_like(steps).reshape(-1, 3), np.zeros(3)
    for place, step in enumerate(steps.reshape(-1, 3)):
        due = due + step
        kept[place] = np.clip(due, -limits, limits)
        due = due - kept[place]
    return kept.reshape(steps.shape)


def gripper_commands(commands: Array, num_steps: int) -> Array:
    """The gripper's command at every control step [T, N], from those at the end of each transition [T].

    A command that lies between its neighbours is the mean over a transition in which the gripper changed from the one
    to the other, and says when. Any other change may have happened at each step alike: the middle one is taken.
    """
    before, after = np.concatenate([commands[:1], commands[:-1]]), np.concatenate([commands[1:], commands[-1:]])
    between = (before - commands) * (commands - after) > 1e-4
    was_between = np.concatenate([[False], between[:-1]])
    is_mean = between & ~was_between
    jump = np.where(is_mean, before - after, 1.0)
    late = np.where(is_mean, np.round(num_steps * (commands - after) / jump), (num_steps - 1) // 2)
    late = np.where(was_between, 0, late)
    is_early = np.arange(num_steps)[None] < late[:, None]
    result: Array = np.where(is_early, before[:, None], np.where(is_mean, after, commands)[:, None])
    return np.clip(result, 0.0, 1.0)


def drive(arm: Arm, steps: Array) -> Iterator[Step]:
    """Control steps that take the arm's target along `steps` [T, N, 7] from where it is; to be carried out one by one.

    The target stays in the workspace and moves no faster than the arm can; what it could not do it catches up with.
    The hand is not waited for: one that is held back by what it pushes needs a target that goes on ahead of it.
    """
    path = arm.target.copy()
    low, high = arm.workspace
    for step in steps.reshape(-1, 7):
        path = np.clip(path + step[:3], low, high)
        yield _towards(arm, path, step)


def hold(arm: Arm, gripper: float, num_steps: int) -> Iterator[Step]:
    """Control steps in which the target stays and the hand arrives."""
    still = np.append(np.zeros(6), gripper)
    for _ in range(num_steps):
        yield _towards(arm, arm.target, still)


def retreat(arm: Arm, home: Array) -> Iterator[Step]:
    """Control steps in which the hand lets go and is taken back to a place [3, m]: up to its height, across, and down.

    Each ends as soon as the target is there, or can get no closer.
    """
    low, high = arm.workspace
    home = np.clip(home, low, high)
    height, still = max(arm.target[2], home[2]), np.append(np.zeros(6), 1.0)
    for place in ([*arm.target[:2], height], [*home[:2], height], home):
        while np.abs(place - arm.target).max() > 1e-6:
            before = arm.target.copy()
            yield _towards(arm, np.asarray(place), still)
            if np.array_equal(before, arm.target):
                return


def _towards(arm: Arm, place: Array, step: Array) -> Step:
    """One control step that takes the target as close to `place` as it gets, turning and gripping as `step` says."""
    return np.concatenate([np.clip(place - arm.target, -arm.reach, arm.reach), step[3:]])
