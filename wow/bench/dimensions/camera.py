"""Camera: whether the viewpoint moves as it really did; most of the time, not at all."""

from __future__ import annotations

from wow.bench.dimensions import contract as c
from wow.bench.paths import absolute_error, relative_error


def ate(case: c.Case, _: c.Tools) -> float:
    """Absolute error of the camera's path, in shares of the picture."""
    return absolute_error(case.camera(c.VIDEO), case.camera(c.REFERENCE))


def rpe(case: c.Case, _: c.Tools) -> float:
    """Error of its single steps."""
    return relative_error(case.camera(c.VIDEO), case.camera(c.REFERENCE))


METRICS = (
    c.Metric("camera_ate", "camera ATE", 1, "physical", (c.TRUTH,), ate, False, 0.0, float("inf"), "picture"),
    c.Metric("camera_rpe", "camera RPE", 1, "physical", (c.TRUTH,), rpe, False, 0.0, float("inf"), "picture"),
)
