"""Files of robot actions: what `wow act` writes and `wow replay` executes, checked against a robot's card.

JSON with the meaning of every number beside the numbers:

    {"format": "wow-actions", "version": 1, "robot": "…", "rate": 20.0, "action_kind": "delta",
     "rotation": "roll-pitch-yaw", "gripper": "0 closed, 1 open", "seconds": 0.05,
     "dimensions": [{"name": "delta_x", "unit": "m", "frame": "world", "low": -0.04, "high": 0.04}, …],
     "values": [[…], …], "deviations": [[…], …] or null, "events": […], "confidence": …, "notes": […]}

Bare numbers are read too: .npy of [T, D], or JSON with a list of rows, alone or under "values". They are taken to be in
the card's units, at a pace that nobody knows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.types import Actions, Dimension, Embodiment, Float32, WowError

FORMAT = "wow-actions"
VERSION = 1
LARGEST_FILE = 64_000_000
"""Bytes. Ten hours of 7 numbers 20 times a second are fewer."""

WIDEST_MOVE = {"m": 1.0, "rad": 2 * np.pi}
"""What no single change can exceed at an unknown pace, by unit: across the workspace; a full turn."""

ROUNDING = 1e-5
"""Numbers stored with few digits may stick out of their limits by this share."""

Array = NDArray[np.float64]


def write_actions(
    path: Path,
    actions: Actions,
    *,
    events: Sequence[Mapping[str, object]] = (),
    confidence: float | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Writes actions as JSON under another name first: the file is whole or not there.

    events: what happens at which transition, e.g. {"transition": 7, "gripper": "close"}. confidence: 0 to 1, how far
    the whole file can be trusted. Raises ValueError for values that are not numbers.
    """
    card = actions.embodiment
    content = {
        "format": FORMAT,
        "version": VERSION,
        "robot": card.robot,
        "rate": card.rate,
        "action_kind": card.action_kind,
        "rotation": card.rotation,
        "gripper": card.gripper,
        "seconds": actions.seconds,
        "dimensions": [asdict(dimension) for dimension in card.action],
        "values": _plain(actions.values),
        "deviations": None if actions.deviations is None else _plain(actions.deviations),
        "events": [dict(event) for event in events],
        "confidence": confidence,
        "notes": list(notes),
    }
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(content, allow_nan=False) + "\n")
    part.replace(path)


def read_actions(path: Path, card: Embodiment) -> Actions:
    """The actions in a file, for the robot of `card`.

    Raises WowError, naming the dimension and the row where there is one, for a file that holds no actions, numbers
    that are not finite, another width, unit, coordinate frame, rotation form or gripper sign than the card's, and
    values beyond its limits. The card limits changes per recorded step; over a longer transition the limit grows with
    its time. At an unknown pace a change may reach across the workspace (`WIDEST_MOVE`).
    """
    content = _content(path)
    stated = content if isinstance(content, dict) else {}
    values = _matrix(path, content["values"] if isinstance(content, dict) else content, card, "values")
    if "dimensions" in stated:
        _check_conventions(path, stated, card)
    seconds = _seconds(path, stated.get("seconds"))
    deviations = stated.get("deviations")
    actions = Actions(
        values=values.astype(np.float32),
        embodiment=card,
        seconds=seconds,
        deviations=None if deviations is None else _deviations(path, deviations, values, card),
    )
    check_limits(path, actions)
    return actions


def read_events(path: Path) -> list[dict[str, object]]:
    """The gripper events that a file of actions tells of; none where it holds bare numbers.

    Only those that a picture can show: a transition of the file, and a word.
    """
    content = _content(path)
    told = content.get("events") if isinstance(content, dict) else None
    count = len(content["values"]) if isinstance(content, dict) else 0
    events = [event for event in told if isinstance(event, dict)] if isinstance(told, list) else []
    return [
        {"transition": event["transition"], "gripper": str(event.get("gripper", ""))[:20]}
        for event in events
        if isinstance(event.get("transition"), int) and 0 <= event["transition"] < count
    ]


def check_limits(origin: Path | str, actions: Actions) -> None:
    """Raises WowError naming the first dimension and row of a value beyond what the card, or anything, allows."""
    for place, dimension in enumerate(actions.embodiment.action):
        low, high = _limits(dimension, actions)
        column = actions.values[:, place].astype(np.float64)
        slack = ROUNDING * max(abs(low), abs(high), 1e-3) if np.isfinite([low, high]).all() else 0.0
        if (beyond := np.flatnonzero((column < low - slack) | (column > high + slack))).size:
            row = int(beyond[0])
            pace = "at an unknown pace" if actions.seconds is None else f"in {actions.seconds:g} s"
            raise WowError(
                f"{origin}: {dimension.name} of row {row} is {column[row]:g}{_unit(dimension)}, beyond "
                f"{low:g} to {high:g} that {actions.embodiment.robot} can do {pace}"
            )


