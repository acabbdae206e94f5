"""Whether a critic can be believed: success told from failure, other goals refused, faults found and pointed at.

Every case is a video of which the truth is known: recorded, imagined and then executed, asked for another task's goal,
or with a fault put in. The critic sees only the video and the goal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wow.bench.intervals import Estimate, bootstrap, mean, share
from wow.bench.tables import Row, Table, grouped
from wow.data import Dataset, EpisodeRecord
from wow.data.agreement import auroc, calibration_error, span_overlap
from wow.data.faults import FAULTS, apply, is_visible
from wow.types import UInt8, Verdict, Video, WowError

Critic = Callable[[Video, str], Verdict]
WrongGoal = Callable[[EpisodeRecord], str | None]
"""Words for a goal that an episode which did its own task surely does not reach; None where none is known."""

Decide = Callable[[Mapping[str, Verdict]], Verdict]
"""From what each critic said, by its name, to one verdict."""
Weigh = Callable[[Mapping[str, float]], float]
"""From the probability that each critic gave, by its name, to one."""
Fit = Callable[[Sequence[Mapping[str, float]], Sequence[bool]], Weigh]
"""From what critics said of videos and what happened to how they are to be weighed."""

RECORDED, IMAGINED, WRONG_GOAL = "recorded", "imagined", "wrong goal"
IMPOSSIBLE, WRONG_ACTIONS = "impossible", "wrong actions"
"""Imagined for what cannot be done in the scene, and of another task's actions; see `wow.bench.hallucination`."""
ABOVE_HALF, ABOVE_SURE = "accepted above 0.5", "accepted above 0.9"
LEVELS = {ABOVE_HALF: 0.5, ABOVE_SURE: 0.9}
"""Who says exactly 0.5 knows nothing, and accepts nothing."""
ALARMS = 0.05
"""The share of recorded videos that may look as faulty as one in which a fault counts as found."""
AUROC, ERROR, RIGHT, ACCEPTED = "AUROC", "calibration error", "right", "failures accepted"
FOUND, OVERLAP = "found at 5 % false alarms", "span overlap"
UNJUDGED, SECONDS = "not judged", "seconds a video"
ENSEMBLE, FITTED = "ensemble", "ensemble, fitted"
FOLDS = 5
"""A fitted ensemble judges each fifth of the episodes as fitted to the others."""


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
    key: the same for all that is said of one case; what precedes its last "-" is the episode. problem: why it could not
    judge, which its probability of 0.5 then stands for.
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
    problem: str = ""


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


def judge(critics: Mapping[str, Critic], case: Case, key: str, decide: Decide | None = None) -> Iterator[CriticRecord]:
    """What each critic says of a case, and what it comes to where several do. decide: of those that could judge.

    A critic that cannot judge this one video is recorded so, and asked about the next.
    """
    verdicts: dict[str, Verdict] = {}
    for name, critic in critics.items():
        try:
            verdicts[name] = critic(case.video, case.goal)
        except (WowError, RuntimeError, ValueError, ArithmeticError) as problem:
            unknown = Verdict({}, False, 0.5, "")
            yield replace(_record(name, case, key, unknown), problem=" ".join(str(problem).split())[:300] or "unknown")
        else:
            yield _record(name, case, key, verdicts[name])
    if decide is not None and len(critics) > 1 and verdicts:
        yield _record(ENSEMBLE, case, key, decide(verdicts))


def _record(name: str, case: Case, key: str, verdict: Verdict) -> CriticRecord:
    judged = [verdict.scores[s] for s in ("physical_plausibility", "kinematic_smoothness") if s in verdict.scores]
    overlap = None
    if case.span is not None:
        overlap = 0.0 if verdict.span is None else span_overlap(verdict.span, case.span)
    return CriticRecord(
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


def to_fit(records: Sequence[CriticRecord]) -> list[list[CriticRecord]]:
    """What each critic said of each case that weights are fitted to, case by case.

    Imagined videos alone where they hold successes and failures, because those are what a search asks about; else all.
    """
    single = [record for record in records if record.critic not in (ENSEMBLE, FITTED)]
    imagined = [record for record in single if record.kind == IMAGINED]
    chosen = imagined if len({record.reached for record in imagined}) == 2 else single
    return list(grouped(chosen, lambda record: record.key).values())


def said(cases: Sequence[Sequence[CriticRecord]]) -> tuple[list[dict[str, float]], list[bool]]:
    """By case, what each critic that could judge said, and what happened."""
    rows = [{record.critic: record.probability for record in case if not record.problem} for case in cases]
    return rows, [case[0].reached for case in cases]


def cross_fitted(records: Sequence[CriticRecord], fit: Fit) -> list[CriticRecord]:
    """What a fitted ensemble would have said of each case that it was not fitted to."""
    cases = to_fit(records)
    episodes = sorted({_episode(case[0]) for case in cases})
    found = []
    for fold in range(min(FOLDS, len(episodes))):
        held_out = set(episodes[fold::FOLDS])
        weigh = fit(*said([case for case in cases if _episode(case[0]) not in held_out]))
        for case in (case for case in cases if _episode(case[0]) in held_out):
            (row,), _ = said([case])
            whole = replace(case[0], critic=FITTED, soundness=None, overlap=None, tokens=0, problem="")
            found.append(replace(whole, probability=weigh(row), seconds=sum(record.seconds for record in case)))
    return found


def _episode(record: CriticRecord) -> str:
    return record.key.rpartition("-")[0]


def critic_tables(records: Sequence[CriticRecord]) -> list[Table]:
    """Success and faults, a row for each critic and kind of video."""
    success, faults = [], []
    able = [record for record in records if not record.problem]
    for critic, own in grouped(able, lambda record: record.critic).items():
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
        Row(
            name,
            {SECONDS: mean([r.seconds for r in own]), UNJUDGED: share(sum(bool(r.problem) for r in own), len(own))},
        )
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
        Table(
            "hallucinations",
            "Are failures believed?",
            tuple(LEVELS),
            tuple(_acceptance(able)),
            ("The share of failures of each kind whose probability of success is above the level.",),
        ),
        Table("cost", "What does a verdict cost?", (SECONDS, UNJUDGED), tuple(seconds)),
    ]


def _acceptance(records: Sequence[CriticRecord]) -> Iterator[Row]:
    """A row for each critic and kind of video that can be no success."""
    failures = [record for record in records if not record.reached and record.kind not in FAULTS]
    for critic, own in grouped(failures, lambda record: record.critic).items():
        for kind, some in grouped(own, lambda record: record.kind).items():
            counts = {name: sum(record.probability > level for record in some) for name, level in LEVELS.items()}
            yield Row(f"{critic}: {kind}", {name: share(count, len(some)) for name, count in counts.items()})


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
