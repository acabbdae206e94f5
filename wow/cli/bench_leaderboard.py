"""`wow bench leaderboard`: result files of several people as one table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from wow.cli.options import MakesFolder, Summary


@dataclass(frozen=True, kw_only=True)
class BenchLeaderboard(MakesFolder):
    """Merge result files into one table; other suites, metric versions or tools are refused."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """Files results.json, folders of runs, or leaderboards that were merged before."""

    def run(self) -> Summary:
        from wow.bench.standings import standings, write_standings

        table = standings(self.results)
        text, numbers = write_standings(self.out, table)
        overall = {run.name: scores.scores.overall for run, scores in zip(table.runs, table.v2, strict=True)}
        return {
            "text": text,
            "numbers": numbers,
            "runs": len(table.runs),
            "best": table.runs[0].name,
            "overall_v2": overall,
        }
