"""Does refining help? Executed success of ways to spend the same number of imagined videos, scene by scene.

Who imagines, judges, rewrites and executes is handed in: a strategy gets a scene and a number of videos and chooses
one; what becomes of the choice when it is executed is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Protocol

from wow.bench.intervals import Estimate, mean, share
from wow.bench.report import Provenance
from wow.bench.tables import grouped
from wow.bench.text import grid, percent, write_json, write_text
from wow.types import UInt8, Video

SINGLE = "single"
ONE_VIDEO = (SINGLE, "dense")
"""Strategies that imagine one video, whatever the budget."""
RIVALS = (SINGLE, "dense", "best-of", "random")
"""What SOPHIA, and correcting one video, are compared with, scene by scene."""
OURS = ("sophia", "corrected")
PARTS = ("rewrite", "imagine", "judge")
"""What takes the seconds of a search."""
BAND = (0.2, 0.8)
"""Tasks on which a single video succeeds this often are neither hopeless nor done."""
CONFIDENT = 0.9
"""A choice whose probability of success is at least this was accepted."""


@dataclass(frozen=True)
class Scene:
    """A task's scene as it begins. picture: uint8 [H, W, 3]. goal: what the user asks for."""

    task: str
    seed: int
    goal: str
    picture: UInt8


@dataclass(frozen=True)
class Choice:
    """What a strategy came to. seed: of the video. probability: of success, as the critics say; None where nobody was
    asked. videos: how many were imagined for it. seconds: that this took, as if nothing had been remembered, by what
    took them: rewrite, imagine, judge. painted: what tells the video from others of the same prompt and seed."""

    prompt: str
    seed: int
    video: Video
    probability: float | None
    videos: int
    seconds: Mapping[str, float]
    painted: str = ""


class Strategy(Protocol):
    """A way to spend imagined videos."""

    def __call__(self, scene: Scene, samples: int, /) -> Choice:
        """The video to execute, after imagining that many."""


Execute = Callable[[Choice, Scene], bool]
"""Whether doing what the video shows, from the scene on, succeeds."""


@dataclass(frozen=True)
class RefinementRecord:
    """One strategy with one budget in one scene. seconds: all of them, and by what took them."""

    task: str
    seed: int
    strategy: str
    samples: int
    success: bool
    probability: float | None
    videos: int
    seconds: float
    prompt: str
    video_seed: int
    seconds_to_rewrite: float = 0.0
    seconds_to_imagine: float = 0.0
    seconds_to_judge: float = 0.0

    @property
    def label(self) -> str:
        """The strategy with its budget."""
        return self.strategy if self.strategy in ONE_VIDEO else f"{self.strategy} {self.samples}"


def measure(
    scene: Scene, strategies: Mapping[str, Strategy], budgets: Sequence[int], execute: Execute
) -> list[RefinementRecord]:
    """What each strategy with each budget comes to in a scene."""
    records = []
    for name, strategy in strategies.items():
        for samples in (1,) if name in ONE_VIDEO else budgets:
            choice = strategy(scene, samples)
            records.append(
                RefinementRecord(
                    task=scene.task,
                    seed=scene.seed,
                    strategy=name,
                    samples=samples,
                    success=execute(choice, scene),
                    probability=choice.probability,
                    videos=choice.videos,
                    seconds=sum(choice.seconds.values()),
                    **{f"seconds_to_{part}": choice.seconds.get(part, 0.0) for part in PARTS},
                    prompt=choice.prompt,
                    video_seed=choice.seed,
                )
            )
    return records


@dataclass(frozen=True)
class Line:
    """One strategy with one budget. success: over scenes, its interval drawn over whole tasks; in_band: of tasks within
    `BAND`. false_alarms: among the choices that the critics accepted, those that failed. videos, seconds: means, the
    seconds also by what took them."""

    label: str
    success: Estimate
    in_band: Estimate | None
    false_alarms: Estimate | None
    videos: float
    seconds: float
    parts: Mapping[str, float]


@dataclass(frozen=True)
class Gain:
    """By how much one is above the other in the same scenes: the mean of 1, 0 and -1, its interval over whole tasks."""

    of: str
    over: str
    all_tasks: Estimate
    in_band: Estimate | None


def lines(records: Sequence[RefinementRecord]) -> list[Line]:
    """A line for each strategy and budget, in the order in which they were measured."""
    band = tasks_in_band(records)
    found = []
    for label, some in grouped(records, lambda record: record.label).items():
        accepted = [record for record in some if record.probability is not None and record.probability >= CONFIDENT]
        failed = sum(not record.success for record in accepted)
        found.append(
            Line(
                label=label,
                success=_rate(some),
                in_band=_rate([record for record in some if record.task in band]) if band else None,
                false_alarms=share(failed, len(accepted)) if accepted else None,
                videos=fmean(record.videos for record in some),
                seconds=fmean(record.seconds for record in some),
                parts={part: fmean(getattr(record, f"seconds_to_{part}") for record in some) for part in PARTS},
            )
        )
    return found


