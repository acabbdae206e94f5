"""The embodiment card: what each number of a robot's actions and states means, as JSON beside the data."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wow.types import Camera, Dimension, Embodiment, Statistics, WowError

CARD = "meta/embodiment.json"


def embodiment_to_json(embodiment: Embodiment) -> dict[str, Any]:
    """The card as plain JSON values."""
    return dataclasses.asdict(dataclasses.replace(embodiment, statistics=dict(embodiment.statistics)))


def embodiment_from_json(card: Mapping[str, Any], origin: str = "embodiment card") -> Embodiment:
    """The card from plain JSON values. Raises WowError naming `origin` and what is missing or wrong."""
    try:
        plain = ("action_kind", "rotation", "gripper")
        stated: dict[str, Any] = {key: card[key] for key in plain if key in card}
        read = Embodiment(
            robot=card["robot"],
            rate=card["rate"],
            **stated,
            action=tuple(Dimension(**each) for each in card["action"]),
            state=tuple(Dimension(**each) for each in card.get("state", ())),
            cameras=tuple(Camera(**each) for each in card.get("cameras", ())),
            statistics={key: _statistics(each) for key, each in card.get("statistics", {}).items()},
            unknown=tuple(card.get("unknown", ())),
        )
    except (KeyError, TypeError, AttributeError) as problem:
        raise WowError(f"{origin}: not an embodiment card ({problem}); it needs robot, rate and action") from problem
    _check_numbers(read, origin)
    return read


def _check_numbers(card: Embodiment, origin: str) -> None:
    """Raises WowError for a rate that is none, and for limits that nothing lies between."""
    if not _is_number(card.rate) or not 0 < card.rate < math.inf:
        raise WowError(f"{origin}: rate is {card.rate!r}; it is the actions in a second of robot time, above 0")
    for dimension in (*card.action, *card.state):
        low, high = dimension.low, dimension.high
        if not all(limit is None or _is_number(limit) for limit in (low, high)):
            raise WowError(f"{origin}: the limits of {dimension.name} are {low!r} and {high!r}: give numbers or null")
        if low is not None and high is not None and low > high:
            raise WowError(f"{origin}: {dimension.name} reaches from {low:g} to {high:g}: low is not to be above high")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _statistics(values: Mapping[str, Any]) -> Statistics:
    vectors = {key: tuple(value) for key, value in values.items() if key != "count"}
    return Statistics(count=int(values["count"]), **vectors)


def read_embodiment(path: Path) -> Embodiment:
    """The card in the file `path`."""
    try:
        card = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise WowError(f"{path}: not a readable embodiment card ({problem})") from problem
    if not isinstance(card, dict):
        raise WowError(f"{path}: not an embodiment card: it holds {type(card).__name__}, not an object")
    return embodiment_from_json(card, str(path))


def write_embodiment(path: Path, embodiment: Embodiment) -> None:
    """Write the card to the file `path`, replacing what is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(embodiment_to_json(embodiment), indent=1))


def same_robot(first: Embodiment, second: Embodiment) -> bool:
    """Whether two cards describe the same numbers: everything but statistics, cameras and remarks agrees."""

    def essence(card: Embodiment) -> Embodiment:
        return dataclasses.replace(card, statistics={}, cameras=(), unknown=())

    return essence(first) == essence(second)


def infer_embodiment(
    *,
    robot: str,
    rate: float,
    action_names: Sequence[str],
    state_names: Sequence[str] = (),
    cameras: Sequence[Camera] = (),
    unknown: Sequence[str] = (),
) -> Embodiment:
    """A card for data that came without one: names as found, units where names tell them, the rest named as unknown."""
    action = tuple(_dimension(name) for name in action_names)
    state = tuple(_dimension(name) for name in state_names)
    remarks = list(unknown)
    without_unit = sorted({d.name for d in (*action, *state) if d.unit == "unknown"})
    if without_unit:
        shown = ", ".join(without_unit[:4]) + (f" and {len(without_unit) - 4} more" if len(without_unit) > 4 else "")
        remarks.append(f"the units of {shown} are not stated")
    if action:
        remarks.append("the coordinate frame, limits and gripper sign of the action are not stated")
        remarks.append("whether actions are changes or targets is not stated")
    else:
        remarks.append("the data holds no actions")
    return Embodiment(robot, rate, action, state, cameras=tuple(cameras), unknown=tuple(remarks))


def _dimension(name: str) -> Dimension:
    """A dimension whose unit follows from its name, where a name can tell: roll and yaw are angles everywhere."""
    last = name.lower().replace(".", "_").split("_")[-1]
    return Dimension(name, "rad" if last in {"roll", "pitch", "yaw"} else "unknown")
