"""Action sensitivity: does the video change when the instruction, or the action, does?

The same first frame and noise, another sample's instruction, or by forward dynamics another sample's actions in place
of its own: a model that does not listen shows the same twice.
"""

from __future__ import annotations

import numpy as np

from wow.bench.align import spread
from wow.bench.dimensions import contract as c
from wow.types import UInt8


def sensitivity(video: UInt8, other: UInt8) -> float:
    """|a - b| / (|a - first| + |b - first|), root mean squares: 0 for the same video twice, 1 where nothing is shared.

    By the triangle inequality it is at most 1. Where nothing moves in either there is nothing to hear with: 0.
    """
    length = min(len(video), len(other))
    one, two = (frames[spread(len(frames), length)].astype(np.float64) for frames in (video, other))
    moved = _rms(one - one[:1]) + _rms(two - one[:1])
    return _rms(one - two) / moved if moved > 0 else 0.0


def measure(case: c.Case, _: c.Tools) -> float:
    """The sensitivity of one sample."""
    assert case.other is not None
    return sensitivity(case.video, case.other)


def dynamics(case: c.Case, _: c.Tools) -> float:
    """The same for actions."""
    assert case.acted is not None
    return sensitivity(*case.acted)


def _rms(difference: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(np.sqrt(np.square(difference).mean()))


METRICS = (
    c.Metric("action_sensitivity", "action sensitivity", 1, "beyond", (c.OTHER,), measure, True, 0.0, 1.0),
    c.Metric(
        "action_sensitivity_dynamics", "action sensitivity, by actions", 1, "beyond", (c.DYNAMICS,), dynamics, True,
        0.0, 1.0,
    ),
)  # fmt: skip
