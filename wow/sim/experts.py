"""Who shows how a task is done: Meta-World's scripted experts, and our own where theirs wander.

An imitator learns the mean of what it is shown. Meta-World's experts decide anew at every step what to do next; those
for pulling handles, for the stick, the peg, the lock and some pucks go back and forth between two aims: the same height
is passed several times, each time at another moment, and the mean of that does nothing. Ours remember what they have
done. Others fail where the aim is off by a centimetre, as an imitator's is; ours hold on to things with more to spare.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from metaworld.policies import ENV_POLICY_MAP
from numpy.typing import NDArray

from wow.sim.language import find_task

Array = NDArray[np.float64]

GAIN = 25.0
"""Raw action for each metre between the hand and where it is to go; clipped to 1, as Meta-World's experts do."""
CLOSE_BY = 0.02
"""The hand is where it is to go when it is this close [m]."""

OPEN, FIRM, HELD, SHUT = -1.0, 0.6, 0.7, 1.0
"""Efforts of the gripper."""
IDLE = 0.05
"""An effort up to this one closes nothing."""
WIDE = 0.9
"""The hand is open from this opening on; 1 is as far as it goes."""

Aim = tuple[Array, float, bool]
"""Where the hand is to be [3, m], the gripper's effort, and whether it has been reached."""
Stage = Callable[[Array], Aim]
"""An aim from the simulator's observation [39]."""


class Expert(Protocol):
    """Acts from the simulator's observation [39]. It may remember the episode: take a new one for each."""

    def get_action(self, observation: Array) -> Any:
        """The raw action [4]."""
        ...


class Staged:
    """Goes from one stage to the next and never back."""

    def __init__(self, *stages: Stage) -> None:
        self._stages = list(stages)

    def get_action(self, observation: Array) -> Array:
        """The raw action [4]."""
        place, effort, reached = self._stages[0](observation)
        if reached and len(self._stages) > 1:
            del self._stages[0]
            place, effort, _ = self._stages[0](observation)
        return np.append(np.clip(GAIN * (place - observation[:3]), -1.0, 1.0), effort)


class OpensFirst:
    """Another expert, whose hand is opened before it grasps: Meta-World's take it to be open, as it is at a reset, and
    come down on a thing with closed fingers where somebody else has left them so."""

    def __init__(self, other: Expert) -> None:
        self._other, self._was_open = other, False

    def get_action(self, observation: Array) -> Array:
        """The raw action [4]."""
        action: Array = np.array(self._other.get_action(observation), dtype=np.float64)
        self._was_open = self._was_open or observation[3] >= WIDE
        if not self._was_open and action[3] <= IDLE:
            action[3] = OPEN
        return action


def handle_pull() -> Expert:
    """Brings the closed fingers under the handle from the front and lifts it, slowly: it slips off otherwise."""

    def before(seen: Array) -> Aim:
        place = seen[4:7] + np.array([0.0, -0.09, 0.0])
        return place, SHUT, _is_at(seen, place)

    def under(seen: Array) -> Aim:
        place = seen[4:7] + np.array([0.0, -0.04, 0.0])
        return place, SHUT, _is_at(seen, place)

    def lift(seen: Array) -> Aim:
        return np.array([seen[4], seen[5] - 0.04, seen[2] + 0.012]), SHUT, False

    return Staged(before, under, lift)


def handle_pull_side() -> Expert:
    """Takes hold of the handle from above and lifts it, never far ahead of it."""
    low = np.array([0.0, 0.0, -0.02])

    def above(seen: Array) -> Aim:
        place = seen[4:7] + np.array([0.0, 0.0, 0.1])
        return place, 0.0, bool(np.linalg.norm(seen[:2] - place[:2]) < CLOSE_BY)

    def around(seen: Array) -> Aim:
        return seen[4:7] + low, 0.0, bool(abs(seen[2] - seen[6] - low[2]) < CLOSE_BY)

    def lift(seen: Array) -> Aim:
        return seen[4:7] + np.array([0.0, 0.0, 0.05]), FIRM, False

    return Staged(above, around, _after(12, lambda seen: (seen[4:7] + low, FIRM, False)), lift)


