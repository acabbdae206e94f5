"""LPIPS: how different two pictures look to a network that was fitted to people's judgement."""

from __future__ import annotations

from wow.bench.dimensions import contract as c


def measure(case: c.Case, tools: c.Tools) -> float:
    """Mean over frames 1..T-1."""
    assert tools.perceptual is not None
    return c.one_number(tools.perceptual(case.frames(c.VIDEO)[1:], case.frames(c.REFERENCE)[1:]).tolist())


METRICS = (c.Metric("lpips", "LPIPS", 1, "visual", (c.TRUTH, c.LPIPS), measure, False, 0.0, 1.0),)
