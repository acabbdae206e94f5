"""Where the videos that are scored come from: a folder that somebody filled, or a model that imagines them now."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from wow.bench.motions import Motion
from wow.bench.suite import OTHER_INSTRUCTION, Sample, Suite, SuiteProblem
from wow.bench.system import Asked, Imaginer
from wow.data.picture import read_picture
from wow.data.video_file import probe_video, write_video
from wow.types import Video, WowError

OTHER_FOLDER = "other"
OWN_ACTIONS, OTHER_ACTIONS = "own-actions", "other-actions"
"""Below the videos: those of a model that was told what to do by actions, the sample's own and another one's."""
SUFFIX = ".mp4"


class VideoSource(Protocol):
    """Gives each sample its video. Travels to the processes that measure, so it can be pickled."""

    @property
    def name(self) -> str:
        """What is tested: results of two names are never mixed."""
        ...

    @property
    def folder(self) -> Path:
        """Where the videos are, once they are there."""
        ...

    def video(self, sample: Sample) -> Path:
        """The file of the sample's video, made if need be. Raises WowError where there is none."""
        ...

    def other(self, sample: Sample) -> Path | None:
        """The video of the same first frame for another instruction; None where there is none."""
        ...

    def acted(self, sample: Sample) -> tuple[Path, Path] | None:
        """Two videos of the same first frame, for the sample's own actions and for another's; None where there are not.

        Raises WowError where the model cannot be told actions.
        """
        ...


@dataclass(frozen=True)
class FolderSource:
    """Videos in a folder: `<key>.mp4`, `<key>/video.mp4`, `<key>/<case>.mp4` or `<case>.mp4`, the last part of the key.

    Those for another instruction lie in the folder `other` below it, in the same way, those for actions in
    `own-actions` and `other-actions`.
    """

    folder: Path
    name: str

    def video(self, sample: Sample) -> Path:
        found = located(self.folder, sample.key)
        if found is None:
            raise WowError(f"there is no video of it in {self.folder} (looked for {sample.key}.mp4 and three more)")
        return found

    def other(self, sample: Sample) -> Path | None:
        return located(self.folder / OTHER_FOLDER, sample.key)

    def acted(self, sample: Sample) -> tuple[Path, Path] | None:
        own, other = (located(self.folder / name, sample.key) for name in (OWN_ACTIONS, OTHER_ACTIONS))
        return None if own is None or other is None else (own, other)

    def extra(self, suite: Suite) -> list[SuiteProblem]:
        """The videos that no sample asks for, not one that cannot be used either."""
        keys = [*(sample.key for sample in suite.samples), *(problem.key for problem in suite.problems if problem.key)]
        wanted = {path.resolve() for key in keys if (path := located(self.folder, key))}
        there = [path for path in sorted(self.folder.rglob(f"*{SUFFIX}")) if path.is_file()]
        beside = {OTHER_FOLDER, OWN_ACTIONS, OTHER_ACTIONS}
        found = [path for path in there if not beside & set(path.relative_to(self.folder).parts)]
        surplus = [path for path in found if path.resolve() not in wanted]
        return [SuiteProblem(str(path.relative_to(self.folder)), "belongs to no sample", False) for path in surplus]


@dataclass(frozen=True)
class ImaginedSource:
    """Videos that a model imagines, kept in `folder`. make: gives the model, once in each process.

    instructions: what each sample is told, by key; others: an instruction of somebody else's, by key; motions: what was
    done there, and somewhere else. A sample's seed depends on its key alone, so that a part of a suite gives the same
    videos as the whole.
    """

    name: str
    make: Callable[[], Imaginer]
    folder: Path
    instructions: dict[str, str]
    others: dict[str, str]
    num_frames: int
    seed: int
    motions: Mapping[str, tuple[Motion, Motion]] = field(default_factory=dict)

    def video(self, sample: Sample) -> Path:
        return self._imagined(sample, self.instructions[sample.key], self.folder / f"{sample.key}{SUFFIX}")

    def other(self, sample: Sample) -> Path | None:
        if sample.key not in self.others:
            return None
        return self._imagined(sample, self.others[sample.key], self.folder / OTHER_FOLDER / f"{sample.key}{SUFFIX}")

    def acted(self, sample: Sample) -> tuple[Path, Path] | None:
        if sample.key not in self.motions:
            return None
        told = self.instructions[sample.key]
        own, other = (
            self._imagined(sample, told, self.folder / name / f"{sample.key}{SUFFIX}", motion)
            for name, motion in zip((OWN_ACTIONS, OTHER_ACTIONS), self.motions[sample.key], strict=True)
        )
        return own, other

    def _imagined(self, sample: Sample, instruction: str, path: Path, motion: Motion | None = None) -> Path:
        if path.is_file():
            return path
        model = _opened(self)
        seed = self.seed + zlib.crc32(sample.key.encode()) % 1_000_003
        first = read_picture(sample.first_frame)
        asked = Asked([first], [instruction], self.num_frames, seed)
        if motion is not None:
            asked = replace(asked, actions=[motion.actions], seconds=[motion.seconds])
        (frames,) = model.imagine(asked)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.mp4")
        write_video(part, Video(frames, _pace(sample, len(frames))))
        part.replace(path)
        return path


_models: dict[str, Imaginer] = {}


def _opened(source: ImaginedSource) -> Imaginer:
    """The model, loaded once in this process."""
    if source.name not in _models:
        _models[source.name] = source.make()
    return _models[source.name]


def _pace(sample: Sample, num_frames: int) -> float:
    """Frames a second at which a video lasts as long as its truth; five where there is none."""
    if sample.truth is None:
        return 5.0
    length, _, _, fps = probe_video(sample.truth)
    return max((fps or 5.0) * (num_frames - 1) / max(length - 1, 1), 0.1)


def located(folder: Path, key: str) -> Path | None:
    case = key.rpartition("/")[2]
    candidates = (f"{key}{SUFFIX}", f"{key}/video{SUFFIX}", f"{key}/{case}{SUFFIX}", f"{case}{SUFFIX}")
    return next((folder / name for name in candidates if (folder / name).is_file()), None)


def other_instructions(samples: Sequence[Sample]) -> dict[str, str]:
    """For each sample the other instruction that it names; else one that reads otherwise, of the next in the suite."""
    found: dict[str, str] = {}
    for place, sample in enumerate(samples):
        named = sample.meta.facts.get(OTHER_INSTRUCTION)
        if isinstance(named, str) and named.strip():
            found[sample.key] = named
            continue
        rest = [*samples[place + 1 :], *samples[:place]]
        other = next((one.prompt for one in rest if one.prompt != sample.prompt), None)
        if other is not None:
            found[sample.key] = other
    return found
