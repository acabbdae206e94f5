"""What a fault network is worth on episodes that it did not learn from, and from when on it raises an alarm."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wow.data.agreement import span_overlap
from wow.data.faults import FAULTS
from wow.models.faults import FaultNetwork
from wow.models.fit import fit_frames
from wow.models.judge import FaultJudge, Finding
from wow.train.checkpoint import load_average
from wow.train.faults import FaultObjective, episodes_of, sound, with_fault
from wow.train.store import Clips
from wow.types import WowError

OnDone = Callable[[int, int], None]
ALARMS = 0.05
"""The share of clean videos that may raise an alarm."""
STRONG = 0.4
"""Faults that are measured have at least this strength."""


@dataclass(frozen=True)
class Inspected:
    """What was found in a clip with a fault of some kind; "" for none. span: of the fault."""

    kind: str
    finding: Finding
    span: tuple[int, int] | None = None


def trained_eye(objective: FaultObjective, run: Path) -> FaultJudge:
    """The network with the averaged weights of a run's newest checkpoint, which raises no alarm yet."""
    network = copy.deepcopy(objective.network).cpu()
    assert isinstance(network, FaultNetwork)
    network.load_state_dict(load_average(run))
    return FaultJudge(network.eval())


def calibrate_faults(
    judge: FaultJudge, objective: FaultObjective, *, seed: int = 0, on_done: OnDone = lambda done, total: None
) -> tuple[float, dict[str, float]]:
    """The logit from which on a fault is an alarm, and what is found then.

    One clean recorded clip in twenty, and one imagined in twenty, raise an alarm. found_KIND: share of a fault's clips
    that do, named_KIND: that are also called by their name, overlap_KIND: of the span, over those that do.
    """
    random = np.random.default_rng(seed)
    inspected: dict[bool, list[Inspected]] = {}
    groups = ((False, objective.recorded), (True, objective.imagined))
    kept = {imagined: _held_out(objective, clips, random) for imagined, clips in groups}
    total, done = sum(map(len, kept.values())), 0
    for imagined, episodes in kept.items():
        inspected[imagined] = []
        for number, (clips, episode) in enumerate(episodes):
            inspected[imagined] += _inspect(judge, objective, clips, episode, None if imagined else number, random)
            done += 1
            on_done(done, total)
    clean = [
        [case.finding.logit for case in cases if not case.kind] for cases in inspected.values() if cases
    ]  # by kind of video
    alarm = max(float(np.quantile(logits, 1.0 - ALARMS)) for logits in clean)
    worth = {"false_alarms": float(np.mean(np.array(clean[0]) > alarm))}
    if inspected[True]:
        worth["false_alarms_imagined"] = float(np.mean(np.array(clean[1]) > alarm))
    for kind in FAULTS:
        own = [case for case in inspected[False] if case.kind == kind]
        found = [case for case in own if case.finding.logit > alarm]
        if own:
            worth[f"found_{kind}"] = len(found) / len(own)
            worth[f"named_{kind}"] = sum(case.finding.fault == kind for case in found) / len(own)
        if found:
            overlaps = [span_overlap(case.finding.span, case.span) for case in found if case.span is not None]
            worth[f"overlap_{kind}"] = float(np.mean(overlaps))
    return alarm, {name: round(value, 4) for name, value in worth.items() if math.isfinite(value)}


def _held_out(
    objective: FaultObjective, group: tuple[Clips, ...], random: np.random.Generator
) -> list[tuple[Clips, int]]:
    """Held-out episodes of some datasets, at most `measured`."""
    found = [
        (clips, episode) for clips in group for episode in episodes_of(clips) if objective.holds_out(clips, episode)
    ]
    if group and not found:
        raise WowError("no episode is held out to set the alarm on: give more data")
    return [found[place] for place in sorted(random.permutation(len(found))[: objective.run.measured])]


def _inspect(
    judge: FaultJudge,
    objective: FaultObjective,
    clips: Clips,
    episode: int,
    number: int | None,
    random: np.random.Generator,
) -> list[Inspected]:
    """What is found in an episode, and in it with a fault of the kind whose turn it is; with None, without one."""
    model = objective.run.model
    rows = np.round(np.linspace(0, clips.length(episode) - 1, model.num_frames)).astype(np.int64)
    clean = sound(fit_frames(np.array(clips.frames[int(clips.start[episode]) + rows]), model.size)[0])
    cases = [Inspected("", judge(clean.frames))]
    if number is not None:
        kind = tuple(FAULTS)[number % len(FAULTS)]
        tried = (with_fault(clean, kind, float(random.uniform(STRONG, 1.0)), random) for _ in range(5))
        if (faulty := next((example for example in tried if example is not None), None)) is not None:
            there = np.flatnonzero(faulty.fault_frames.any(axis=1))
            cases.append(Inspected(kind, judge(faulty.frames), (int(there[0]), int(there[-1]))))
    return cases