def gains(records: Sequence[RefinementRecord]) -> list[Gain]:
    """How much each SOPHIA, and correcting, is above the others with the same budget."""
    band = tasks_in_band(records)
    found = []
    own = [record for record in records if record.strategy.startswith(OURS)]
    for samples in sorted({record.samples for record in own}):
        for ours in dict.fromkeys(record.strategy for record in own):
            for rival in RIVALS:
                budget = 1 if rival in ONE_VIDEO else samples
                one, other = _by_scene(records, ours, samples), _by_scene(records, rival, budget)
                if one and one.keys() == other.keys():
                    differences = {key: float(one[key]) - float(other[key]) for key in one}
                    label = rival if rival in ONE_VIDEO else f"{rival} {samples}"
                    inside = {key: value for key, value in differences.items() if key[0] in band}
                    found.append(
                        Gain(f"{ours} {samples}", label, _mean(differences), _mean(inside) if inside else None)
                    )
    return found


def tasks_in_band(records: Sequence[RefinementRecord]) -> list[str]:
    """The tasks on which a single video succeeds neither rarely nor nearly always."""
    single = grouped((record for record in records if record.strategy == SINGLE), lambda record: record.task)
    low, high = BAND
    return [task for task, some in single.items() if low <= sum(r.success for r in some) / len(some) <= high]


def write_refinement(
    out: Path, records: Sequence[RefinementRecord], origin: Provenance, settings: Mapping[str, object]
) -> None:
    """Writes `results.json`, `results.md` and the bar chart `results.png`, each whole or not at all."""
    content = {
        "strategies": [asdict(line) for line in lines(records)],
        "gains": [asdict(gain) for gain in gains(records)],
        "tasks_in_band": tasks_in_band(records),
        "by_task": by_task(records),
        "settings": dict(settings),
        **asdict(origin),
    }
    write_json(out / "results.json", content)
    write_text(out / "results.md", markdown(records, origin))
    save_chart(out / "results.png", lines(records))


def by_task(records: Sequence[RefinementRecord]) -> dict[str, dict[str, float]]:
    """The share of successes of each task and strategy."""
    return {
        task: {label: sum(r.success for r in of) / len(of) for label, of in grouped(some, lambda r: r.label).items()}
        for task, some in sorted(grouped(records, lambda record: record.task).items())
    }


def markdown(records: Sequence[RefinementRecord], origin: Provenance) -> str:
    """The report for people."""
    band = tasks_in_band(records)
    rows = [
        [
            line.label,
            *map(percent, (line.success, line.in_band, line.false_alarms)),
            f"{line.videos:.1f}",
            f"{line.seconds:.1f}",
            *(f"{line.parts[part]:.1f}" for part in PARTS),
            str(line.success.n),
        ]
        for line in lines(records)
    ]
    compared = [[gain.of, gain.over, percent(gain.all_tasks), percent(gain.in_band)] for gain in gains(records)]
    labels = list(grouped(records, lambda record: record.label))
    tasks = [
        [f"{task} *" if task in band else task, *(f"{100 * rates[label]:.0f}" for label in labels)]
        for task, rates in by_task(records).items()
    ]
    title = ["strategy", "success [%]", "in the band [%]", "accepted but failed [%]", "videos", "seconds"]
    title += [*(f"to {part}" for part in PARTS), "n"]
    parts = [
        "# SOPHIA against other ways to spend the same videos",
        origin.markdown(),
        f"Executed success with 95 % intervals (bootstrap over tasks; Wilson for accepted ones). In the band: the "
        f"{len(band)} tasks (*) on which a single video succeeds {BAND[0]:.0%} to {BAND[1]:.0%} of the time. Accepted: "
        f"probability {CONFIDENT} or more.",
        grid([title, *rows]),
        "## In the same scenes, percentage points more",
        grid([["", "over", "all tasks", "in the band"], *compared]),
        "## Each task [%]",
        grid([["task", *labels], *tasks]),
        "![success by strategy](results.png)",
    ]
    return "\n\n".join(parts) + "\n"


def save_chart(path: Path, found: Sequence[Line]) -> None:
    """A bar for each strategy and budget, with its interval; those in the band beside it, paler."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.6 + 0.75 * len(found), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for shift, colour, name, bars in (
        (-0.2, "#4878a8", "all tasks", [line.success for line in found]),
        (0.2, "#a9c4de", "tasks in the band", [line.in_band for line in found]),
    ):
        for place, bar in enumerate(bars):
            if bar is not None:
                axis.bar(place + shift, 100 * bar.value, 0.38, color=colour, label=name if place == 0 else None)
                if bar.low is not None and bar.high is not None:
                    middle = 50 * (bar.low + bar.high)
                    half = 50 * (bar.high - bar.low)
                    axis.errorbar(place + shift, middle, half, color="#333333", linewidth=0.9, capsize=2)
    axis.set_xticks(range(len(found)), [line.label for line in found], rotation=40, ha="right", fontsize=8)
    axis.set_ylim(0, 100)
    axis.set_ylabel("executed success [%], 95 % interval")
    axis.legend(fontsize=8)
    part = path.with_name(path.name + ".part")
    figure.savefig(part, dpi=120, format="png")
    part.replace(path)


def _by_scene(records: Iterable[RefinementRecord], strategy: str, samples: int) -> dict[tuple[str, int], bool]:
    return {(r.task, r.seed): r.success for r in records if r.strategy == strategy and r.samples == samples}


def _rate(records: Sequence[RefinementRecord]) -> Estimate:
    return mean([float(record.success) for record in records], [record.task for record in records])


def _mean(differences: Mapping[tuple[str, int], float]) -> Estimate:
    return mean(list(differences.values()), [task for task, _ in differences])
