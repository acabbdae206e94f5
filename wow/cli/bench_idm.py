"""`wow bench idm`: what an inverse dynamics model is worth, measured on episodes it never saw."""

from __future__ import annotations

import shlex
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.options import MakesFolder, Summary, numbers
from wow.cli.output import write_json
from wow.cli.progress import Progress
from wow.types import Actions, UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.bench.inverse import Reads
    from wow.data import Dataset
    from wow.types import Episode


@dataclass(frozen=True, kw_only=True)
class BenchIdm(MakesFolder):
    """Measure inverse dynamics models on held-out episodes, beside no motion and the mean motion."""

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

    def run(self) -> Summary:
        from wow.bench.inverse import inverse_tables, mean_motion, measure
        from wow.bench.report import Provenance, machine, write_report
        from wow.data import open_dataset

        if self.num_frames < 2:
            raise WowError("--num-frames is at least 2: an action lies between two frames")
        data, training = open_dataset(self.data), open_dataset(self.train_data)
        episodes = self._episodes(data)
        with Progress("read", total=len(episodes), unit="episodes") as progress:
            records = measure(
                episodes,
                self._systems(),
                mean_motion(training),
                self.num_frames,
                lambda done, total: progress.update(done),
            )
        tables = inverse_tables(records)
        origin = Provenance(
            shlex.join(["wow", *sys.argv[1:]]), ", ".join(self.model), str(self.data), machine(), time.strftime("%F")
        )
        write_json(self.out / "records.json", {"records": [asdict(record) for record in records]})
        write_report(self.out, tables, origin, title="WoWBench: inverse dynamics")
        return {"out": self.out, "report": self.out / "report.md", "episodes": len(episodes)}

    def _episodes(self, data: Dataset) -> list[tuple[str, Episode]]:
        wanted = range(len(data)) if self.episodes.strip() == "all" else numbers(self.episodes)
        if beyond := [number for number in wanted if number >= len(data)]:
            raise WowError(f"{self.data} has {len(data)} episodes, counted from 0: there is no {beyond[0]}")
        kept = [n for n in wanted if not self.sources or data.records[n].source in self.sources]
        if not kept:
            raise WowError(f"{self.data} has no such episode from {', '.join(self.sources)}")
        return [(str(number), data.episode(number)) for number in kept]

    def _systems(self) -> dict[str, Reads]:
        systems: dict[str, Reads] = {}
        codec = None if self.through is None else _codec(self.through)
        for name in self.model:
            reads = _reader(name)
            systems[name] = reads
            if codec is not None:
                systems[f"{name} through the codec"] = _seen_through(reads, codec)
        return systems


def _reader(name: str) -> Reads:
    from wow.assembly import checkpoint_folder, load_inverse
    from wow.train.export import as_checkpoint

    inverse = load_inverse(as_checkpoint(checkpoint_folder(name)))

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
