"""`wow bench compare` and `wow bench report`: what runs on a suite came to, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from wow.cli.options import Command, MakesFolder, Summary
from wow.types import WowError


@dataclass(frozen=True, kw_only=True)
class BenchCompare(Command):
    """Compare two runs sample by sample: which is better, in what, and how sure that is."""

    a: tyro.conf.Positional[Path]
    """Folder of one run."""
    b: tyro.conf.Positional[Path]
    """Folder of the other, on the same suite."""
    strata: bool = False
    """Also for every ability, sub-task and difficulty."""

    def run(self) -> Summary:
        from wow.bench.suite_compare import compare
        from wow.bench.suite_report import differences_table
        from wow.bench.suite_results import read_results

        one, other = read_results(self.a), read_results(self.b)
        found = compare(one, other)
        kept = [difference for difference in found if self.strata or not difference.stratum]
        return {
            "A": one.name,
            "B": other.name,
            "table": differences_table(kept),
            "differences": [asdict(difference) for difference in kept],
        }

    def describe(self, summary: Mapping[str, object]) -> str:
        """The names, and the table."""
        return f"A: {summary['A']}\nB: {summary['B']}\n\n{summary['table']}"


@dataclass(frozen=True, kw_only=True)
class BenchReport(MakesFolder):
    """Write the report on one run or several: one HTML file, Markdown and JSON."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs on the same suite."""
    show: int = 3
    """Best and worst samples of each run that the page shows."""

    def run(self) -> Summary:
        from wow.bench.leaderboard import leaderboard
        from wow.bench.suite_report import write_suite_report
        from wow.bench.suite_results import read_results

        if not self.runs or not 0 <= self.show <= 50:
            raise WowError("name at least one run, and --show 0 to 50 samples")
        board = leaderboard([read_results(run) for run in self.runs])
        page, text, numbers = write_suite_report(self.out, board, self.show)
        return {"page": page, "text": text, "numbers": numbers, "best": board.runs[0].name}
