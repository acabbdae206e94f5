"""Execution, the IDM Turing test: are the actions that a video shows good enough to do the task?

Beside two numbers that say what it could be: of the truth, read in the same way at the same frames (the ceiling), and
of the video's own actions in a random order (the floor).

A video out of which no actions can be read (it is blank) does not do the task: that is a failure, not a gap, or a model
would be better off for showing nothing. A truth that cannot be read is a gap: it says nothing of what could be.
"""

from __future__ import annotations

import json

from wow.bench.dimensions import contract as c
from wow.bench.suite import SCENE
from wow.types import Video

CEILING_VERSION = 2
"""Of what the truth comes to, which is kept for all runs of a suite."""


def measure(case: c.Case, tools: c.Tools) -> float:
    """1 where the actions read out of the video do the sample's task in the simulator, else 0."""
    return _succeeds(case, tools, shuffled=False)


def ceiling(case: c.Case, tools: c.Tools) -> float:
    """The same for what really happened."""
    executor, truth = tools.executor, Video(case.frames(c.REFERENCE), case.fps)
    assert executor is not None
    scene = json.dumps(case.sample.meta.facts.get(SCENE), sort_keys=True)
    what = f"executed by {executor.name} in {scene}, version {CEILING_VERSION}"
    return tools.of_the_truth(what, truth.frames, lambda: [float(executor(truth, case.sample))])[0]


def floor(case: c.Case, tools: c.Tools) -> float:
    """The same for the video's actions, shuffled."""
    return _succeeds(case, tools, shuffled=True)


def _succeeds(case: c.Case, tools: c.Tools, shuffled: bool) -> float:
    assert tools.executor is not None
    try:
        return float(tools.executor(Video(case.video, case.fps), case.sample, shuffled=shuffled))
    except c.Unreadable:
        return 0.0


_NEEDS = (c.SIMULATOR,)
METRICS = (
    c.Metric("executed_success", "executed success", 3, "execution", _NEEDS, measure, True, 0.0, 1.0),
    c.Metric(
        "executed_truth",
        "executed success of the truth",
        CEILING_VERSION,
        "execution",
        (c.TRUTH, *_NEEDS),
        ceiling,
        True,
        0.0,
        1.0,
    ),
    c.Metric("executed_shuffled", "executed success, shuffled", 3, "execution", _NEEDS, floor, True, 0.0, 1.0),
)
