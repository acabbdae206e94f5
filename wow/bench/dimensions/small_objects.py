"""Small things by themselves: the error where the object is, which an average over the picture hides."""

from __future__ import annotations

import cv2
import numpy as np

from wow.bench.dimensions import contract as c
from wow.bench.suite import REGIONS

LARGEST_SHARE = 0.05
"""Of the picture; an object that covers more is not small."""
MARGIN = 2
"""Pixels around the object that count as well: its edge, and where it is missing."""


def measure(case: c.Case, _: c.Tools) -> float:
    """Root mean square error over the places where the object truly is, frames 1..T-1 [grey levels]."""
    followed = case.masks(c.REFERENCE, "object")
    where = followed if case.exact is None else case.exact == REGIONS.index("object")
    if where[0].mean() > LARGEST_SHARE:
        raise c.NotMeasurable(f"the object covers more than {LARGEST_SHARE:.0%} of the picture: it is not small")
    kernel = np.ones((2 * MARGIN + 1,) * 2, np.uint8)
    near = np.stack([cv2.dilate(mask.astype(np.uint8), kernel) for mask in where[1:]]).astype(bool)
    if not near.any():
        raise c.NotMeasurable("the object is out of sight after the first frame")
    error = case.frames(c.VIDEO)[1:].astype(np.float64) - case.frames(c.REFERENCE)[1:]
    return float(np.sqrt(np.square(error[near]).mean()))


_NEEDS = (c.TRUTH, c.MASKS)
METRICS = (
    c.Metric("small_object_error", "error on small objects", 1, "beyond", _NEEDS, measure, False, 0.0, 255.0, "grey"),
)