def stick_pull() -> Expert:
    """Takes the stick, puts its end through the thermos' handle and pulls it straight to the goal."""
    grip = np.array([-0.015, 0.0, 0.03])

    def above(seen: Array) -> Aim:
        place = seen[4:7] + grip + np.array([0.0, 0.0, 0.1])
        return place, OPEN, bool(np.linalg.norm(seen[:2] - place[:2]) < CLOSE_BY)

    def around(seen: Array) -> Aim:
        return seen[4:7] + grip, OPEN, bool(abs(seen[2] - seen[6] - grip[2]) < CLOSE_BY)

    def raise_it(seen: Array) -> Aim:
        off = np.array([0.0, seen[12] - seen[5], seen[13] - seen[6]])
        return seen[:3] + off, HELD, bool(np.abs(off).max() < 0.015)

    def insert(seen: Array) -> Aim:
        off = np.array([1.0, seen[12] - seen[5], seen[13] - seen[6]])
        return seen[:3] + off, HELD, bool(seen[11] - seen[4] < 0.09)

    def pull(seen: Array) -> Aim:
        to_go = seen[36:39] - seen[11:14]
        return seen[:3] + np.array([to_go[0] / 2, to_go[1] / 2, -0.01]), HELD, False

    return Staged(above, around, _after(10, lambda seen: (seen[:3].copy(), HELD, False)), raise_it, insert, pull)


def push_back() -> Expert:
    """Takes the puck and drags it to the goal. Meta-World's expert pushes it over on the way in half of the scenes."""

    def drag(seen: Array) -> Aim:
        to_go = seen[36:39] - seen[4:7]
        return seen[:3] + np.array([to_go[0], to_go[1], 0.0]), 0.9, False

    return Staged(*_grasp((0.0, 0.0, 0.035), 0.9), drag)


def pick_out_of_hole() -> Expert:
    """Takes the puck, lifts it out straight and carries it to the goal."""

    def rise(seen: Array) -> Aim:
        return np.array([seen[0], seen[1], seen[38]]), FIRM, bool(abs(seen[2] - seen[38]) < 0.03)

    def carry(seen: Array) -> Aim:
        return seen[:3] + seen[36:39] - seen[4:7], FIRM, False

    return Staged(*_grasp((0.0, 0.0, 0.02), FIRM), rise, carry)


def peg_insert_side() -> Expert:
    """Takes the peg, lines it up with the hole and pushes it in."""
    height, before = 0.16, 0.05

    def line_up(seen: Array) -> Aim:
        off = np.array([before - seen[0], seen[37] - seen[5], height - seen[6]])
        return seen[:3] + off, SHUT, bool(np.abs(off[1:]).max() < 0.008)

    def push_in(seen: Array) -> Aim:
        return seen[:3] + np.array([-1.0, seen[37] - seen[5], height - seen[6]]), SHUT, False

    return Staged(*_grasp((0.0, 0.0, 0.022), SHUT), line_up, push_in)


def door_lock() -> Expert:
    """Presses the lever down with closed fingers and stays there: Meta-World's expert goes back up at once."""
    beside, lever = np.array([-0.05, -0.02, 0.0]), np.zeros(3)

    def rise(seen: Array) -> Aim:
        lever[:] = seen[4:7]
        return lever + beside + np.array([0.0, -0.08, 0.14]), SHUT, bool(seen[2] > lever[2] + 0.08)

    def above(seen: Array) -> Aim:
        place = lever + beside + np.array([0.0, 0.0, 0.1])
        return place, SHUT, bool(np.linalg.norm(seen[:2] - place[:2]) < CLOSE_BY)

    def press(seen: Array) -> Aim:
        return np.array([*(lever + beside)[:2], seen[2] - 0.04]), SHUT, False

    return Staged(rise, above, press)


def disassemble() -> Expert:
    """Takes the ring by its handle and lifts it off the peg at full speed: it jams when it is lifted slowly."""
    return Staged(
        *_grasp((-0.02, 0.0, 0.03), 0.8, 0.02), lambda seen: (seen[:3] + np.array([0.0, 0.0, 0.1]), 0.8, False)
    )


def soccer() -> Expert:
    """Takes the ball and carries it into the goal. Meta-World's expert nudges it, and it rolls away."""

    def carry(seen: Array) -> Aim:
        to_go = seen[36:39] - seen[4:7]
        return seen[:3] + np.array([to_go[0], to_go[1] + 0.02, 0.0]), 0.9, False

    return Staged(*_grasp((0.0, 0.0, 0.03), 0.9), carry)


