"""Whether a critic can be believed: success told from failure, other goals refused, faults found and pointed at.

Every case is a video of which the truth is known: recorded, imagined and then executed, asked for another task's goal,
or with a fault put in. The critic sees only the video and the goal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wow.bench.intervals import Estimate, bootstrap, mean, share
from wow.bench.tables import Row, Table, grouped
from wow.data import Dataset, EpisodeRecord
from wow.data.agreement import auroc, calibration_error, span_overlap
from wow.data.faults import FAULTS, apply, is_visible
from wow.types import UInt8, Verdict, Video

Critic = Callable[[Video, str], Verdict]
WrongGoal = Callable[[EpisodeRecord], str | None]
"""Words for a goal that an episode which did its own task surely does not reach; None where none is known."""

RECORDED, IMAGINED, WRONG_GOAL = "recorded", "imagined", "wrong goal"
ALARMS = 0.05
"""The share of recorded videos that may look as faulty as one in which a fault counts as found."""
AUROC, ERROR, RIGHT, ACCEPTED = "AUROC", "calibration error", "right", "failures accepted"
FOUND, OVERLAP = "found at 5 % false alarms", "span overlap"


@dataclass(frozen=True)
class Case:
    """A video, the goal that is asked for, and the truth. kind: what it is, or a fault's name; span: of the fault."""

    kind: str
    task: str
    video: Video
    goal: str
    reached: bool
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class CriticRecord:
    """What a critic said of a case. soundness: the lower of its scores for physics and motion; None without either.

    overlap: of the frames that it points at with those of the fault; 0 where it points nowhere, None without a fault.
    """

    critic: str
    key: str
    kind: str
    task: str
    reached: bool
    probability: float
    soundness: float | None
    overlap: float | None
    seconds: float
    tokens: int


def cases_of(dataset: Dataset, number: int, wrong_goal: WrongGoal, num_frames: int, seed: int) -> Iterator[Case]:
    """The cases of an episode: as it is; where it was recorded and succeeds also with a wrong goal, and a fault."""
    record = dataset.records[number]
    if record.success is None or record.length < 2:
        return
    whole = next(iter(dataset.episode(number).videos.values()))
    rows = np.round(np.linspace(0, len(whole) - 1, num_frames)).astype(int)
    video = Video(whole.frames[rows], whole.fps * (num_frames - 1) / max(len(whole) - 1, 1))
    task = str(record.facts.get("task_name", record.task))
    is_imagined = record.source == "imagined"
    yield Case(IMAGINED if is_imagined else RECORDED, task, video, record.task, record.success)
    if is_imagined or not record.success:
        return
    if (wrong := wrong_goal(record)) is not None:
        yield Case(WRONG_GOAL, task, video, wrong, False)
    if (faulty := _with_fault(video.frames, number, seed)) is not None:
        kind, frames, span = faulty
        yield Case(kind, task, Video(frames, video.fps), record.task, False, span)


def judge(critics: Mapping[str, Critic], case: Case, key: str) -> Iterator[CriticRecord]:
    """What each critic says of a case."""
    for name, critic in critics.items():
        verdict = critic(case.video, case.goal)
        judged = [verdict.scores[s] for s in ("physical_plausibility", "kinematic_smoothness") if s in verdict.scores]
        overlap = None
        if case.span is not None:
            overlap = 0.0 if verdict.span is None else span_overlap(verdict.span, case.span)
        yield CriticRecord(
            critic=name,
            key=key,
            kind=case.kind,
            task=case.task,
            reached=case.reached,
            probability=verdict.success_probability,
            soundness=min(judged, default=None),
            overlap=overlap,
            seconds=verdict.seconds,
            tokens=verdict.tokens,
        )


def critic_tables(records: Sequence[CriticRecord]) -> list[Table]:
    """Success and faults, a row for each critic and kind of video."""
    success, faults = [], []
    for critic, own in grouped(records, lambda record: record.critic).items():
        kinds = grouped(own, lambda record: record.kind)
        clean = [record for record in kinds.get(RECORDED, []) if record.reached]
        for kind in (RECORDED, IMAGINED):
            if kind in kinds:
                success.append(Row(f"{critic}: {kind}", _success_cells(kinds[kind])))
        if WRONG_GOAL in kinds:
            refused = kinds[WRONG_GOAL]
            cells = _success_cells([*clean, *refused])
            accepted = share(sum(record.probability >= 0.5 for record in refused), len(refused))
            success.append(Row(f"{critic}: wrong goal", {**cells, ACCEPTED: accepted}))
        faults += [
            Row(f"{critic}: {kind}", _fault_cells(kinds[kind], clean)) for kind in FAULTS if kind in kinds and clean
        ]
    seconds = [
        Row(name, {"seconds a video": mean([record.seconds for record in own])})
        for name, own in grouped(records, lambda record: record.critic).items()
    ]
    return [
        Table(
            "success",
            "Is the goal reached?",
            (AUROC, ERROR, RIGHT, ACCEPTED),
            tuple(success),
            (
                "AUROC: the chance that a success is rated above a failure. Accepted: called completed. "
                "Wrong goal: successes with their own goal against the same videos with another task's.",
            ),
        ),
        Table(
            "faults",
            "Are faults found?",
            (FOUND, OVERLAP),
            tuple(faults),
            ("Found: rated less sound than 95 % of the clean successes. Overlap: frames in both spans over either's.",),
        ),
        Table("cost", "What does a verdict cost?", ("seconds a video",), tuple(seconds)),
    ]


def _success_cells(records: Sequence[CriticRecord]) -> dict[str, Estimate | str]:
    chances = np.array([record.probability for record in records])
    truths = np.array([record.reached for record in records], np.bool_)
    tasks = [record.task for record in records]
    right = sum(bool((chance >= 0.5) == truth) for chance, truth in zip(chances, truths, strict=True))
    cells: dict[str, Estimate | str] = {RIGHT: share(right, len(records))}
    if truths.any() and not truths.all():
        cells[AUROC] = bootstrap(lambda rows: auroc(chances[rows], truths[rows]), tasks)
    else:
        cells[AUROC] = f"N/A: all are {'successes' if truths.any() else 'failures'}"
    cells[ERROR] = bootstrap(lambda rows: calibration_error(chances[rows], truths[rows]), tasks)
    failures = chances[~truths]
    if len(failures):
        cells[ACCEPTED] = share(int((failures >= 0.5).sum()), len(failures))
    return cells


def _fault_cells(records: Sequence[CriticRecord], clean: Sequence[CriticRecord]) -> dict[str, Estimate | str]:
    usual = [record.soundness for record in clean if record.soundness is not None]
    if not usual:
        return {FOUND: "N/A: it scores neither physics nor motion"}
    limit = float(np.quantile(usual, ALARMS))
    found = sum(record.soundness is not None and record.soundness < limit for record in records)
    overlaps = [record.overlap for record in records if record.overlap is not None]
    return {FOUND: share(found, len(records)), OVERLAP: mean(overlaps, [record.task for record in records])}


def _with_fault(frames: UInt8, number: int, seed: int) -> tuple[str, UInt8, tuple[int, int]] | None:
    """The kinds take turns. None where five attempts at one cannot be seen."""
    random = np.random.default_rng([seed, number])
    kind = tuple(FAULTS)[int(random.integers(len(FAULTS)))]
    for _ in range(5):
        faulty = apply(kind, frames, float(random.uniform(0.4, 1.0)), random)
        if is_visible(frames, faulty.frames):
            return kind, faulty.frames, faulty.span
    return None
