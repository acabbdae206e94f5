"""`wow bench correlate`: which metric, and which overall score, agrees with what is executed, over many runs."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from wow.cli.options import MakesFolder, Summary
from wow.types import WowError

ENOUGH = 12
"""Runs from which on a correlation over runs says something."""


@dataclass(frozen=True, kw_only=True)
class BenchCorrelate(MakesFolder):
    """Correlate every metric and both overall scores with executed success, over runs of variants on one suite."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs on the same suite: models, checkpoints, numbers of steps, guidance, faults (--model truth
    --fault)."""

    def run(self) -> Summary:
        from wow.bench.audit_page import validity_page
        from wow.bench.suite_compare import check_alike
        from wow.bench.suite_results import read_results
        from wow.bench.text import write_json, write_text
        from wow.bench.validity import correlation_table, markdown, validity, validity_json

        runs = [read_results(folder) for folder in dict.fromkeys(self.runs)]
        if len(runs) < 3:
            raise WowError(f"a correlation needs at least three runs, better {ENOUGH}: name their folders")
        for place in range(len(runs)):
            check_alike(runs[place:])
        found = validity(runs)
        first = runs[0].content
        command, suite = shlex.join(["wow", *sys.argv[1:]]), f"{first['suite']} (hash `{runs[0].digest[:16]}`)"
        about = f"`{command}`; {len(found.executed)} runs on {suite}, {time.strftime('%F')}."
        write_text(self.out / "correlations.md", markdown(found, about))
        write_text(self.out / "correlations.html", validity_page(found, about))
        told = {"command": command, "suite_hash": runs[0].digest, **validity_json(found)}
        write_json(self.out / "correlations.json", told)
        overall = {name: one.pearson.value for name, one in found.correlations.items() if name.startswith("overall")}
        return {
            "page": self.out / "correlations.html",
            "text": self.out / "correlations.md",
            "numbers": self.out / "correlations.json",
            "runs": len(found.executed),
            "not_executed": list(found.skipped),
            "pearson": overall,
            "table": correlation_table(found),
        }

    def describe(self, summary: Mapping[str, object]) -> str:
        """The table, and where the rest is."""
        few = f" ({ENOUGH} or more say more)" if int(str(summary["runs"])) < ENOUGH else ""
        return f"{summary['table']}\n\n{summary['runs']} executed runs{few}; page {summary['page']}"
