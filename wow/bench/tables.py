"""From records to tables: which averages are taken, over what, and how sure they are.

Episodes of one task are alike, so intervals of means are drawn over whole tasks (see `intervals.mean`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from wow.bench import instructions
from wow.bench.cost import Cost
from wow.bench.dynamics import DynamicsRecord, SwapRecord
from wow.bench.instructions import InstructionRecord
from wow.bench.intervals import Estimate, mean, share
from wow.bench.quality import OURS, QualityRecord

Item = TypeVar("Item")
PSNR, SSIM, LPIPS, SECONDS = "PSNR [dB]", "SSIM", "LPIPS", "seconds a video"
RIGHT, BOTH_RIGHT = "right [%]", "right both ways [%]"
METRICS = {PSNR: "psnr", SSIM: "ssim", LPIPS: "lpips"}


@dataclass(frozen=True)
class Row:
    """One line. cells: by column, an estimate or words ("N/A: …"); a column may be missing."""

    label: str
    cells: Mapping[str, Estimate | str]


@dataclass(frozen=True)
class Table:
    """One measurement. name: the file it goes to. notes: sentences below it."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepsRecord:
    """The likeness of one video to the truth, imagined with so many steps in so many seconds."""

    key: str
    task: str
    steps: int
    seconds: float
    psnr: float
    ssim: float
    lpips: float | None


def quality_table(records: Sequence[QualityRecord], regions: Sequence[str], name: str, title: str, why: str) -> Table:
    """Each system's scores in each region, and by how much the imagined videos beat each other system, pair by pair."""
    rows = []
    for region in regions:
        prefix = "" if len(regions) == 1 else f"{region}: "
        by_system = grouped((record for record in records if record.region == region), lambda record: record.system)
        rows += [Row(f"{prefix}{system}", metric_cells(found, why)) for system, found in by_system.items()]
        ours = {record.key: record for record in by_system.get(OURS, [])}
        for system, found in by_system.items():
            if system != OURS:
                rows.append(Row(f"{prefix}imagined minus {system}", _gain_cells(ours, found, why)))
    return Table(name, title, tuple(METRICS), tuple(rows), ("Per frame, averaged over frames 1..T-1.",))


def task_table(records: Sequence[QualityRecord]) -> Table:
    """For each task, each system's PSNR on whole frames."""
    whole = [record for record in records if record.region == "whole"]
    systems = tuple(grouped(whole, lambda record: record.system))
    rows = []
    for task, of_task in sorted(grouped(whole, lambda record: record.task).items()):
        by_system = grouped(of_task, lambda record: record.system)
        rows.append(Row(task, {system: mean([r.psnr for r in found]) for system, found in by_system.items()}))
    return Table("quality_by_task", "PSNR [dB] of each task", systems, tuple(rows))


def instruction_table(records: Sequence[InstructionRecord]) -> Table:
    """The share of videos that end as their instruction says: by wording, then by scene."""
    rows = []
    for wording, found in grouped(records, lambda record: record.wording).items():
        rows.append(Row(wording, _right(record.is_right for record in found)))
        decidable = [record.is_right for record in found if record.is_decidable]
        if len(decidable) < len(found):
            rows.append(Row(f"{wording}, where outcomes look different", _right(decidable)))
        near = [record.chosen_near == record.task for record in found if record.chosen_near]
        if near:
            rows.append(Row(f"{wording}, around hand and things", _right(near)))
    trained = [record for record in records if record.wording == instructions.TRAINED]
    for scene, found in grouped(trained, lambda record: record.scene).items():
        rows.append(Row(f"scene of {scene}", _right(record.is_right for record in found)))
    notes = (
        "The imagined last frame is closest (squared error) to the real last frame of its own instruction, among those "
        "of all tasks attempted from the same reset; or only the parts of the picture around where hand and things end "
        "in any of them. Wilson interval.",
    )
    return Table("instructions", "Instruction following among tasks that share a scene", (RIGHT,), tuple(rows), notes)


def dynamics_table(records: Sequence[DynamicsRecord], why: str) -> Table:
    """The likeness of videos imagined from actions, by who acted and what the model was told."""
    rows = [
        Row(f"{source}: {told}", metric_cells(found, why))
        for source, of_source in grouped(records, lambda record: record.source).items()
        for told, found in grouped(of_source, lambda record: record.told).items()
    ]
    return Table("dynamics", "Forward dynamics: imagined from actions against simulated", tuple(METRICS), tuple(rows))


