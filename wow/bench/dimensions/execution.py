"""Execution, the IDM Turing test: are the actions that a video shows good enough to do the task?"""

from __future__ import annotations

from wow.bench.dimensions import contract as c
from wow.types import Video


def measure(case: c.Case, tools: c.Tools) -> float:
    """1 where the actions read out of the video do the sample's task in the simulator, else 0."""
    assert tools.executor is not None
    return float(tools.executor(Video(case.video, case.fps), case.sample))


METRICS = (c.Metric("executed_success", "executed success", 1, "execution", (c.SIMULATOR,), measure, True, 0.0, 1.0),)
