"""Score every sample of a suite by every metric: cached on disk for each, so that a run can be killed and taken up."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from wow.bench.cases import load_case
from wow.bench.dimensions.contract import DYNAMICS, JUDGE, OTHER, SIMULATOR, Measurement, Metric, Tools
from wow.bench.dimensions.registry import METRICS, measure
from wow.bench.ledger import Ledger, claim
from wow.bench.sources import VideoSource
from wow.bench.suite import Sample, Suite, SuiteProblem, file_digest
from wow.bench.toolbox import Toolbox
from wow.types import WowError

Found = TypeVar("Found")

SCORES = "scores.jsonl"
FORMAT = 1


@dataclass(frozen=True)
class ScoreRecord:
    """One metric of one sample. tool: what filled the metric's needs; video: the hash of the file that was scored.

    value is None where there is none: `why` says why, `need` what is lacking. See `Measurement` for the parts.
    alike: what was done to make the video like its truth; broken: what belongs to the sample and could not be read.
    imagining, decoding: seconds that went before the metrics, in the first record of a job.
    """

    key: str
    metric: str
    version: int
    tool: str
    video: str
    value: float | None
    parts: tuple[float, ...] = ()
    why: str = ""
    need: str = ""
    seconds: float = 0.0
    alike: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    imagining: float = 0.0
    decoding: float = 0.0


def record_from_json(**stored: Any) -> ScoreRecord:
    """A record as its line in the ledger has it."""
    lists = {name: tuple(stored.get(name, ())) for name in ("parts", "alike", "broken")}
    return ScoreRecord(**{**stored, **lists})


@dataclass(frozen=True)
class Work:
    """What a process needs to know to score any sample."""

    source: VideoSource
    toolbox: Toolbox


@dataclass(frozen=True)
class Job:
    """One sample; known: the records that it already has. metrics: those that are wanted."""

    sample: Sample
    metrics: tuple[str, ...]
    known: tuple[ScoreRecord, ...] = ()


@dataclass(frozen=True)
class JobDone:
    """What came of a job. problem: why the sample could not be scored at all."""

    key: str
    records: tuple[ScoreRecord, ...] = ()
    problem: str = ""


Engine = Callable[[Work, Sequence[Job]], Iterator[JobDone]]
"""Does jobs in any order and yields each as soon as it is done."""


@dataclass(frozen=True)
class SuiteRun:
    """A suite, what is tested on it, and what the run came to."""

    suite: Suite
    out: Path
    name: str
    metrics: tuple[Metric, ...]
    records: tuple[ScoreRecord, ...]
    problems: tuple[SuiteProblem, ...]
    videos: Path
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    newly_scored: int = 0


def run_suite(
    suite: Suite,
    source: VideoSource,
    toolbox: Toolbox,
    metrics: Sequence[Metric],
    out: Path,
    settings: Mapping[str, object],
    engine: Engine,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> SuiteRun:
    """Every sample scored by every metric, taking up what an earlier call already did in `out`.

    settings: what else makes two runs incomparable. Raises WowError where `out` holds another run.
    """
    claim(out, {"format": FORMAT, "tested": source.name, "suite": suite.name, "suite_hash": suite.digest, **settings})
    ledger = Ledger(out / SCORES, record_from_json)
    stored = ledger.finished()
    known: dict[str, dict[str, ScoreRecord]] = {}
    for records in stored.values():
        for record in records:
            known.setdefault(record.key, {})[record.metric] = record
    names = tuple(metric.name for metric in metrics)
    jobs = [Job(sample, names, tuple(known.get(sample.key, {}).values())) for sample in suite.samples]
    problems, new = list(suite.problems), 0
    line = max(stored, default=-1) + 1
    for done, result in enumerate(engine(Work(source, toolbox), jobs), start=1):
        if result.records:
            ledger.append(line, result.records)
            line, new = line + 1, new + 1
            known.setdefault(result.key, {}).update({record.metric: record for record in result.records})
        if result.problem:
            problems.append(SuiteProblem(result.key, result.problem))
            known.pop(result.key, None)
        on_done(done, len(jobs))
    flat = [known[s.key][name] for s in suite.samples if s.key in known for name in names if name in known[s.key]]
    broken = dict.fromkeys((record.key, what) for record in flat for what in record.broken)
    problems += [SuiteProblem(key, what, left_out=False) for key, what in broken]
    order = {sample.key: place for place, sample in enumerate(suite.samples)}
    problems.sort(key=lambda problem: order.get(problem.key, -1))
    return SuiteRun(
        suite=suite,
        out=out,
        name=source.name,
        metrics=tuple(metrics),
        records=tuple(flat),
        problems=tuple(problems),
        videos=source.folder,
        changed={record.key: record.alike for record in flat if record.alike},
        newly_scored=new,
    )


def in_this_process(work: Work, jobs: Sequence[Job]) -> Iterator[JobDone]:
    """One job after the other."""
    for job in jobs:
        yield do_job(work, job)


@dataclass(frozen=True)
class LocalProcesses:
    """Jobs shared among processes of this machine, each of which computes with one thread.

    prepare: called once in every one of them.
    """

    workers: int
    prepare: Callable[[], None] | None = None

    def __call__(self, work: Work, jobs: Sequence[Job]) -> Iterator[JobDone]:
        waiting = iter(jobs)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(max(1, min(self.workers, len(jobs))), context, self.prepare) as pool:
            running: set[Future[JobDone]] = set()
            try:
                while True:
                    for job in islice(waiting, 2 * self.workers - len(running)):
                        running.add(pool.submit(do_job, work, job))
                    if not running:
                        return
                    finished, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in finished)
            except BrokenProcessPool:
                raise WowError("a measuring process died; the same command continues where it was") from None
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def do_job(work: Work, job: Job) -> JobDone:
    """Scores one sample by the metrics that it lacks; imagines its video first where that is how it comes about."""
    key, started = job.sample.key, time.perf_counter()
    try:
        video = work.source.video(job.sample)
        digest = file_digest(video)
        due = due_metrics(job, digest, work)
        if not due:
            return JobDone(key)
        wanted = {need for metric in due for need in metric.needs}
        broken: dict[str, str] = {}
        other = _unless_broken(OTHER, broken, partial(work.source.other, job.sample)) if OTHER in wanted else None
        acted = _unless_broken(DYNAMICS, broken, partial(work.source.acted, job.sample)) if DYNAMICS in wanted else None
        imagined = time.perf_counter()
        loaded = load_case(job.sample, video, other, broken, acted)
        decoded = time.perf_counter()
    except WowError as problem:
        return JobDone(key, problem=str(problem))
    needs = frozenset(need for metric in due for need in metric.needs)
    tools, lacks, names = _opened_tools(work.toolbox, needs), work.toolbox.lacks(), work.toolbox.names()
    records: list[ScoreRecord] = []
    for metric in due:
        begun = time.perf_counter()
        found = measure(metric, loaded.case, tools, lacks)
        seconds = time.perf_counter() - begun
        record = _record(key, metric, tool_of(metric, names), digest, found, seconds)
        records.append(replace(record, alike=loaded.changed, broken=tuple(loaded.case.broken.values())))
    imagining, decoding = round(imagined - started, 4), round(decoded - imagined, 4)
    return JobDone(key, (replace(records[0], imagining=imagining, decoding=decoding), *records[1:]))


def _unless_broken(need: str, broken: dict[str, str], find: Callable[[], Found | None]) -> Found | None:
    """What `find` gives; None, and the reason in `broken`, where making it goes wrong."""
    try:
        return find()
    except WowError as problem:
        broken[need] = str(problem)
        return None


def due_metrics(job: Job, digest: str, work: Work) -> list[Metric]:
    """The metrics whose value is not known for this very video, version and tool.

    What had no value is tried again once its need can be met, and where a judge or a simulator did not answer.
    """
    names = work.toolbox.names()
    known = {record.metric: record for record in job.known}

    def is_known(metric: Metric) -> bool:
        found = known.get(metric.name)
        if found is None or (found.version, found.video) != (metric.version, digest):
            return False
        if found.need:
            return found.need not in names and not _is_given(found.need, work.source, job.sample)
        asked = JUDGE in metric.needs or SIMULATOR in metric.needs
        return found.tool == tool_of(metric, names) and not (asked and found.value is None)

    return [METRICS[name] for name in job.metrics if not is_known(METRICS[name])]


def _is_given(need: str, source: VideoSource, sample: Sample) -> bool:
    """Whether a video beside the one that is scored is there by now, or can be made."""
    beside: Mapping[str, Callable[[Sample], object]] = {OTHER: source.other, DYNAMICS: source.acted}
    try:
        return need in beside and beside[need](sample) is not None
    except WowError:
        return False


def tool_of(metric: Metric, names: Mapping[str, str]) -> str:
    """What fills a metric's needs, in words: part of what a value means."""
    return ", ".join(names[need] for need in metric.needs if need in names)


def _record(key: str, metric: Metric, tool: str, digest: str, found: Measurement, seconds: float) -> ScoreRecord:
    return ScoreRecord(
        key, metric.name, metric.version, tool, digest, found.value, found.parts, found.why, found.need,
        round(seconds, 4),
    )  # fmt: skip


_tools: dict[tuple[Toolbox, frozenset[str]], Tools] = {}


def _opened_tools(toolbox: Toolbox, needs: frozenset[str]) -> Tools:
    """The tools, loaded once in this process. One of several processes computes with one thread from then on."""
    if (toolbox, needs) not in _tools:
        if multiprocessing.parent_process() is not None:
            import cv2

            cv2.setNumThreads(1)
            if needs & toolbox.names().keys():
                import torch

                torch.set_num_threads(1)
        _tools[toolbox, needs] = toolbox.open(needs)
    return _tools[toolbox, needs]
