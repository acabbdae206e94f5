"""What a model's errors were on held-out episodes: how to read its scales as deviations, and what it was used to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow.types import WowError

Array = NDArray[np.float64]

WITHIN_ONE = 0.6827
"""The share of errors that lie within one deviation."""


ELSEWHERE = 0.025
"""The share of a picture that may change away from the robot, where that was not measured: a few times what it is under
a camera that stands still."""


LOOK_GRID = 8
"""Cells along each side of a picture whose colours tell what it looks like."""


@dataclass(frozen=True)
class Look:
    """What pictures looked like: mean and deviation [LOOK_GRID * LOOK_GRID * 3] of the colours of cells [of 255], and
    how far a picture may be from that, as in `wow.act.confidence.unlike`."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    most: float


@dataclass(frozen=True)
class Ranges:
    """What was seen on held-out episodes: low and high bounds, or high ones.

    seconds: robot time from frame to frame. robot: the share of the picture that the robot fills. changed: the share
    of a picture that changes from a frame to the next. spread: the mean deviation of a step, in spreads of the
    actions. disagreement: of steps and places, in their deviations. elsewhere: the share of a picture that changes away
    from the robot. look: what pictures looked like, None where that was not measured.
    """

    seconds: tuple[float, float]
    robot: tuple[float, float]
    changed: float
    spread: float
    disagreement: float
    elsewhere: float = ELSEWHERE
    look: Look | None = None


@dataclass(frozen=True)
class Calibration:
    """deviation = temperature x the scale that the network predicts, per dimension of actions and places.

    fused: further temperatures of the deviations [D] that come out of the fusion: neighbouring frames err alike, which
    the fusion does not know.
    """

    action: tuple[float, ...]
    place: tuple[float, ...]
    fused: tuple[float, ...]
    ranges: Ranges


def temperature(errors: Array, scales: Array) -> Array:
    """Per dimension [D], the factor by which scales [N, D] become deviations: 68 % of errors [N, D] lie within one.

    1 where an error is always 0. A share instead of a mean square, so that a few wild errors do not decide it.
    """
    found: Array = np.quantile(np.abs(errors) / np.maximum(scales, 1e-12), WITHIN_ONE, axis=0)
    return np.where(found > 0, found, 1.0)


def calibration_from_json(document: Mapping[str, Any], origin: str) -> Calibration:
    """The calibration that `dataclasses.asdict` wrote. Raises WowError naming `origin` where it is not one."""
    try:
        rows = {key: tuple(float(x) for x in document[key]) for key in ("action", "place", "fused")}
        ranges = document["ranges"]
        seconds, robot = ((float(low), float(high)) for low, high in (ranges["seconds"], ranges["robot"]))
        highest = {key: float(ranges[key]) for key in ("changed", "spread", "disagreement")}
        highest["elsewhere"] = float(ranges.get("elsewhere", ELSEWHERE))
        look = None if ranges.get("look") is None else _look(ranges["look"])
        return Calibration(**rows, ranges=Ranges(seconds, robot, **highest, look=look))
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise WowError(f"{origin}: its calibration cannot be read ({problem!r}); train and export it again") from None


def _look(document: Mapping[str, Any]) -> Look:
    mean, deviation = (tuple(float(x) for x in document[key]) for key in ("mean", "deviation"))
    if not len(mean) == len(deviation) == LOOK_GRID * LOOK_GRID * 3:
        raise ValueError(f"a look has {LOOK_GRID * LOOK_GRID * 3} colours")
    return Look(mean, deviation, float(document["most"]))
