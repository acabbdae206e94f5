"""The true videos of a suite as something that is tested: as they are, or with one fault of the ladder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wow.bench.cases import read_film, read_masks
from wow.bench.ladder import worsened
from wow.bench.sources import SUFFIX
from wow.bench.suite import REGIONS, Sample
from wow.bench.suite_import import TRUE_TO_LIFE
from wow.data.video_file import write_video
from wow.types import WowError


@dataclass(frozen=True)
class TruthSource:
    """True videos, written anew to `folder`. fault: "" for none; strength: in (0, 1].

    Without a fault too they are written anew: what the codec loses is then no part of any fault.
    """

    name: str
    folder: Path
    fault: str = ""
    strength: float = 1.0

    def video(self, sample: Sample) -> Path:
        """Raises WowError where there is no truth, and where the fault cannot be put into it."""
        path = self.folder / f"{sample.key}{SUFFIX}"
        if path.is_file():
            return path
        if sample.truth is None:
            raise WowError("the sample has no truth video")
        video = read_film(sample.truth)
        frames = video.frames
        if self.fault:
            size = (frames.shape[1], frames.shape[2])
            try:
                labels = read_masks(sample, size, size)
            except WowError:
                labels = None  # most faults can do without
            mask = None if labels is None or len(labels) != len(video) else labels == REGIONS.index("object")
            frames = worsened(self.fault, frames, self.strength, mask)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".part{SUFFIX}")
        write_video(part, replace(video, frames=frames), TRUE_TO_LIFE)
        part.replace(path)
        return path

    def other(self, sample: Sample) -> None:
        """Nobody knows what another instruction would have led to."""

    def acted(self, sample: Sample) -> None:
        """Nor what other actions would have."""
