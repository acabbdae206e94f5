"""`wow bench losses`: which stage, from the controller to imagination, loses the episodes that fail."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from wow.cli.options import MakesFolder, Summary


@dataclass(frozen=True, kw_only=True)
class BenchLosses(MakesFolder):
    """Tell whose the failures are: runs of `wow run --suite` over the same scenes with other --plan-from each."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs: --plan-from actions, video, codec, imagined, and policy, or some of these."""

    def run(self) -> Summary:
        from wow.bench.losses import loss_budget, read_stage, write_budget
        from wow.bench.report import Provenance, machine
        from wow.sim.suites import DIFFICULTY

        budget = loss_budget([read_stage(folder) for folder in dict.fromkeys(self.runs)], DIFFICULTY)
        last = budget.runs[-1]
        origin = Provenance(
            command=shlex.join(["wow", *sys.argv[1:]]),
            system=f"{last.settings.get('model')} {str(last.settings.get('model_hash') or '')[:12]}",
            data=", ".join(f"{run.plan_from}: {run.folder}" for run in budget.runs),
            machine=machine(),
            date=time.strftime("%F"),
        )
        write_budget(self.out, budget, origin)
        return {
            "report": self.out / "losses.md",
            "numbers": self.out / "losses.json",
            "scenes": budget.success[last.plan_from].n,
            "failures": len(budget.first),
            "success": {name: found.value for name, found in budget.success.items()},
            "lost_by": {loss.stage: loss.episodes for loss in budget.losses if not loss.difficulty},
        }

    def describe(self, summary: Mapping[str, object]) -> str:
        """The report itself."""
        return Path(str(summary["report"])).read_text()
