"""`wow bench build`: the open suite, filmed in the simulator by several processes, one sample after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.processes import finished
from wow.cli.progress import Progress
from wow.types import WowError

if TYPE_CHECKING:
    from wow.bench.suite import SuiteProblem
    from wow.bench.suite_import import NewSample
    from wow.sim.briefs import Brief
    from wow.sim.job import RecordingOptions
    from wow.sim.shoot import Shot


@dataclass(frozen=True, kw_only=True)
class BenchBuild(MakesFolder, Seeded):
    """Film the open suite in the simulator, with exact truth. The same command again continues."""

    samples: int = 210
    """Samples, shared evenly among the sub-tasks; with a larger number more are added to those that are there."""
    size: int = 128
    """Height and width of the pictures [pixels]."""
    workers: int = os.cpu_count() or 1
    """Simulators side by side, one process each."""

    def continues(self) -> bool:
        return (self.out / "run.json").is_file()

    def prepare(self) -> list[Path]:
        if not 1 <= self.samples <= 3000 or not 32 <= self.size <= 1024 or not 1 <= self.workers <= 256:
            raise WowError("--samples is 1 to 3000, --size 32 to 1024 and --workers 1 to 256")
        if not 0 <= self.seed < 10_000:
            raise WowError(f"--seed is 0 to 9999, not {self.seed}")
        return super().prepare()

    def run(self) -> Summary:
        from wow.bench.ledger import claim
        from wow.bench.suite import SuiteProblem
        from wow.bench.suite_build import finish, is_built
        from wow.sim.briefs import MISSING, briefs
        from wow.sim.job import RecordingOptions

        claim(self.out, {"kind": "open suite", "seed": self.seed, "size": self.size})
        wanted = briefs(self.samples, self.seed)
        due = [brief for brief in wanted if not is_built(self.out, brief.key)]
        problems: list[SuiteProblem] = []
        options = RecordingOptions(size=self.size)
        with Progress("film", total=len(wanted), unit="samples", start=len(wanted) - len(due)) as progress:
            try:
                for key, problem in _filmed(due, self.out, options, self.workers):
                    if problem:
                        problems.append(SuiteProblem(key, problem))
                    progress.advance(note=key)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"finished samples are in {self.out}; the same command continues") from None
        suite = finish(self.out, self._origin(), MISSING, problems)
        return {
            "out": self.out,
            "samples": len(suite.samples),
            "filmed_now": len(due) - len(problems),
            "suite_hash": suite.digest,
            "missing": ", ".join(MISSING),
            "problems": len(problems),
            **{f"problem_{number}": str(problem) for number, problem in enumerate(problems[:20], start=1)},
        }

    def _origin(self) -> list[str]:
        command = f"wow bench build --out DIR --samples {self.samples} --seed {self.seed} --size {self.size}"
        return [
            f"`{command}`",
            "",
            f"- Simulator: metaworld {version('metaworld')}, mujoco {version('mujoco')}; scripted experts",
            "- The same command gives the same files on the same machine; scenes have seeds that training never uses",
        ]


def _filmed(due: Sequence[Brief], out: Path, options: RecordingOptions, workers: int) -> Iterator[tuple[str, str]]:
    """The keys of samples as they are written, in any order, each with "" or the reason why there is none."""
    if not due:
        return
    work = ((brief.key, (brief, out, options)) for brief in due)
    yield from (done for _, done in finished(film_one, work, min(workers, len(due))))


def film_one(brief: Brief, out: Path, options: RecordingOptions) -> tuple[str, str]:
    """Films a brief and writes its sample, whole or not at all. Its key, and why there is none."""
    from wow.bench.suite_import import write_sample
    from wow.sim.shoot import shoot

    try:
        shot = shoot(brief, options)
    except WowError as problem:
        return brief.key, str(problem)
    write_sample(out, _sample(brief, shot))
    return brief.key, ""


def _sample(brief: Brief, shot: Shot) -> NewSample:
    from wow.bench.abilities import LEAVES
    from wow.bench.suite import OTHER_INSTRUCTION, SCENE, Meta
    from wow.bench.suite_build import region_masks
    from wow.bench.suite_import import NewSample
    from wow.sim.metaworld import SEGMENTS
    from wow.types import Video

    has_plan = LEAVES[brief.leaf] == "planning"
    meta = Meta(
        ability=LEAVES[brief.leaf],
        sub_task=brief.leaf,
        difficulty=brief.difficulty,
        embodiment="Sawyer (Meta-World v3)",
        source=f"Meta-World v3, {', '.join(brief.tasks)}, seed {shot.card.seed}, scripted expert",
        plan=shot.steps if has_plan else (),
        plan_edges=tuple((step, step + 1) for step in range(len(shot.steps) - 1)) if has_plan else None,
        facts={
            SCENE: shot.card.to_json(),
            OTHER_INSTRUCTION: brief.other,
            "object": brief.name,
            "object_seen_at_least": shot.seen,
            "success_steps": list(shot.success_steps),
            **brief.about,
        },
    )
    trajectory = {
        "gripper": shot.gripper,
        "objects": shot.objects,
        "gripper_pixels": shot.gripper_pixels,
        "object_pixels": shot.object_pixels,
        "actions": shot.actions,
    }
    masks = region_masks(shot.labels, SEGMENTS)
    return NewSample(brief.key, Video(shot.frames, shot.fps), brief.prompt, meta, shot.dense, masks, trajectory)
