"""Drift: how much worse the end of a video is than its beginning."""

from __future__ import annotations

import numpy as np

from wow.bench.dimensions import contract as c
from wow.types import UInt8

FEWEST_FRAMES = 5


def drift(video: UInt8, truth: UInt8) -> float:
    """Root mean square error in the last quarter of frames 1..T-1 minus that in the first one [grey levels]."""
    error = np.square(video[1:].astype(np.float64) - truth[1:]).mean(axis=(1, 2, 3))
    quarter = max(1, len(error) // 4)
    return float(np.sqrt(error[-quarter:].mean()) - np.sqrt(error[:quarter].mean()))


def measure(case: c.Case, _: c.Tools) -> float:
    """The drift of one sample."""
    if len(case.video) < FEWEST_FRAMES:
        raise c.NotMeasurable(f"drift needs at least {FEWEST_FRAMES} frames, not {len(case.video)}")
    return drift(case.frames(c.VIDEO), case.frames(c.REFERENCE))


METRICS = (c.Metric("drift", "drift", 1, "beyond", (c.TRUTH,), measure, False, -255.0, 255.0, "grey"),)
