"""`wow bench audit`: the metrics themselves are measured, on true videos made worse in known ways."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.bench_tools import toolbox
from wow.cli.options import MakesFolder, Summary
from wow.cli.processes import end_with_parent
from wow.cli.progress import Progress
from wow.types import WowError

if TYPE_CHECKING:
    from wow.bench.suite import Suite
    from wow.bench.suite_results import Results
    from wow.bench.toolbox import StandardToolbox


@dataclass(frozen=True, kw_only=True)
class BenchAudit(MakesFolder):
    """Show which metric sees which fault, and which agrees with executed success. The same command again continues."""

    suite: Path
    """Folder of a suite with true videos and, for faults of objects, exact masks."""
    samples: int = 30
    """Samples that are used, spread evenly over the suite."""
    faults: tuple[str, ...] = ()
    """Only these faults: blur lag freeze teleport vanish wrong-object reverse optimistic."""
    strengths: tuple[float, ...] = (0.33, 0.67, 1.0)
    """Rungs of the ladder, above 0 and up to 1."""
    metrics: tuple[str, ...] = ()
    """Only these metrics."""
    runs: tuple[Path, ...] = ()
    """Further runs on the very samples, e.g. of models, that count in the correlations."""
    workers: int = 1
    """Processes that score at the same time."""
    executor: str = "auto"
    """Whose inverse dynamics reads the videos that are executed: a model, "none", or "auto"."""
    judge: str | None = None
    """Who judges, as for wow bench run."""
    trials: int = 1
    """How often the judge is asked each question."""
    i3d: Path | None = None
    """Weights of I3D for FVD, as for wow bench run."""
    dino: Path | None = None
    """Folder of DINOv2's weights, as for wow bench run."""

    def continues(self) -> bool:
        return (self.out / "run.json").is_file()

    def prepare(self) -> list[Path]:
        from wow.bench.dimensions.registry import chosen_metrics
        from wow.bench.ladder import FAULTS

        if unknown := [fault for fault in self.faults if fault not in FAULTS]:
            raise WowError(f"there is no fault {unknown[0]!r}: choose from {', '.join(FAULTS)}")
        if not self.strengths or not all(0 < strength <= 1 for strength in self.strengths):
            raise WowError("--strengths are above 0 and up to 1")
        if self.samples < 2 or not 1 <= self.workers <= 256:
            raise WowError("--samples is at least 2 and --workers 1 to 256")
        chosen_metrics(self.metrics)
        self._toolbox()
        return super().prepare()

    def run(self) -> Summary:
        from wow.bench.audit import TRUTH, audit, audit_json, markdown, rung
        from wow.bench.audit_page import audit_page
        from wow.bench.ladder import FAULTS
        from wow.bench.ledger import claim
        from wow.bench.suite_results import read_results
        from wow.bench.text import write_json, write_text

        suite = self._suite()
        strengths = sorted(set(self.strengths))
        claim(self.out, {"kind": "audit", "suite_hash": suite.digest})
        others = [read_results(folder) for folder in self.runs]
        if strange := [str(run.folder) for run in others if run.digest != suite.digest]:
            raise WowError(
                f"{strange[0]} is not on these {len(suite.samples)} samples: run it on the same, or leave it out"
            )
        rungs = {(fault, strength): rung(fault, strength) for fault in self.faults or FAULTS for strength in strengths}
        total = (len(rungs) + 1) * len(suite.samples)
        with Progress("audit", total=total, unit="videos") as progress:
            try:
                truth = self._scored(suite, TRUTH, progress, 0)
                found = {
                    place: self._scored(suite, name, progress, number * len(suite.samples), *place)
                    for number, (place, name) in enumerate(rungs.items(), start=1)
                }
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"what is scored is in {self.out}; the same command continues") from None
        result = audit(truth, found, others)
        command = shlex.join(["wow", *sys.argv[1:]])
        used = f"{len(suite.samples)} samples of {suite.name} (hash `{suite.digest[:16]}`)"
        about = f"`{command}`; {used}, {time.strftime('%F')}."
        write_text(self.out / "audit.md", markdown(result, about))
        write_text(self.out / "audit.html", audit_page(result, about))
        write_json(self.out / "audit.json", {"command": command, "suite_hash": suite.digest, **audit_json(result)})
        claims = result.claims()
        return {
            "out": self.out,
            "page": self.out / "audit.html",
            "text": self.out / "audit.md",
            "runs": 1 + len(found) + len(others),
            "claims": len(claims),
            "claims_that_hold": sum(holds for *_, holds in claims),
            "pearson": {
                name: one.pearson.value for name, one in result.validity.correlations.items() if "overall" in name
            },
        }

    def _toolbox(self) -> StandardToolbox:
        return toolbox(self.executor, self.judge, self.trials, self.out / "judged", self.i3d, self.dino, self.suite)

    def _suite(self) -> Suite:
        """The suite with those samples only that are used."""
        from wow.bench.align import spread
        from wow.bench.suite import open_suite, suite_digest

        suite = open_suite(self.suite)
        true = [sample for sample in suite.samples if sample.truth is not None]
        if len(true) < 2:
            raise WowError(f"{self.suite} has fewer than two samples with a true video: nothing can be made worse")
        chosen = tuple(true[row] for row in spread(len(true), min(self.samples, len(true))))
        return replace(suite, samples=chosen, digest=suite_digest(chosen), problems=())

    def _scored(
        self, suite: Suite, name: str, progress: Progress, before: int, fault: str = "", strength: float = 0.0
    ) -> Results:
        """The run of one rung, made and scored as far as it was not."""
        from wow.bench.dimensions.registry import chosen_metrics
        from wow.bench.provenance import Provenance, machine
        from wow.bench.suite_results import read_results, write_results
        from wow.bench.suite_run import LocalProcesses, in_this_process, run_suite
        from wow.bench.worsened import TruthSource

        run = run_suite(
            suite=suite,
            source=TruthSource(name, self.out / "videos" / name, fault, strength),
            toolbox=self._toolbox(),
            metrics=chosen_metrics(self.metrics),
            out=self.out / "runs" / name,
            settings={},
            engine=in_this_process if self.workers == 1 else LocalProcesses(self.workers, end_with_parent),
            on_done=lambda done, _: progress.update(before + done, name),
        )
        command = shlex.join(["wow", *sys.argv[1:]])
        write_results(run, Provenance(command, name, suite.name, machine(), time.strftime("%Y-%m-%d %H:%M %Z")))
        return read_results(self.out / "runs" / name)
