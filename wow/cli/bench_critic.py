"""`wow bench critic`: whether critics can be believed, measured on videos whose truth is known."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.progress import Progress
from wow.cli.refine import critics_for
from wow.types import Float32, UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.bench.critic import Critic, CriticRecord, WrongGoal
    from wow.bench.hallucination import Dream
    from wow.data import Dataset, EpisodeRecord

PLANNING_STEPS = 4
"""As `wow refine` imagines what is to be judged."""
RECORDS = "records.jsonl"


@dataclass(frozen=True, kw_only=True)
class BenchCritic(MakesFolder, Seeded):
    """Measure how well critics tell successes from failures and find faults. The same command again continues."""

    data: tuple[Path, ...]
    """Held-out episodes that say whether they succeeded; those of wow run --suite … --record DIR count as imagined."""
    critic: str | None = None
    """Who judges, with commas: learned, checks, motion, … Without it those that
    suit the model: learned,checks for wow-mini, motion,checks for one without a critic, else checks."""
    model: str = "wow-mini"
    """Model whose critics they are: a name, or a checkpoint's folder."""
    num_frames: int = 17
    """Frames of the videos that are shown, evenly spread over each episode."""
    every: int = 1
    """Only every so many'th episode."""
    hallucinations: bool = False
    """Also have the model imagine, from each recorded scene, an instruction that cannot be followed in it and another
    task's actions, and count how often that is believed."""
    fit: Path | None = None
    """File to which the weights that fit these videos best are added; wow/refine/weights.json is the one in use."""

    @property
    def judges(self) -> str:
        """Who judges."""
        return critics_for(self.folder) if self.critic is None else self.critic

    def continues(self) -> bool:
        return (self.out / "run.json").is_file()

    def run(self) -> Summary:
        from wow.assembly import ensemble_of
        from wow.bench.critic import CriticRecord, cases_of, critic_tables, judge
        from wow.bench.hallucination import hallucinations_of
        from wow.bench.ledger import Ledger, claim, measured
        from wow.bench.report import Provenance, machine, write_report
        from wow.data import open_dataset

        if self.num_frames < 5 or self.every < 1:
            raise WowError("--num-frames is at least 5 and --every at least 1")
        critics = self._critics()
        if self.fit is not None and len(critics) < 2:
            raise WowError(
                "--fit weighs several critics against each other: name them with --critic, e.g. motion,checks"
            )
        together = ensemble_of(list(critics))
        dream = self._dream() if self.hallucinations else None
        datasets = [open_dataset(folder) for folder in self.data]
        cases = [(dataset, number) for dataset in datasets for number in range(0, len(dataset), self.every)]
        claim(self.out, {**self._identity(), "ensemble": asdict(together)})

        def measure(case: tuple[Dataset, int], place: int) -> list[CriticRecord]:
            found = list(cases_of(*case, _wrong_goal(), self.num_frames, self.seed))
            if dream is not None:
                found += hallucinations_of(*case, _strangers, dream, self.num_frames, self.seed)
            keyed = ((f"{place}-{number}", one) for number, one in enumerate(found))
            return [record for key, one in keyed for record in judge(critics, one, key, together)]

        try:
            with Progress("judge", total=len(cases), unit="episodes") as progress:
                ledger = Ledger(self.out / RECORDS, CriticRecord)
                records = measured(ledger, cases, measure, lambda _, done, total: progress.update(done))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"judged episodes are in {self.out}; the same command continues") from None
        if self.fit is not None:
            records += self._fit(self.fit, records, list(critics))
        tables = critic_tables(records)
        origin = Provenance(
            shlex.join(["wow", *sys.argv[1:]]),
            f"{self.judges} of {self.model}",
            ", ".join(map(str, self.data)),
            machine(),
            time.strftime("%F"),
        )
        write_report(self.out, tables, origin, title="WoWBench: critics")
        quoted = {
            f"{row.label}, {column}": getattr(cell, "value", cell)
            for table in tables
            for row in table.rows
            for column, cell in row.cells.items()
        }
        return {"out": self.out, "report": self.out / "report.md", "videos": len(records), **quoted}

    def _fit(self, file: Path, records: list[CriticRecord], names: list[str]) -> list[CriticRecord]:
        """Stores the weights that fit best. Returns what they say of videos that they were not fitted to."""
        from wow.assembly import calibrated, store
        from wow.bench.critic import Weigh, cross_fitted, said, to_fit

        def fit(rows: Sequence[Mapping[str, float]], happened: Sequence[bool]) -> Weigh:
            return calibrated(rows, happened, names).probability

        rows, happened = said(to_fit(records))
        if len(set(happened)) < 2:
            raise WowError("--fit needs successes and failures among the videos: name further --data")
        store(file, calibrated(rows, happened, names), len(rows))
        return cross_fitted(records, fit)

    @cached_property
    def folder(self) -> Path:
        """The checkpoint whose critics they are."""
        from wow.assembly import checkpoint_folder

        return checkpoint_folder(self.model)

    def _identity(self) -> dict[str, object]:
        """What decides what the critics are shown and who they are."""
        from wow import weights
        from wow.assembly import outsiders

        shown = {name: getattr(self, name) for name in ("num_frames", "every", "seed", "hallucinations")}
        people = {"critic": self.judges, "model_hash": weights.checkpoint_hash(self.folder)}
        return {"data": [str(folder) for folder in self.data], **people, **outsiders(self.judges, ""), **shown}

    def _dream(self) -> Dream:
        """The model, which imagines."""
        from wow.assembly import SamplingOptions, load

        agent, options = load(self.model), SamplingOptions(num_planning_steps=PLANNING_STEPS)

        def dream(picture: UInt8, prompt: str, actions: Float32 | None, seed: int, seconds: float) -> Video:
            fps = 1.0 / seconds
            return agent.imagine(
                picture, prompt, actions=actions, num_frames=self.num_frames, seed=seed, options=options, fps=fps
            )

        return dream

    def _critics(self) -> dict[str, Critic]:
        from wow.assembly import CRITICS, load, named

        names = list(dict.fromkeys(word.strip() for word in self.judges.split(",")))
        makers = dict(zip(names, named(self.judges, CRITICS, "critic"), strict=True))
        agent = load(self.model)
        return {name: make(agent) for name, make in makers.items()}


def _strangers(record: EpisodeRecord) -> list[tuple[str, str]]:
    """The tasks about other things than those in an episode's scene, with their instructions."""
    from wow.sim.goals import strangers
    from wow.sim.tasks import TASKS

    task = str(record.facts.get("task_name", ""))
    return [(name, TASKS[name].instruction) for name in strangers(task)] if task in TASKS else []


def _wrong_goal() -> WrongGoal:
    """For each simulated task another one's instruction: one for the same scene, where there is one."""
    from wow.sim.goals import rivals, strangers
    from wow.sim.tasks import TASKS

    def wrong(record: EpisodeRecord) -> str | None:
        task = str(record.facts.get("task_name", ""))
        if task not in TASKS:
            return None
        others = rivals(task) or strangers(task)
        return TASKS[others[record.index % len(others)]].instruction

    return wrong
