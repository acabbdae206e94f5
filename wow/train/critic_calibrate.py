"""What a trained critic is worth on held-out episodes: how to read its logits, and how often it is right."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wow.act.planner import clip_rows
from wow.data.agreement import auroc, calibration_error, span_overlap
from wow.data.faults import FAULTS, apply, is_visible
from wow.models.critic import CriticNetwork
from wow.models.judge import Calibration, Judge, Opinion, fit_chance
from wow.models.text import TextConditioner
from wow.train.checkpoint import load_average
from wow.train.critic import CriticObjective
from wow.train.critic_data import CriticSource, rows_to
from wow.types import UInt8, WowError

OnDone = Callable[[int, int], None]

FEWEST = 40
"""Imagined videos from which on the calibration is theirs alone."""
ALARMS = 0.05
"""The share of clean videos that may raise an alarm."""


@dataclass(frozen=True)
class Judged:
    """What the critic says of a held-out video. kind: "real", "imagined", "unfinished", "wrong_goal" or a fault's name.

    reached: whether the goal is. span: of the fault that was put in.
    """

    kind: str
    reached: bool
    opinion: Opinion
    span: tuple[int, int] | None = None


def trained_judge(objective: CriticObjective, run: Path, text: TextConditioner) -> Judge:
    """The critic with the averaged weights of a run's newest checkpoint, not yet calibrated."""
    network = copy.deepcopy(objective.network).cpu()
    assert isinstance(network, CriticNetwork)
    network.load_state_dict(load_average(run))
    return Judge(network.eval(), text)


def calibrate_critic(
    judge: Judge, objective: CriticObjective, *, seed: int = 0, on_done: OnDone = lambda done, total: None
) -> tuple[Calibration, dict[str, float]]:
    """The calibration of a critic on held-out episodes, and what it is worth there (see `worth_of`)."""
    random = np.random.default_rng(seed)
    episodes = _held_out(objective, random)
    judged: list[Judged] = []
    for number, (source, episode) in enumerate(episodes):
        judged.extend(_judge(judge, objective, source, episode, number, random))
        on_done(number + 1, len(episodes))
    imagined = [case for case in judged if case.kind == "imagined"]
    fitting = imagined if len(imagined) >= FEWEST else [case for case in judged if case.kind not in FAULTS]
    logits = np.array([case.opinion.logit for case in fitting])
    slope, offset = fit_chance(logits, np.array([case.reached for case in fitting]))
    clean = [case.opinion.fault_logit for case in judged if case.kind == "real"]
    alarm = float(np.quantile(clean, 1.0 - ALARMS)) if clean else 0.0
    calibration = Calibration(slope, offset, alarm)
    return calibration, worth_of(judged, calibration)


def worth_of(judged: list[Judged], calibration: Calibration) -> dict[str, float]:
    """Numbers that hold on the episodes that were judged.

    auroc, calibration_error: of success on whole recordings with their own goal; with imagined_ before them, on
    imagined videos. unfinished_…, wrong_goal_auroc: successes against recordings cut before the goal, and against
    other tasks' goals. false_alarms: of clean recordings. found_KIND: share of a fault's videos that raise an alarm,
    named_KIND: that are also called by their name, overlap_KIND: of the span, over those that raise one.
    """
    worth: dict[str, float] = {}
    real = [case for case in judged if case.kind == "real"]
    for kind, name in (("real", ""), ("imagined", "imagined_")):
        own = [case for case in judged if case.kind == kind]
        if own:
            worth |= _agreement(own, calibration, name)
    for kind in ("unfinished", "wrong_goal"):
        others = [case for case in judged if case.kind == kind]
        worth[f"{kind}_auroc"] = _agreement([case for case in real if case.reached] + others, calibration, "")["auroc"]
    alarms = [case.opinion.fault_logit > calibration.alarm for case in real]
    worth["false_alarms"] = float(np.mean(alarms)) if alarms else math.nan
    for kind in FAULTS:
        own = [case for case in judged if case.kind == kind]
        found = [case for case in own if case.opinion.fault_logit > calibration.alarm]
        if own:
            worth[f"found_{kind}"] = len(found) / len(own)
            worth[f"named_{kind}"] = sum(case.opinion.fault == kind for case in found) / len(own)
        if found:
            overlaps = [span_overlap(case.opinion.span, case.span) for case in found if case.span is not None]
            worth[f"overlap_{kind}"] = float(np.mean(overlaps))
    return {name: round(value, 4) for name, value in worth.items() if math.isfinite(value)}


def _agreement(cases: list[Judged], calibration: Calibration, name: str) -> dict[str, float]:
    logits = np.array([case.opinion.logit for case in cases])
    truths = np.array([case.reached for case in cases], dtype=np.bool_)
    return {
        f"{name}auroc": auroc(logits, truths),
        f"{name}calibration_error": calibration_error(calibration.chance(logits), truths),
        f"{name}videos": float(len(cases)),
    }


def _held_out(objective: CriticObjective, random: np.random.Generator) -> list[tuple[CriticSource, int]]:
    """Held-out episodes of which the outcome is known: at most so many recorded, and as many imagined ones."""
    chosen: list[tuple[CriticSource, int]] = []
    for imagined in (False, True):
        found = [
            (source, episode)
            for source in objective.sources
            if source.imagined == imagined
            for episode, story in enumerate(source.stories)
            if objective.run.holds_out(episode, len(source.stories)) and story.success is not None
        ]
        order = random.permutation(len(found))[: objective.run.measured]
        chosen.extend(found[place] for place in sorted(order))
    if not chosen:
        raise WowError("no episode is held out to calibrate on: give more data")
    return chosen


def _judge(
    judge: Judge,
    objective: CriticObjective,
    source: CriticSource,
    episode: int,
    number: int,
    random: np.random.Generator,
) -> Iterator[Judged]:
    """What the critic says of an episode, of its beginning where it succeeds, and of it with a fault put in."""
    story, length = source.stories[episode], source.clips.length(episode)
    count = objective.run.model.num_frames
    example = objective.example(source, episode, random, clip_rows(length, count)[0])
    own, wrong = judge(example.frames, example.goals)
    reached = bool(story.success)
    yield Judged("imagined" if source.imagined else "real", reached, own)
    if source.imagined:
        return
    if math.isfinite(example.completed[1]):
        yield Judged("wrong_goal", False, wrong)
    if story.done_from is not None and story.done_from >= 6:
        end = int(story.done_from * random.uniform(0.4, 0.85))
        cut = objective.example(source, episode, random, rows_to(end, count))
        yield Judged("unfinished", False, judge(cut.frames, cut.goals[:1])[0])
    kind = tuple(FAULTS)[number % len(FAULTS)]
    if (faulty := _with_fault(kind, example.frames, random)) is not None:
        yield replace(Judged(kind, False, judge(faulty[0], example.goals[:1])[0]), span=faulty[1])


def _with_fault(kind: str, frames: UInt8, random: np.random.Generator) -> tuple[UInt8, tuple[int, int]] | None:
    """The video with a fault of middling to full strength; None where five attempts at one cannot be seen."""
    for _ in range(5):
        faulty = apply(kind, frames, float(random.uniform(0.4, 1.0)), random)
        if is_visible(frames, faulty.frames):
            return faulty.frames, faulty.span
    return None