def basketball() -> Expert:
    """Takes the ball, lifts it above the hoop, carries it over and lowers it."""

    def lower(seen: Array) -> Aim:
        return seen[:3] + np.array([*(seen[36:38] - seen[4:6]), -0.03]), SHUT, False

    return Staged(*_grasp((0.0, 0.0, 0.02), SHUT, 0.02), *_over_the_goal(0.32, 0.34), lower)


def shelf_place() -> Expert:
    """Takes the puck, lifts it in front of its shelf, brings it in and lowers it."""
    above_it = 0.05

    def rise(seen: Array) -> Aim:
        beside = seen[0] + seen[36] - seen[4]
        height = seen[38] + above_it
        return np.array([beside, seen[1], height + 0.05]), SHUT, bool(seen[6] > height - 0.02)

    def bring(seen: Array) -> Aim:
        off = seen[36:39] - seen[4:7] + np.array([0.0, 0.01, above_it])
        return seen[:3] + off, SHUT, bool(np.linalg.norm(seen[36:38] - seen[4:6]) < CLOSE_BY)

    def lower(seen: Array) -> Aim:
        return seen[:3] + np.array([0.0, 0.0, -0.03]), SHUT, False

    return Staged(*_grasp((0.0, 0.0, 0.03), SHUT, 0.02), rise, bring, lower)


def pick_place_wall() -> Expert:
    """Takes the puck, lifts it above the wall, carries it over and sets it down."""

    def lower(seen: Array) -> Aim:
        return seen[:3] + seen[36:39] - seen[4:7], SHUT, False

    return Staged(*_grasp((0.0, -0.006, 0.02), SHUT, 0.02), *_over_the_goal(0.25, 0.25), lower)


def _grasp(grip: tuple[float, float, float], effort: float, near: float = 0.012) -> tuple[Stage, Stage, Stage]:
    """Above the first object, down to where it is held (`grip` from its position [m]), and shut the fingers.

    near: how far the hand may be from that height when it shuts them [m].
    """
    held = np.array(grip)

    def above(seen: Array) -> Aim:
        place = seen[4:7] + held + np.array([0.0, 0.0, 0.1])
        return place, OPEN, bool(np.linalg.norm(seen[:2] - place[:2]) < 0.015)

    def around(seen: Array) -> Aim:
        return seen[4:7] + held, OPEN, bool(abs(seen[2] - seen[6] - held[2]) < near)

    return above, around, _after(10, lambda seen: (seen[4:7] + held, effort, False))


def _over_the_goal(high: float, along: float) -> tuple[Stage, Stage]:
    """Straight up until the hand is at `high`, then with what it holds over the goal, the hand at `along` [m]."""

    def rise(seen: Array) -> Aim:
        return np.array([seen[0], seen[1], high + 0.05]), SHUT, bool(seen[2] > high)

    def over(seen: Array) -> Aim:
        off = seen[36:38] - seen[4:6]
        return np.array([*(seen[:2] + off), along]), SHUT, bool(np.linalg.norm(off) < 0.03)

    return rise, over


def _is_at(seen: Array, place: Array) -> bool:
    return bool(np.linalg.norm(seen[:3] - place) < CLOSE_BY)


def _after(steps: int, stage: Stage) -> Stage:
    """A stage that is over after so many control steps: fingers need time to close."""
    left = steps

    def counted(seen: Array) -> Aim:
        nonlocal left
        left -= 1
        place, effort, _ = stage(seen)
        return place, effort, left < 0

    return counted


# Meta-World types this table by its abstract base class.
_THEIRS: dict[str, Any] = dict(ENV_POLICY_MAP)
_OWN: dict[str, Callable[[], Expert]] = {
    "handle-pull": handle_pull,
    "handle-pull-side": handle_pull_side,
    "stick-pull": stick_pull,
    "push-back": push_back,
    "pick-out-of-hole": pick_out_of_hole,
    "peg-insert-side": peg_insert_side,
    "door-lock": door_lock,
    "disassemble": disassemble,
    "soccer": soccer,
    "basketball": basketball,
    "shelf-place": shelf_place,
    "pick-place-wall": pick_place_wall,
}


def expert(task: str) -> Expert:
    """The expert for a task, new for each episode. Raises WowError for an unknown task (with the nearest names)."""
    name = find_task(task).name
    made: Expert = (_OWN.get(name) or _THEIRS[f"{name}-v3"])()
    return made
