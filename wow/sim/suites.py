"""Sets of tasks that results are reported on, and how hard each task is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from wow.sim.language import TASKS
from wow.sim.plan import named_tasks
from wow.types import WowError

SUITES: Mapping[str, tuple[str, ...]] = {
    "metaworld-50": tuple(TASKS),
    "avdc-11": (
        "door-open",
        "door-close",
        "basketball",
        "shelf-place",
        "button-press",
        "button-press-topdown",
        "faucet-close",
        "faucet-open",
        "handle-press",
        "hammer",
        "assembly",
    ),
}
"""All tasks; and the eleven on which AVDC (Ko et al. 2023, "Learning to act from actionless videos") is measured."""

BINS: Mapping[str, tuple[str, ...]] = {
    "easy": (
        "button-press",
        "button-press-topdown",
        "coffee-button",
        "door-close",
        "drawer-close",
        "handle-press",
        "handle-press-side",
        "plate-slide",
        "plate-slide-back",
        "plate-slide-back-side",
        "plate-slide-side",
        "reach",
        "window-close",
        "window-open",
    ),
    "medium": (
        "button-press-topdown-wall",
        "button-press-wall",
        "coffee-pull",
        "coffee-push",
        "dial-turn",
        "door-lock",
        "door-open",
        "door-unlock",
        "drawer-open",
        "faucet-close",
        "faucet-open",
        "handle-pull",
        "handle-pull-side",
        "lever-pull",
        "push",
        "push-back",
        "push-wall",
        "reach-wall",
        "soccer",
        "sweep",
        "sweep-into",
    ),
    "hard": (
        "assembly",
        "basketball",
        "bin-picking",
        "box-close",
        "disassemble",
        "hammer",
        "hand-insert",
        "peg-insert-side",
        "peg-unplug-side",
        "pick-out-of-hole",
        "pick-place",
        "pick-place-wall",
        "shelf-place",
        "stick-pull",
        "stick-push",
    ),
}
"""The three bins of difficulty.

WoW's rule on real robots is: hard with five or more degrees of freedom, or a tolerance below 2 cm or 10 degrees;
medium with four, or a simple obstacle; easy otherwise. Meta-World's hand has three degrees of freedom and a gripper
that is the fourth, and its wrist never turns. What a task demands of them takes the place of their number:

- easy: three degrees of freedom. One contact at most, no grasp, nothing in the way: a straight push, press or slide
  that leads what is touched to its goal because a rail, a hinge or the rim of a dish keeps it on its way.
- medium: a fourth. Contact has to last along a path that bends or pulls back (hooked handles, levers, dials, taps,
  locks), a free thing has to be brought across the table to a spot, or a wall stands in the way.
- hard: tolerance. Something is grasped and lifted, and then placed, inserted, taken out or used as a tool.
"""

DIFFICULTY: Mapping[str, str] = {task: name for name, tasks in BINS.items() for task in tasks}


def suite_tasks(words: str) -> tuple[str, ...]:
    """The tasks of a suite's name, "all", or "NAME,NAME". Raises WowError with the nearest names for a typo."""
    if words in SUITES:
        return SUITES[words]
    if near := difflib.get_close_matches(words, SUITES, n=2, cutoff=0.75):
        raise WowError(f"there is no suite {words!r}: did you mean {' or '.join(near)}?")
    try:
        return named_tasks(words)
    except WowError as problem:
        raise WowError(f"{problem}; the suites are {', '.join(SUITES)}") from None