def swap_table(records: Sequence[SwapRecord]) -> Table:
    """The share of videos that follow swapped actions, and of pairs where each video follows its own."""
    rows = []
    for kind, found in grouped(records, lambda record: record.kind).items():
        swapped, both = (sum(getattr(r, name) for r in found) for name in ("follows_swapped", "tells_apart"))
        rows.append(Row(kind, {RIGHT: share(swapped, len(found)), BOTH_RIGHT: share(both, len(found))}))
    notes = (
        "First frame and instruction of one episode, actions of another of the same task. Both ways: and with its own "
        "actions it is closer to the own truth; a system that does not hear actions has 0 % there.",
        "Same reset: the truth of the swapped actions is exact. Two resets: changes since each first frame are "
        "compared, a hint only.",
    )
    title = "Swapped actions: the video is closer to what they really do"
    return Table("swaps", title, (RIGHT, BOTH_RIGHT), tuple(rows), notes)


def steps_table(records: Sequence[StepsRecord], why: str) -> Table:
    """Quality and time against the number of steps."""
    rows = [
        Row(
            f"{steps} steps",
            {**metric_cells(found, why), SECONDS: mean([record.seconds for record in found])},
        )
        for steps, found in grouped(records, lambda record: record.steps).items()
    ]
    notes = ("Seconds are those of a batch, divided by its videos.",)
    return Table("steps", "Steps against quality", (*METRICS, SECONDS), tuple(rows), notes)


def cost_table(cost: Cost) -> Table:
    """Time, memory and arithmetic of one video."""
    words: dict[str, Estimate | str] = {
        f"{cost.num_frames} frames once loaded [s]": mean(cost.seconds),
        "arithmetic of a video [GFLOP]": f"{cost.flops / 1e9:.1f}",
        "matrix rate of the machine [GFLOP/s]": f"{cost.matrix_flops_per_second / 1e9:.1f}",
        "share of the matrix rate [%]": f"{100 * cost.share_of_matrix_rate:.0f}",
        "threads": str(cost.threads),
    }
    if cost.cold_seconds:
        words["whole command, cold [s]"] = mean(cost.cold_seconds)
        words["peak memory of the command [GB]"] = mean([memory / 1e9 for memory in cost.cold_bytes])
    rows = tuple(Row(label, {"value": value}) for label, value in words.items())
    return Table("cost", "What imagining one video costs", ("value",), rows)


Measured = QualityRecord | DynamicsRecord | StepsRecord


def metric_cells(records: Sequence[Measured], why: str) -> dict[str, Estimate | str]:
    """PSNR, SSIM and LPIPS of some records. why: the reason shown where there is no LPIPS."""
    tasks = [record.task for record in records]
    cells: dict[str, Estimate | str] = {
        PSNR: mean([record.psnr for record in records], tasks),
        SSIM: mean([record.ssim for record in records], tasks),
    }
    lpips = [record.lpips for record in records if record.lpips is not None]
    cells[LPIPS] = mean(lpips, tasks) if len(lpips) == len(records) else f"N/A: {why}"
    return cells


def _gain_cells(
    ours: Mapping[str, QualityRecord], theirs: Sequence[QualityRecord], why: str
) -> dict[str, Estimate | str]:
    tasks = [record.task for record in theirs]
    cells: dict[str, Estimate | str] = {}
    for column, metric in METRICS.items():
        pairs = [(getattr(ours[record.key], metric), getattr(record, metric)) for record in theirs]
        gains = [one - other for one, other in pairs if one is not None and other is not None]
        cells[column] = mean(gains, tasks) if len(gains) == len(pairs) else f"N/A: {why}"
    return cells


def _right(answers: Iterable[bool]) -> dict[str, Estimate | str]:
    counted = list(answers)
    return {RIGHT: share(sum(counted), len(counted)) if counted else "N/A: no case"}


def grouped(records: Iterable[Item], key: Callable[[Item], str | int]) -> dict[str, list[Item]]:
    """Records by key, in the order in which keys first appear."""
    groups: dict[str, list[Item]] = {}
    for record in records:
        groups.setdefault(str(key(record)), []).append(record)
    return groups
