"""`wow bench study` and `wow bench study-score`: what people think of the videos, and which metric agrees with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from wow.cli.options import MakesFolder, Seeded, Summary
from wow.types import WowError


@dataclass(frozen=True, kw_only=True)
class BenchStudy(MakesFolder, Seeded):
    """Write a page on which people rate videos of runs and guess which are real, and the key to it."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs on the same suite."""
    samples: int = 12
    """Samples whose videos are shown; of each, one rating and one guess a run, and as many real videos."""

    def run(self) -> Summary:
        from wow.bench.study import KEY, PAGE, write_study
        from wow.bench.suite_results import read_results

        if not self.runs or not 1 <= self.samples <= 500:
            raise WowError("name at least one run, and --samples 1 to 500")
        study = write_study(self.out, [read_results(run) for run in self.runs], self.samples, self.seed)
        return {"hand_out": self.out / PAGE, "keep": self.out / KEY, "study": study.name, "questions": len(study.items)}


@dataclass(frozen=True, kw_only=True)
class BenchStudyScore(MakesFolder):
    """Turn the answers of a study into deceive ratios, mean ratings, and correlations with every metric."""

    answers: tyro.conf.Positional[tuple[Path, ...]]
    """Files that raters downloaded from the page."""
    key: Path
    """The study's key.json, or its folder."""

    def run(self) -> Summary:
        from wow.bench.study import read_study
        from wow.bench.study_score import markdown, read_answers, score_study, study_json
        from wow.bench.text import write_json, write_text

        study = read_study(self.key)
        scores = score_study(study, [read_answers(path, study) for path in self.answers])
        write_text(self.out / "study.md", markdown(scores))
        write_json(self.out / "study.json", {"study": study.name, **study_json(scores)})
        return {
            "text": self.out / "study.md",
            "numbers": self.out / "study.json",
            "raters": scores.raters,
            "deceive_ratio": {run: found.value for run, found in scores.deceived.items()},
            "sum_of_ratings": {run: found["sum"].value for run, found in scores.means.items()},
        }
