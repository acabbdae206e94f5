"""SSIM: whether the same structures are in the same places."""

from __future__ import annotations

from wow.bench.dimensions.contract import REFERENCE, TRUTH, VIDEO, Case, Metric, NotMeasurable, Tools, one_number
from wow.bench.metrics import ssim

SMALLEST_SIDE = 11


def measure(case: Case, _: Tools) -> float:
    """Mean over frames 1..T-1."""
    if min(case.video.shape[1:3]) < SMALLEST_SIDE:
        raise NotMeasurable(f"SSIM looks at {SMALLEST_SIDE} pixels at once: the pictures are smaller")
    return one_number(ssim(case.frames(VIDEO)[1:], case.frames(REFERENCE)[1:]).tolist())


METRICS = (Metric("ssim", "SSIM", 1, "visual", (TRUTH,), measure, True, -1.0, 1.0),)
