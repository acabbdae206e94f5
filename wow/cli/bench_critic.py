"""`wow bench critic`: whether critics can be believed, measured on videos whose truth is known."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.progress import Progress
from wow.types import WowError

if TYPE_CHECKING:
    from wow.bench.critic import Critic, CriticRecord, WrongGoal
    from wow.data import Dataset, EpisodeRecord

RECORDS = "records.jsonl"


@dataclass(frozen=True, kw_only=True)
class BenchCritic(MakesFolder, Seeded):
    """Measure how well critics tell successes from failures and find faults. The same command again continues."""

    data: tuple[Path, ...]
    """Held-out episodes that say whether they succeeded; those of wow run --suite … --record DIR count as imagined."""
    critic: str = "learned"
    """Who judges, with commas: learned, checks, …"""
    model: str = "wow-mini"
    """Model whose critic it is: a name, a checkpoint's folder, or a run of wow train critic."""
    num_frames: int = 17
    """Frames of the videos that are shown, evenly spread over each episode."""
    every: int = 1
    """Only every so many'th episode."""

    def continues(self) -> bool:
        return (self.out / "run.json").is_file()

    def run(self) -> Summary:
        from wow.bench.critic import CriticRecord, cases_of, critic_tables, judge
        from wow.bench.ledger import Ledger, claim, measured
        from wow.bench.report import Provenance, machine, write_report
        from wow.data import open_dataset

        if self.num_frames < 5 or self.every < 1:
            raise WowError("--num-frames is at least 5 and --every at least 1")
        critics = self._critics()
        datasets = [open_dataset(folder) for folder in self.data]
        cases = [(dataset, number) for dataset in datasets for number in range(0, len(dataset), self.every)]
        claim(self.out, {"data": [str(folder) for folder in self.data], "critic": self.critic, "model": self.model,
                         "num_frames": self.num_frames, "every": self.every, "seed": self.seed})  # fmt: skip

        def measure(case: tuple[Dataset, int], place: int) -> list[CriticRecord]:
            found = cases_of(*case, _wrong_goal(), self.num_frames, self.seed)
            return [record for number, one in enumerate(found) for record in judge(critics, one, f"{place}-{number}")]

        try:
            with Progress("judge", total=len(cases), unit="episodes") as progress:
                ledger = Ledger(self.out / RECORDS, CriticRecord)
                records = measured(ledger, cases, measure, lambda _, done, total: progress.update(done))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"judged episodes are in {self.out}; the same command continues") from None
        tables = critic_tables(records)
        origin = Provenance(
            shlex.join(["wow", *sys.argv[1:]]),
            f"{self.critic} of {self.model}",
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

    def _critics(self) -> dict[str, Critic]:
        from wow.assembly import CRITICS, checkpoint_folder, load, load_critic, named
        from wow.train.export import as_checkpoint

        names = list(dict.fromkeys(word.strip() for word in self.critic.split(",")))
        makers = dict(zip(names, named(self.critic, CRITICS, "critic"), strict=True))
        critics: dict[str, Critic] = {}
        if "learned" in makers:
            del makers["learned"]  # a run of wow train critic is no world model
            critics["learned"] = load_critic(as_checkpoint(checkpoint_folder(self.model)))
        if makers:
            agent = load(self.model)
            critics |= {name: make(agent) for name, make in makers.items()}
        return critics


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
