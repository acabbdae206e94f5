"""Where further things go in a scene: on the table, in sight, out of the way, and in the relation that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wow.sim.changes import Thing
from wow.sim.language import VIEW, picture_position

Array = NDArray[np.float64]

PLACES = ("anywhere", "left", "right", "nearer", "farther", "group", "between", "before")
"""anywhere; left or right of the object in the picture, nearer or farther from the camera; together with the others of
the group; on the object's way to its goal; between the object and the camera."""

_LOW, _HIGH = np.array([-0.32, 0.42]), np.array([0.32, 0.92])  # of the table that the camera shows [m]
_CLEAR, _APART, _SPACING = 0.12, 0.075, 0.055
_IN_SIGHT = 0.8
_ASIDE, _SAME = 0.16, 0.1


@dataclass(frozen=True)
class Wish:
    """A thing, and where it is wanted: one of `PLACES`."""

    thing: Thing
    where: str = "anywhere"


def placed(
    wishes: Sequence[Wish], start: Array, goal: Array, random: np.random.Generator, tries: int = 400
) -> tuple[Thing, ...] | None:
    """The things with their places; None where a place was not found. start, goal: of the task's object [3, m]."""
    found: list[Thing] = []
    for wish in wishes:
        for _ in range(tries):
            spot = _spot(wish, found, start, goal, random)
            if spot is not None and _fits(wish, spot, found, start, goal):
                found.append(_standing(wish.thing, spot, wish.where))
                break
        else:
            return None
    return tuple(found)


def _spot(wish: Wish, found: Sequence[Thing], start: Array, goal: Array, random: np.random.Generator) -> Array | None:
    """A place on the table [2] that may do."""
    if wish.where == "before":
        towards = -_level()
        aside = np.array([-towards[1], towards[0]])
        sideways = random.choice([-1.0, 1.0]) * random.uniform(0.02, 0.05)
        return np.asarray(start[:2] + towards * random.uniform(0.1, 0.13) + aside * sideways)
    if wish.where == "between":
        return np.asarray(start[:2] + (goal - start)[:2] * random.uniform(0.45, 0.7))
    if wish.where == "group" and found:
        angle = random.uniform(0.0, 2.0 * np.pi)
        step = (wish.thing.half + found[-1].half) * 1.4
        return np.asarray(np.array(found[-1].at[:2]) + step * np.array([np.cos(angle), np.sin(angle)]))
    return np.asarray(random.uniform(_LOW, _HIGH))


def _fits(wish: Wish, spot: Array, found: Sequence[Thing], start: Array, goal: Array) -> bool:
    apart = _SPACING if wish.where == "group" else _APART
    if any(np.linalg.norm(spot - np.array(other.at[:2])) < apart for other in found):
        return False
    if wish.where in ("between", "before"):
        return float(np.linalg.norm((goal - start)[:2])) > 0.15 or wish.where == "before"
    if _from_way(spot, start[:2], goal[:2]) < _CLEAR:
        return False
    here, there = (np.array(picture_position(np.append(place, 0.02))) for place in (spot, start[:2]))
    if np.abs(here).max() > _IN_SIGHT:
        return False
    across, up = here - there
    aside = {"left": (-across, up), "right": (across, up), "nearer": (-up, across), "farther": (up, across)}
    if wish.where not in aside:
        return True
    wanted, other = aside[wish.where]
    return bool(wanted > _ASIDE and abs(other) < max(_SAME, 0.7 * wanted))


def _standing(thing: Thing, spot: Array, where: str) -> Thing:
    """The thing on the table; a screen faces the camera."""
    level = _level()
    turned = float(np.degrees(np.arctan2(level[1], level[0])) - 90.0) if where == "before" else thing.turned
    at = (round(float(spot[0]), 4), round(float(spot[1]), 4), thing.half + 0.001)
    return replace(thing, at=at, turned=round(turned, 2))


def _level() -> Array:
    """Unit vector on the table, away from the camera [2]."""
    forward = VIEW.axes()[2][:2]
    return np.asarray(forward / np.linalg.norm(forward))


def _from_way(spot: Array, start: Array, goal: Array) -> float:
    """How far a place is from the straight way between two others [m]."""
    way = goal - start
    share = float(np.clip((spot - start) @ way / max(float(way @ way), 1e-9), 0.0, 1.0))
    return float(np.linalg.norm(spot - start - share * way))
