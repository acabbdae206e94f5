"""What a network says of a clip, made into the most likely actions: steps and places fused, gripper events found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wow.act.calibration import Calibration
from wow.act.confidence import Confidence
from wow.act.fuse import fuse
from wow.act.gripper import EVENT_SHARE, GripperEvent, find_commands, find_events
from wow.act.turning import fuse_turns
from wow.models.idm import PLACES
from wow.types import Actions, Embodiment, Float32

Array = NDArray[np.float64]

KNOWN = 1e-4
"""The deviation of a place that was given [m]."""


@dataclass(frozen=True)
class Layout:
    """Which numbers of an action are what.

    moves: the three changes of the hand's target that add up to its place [m]; empty where there are none. gripper: the
    gripper's command, None where there is none. shortest, longest: robot time between frames that was trained for [s].
    """

    moves: tuple[int, ...]
    gripper: int | None
    shortest: float
    longest: float


@dataclass(frozen=True)
class Raw:
    """What the network says of one clip of T+1 frames; scales are not yet deviations.

    action, action_scale [T, D]. chances [T, 3]: that the gripper's command stays, rises, falls. place, place_scale
    [T+1, P]: x, y, z of the hand's target [m] and the gripper's opening, and, where the model tells, how the hand is
    turned, a rotation vector [rad] from its reference; a scale is infinite where nothing is known.
    robot [T+1]: the share of the picture that the robot fills; cells [T+1, h/4, w/4]: of each cell of it.
    """

    action: Array
    action_scale: Array
    chances: Array
    place: Array
    place_scale: Array
    robot: Array
    cells: Float32 | None = None


@dataclass(frozen=True)
class Reading:
    """What a video of T+1 frames says.

    path: the hand's target in each frame [T+1, 3, m]; only its differences mean something where the model knows no
    places. path_deviations: of the same shape. opening: of the gripper in each frame [T+1], 0 to 1, NaN where unknown.
    disagreement: of steps and places, in their deviations. confidence: how far to trust it all. notes: what was done to
    the video and what speaks against the actions, in sentences.
    """

    actions: Actions
    path: Array
    path_deviations: Array
    opening: Array
    events: tuple[GripperEvent, ...]
    disagreement: float
    confidence: Confidence = field(default_factory=lambda: Confidence(1.0))
    notes: tuple[str, ...] = ()


def conclude(
    raw: Raw,
    card: Embodiment,
    layout: Layout,
    calibration: Calibration | None,
    *,
    seconds: float | None = None,
    start: Float32 | None = None,
) -> Reading:
    """The most likely actions of a clip. start: the hand's target in the first frame [3, m], where it is known."""
    values, deviations = raw.action.copy(), raw.action_scale.copy()
    places, around = raw.place.copy(), raw.place_scale.copy()
    if calibration is not None:
        deviations *= np.array(calibration.action)
        around *= np.array(calibration.place)
    if start is not None:
        places[0, :3], around[0, :3] = start, KNOWN
    low, high = limits_of(card, seconds)
    path, path_deviations, disagreement = _follow(values, deviations, places, around, layout.moves, (low, high))
    if (turns := list(card.turns)) and np.isfinite(around[:, PLACES:]).all() and around.shape[1] > PLACES:
        values[:, turns], deviations[:, turns] = fuse_turns(
            values[:, turns], deviations[:, turns], places[:, PLACES:], around[:, PLACES:], local=card.turns_locally
        )
    events: tuple[GripperEvent, ...] = ()
    if (grip := layout.gripper) is not None:
        least, most = (float(np.nan_to_num(row[grip], neginf=0.0, posinf=1.0)) for row in (low, high))
        values[:, grip], deviations[:, grip] = find_commands(
            values[:, grip], deviations[:, grip], raw.chances, least, most
        )
        events = find_events(values[:, grip], raw.chances, card.gripper, EVENT_SHARE * (most - least))
    if calibration is not None:
        deviations *= np.array(calibration.fused)
    values = np.clip(values, low, high)
    actions = Actions(values.astype(np.float32), card, seconds, deviations.astype(np.float32))
    opening = np.where(np.isfinite(around[:, 3]), np.clip(places[:, 3], 0.0, 1.0), np.nan)
    return Reading(actions, path, path_deviations, opening, events, disagreement)


def limits_of(card: Embodiment, seconds: float | None) -> tuple[Array, Array]:
    """The least and the most [D] that an action may be; infinite where the card states none.

    A card's limits of changes are for one step at its rate; at an unknown pace there is no telling how many there are.
    """
    low = np.array([-np.inf if dim.low is None else dim.low for dim in card.action])
    high = np.array([np.inf if dim.high is None else dim.high for dim in card.action])
    grows = card.adds_up
    if seconds is None:
        return np.where(grows, -np.inf, low), np.where(grows, np.inf, high)
    steps = np.where(grows, max(seconds * card.rate, 1.0), 1.0)
    return low * steps, high * steps


def keep_within(path: Array, low: float, high: float) -> Array:
    """The path [T+1] whose steps are within limits and which catches up with the given one as fast as they allow."""
    kept = path.copy()
    for i in range(1, len(path)):
        kept[i] = kept[i - 1] + min(max(path[i] - kept[i - 1], low), high)
    return kept


def _follow(
    values: Array,
    deviations: Array,
    places: Array,
    around: Array,
    moves: tuple[int, ...],
    limits: tuple[Array, Array],
) -> tuple[Array, Array, float]:
    """Writes the fused steps into `values` and `deviations`; returns the path, its deviations and the disagreement."""
    path, path_deviations = np.zeros((len(places), 3)), np.full((len(places), 3), np.inf)
    squares = [0.0]
    for axis, column in enumerate(moves):
        fused = fuse(values[:, column], deviations[:, column], places[:, axis], around[:, axis])
        path[:, axis] = keep_within(fused.path, limits[0][column], limits[1][column])
        path_deviations[:, axis], deviations[:, column] = fused.deviations, fused.of_steps
        values[:, column] = np.diff(path[:, axis])
        squares.append(fused.disagreement**2)
    return path, path_deviations, float(np.sqrt(sum(squares) / max(len(moves), 1)))
