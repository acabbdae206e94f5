"""Planning: a judge names the steps that a video shows; they are compared with the sample's graph of key steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wow.bench.dimensions import contract as c
from wow.bench.plans import Node, PlanGraph, chain, long_horizon, node_correctness, score_plan
from wow.bench.rubric import load_text
from wow.types import Video, WowError

_STEP: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "skill": {"type": "string"},
        "object": {"type": "string"},
        "arguments": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["skill", "object"],
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "steps": {"type": "array", "items": _STEP},
        "task_completion": {"type": "number", "minimum": 0.0, "maximum": 1.0},
    },
    "required": ["steps", "task_completion"],
}


def graph_of(case: c.Case) -> PlanGraph:
    """The sample's key steps, each written "skill: object: argument, argument" or as a skill alone."""
    nodes = tuple(_node(step) for step in case.sample.meta.plan)
    edges = case.sample.meta.plan_edges
    return chain(nodes) if edges is None else PlanGraph(nodes, edges)


def _node(step: str) -> Node:
    skill, _, rest = step.partition(":")
    thing, _, arguments = rest.partition(":")
    return Node(skill.strip(), thing.strip(), tuple(part.strip() for part in arguments.split(",") if part.strip()))


def plan(case: c.Case, tools: c.Tools) -> c.Measurement:
    """S_plan, 0 to 100."""
    graph = graph_of(case)
    found = [score_plan(graph, steps).plan for steps, _ in _answers(case, tools)]
    return c.Measurement(float(np.mean(found)), parts=tuple(found))


def horizon(case: c.Case, tools: c.Tools) -> c.Measurement:
    """50 (node correctness + task completion), 0 to 100."""
    graph = graph_of(case)
    found = [long_horizon(node_correctness(graph, steps), done) for steps, done in _answers(case, tools)]
    return c.Measurement(float(np.mean(found)), parts=tuple(found))


def _answers(case: c.Case, tools: c.Tools) -> list[tuple[list[Node], float]]:
    """The steps and the completion that the judge sees, for each trial; asked once for all metrics."""
    judge = tools.judge
    assert judge is not None
    rubric = c.Rubric("plan", load_text("plan"), SCHEMA)
    texts = {"instruction": case.sample.prompt, "steps": "\n".join(case.sample.meta.plan)}
    videos = {"generated": Video(case.video, case.fps)}
    answers = case.once("plan", lambda: [judge.ask(rubric, videos, texts, trial) for trial in range(tools.trials)])
    return [_read(answer) for answer in answers]


def _read(answer: object) -> tuple[list[Node], float]:
    """The steps and the completion in an answer. Raises WowError for one that does not fit the schema."""
    if not isinstance(answer, dict) or not isinstance(answer.get("steps"), list):
        raise WowError("the judge's answer names no steps")
    done = answer.get("task_completion")
    if isinstance(done, bool) or not isinstance(done, int | float) or not 0 <= done <= 1:
        raise WowError(f"the judge's task_completion is {done!r}, not a number from 0 to 1")
    steps: list[Node] = []
    for step in answer["steps"]:
        if not isinstance(step, dict) or not isinstance(step.get("skill"), str):
            raise WowError("a step in the judge's answer has no skill")
        arguments = step.get("arguments") or ()
        steps.append(Node(step["skill"], str(step.get("object", "")), tuple(str(one) for one in arguments)))
    return steps, float(done)


_NEEDS = (c.PLAN, c.JUDGE)
METRICS = (
    c.Metric("plan", "plan", 1, "planning", _NEEDS, plan, True, 0.0, 100.0),
    c.Metric("long_horizon", "long horizon", 1, "planning", _NEEDS, horizon, True, 0.0, 100.0),
)