def _limits(dimension: Dimension, actions: Actions) -> tuple[float, float]:
    """What a value may be: the card's limits, over the time of a transition where it is a change."""
    card = actions.embodiment
    low = -np.inf if dimension.low is None else dimension.low
    high = np.inf if dimension.high is None else dimension.high
    if card.action_kind != "delta" or dimension.unit not in WIDEST_MOVE:
        return low, high
    if actions.seconds is None:
        return -WIDEST_MOVE[dimension.unit], WIDEST_MOVE[dimension.unit]
    steps = max(actions.seconds * card.rate, 1.0)
    return low * steps, high * steps


def _content(path: Path) -> Any:
    """What the file holds: an array, a list, or an object with "values"."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise WowError(f"{path} is larger than {LARGEST_FILE // 10**6} MB: that is no file of actions")
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise WowError(f"there is no file of actions at {path}") from None
    except (ValueError, OSError, EOFError, RecursionError) as error:
        raise WowError(_no_actions(path, str(error))) from None
    if isinstance(found, dict):
        if found.get("format", FORMAT) != FORMAT or "values" not in found:
            raise WowError(_no_actions(path, 'there is no "values"'))
        if found.get("version", VERSION) != VERSION:
            raise WowError(f"{path} is of version {found['version']!r}; this wow reads version {VERSION}: update wow")
    elif not isinstance(found, list):
        raise WowError(_no_actions(path, f"it is a {type(found).__name__}"))
    return found


def _no_actions(path: Path, why: str) -> str:
    return f'{path} holds no actions ({why}): give .npy of [T, 7] or JSON {{"values": [[…], …]}}'


def _matrix(path: Path, found: Any, card: Embodiment, what: str) -> Array:
    """The numbers as [T, D], all finite."""
    wanted = ", ".join(f"{dimension.name}{_unit(dimension)}" for dimension in card.action)
    try:
        values = np.array(found)
    except ValueError:
        raise WowError(f"{path}: the rows of {what} are not equally long: each has {wanted}") from None
    if values.dtype.kind not in "fiu" and values.size:
        raise WowError(_no_numbers(path, found, card, what))
    if values.ndim != 2 or values.shape[1] != len(card.action) or len(values) == 0:
        raise WowError(f"{path}: {what} are {list(values.shape)}, not [T, {len(card.action)}] of {wanted}")
    matrix: Array = values.astype(np.float64)
    if (wrong := np.argwhere(~np.isfinite(matrix))).size:
        row, place = (int(number) for number in wrong[0])
        raise WowError(f"{path}: {card.action[place].name} of row {row} in {what} is not a number: mend the file")
    return matrix


def _no_numbers(path: Path, found: Any, card: Embodiment, what: str) -> str:
    """Which entry is not a number."""
    for row, entries in enumerate(found if isinstance(found, list) else ()):
        for dimension, entry in zip(card.action, entries if isinstance(entries, list) else (), strict=False):
            if isinstance(entry, bool) or not isinstance(entry, int | float):
                return f"{path}: {dimension.name} of row {row} in {what} is {entry!r}, not a number: mend the file"
    return _no_actions(path, f"{what} are not numbers")


def _deviations(path: Path, found: Any, values: Array, card: Embodiment) -> Float32:
    deviations = _matrix(path, found, card, "deviations")
    if deviations.shape != values.shape or (deviations < 0).any():
        raise WowError(f"{path}: deviations are {list(values.shape)} like the values, and none is negative")
    return deviations.astype(np.float32)


def _seconds(path: Path, found: object) -> float | None:
    """The robot time of a transition."""
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 3600:
        raise WowError(f'{path}: "seconds" is {found!r}; it is the robot time of a transition, or null where unknown')
    return float(found)


def _check_conventions(path: Path, stated: Mapping[str, Any], card: Embodiment) -> None:
    """Raises WowError where the file means other things by its numbers than the card."""
    dimensions = stated["dimensions"]
    if not isinstance(dimensions, list) or not all(isinstance(each, dict) for each in dimensions):
        raise WowError(f'{path}: "dimensions" is a list of {{"name", "unit", "frame"}}, one for each column')
    if len(dimensions) != len(card.action):
        raise WowError(f"{path}: {len(dimensions)} dimensions are described, {card.robot} has {len(card.action)}")

    def stated_or_unknown(key: str, told: Mapping[str, Any] = stated) -> str:
        return str(told.get(key, "unknown"))

    theirs = tuple(
        Dimension(stated_or_unknown("name", each), stated_or_unknown("unit", each), stated_or_unknown("frame", each))
        for each in dimensions
    )
    kind, rotation, gripper = (stated_or_unknown(key) for key in ("action_kind", "rotation", "gripper"))
    meant = Embodiment(card.robot, card.rate, theirs, action_kind=kind, rotation=rotation, gripper=gripper)
    if difference := card.difference(meant):
        raise WowError(f"{path}: {difference}: convert the file")


def _unit(dimension: Dimension) -> str:
    return "" if dimension.unit in ("1", "unknown") else f" [{dimension.unit}]"


def _plain(values: Float32) -> list[list[float]]:
    """Rows of the shortest numbers that are read back as the very same float32."""
    return [[float(str(value)) for value in row] for row in values.astype(np.float32)]
