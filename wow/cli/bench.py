"""`wow bench world`: what a world model is worth, measured on episodes it never saw."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from wow.cli.imagine_foundation import is_foundation, open_agent
from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.progress import Progress
from wow.cli.sampling import Drawing
from wow.types import UInt8, WowError

if TYPE_CHECKING:
    from wow.assembly import Actor, Agent, SamplingOptions
    from wow.bench.instructions import Wordings
    from wow.bench.metrics import Perceptual
    from wow.bench.samples import Clip
    from wow.bench.system import Asked
    from wow.bench.tables import Table


@dataclass(frozen=True, kw_only=True)
class BenchWorld(Drawing, MakesFolder, Seeded):
    """Measure a world model on held-out episodes. The same command again continues."""

    data: Path
    """Held-out episodes: experts, and for forward dynamics also near_success and random ones of the same seeds."""
    train_data: Path | None = None
    """What the model was trained on, for the nearest training video."""
    siblings: Path | None = None
    """Episodes recorded with --source siblings, where they are not in --data."""
    model: str = "wow-mini"
    """A model that comes with the package or that `wow models` lists, or the folder of a checkpoint."""
    episodes_per_task: int = 4
    """Episodes of each task and source; resets of each shared scene."""
    steps: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Numbers of inference steps to compare."""
    batch: int = 8
    """Videos imagined at once; a killed run loses at most one batch."""
    camera: str | None = None
    """Camera that is imagined; the first one unless named."""
    only: tuple[str, ...] = ()
    """Measure only these: quality instructions dynamics steps cost; no dynamics of models that follow words alone."""

    def continues(self) -> bool:
        return (self.out / "run.json").is_file()

    def run(self) -> Summary:
        from wow.bench.world import MEASUREMENTS, WorldBench, WorldBenchConfig
        from wow.data import open_dataset

        config = WorldBenchConfig(
            episodes_per_task=self.episodes_per_task,
            num_frames=self.num_frames,
            steps=self.steps,
            batch=self.batch,
            seed=self.seed,
            camera=self.camera,
            only=self.only or tuple(name for name in MEASUREMENTS if self._can_be_asked(name)),
        )
        data = open_dataset(self.data)
        train, siblings = (None if path is None else open_dataset(path) for path in (self.train_data, self.siblings))
        perceptual, why_no_lpips = _perceptual()
        bench = WorldBench(
            system=self._system(),
            data=data,
            out=self.out,
            config=config,
            train=train,
            siblings=siblings,
            held_out=held_out_wordings(),
            perceptual=perceptual,
            why_no_lpips=why_no_lpips,
            cold_command=self._cold_command,
        )
        typed = shlex.join(["wow", *sys.argv[1:]])
        try:
            with _Bars() as bars:
                tables = bench.run(typed, self._data_name(), bars.update)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"finished batches are in {self.out}; the same command continues") from None
        return {"out": self.out, "report": self.out / "report.md", **_headlines(tables)}

    def _system(self) -> AgentUnderTest:
        return under_test(open_agent(self.model), self.options(), self.model)

    def _can_be_asked(self, measurement: str) -> bool:
        """Foundation models follow words, not actions."""
        return measurement != "dynamics" or not is_foundation(self.model)

    def _data_name(self) -> str:
        parts = {"": self.data, "training ": self.train_data, "siblings ": self.siblings}
        return ", ".join(f"{role}{path}" for role, path in parts.items() if path is not None)

    def _cold_command(self, clip: Clip) -> list[str]:
        """`wow imagine` on the clip's first frame, as somebody would type it."""
        from PIL import Image

        picture = self.out / "first_frame.png"
        Image.fromarray(clip.frames[0]).save(picture)
        words = ["imagine", str(picture), clip.prompt, "--model", self.model, "--out", "{out}"]
        words += ["--num-frames", str(self.num_frames), "--num-inference-steps", str(self.num_inference_steps)]
        words += ["--num-planning-steps", str(self.num_planning_steps), "--guidance-scale", str(self.guidance_scale)]
        words += ["--corrections", str(self.corrections)]
        return [sys.executable, "-m", "wow.cli.main", *words]


