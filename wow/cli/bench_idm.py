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
from wow.types import Actions, UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.bench.inverse import InverseRecord, Reads
    from wow.bench.ledger import Ledger
    from wow.data import Dataset


@dataclass(frozen=True, kw_only=True)
class BenchIdm(MakesFolder):
    """Measure inverse dynamics models on held-out episodes, beside no motion and the mean motion.

    The same command again goes on where it was.
    """

    data: Path
    """Held-out episodes, of any robot whose actions the models say."""
    train_data: Path
    """What they were trained on, for the mean motion."""
    model: tuple[str, ...] = ("wow-mini",)
    """Models to compare: names, checkpoint folders or runs of wow train idm."""
    episodes: str = "all"
    """Which episodes, counted from 0: "all", or numbers and ranges with commas: 0-9,12."""
    sources: tuple[str, ...] = ()
    """Only episodes of these sources, e.g. expert; all by default."""
    through: str | None = None
    """Also show the models the frames as they come out of this model's codec."""
    num_frames: int = 17
    """Frames of a clip."""

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
        data, training = open_dataset(self.data), open_dataset(self.train_data)
        episodes = self._episodes(data)
        claim(self.out, self._identity(data))
        records = self._measured(Ledger(self.out / "episodes.jsonl", record_from_json), data, training, episodes)
        origin = Provenance(
            shlex.join(["wow", *sys.argv[1:]]), ", ".join(self.model), str(self.data), machine(), time.strftime("%F")
        )
        write_json(self.out / "records.json", {"records": [asdict(record) for record in records]})
        write_report(self.out, inverse_tables(records), origin, title="WoWBench: inverse dynamics")
        curves = coverage(records)
        if curves:
            save_coverage(self.out / "coverage.png", curves)
        picture = {"coverage": self.out / "coverage.png"} if curves else {}
        return {"out": self.out, "report": self.out / "report.md", **picture, "episodes": len(episodes)}

    def _measured(
        self, ledger: Ledger[InverseRecord], data: Dataset, training: Dataset, episodes: Sequence[int]
    ) -> list[InverseRecord]:
        """The records of all episodes, those of earlier calls read back. Ctrl-C loses the episode in flight."""
        from wow.bench.inverse import measure_episode, typical_of
        from wow.bench.ledger import measured
        from wow.sim.suites import DIFFICULTY

        systems, typical = self._systems(), typical_of(training)

        def measure(number: int, place: int) -> list[InverseRecord]:
            return measure_episode(str(number), data.episode(number), systems, typical, self.num_frames, DIFFICULTY)

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

    def _identity(self, data: Dataset) -> dict[str, object]:
        """What tells this measurement from others."""
        from wow.assembly import model_hash
        from wow.data.identity import dataset_identity

        return {
            "data": str(self.data),
            "data_hash": dataset_identity(data, self.data),
            "train_data": str(self.train_data),
            "models": {name: _newest(name) for name in self.model},
            "through": None if self.through is None else model_hash(self.through),
            "episodes": self.episodes.strip(),
            "sources": list(self.sources),
            "num_frames": self.num_frames,
        }

    def _episodes(self, data: Dataset) -> list[int]:
        wanted = range(len(data)) if self.episodes.strip() == "all" else numbers(self.episodes)
        if beyond := [number for number in wanted if number >= len(data)]:
            raise WowError(f"{self.data} has {len(data)} episodes, counted from 0: there is no {beyond[0]}")
        kept = [n for n in wanted if not self.sources or data.records[n].source in self.sources]
        if not kept:
            raise WowError(f"{self.data} has no such episode from {', '.join(self.sources)}")
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

    def reads(video: Video, paced: bool) -> Actions:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return inverse.act(video, paced=paced)

    return reads


def _codec(name: str) -> Callable[[UInt8], UInt8]:
    from wow.assembly import load

    return load(name).reconstruct


def _seen_through(reads: Reads, codec: Callable[[UInt8], UInt8]) -> Reads:
    return lambda video, paced: reads(replace(video, frames=codec(video.frames)), paced)
