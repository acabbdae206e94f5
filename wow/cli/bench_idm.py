"""`wow bench idm`: what an inverse dynamics model is worth, measured on episodes it never saw."""

from __future__ import annotations

import shlex
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.options import MakesFolder, Summary, numbers
from wow.cli.output import write_json
from wow.cli.progress import Progress
from wow.types import Actions, Episode, Float32, UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.bench.inverse import InverseRecord, Reads
    from wow.bench.ledger import Ledger
    from wow.cli.stages import Stages
    from wow.data import Dataset

BUDGET = 2000
"""Control steps of an execution at most."""


@dataclass(frozen=True, kw_only=True)
class BenchIdm(MakesFolder):
    """Measure inverse dynamics models on held-out episodes, beside no motion and the mean motion.

    The same command again goes on where it was.
    """

    data: tuple[Path, ...]
    """Held-out episodes, of any robots whose actions the models say: one folder or several."""
    train_data: tuple[Path, ...]
    """What they were trained on, for the mean motion."""
    model: tuple[str, ...] = ("wow-mini",)
    """Models to compare: names, checkpoint folders or runs of wow train idm."""
    episodes: str = "all"
    """Which episodes of each folder, counted from 0: "all", or numbers and ranges with commas: 0-9,12."""
    sources: tuple[str, ...] = ()
    """Only episodes of these sources, e.g. expert; all by default."""
    through: str | None = None
    """Also show the models the frames as they come out of this model's codec."""
    num_frames: int = 17
    """Frames of a clip."""
    replay: bool = False
    """Also execute what is read of an expert's film, in one piece and told where the hand begins, where it was made."""

    def continues(self) -> bool:
        return (self.out / "run.json").exists()

    def run(self) -> Summary:
        from wow.bench.inverse import record_from_json
        from wow.bench.inverse_report import coverage, inverse_tables, save_coverage
        from wow.bench.ledger import Ledger, claim
        from wow.bench.report import Provenance, machine, write_report
        from wow.data import open_dataset

        if self.num_frames < 2:
            raise WowError("--num-frames is at least 2: an action lies between two frames")
        data, training = [open_dataset(folder) for folder in self.data], [open_dataset(f) for f in self.train_data]
        episodes = [(which, number) for which, one in enumerate(data) for number in self._episodes(which, one)]
        claim(self.out, self._identity(data))
        records = self._measured(Ledger(self.out / "episodes.jsonl", record_from_json), data, training, episodes)
        shown = ", ".join(map(str, self.data))
        origin = Provenance(
            shlex.join(["wow", *sys.argv[1:]]), ", ".join(self.model), shown, machine(), time.strftime("%F")
        )
        write_json(self.out / "records.json", {"records": [asdict(record) for record in records]})
        write_report(self.out, inverse_tables(records), origin, title="WoWBench: inverse dynamics")
        curves = coverage(records)
        if curves:
            save_coverage(self.out / "coverage.png", curves)
        picture = {"coverage": self.out / "coverage.png"} if curves else {}
        return {"out": self.out, "report": self.out / "report.md", **picture, "episodes": len(episodes)}

    def _measured(
        self,
        ledger: Ledger[InverseRecord],
        data: Sequence[Dataset],
        training: Sequence[Dataset],
        episodes: Sequence[tuple[int, int]],
    ) -> list[InverseRecord]:
        """The records of all episodes, those of earlier calls read back. Ctrl-C loses the episode in flight."""
        from wow.bench.inverse import measure_episode, typical_of
        from wow.bench.ledger import measured
        from wow.cli.stages import Stages
        from wow.sim.suites import DIFFICULTY

        systems, typical, stages = self._systems(), typical_of(training), Stages()

        def measure(place: tuple[int, int], batch: int) -> list[InverseRecord]:
            which, number = place
            name = str(number) if len(data) == 1 else f"{self.data[which]}/{number}"
            scenes = RecordedScenes(stages) if self.replay else None
            episode = data[which].episode(number)
            return measure_episode(name, episode, systems, typical, self.num_frames, DIFFICULTY, scenes)

        done = 0
        with Progress("read", total=len(episodes), unit="episodes", start=len(ledger.finished())) as progress:

            def on_done(what: str, count: int, total: int) -> None:
                nonlocal done
                done = count
                progress.update(count)

            try:
                return measured(ledger, episodes, measure, on_done)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"saved {done} of {len(episodes)} episodes in {self.out}; the same command continues"
                ) from None
            finally:
                stages.close()

    def _identity(self, data: Sequence[Dataset]) -> dict[str, object]:
        """What tells this measurement from others."""
        from wow.assembly import model_hash
        from wow.data.identity import dataset_identity

        return {
            "data": [str(folder) for folder in self.data],
            "data_hash": [dataset_identity(one, folder) for one, folder in zip(data, self.data, strict=True)],
            "train_data": [str(folder) for folder in self.train_data],
            "models": {name: _newest(name) for name in self.model},
            "through": None if self.through is None else model_hash(self.through),
            "episodes": self.episodes.strip(),
            "sources": list(self.sources),
            "num_frames": self.num_frames,
            "replay": "whole films" if self.replay else False,
        }

    def _episodes(self, which: int, data: Dataset) -> list[int]:
        wanted = range(len(data)) if self.episodes.strip() == "all" else numbers(self.episodes)
        if beyond := [number for number in wanted if number >= len(data)]:
            raise WowError(f"{self.data[which]} has {len(data)} episodes, counted from 0: there is no {beyond[0]}")
        kept = [n for n in wanted if not self.sources or data.records[n].source in self.sources]
        if not kept:
            raise WowError(f"{self.data[which]} has no such episode from {', '.join(self.sources)}")
        return kept

    def _systems(self) -> dict[str, Reads]:
        systems: dict[str, Reads] = {}
        codec = None if self.through is None else _codec(self.through)
        for name in self.model:
            reads = _reader(name)
            systems[name] = reads
            if codec is not None:
                systems[f"{name} through the codec"] = _seen_through(reads, codec)
        return systems


@dataclass(frozen=True)
class RecordedScenes:
    """The simulator's scenes that episodes were recorded in; see `wow.bench.inverse.Scenes`."""

    stages: Stages

    def start(self, episode: Episode) -> Float32:
        return self.stages.arm(episode).target.astype("float32")

    def execute(self, episode: Episode, actions: Actions) -> bool:
        from wow.assembly import GivenPlanner, LoopOptions, run_episode

        return run_episode(
            self.stages.arm(episode), GivenPlanner(actions), LoopOptions(open_loop=True, budget=BUDGET)
        ).success


def _checkpoint(name: str) -> Path:
    """The folder of a model's checkpoint; a training run's is written first."""
    from wow.assembly import checkpoint_folder
    from wow.train.export import as_checkpoint

    return as_checkpoint(checkpoint_folder(name))


def _newest(name: str) -> str:
    """The hash of a model's weights, of a training run those of its newest checkpoint."""
    from wow.weights import checkpoint_hash

    return checkpoint_hash(_checkpoint(name))


def _reader(name: str) -> Reads:
    from wow.assembly import load_inverse

    inverse = load_inverse(_checkpoint(name))

    def reads(video: Video, paced: bool, start: Float32 | None = None) -> Actions:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return inverse.act(video, paced=paced, start=start)

    return reads


def _codec(name: str) -> Callable[[UInt8], UInt8]:
    from wow.assembly import load

    return load(name).reconstruct


def _seen_through(reads: Reads, codec: Callable[[UInt8], UInt8]) -> Reads:
    return lambda video, paced, start=None: reads(replace(video, frames=codec(video.frames)), paced, start)
