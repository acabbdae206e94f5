"""What only a judge can rate: does the video do what was asked, and does it obey physics? By the papers' rubrics.

The rubrics are the Markdown files in `wow/bench/rubrics`; what an answer has to look like is said here.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from wow.bench.dimensions import contract as c
from wow.bench.rubric import load_rubric, read_ratings
from wow.types import Video

CAPTION = ("initial_state", "processing_state", "final_state", "action", "object")
PHYSICS = ("interaction", "properties", "causality", "light", "fluids", "anomalies")


def measure(case: c.Case, tools: c.Tools, name: str, fields: tuple[str, ...], low: float, high: float) -> c.Measurement:
    """The mean of the fields' ratings, averaged over the trials; the parts are the trials."""
    assert tools.judge is not None
    rubric = load_rubric(name, fields, low, high)
    videos = {"generated": Video(case.video, case.fps)}
    if case.truth is not None:
        videos["truth"] = Video(case.truth, case.fps)
    texts = {"instruction": case.sample.prompt}
    ratings = [
        float(np.mean(read_ratings(tools.judge.ask(rubric, videos, texts, trial), fields, low, high)))
        for trial in range(tools.trials)
    ]
    return c.Measurement(float(np.mean(ratings)), parts=tuple(ratings))


def _metric(
    name: str, title: str, group: str, fields: tuple[str, ...], low: float, high: float, *needs: str
) -> c.Metric:
    asked = partial(measure, name=name, fields=fields, low=low, high=high)
    return c.Metric(name, title, 1, group, (c.JUDGE, *needs), asked, True, low, high)


METRICS = (
    _metric("caption_score", "caption score", "instruction", CAPTION, 1.0, 5.0, c.TRUTH),
    _metric("sequence_match", "sequence match", "instruction", ("match",), 0.0, 1.0),
    _metric("execution_quality", "execution quality", "instruction", ("quality",), 1.0, 5.0),
    _metric("physical_score", "physical score", "physical", PHYSICS, 1.0, 5.0),
)
