"""WoWBench for world models: runs every measurement batch by batch, continues an earlier run, writes the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wow.bench.cost import Cost, measure_cost, with_cold_command
from wow.bench.dynamics import SOURCES, DynamicsRecord, SwapRecord, measure_dynamics, measure_swaps, swap_pairs
from wow.bench.instructions import (
    InstructionRecord,
    SiblingSet,
    Wordings,
    matched_clips,
    measure_instructions,
    sibling_sets,
)
from wow.bench.ledger import Ledger, OnDone, claim, measured
from wow.bench.metrics import Perceptual, score_video
from wow.bench.quality import QualityRecord, measure_quality
from wow.bench.report import Provenance, machine, write_report
from wow.bench.samples import Clip, EpisodeStore, batches, chosen, clips_of
from wow.bench.strips import save_page, save_strips
from wow.bench.system import Asked, HasSteps, Imaginer, NearestTrainingVideo, RepeatFirstFrame
from wow.bench.tables import (
    StepsRecord,
    Table,
    cost_table,
    dynamics_table,
    instruction_table,
    quality_table,
    steps_table,
    swap_table,
    task_table,
)
from wow.types import WowError

MEASUREMENTS = ("quality", "instructions", "dynamics", "steps", "cost")
PAGE = "strips.png"


@dataclass(frozen=True)
class WorldBenchConfig:
    """How much is measured.

    episodes_per_task: of each source, in quality and dynamics; sets of each scene in instructions. steps: numbers of
    steps compared, each on one episode of every task. batch: videos imagined at once. camera: None for the first one.
    """

    episodes_per_task: int = 4
    num_frames: int = 17
    steps: tuple[int, ...] = (1, 2, 4, 8, 16)
    batch: int = 8
    seed: int = 0
    camera: str | None = None
    only: tuple[str, ...] = MEASUREMENTS

    def __post_init__(self) -> None:
        if unknown := [name for name in self.only if name not in MEASUREMENTS]:
            raise WowError(f"there is no measurement {unknown[0]!r}: choose from {', '.join(MEASUREMENTS)}")
        if min(self.episodes_per_task, self.batch, *self.steps) < 1 or self.num_frames < 2:
            raise WowError("episodes per task, batch and steps are at least 1, frames at least 2")


@dataclass(frozen=True)
class WorldBench:
    """One run. `held_out` are wordings that training never had; `train` is what the model saw.

    siblings: the episodes of experts in each other's scenes, where they lie elsewhere than in `data`. why_no_lpips:
    shown where `perceptual` is None. cold_command: a whole command line that imagines a clip, "{out}" for its output.
    """

    system: Imaginer
    data: EpisodeStore
    out: Path
    config: WorldBenchConfig = WorldBenchConfig()
    train: EpisodeStore | None = None
    siblings: EpisodeStore | None = None
    held_out: Wordings = field(default_factory=dict)
    perceptual: Perceptual | None = None
    why_no_lpips: str = "no perceptual metric was given"
    cold_command: Callable[[Clip], Sequence[str]] | None = None

    def run(self, command: str, data_name: str, on_done: OnDone = lambda name, done, total: None) -> list[Table]:
        """All tables, also written to `out` with the report. Raises WowError where `out` holds another run."""
        plan = {name: value for name, value in asdict(self.config).items() if name != "only"}
        episodes = [f"{record.facts.get('seed')}:{record.source}:{record.task}" for record in self.data.records]
        claim(self.out, {"system": self.system.name, "data": data_name, "episodes": len(episodes), **plan})
        measure = {
            "quality": self._quality,
            "instructions": self._instructions,
            "dynamics": self._dynamics,
            "steps": self._steps,
            "cost": self._cost,
        }
        tables: list[Table] = []
        for name in MEASUREMENTS:
            # What an earlier run finished stays in the report.
            if name in self.config.only or (self.out / f"{name}.json").exists():
                tables += measure[name](on_done)
        if not tables:
            raise WowError(f"{data_name} has nothing to measure: it needs successful expert episodes")
        page = self.out / PAGE
        save_page(self.out / "strips", page)
        date = time.strftime("%Y-%m-%d %H:%M %Z")
        origin = Provenance(command, self.system.name, f"{data_name}, {len(episodes)} episodes", machine(), date)
        write_report(self.out, tables, origin, PAGE if page.exists() else None)
        return tables

    @property
    def camera(self) -> str:
        """The camera that is imagined."""
        return self.config.camera or self.data.embodiment.cameras[0].name

    def _clips(self, numbers: Sequence[int]) -> list[Clip]:
        return clips_of(self.data, numbers, self.config.num_frames, self.camera)

    def _ledger(self, name: str) -> Path:
        return self.out / f"{name}.jsonl"

    def _quality(self, on_done: OnDone) -> list[Table]:
        cases = batches(chosen(self.data, "expert", self.config.episodes_per_task), self.config.batch)
        ledger = Ledger(self._ledger("quality"), QualityRecord)
        baselines: list[Imaginer] = [RepeatFirstFrame()]
        if self.train is not None and len(ledger.finished()) < len(cases):
            report = lambda done, total: on_done("training videos", done, total)  # noqa: E731
            baselines.append(NearestTrainingVideo(self.train, self.camera, report))

        def measure(numbers: Sequence[int], index: int) -> list[QualityRecord]:
            clips = self._clips(numbers)
            seed = self.config.seed + index
            records, videos = measure_quality(clips, self.system, baselines, self.perceptual, seed)
            save_strips(clips, videos, self.out / "strips")
            return records

        records = measured(ledger, cases, measure, on_done)
        if not records:
            return []
        why, crops = self.why_no_lpips, [region for region in ("gripper", "object") if _has(records, region)]
        tables = [quality_table(records, ["whole"], "quality", "Image to video against the expert", why)]
        if crops:
            tables.append(quality_table(records, crops, "crops", "Crops around gripper and object", why))
        return [*tables, task_table(records)]

    def _instructions(self, on_done: OnDone) -> list[Table]:
        store = self.siblings if self.siblings is not None else self.data
        sets = sibling_sets(store, self.config.episodes_per_task)
        at_once = max(1, self.config.batch // 4)
        cases = [sets[start : start + at_once] for start in range(0, len(sets), at_once)]

        def measure(found: Sequence[SiblingSet], index: int) -> list[InstructionRecord]:
            frames, camera = self.config.num_frames, self.camera
            matched = [matched_clips(store, siblings, frames, camera, self.held_out) for siblings in found]
            return measure_instructions(matched, self.system, frames, self.config.seed + index)

        records = measured(Ledger(self._ledger("instructions"), InstructionRecord), cases, measure, on_done)
        return [instruction_table(records)] if records else []

    def _dynamics(self, on_done: OnDone) -> list[Table]:
        per_task = self.config.episodes_per_task
        numbers = [number for source in SOURCES for number in chosen(self.data, source, per_task)]
        prompts = {record.task: None for record in self.data.records}
        # Each task is misled by the next one in alphabetical order, the last by the first.
        order = sorted(prompts)
        other = dict(zip(order, order[1:] + order[:1], strict=True))

        def measure(case: Sequence[int], index: int) -> list[DynamicsRecord]:
            clips = self._clips(case)
            misleading = [other[clip.prompt] for clip in clips]
            return measure_dynamics(clips, misleading, self.system, self.perceptual, self.config.seed + index)

        def swap(case: Sequence[tuple[int, int, str]], index: int) -> list[SwapRecord]:
            owns, others = self._clips([own for own, _, _ in case]), self._clips([other for _, other, _ in case])
            kinds = [kind for _, _, kind in case]
            return measure_swaps(list(zip(owns, others, kinds, strict=True)), self.system, self.config.seed + index)

        ledger = Ledger(self._ledger("dynamics"), DynamicsRecord)
        records = measured(ledger, batches(numbers, self.config.batch), measure, on_done)
        pairs = swap_pairs(self.data, per_task)
        cases = [pairs[start : start + self.config.batch] for start in range(0, len(pairs), self.config.batch)]
        swaps = measured(Ledger(self._ledger("swaps"), SwapRecord), cases, swap, on_done)
        tables = [dynamics_table(records, self.why_no_lpips)] if records else []
        return [*tables, swap_table(swaps)] if swaps else tables

    def _steps(self, on_done: OnDone) -> list[Table]:
        system = self.system
        if not isinstance(system, HasSteps):
            return []
        groups = batches(chosen(self.data, "expert", 1), self.config.batch)
        cases = [(steps, numbers, index) for steps in self.config.steps for index, numbers in enumerate(groups)]

        def measure(case: tuple[int, Sequence[int], int], _: int) -> list[StepsRecord]:
            steps, numbers, index = case
            clips = self._clips(numbers)
            contexts, prompts = [clip.frames[0] for clip in clips], [clip.prompt for clip in clips]
            stepped = system.with_num_inference_steps(steps)
            began = time.perf_counter()
            # The same noise for every number of steps.
            seed, num_frames = self.config.seed + index, self.config.num_frames
            videos = stepped.imagine(Asked(contexts, prompts, num_frames, seed))
            seconds = (time.perf_counter() - began) / len(clips)
            return [
                StepsRecord(c.key, c.task, steps, seconds, **vars(score_video(video, c.frames, self.perceptual)))
                for c, video in zip(clips, videos, strict=True)
            ]

        records = measured(Ledger(self._ledger("steps"), StepsRecord), cases, measure, on_done)
        return [steps_table(records, self.why_no_lpips)] if records else []

    def _cost(self, on_done: OnDone) -> list[Table]:
        numbers = chosen(self.data, "expert", 1)[:1]

        def measure(case: Sequence[int], _: int) -> list[Cost]:
            clip = self._clips(case)[0]
            cost = measure_cost(self.system, clip)
            return [with_cold_command(cost, self.cold_command(clip)) if self.cold_command is not None else cost]

        records = measured(Ledger(self._ledger("cost"), Cost), batches(numbers, 1), measure, on_done)
        return [cost_table(records[0])] if records else []


def _has(records: Sequence[QualityRecord], region: str) -> bool:
    return any(record.region == region for record in records)
