"""PSNR: how far pixels are off, on a logarithmic scale."""

from __future__ import annotations

from wow.bench.dimensions.contract import REFERENCE, TRUTH, VIDEO, Case, Metric, Tools, one_number
from wow.bench.metrics import PSNR_CEILING, psnr


def measure(case: Case, _: Tools) -> float:
    """Mean over frames 1..T-1 [dB]."""
    return one_number(psnr(case.frames(VIDEO)[1:], case.frames(REFERENCE)[1:]).tolist())


METRICS = (Metric("psnr", "PSNR", 1, "visual", (TRUTH,), measure, True, 0.0, PSNR_CEILING, "dB"),)
