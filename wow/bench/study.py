"""A human study of runs: what is shown to people, without saying whose it is, and the key that says so.

Two tasks (arXiv 2509.22642, 2601.04137): four scales from 1 to 5 for a generated video, and one forced choice of two,
real or generated, for videos of which half are real.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from wow.bench.align import spread
from wow.bench.cases import read_film
from wow.bench.dimensions.registry import METRICS
from wow.bench.leaderboard import leaderboard
from wow.bench.showcase import alone_url
from wow.bench.sources import located
from wow.bench.spread import value_of
from wow.bench.study_page import study_page
from wow.bench.suite import Sample, open_suite
from wow.bench.suite_results import Results
from wow.bench.text import write_json, write_text
from wow.bench.validity import OVERALL_V1, OVERALL_V2
from wow.types import WowError

SCALES: Mapping[str, tuple[str, str]] = {
    "visual": ("Visual quality", "Sharp, steady and complete, like a camera's picture."),
    "instruction": ("Instruction", "What was asked for is done, with the right thing. A video that stands still: 1."),
    "physics": ("Physical law", "Nothing passes through, floats, jumps or vanishes. A video that stands still: 5."),
    "planning": ("Planning", "The steps come in an order that leads to the goal. A video that stands still: 1."),
}
"""Four scales from 1 to 5, each with its title and what a 5 means."""
RATING, CHOICE = "rating", "choice"
KEY, PAGE = "key.json", "study.html"
FORMAT = 1


@dataclass(frozen=True)
class Item:
    """One video that is shown. run: whose it is, "" of the truth. values: the metrics of a generated one."""

    identity: str
    task: str
    run: str
    key: str
    values: Mapping[str, float]

    @property
    def is_real(self) -> bool:
        return not self.run


@dataclass(frozen=True)
class Study:
    """What is asked. name: a hash of it, which every answer carries.

    suite: for each run the numbers that no single video has, over the whole suite: FVD and both overall scores.
    """

    name: str
    items: tuple[Item, ...]
    suite: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def write_study(out: Path, runs: Sequence[Results], samples: int, seed: int) -> Study:
    """Writes study.html, to be handed out, and key.json, to be kept. samples: of each run, drawn from `seed`.

    Raises WowError where suite or videos are no longer what was scored, or the runs are of two suites.
    """
    random = np.random.default_rng(seed)
    suite_path = Path(str(runs[0].content["suite_path"]))
    suite = open_suite(suite_path)
    if any(run.digest != suite.digest for run in runs):
        raise WowError(
            f"the suite at {suite_path} is not the one of every run: a study compares runs on the same files"
        )
    if len({run.name for run in runs}) < len(runs):
        raise WowError("two of the runs are of the same system: name each once")
    scored = [s for s in suite.samples if all(s.key in run.content["samples"] for run in runs)]
    if not scored:
        raise WowError("no sample was scored in all of the runs")
    chosen = [scored[int(row)] for row in sorted(random.permutation(len(scored))[:samples])]
    items, films, prompts = [], {}, {}
    for sample in chosen:
        for item, path in _items_of(sample, runs, seed):
            items.append(item)
            films[item.identity] = _film(path)
            prompts[item.identity] = sample.prompt
    order = [items[int(place)] for place in random.permutation(len(items))]
    name = hashlib.sha256("".join(sorted(films)).encode()).hexdigest()[:16]
    shown = [
        {"id": item.identity, "task": item.task, "prompt": prompts[item.identity], "film": films[item.identity]}
        for item in order
    ]
    write_text(out / PAGE, study_page(name, shown, SCALES))
    over_suite = suite_scores(runs)
    content = {"format": FORMAT, "study": name, "suite_hash": suite.digest, "suite": over_suite}
    write_json(out / KEY, {**content, "items": [asdict(item) for item in items]})
    return Study(name, tuple(items), over_suite)


def suite_scores(runs: Sequence[Results]) -> dict[str, dict[str, float]]:
    """By run, FVD and both overall scores, over the samples that all runs have; without those that some run lacks."""
    pooled = [name for name, metric in METRICS.items() if metric.pool is not None]
    board = leaderboard(runs)
    found: dict[str, dict[str, float]] = {}
    for place, run in enumerate(board.runs):
        told = {name: value_of(run, name) for name in pooled}
        told[OVERALL_V1] = None if board.v1 is None else board.v1[place].overall
        told[OVERALL_V2] = board.v2[place].scores.overall
        found[run.name] = {name: value for name, value in told.items() if value is not None}
    shared = set.intersection(*(set(told) for told in found.values()))
    return {run.name: {n: v for n, v in found[run.name].items() if n in shared} for run in runs}


def read_study(path: Path) -> Study:
    """The study of a key.json, or of its folder. Raises WowError where there is none."""
    file = path / KEY if path.is_dir() else path
    try:
        told = json.loads(file.read_text())
        if told["format"] != FORMAT:
            raise WowError(f"{file} has format {told['format']}, {FORMAT} is read")
        suite = {str(run): {str(n): float(v) for n, v in one.items()} for run, one in told.get("suite", {}).items()}
        return Study(str(told["study"]), tuple(Item(**item) for item in told["items"]), suite)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise WowError(f"{file} is no key of a study ({problem}): make one with wow bench study RUN") from None


def _items_of(sample: Sample, runs: Sequence[Results], seed: int) -> list[tuple[Item, Path]]:
    """A rating and a choice for each run, and as many choices of the truth."""
    found: list[tuple[Item, Path]] = []
    for number, run in enumerate(runs):
        path = located(Path(str(run.content["videos_path"])), sample.key)
        if path is None:
            raise WowError(f"the video of {sample.key} is no longer in {run.content['videos_path']}")
        values = {name: float(value) for name, value in run.content["samples"][sample.key]["values"].items()}
        for task in (RATING, CHOICE):
            found.append((Item(_identity(seed, task, run.name, sample.key), task, run.name, sample.key, values), path))
        if sample.truth is not None:
            real = Item(_identity(seed, str(number), "", sample.key), CHOICE, "", sample.key, {})
            found.append((real, sample.truth))
    return found


def _identity(*words: object) -> str:
    """A name that says nothing of what it names."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()[:12]


def _film(path: Path) -> str:
    """The video as a page holds it: all have one height, length and pace, which would else tell real from generated."""
    frames = read_film(path).frames
    return alone_url(frames[spread(len(frames), FRAMES)])


FRAMES = 16
"""Frames of every video that is shown."""