@dataclass(frozen=True)
class AgentUnderTest:
    """A loaded model as the benchmark asks for it. weights: a piece of their hash."""

    model: Actor
    options: SamplingOptions
    weights: str

    @property
    def name(self) -> str:
        return described_foundation(self.model.name, self.weights, self.options)

    def imagine(self, asked: Asked) -> list[UInt8]:
        """One batch; the videos have the seeds `seed`, `seed` + 1, …"""
        from wow.assembly import Request

        requests = [
            Request(
                context=context[None],
                prompt=told(self.model, asked.prompts[place]),
                actions=None if asked.actions is None else asked.actions[place],
                seed=asked.seed + place,
                seconds=None if asked.seconds is None else asked.seconds[place],
            )
            for place, context in enumerate(asked.contexts)
        ]
        videos = self.model.imagine_all(requests, num_frames=asked.num_frames, options=self.options)
        return [video.frames for video in videos]

    def with_num_inference_steps(self, steps: int) -> Self:
        """The same model with that many steps."""
        return replace(self, options=replace(self.options, num_inference_steps=steps))


@dataclass(frozen=True)
class ModelUnderTest(AgentUnderTest):
    """One of our own, whose codec can be measured alone."""

    model: Agent

    @property
    def name(self) -> str:
        return described(self.model.name, self.weights, self.options)

    def reconstruct(self, videos: Sequence[UInt8]) -> list[UInt8]:
        """Each video through the codec and back."""
        return [self.model.reconstruct(video) for video in videos]


def under_test(agent: Actor, options: SamplingOptions, model: str) -> AgentUnderTest:
    """What is measured of a model, by the name that it was asked for."""
    from wow.assembly import Agent, model_hash

    weights = model_hash(model)[:12]
    if isinstance(agent, Agent):
        return ModelUnderTest(agent, options, weights)
    return AgentUnderTest(agent, options, weights)


def told(model: Actor, prompt: str | None) -> str | None:
    """What a model is told of a prompt: as much of a long dense one as wow-mini reads, which docs/bench.md says."""
    from wow.assembly import Agent

    return model.readable(prompt) if prompt is not None and isinstance(model, Agent) else prompt


def described_foundation(model: str, weights: str, options: SamplingOptions) -> str:
    """As `described`: of a foundation model, which knows neither plans nor corrections."""
    return f"{model} {weights}, {options.num_inference_steps} steps, guidance {options.guidance_scale:g}"


def described(model: str, weights: str, options: SamplingOptions) -> str:
    """What is measured, in words: results of two of these are never mixed."""
    steps = f"{options.num_planning_steps} + {options.num_inference_steps} steps"
    return f"{model} {weights}, {steps}, {options.corrections} corrections, guidance {options.guidance_scale:g}"


def held_out_wordings() -> Wordings:
    """What simulated tasks are called that training never has."""
    from wow.bench.instructions import HELD_OUT, USERS
    from wow.sim.tasks import TASKS

    return {
        HELD_OUT: {name: (task.held_out,) for name, task in TASKS.items()},
        USERS: {name: task.users for name, task in TASKS.items()},
    }


def _perceptual() -> tuple[Perceptual | None, str]:
    """LPIPS, or the reason why there is none."""
    from wow.bench.lpips import load_lpips

    try:
        return load_lpips(), ""
    except WowError as problem:
        return None, str(problem)


def _headlines(tables: Sequence[Table]) -> Mapping[str, object]:
    """The first row of each table: what somebody would quote."""
    from wow.bench.intervals import Estimate

    shown: dict[str, object] = {}
    for table in tables:
        for column, cell in table.rows[0].cells.items():
            shown[f"{table.name}: {table.rows[0].label}, {column}"] = cell.value if isinstance(cell, Estimate) else cell
    return shown


class _Bars:
    """A progress bar for each measurement, one after the other."""

    def __init__(self) -> None:
        self._bars: dict[str, Progress] = {}

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.__exit__(None, None, None)

    def update(self, name: str, done: int, total: int) -> None:
        """`done` of `total` steps of a measurement are done; its first call says how many an earlier run did."""
        if name not in self._bars:
            self.__exit__()
            self._bars = {name: Progress(name, total=total, start=done)}
        self._bars[name].update(done)
