"""Make a suite from what exists: a dataset of any format that can be read, or a folder of videos."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wow.bench.abilities import UNKNOWN
from wow.bench.samples import clip_rows
from wow.bench.suite import CARD, MASKS, META, PROMPT, REGIONS, TRAJECTORY, TRUTH, Meta, SuiteProblem, write_card
from wow.data.dataset import Dataset
from wow.data.formats import FORMATS, open_dataset
from wow.data.video_file import Encoding, read_video, write_video
from wow.types import Episode, Float32, UInt8, Video, WowError

OnSample = Callable[[int, int], None]
TRUE_TO_LIFE = Encoding(crf=10)
"""Of the truth, against which everything is measured."""
_SEGMENTATION = "sim.segmentation"
REGION_OF_SEGMENT = {"arm": "robot", "gripper": "robot", "robot": "robot", "object": "object"}
"""The region of a suite's masks that a segment of the simulators belongs to; all others are background."""


@dataclass(frozen=True)
class NewSample:
    """A sample on its way to disk. video: its truth; its first frame is the one that is given.

    trajectory: exact paths by name, [T, …] for its T frames.
    """

    key: str
    video: Video
    prompt: str
    meta: Meta
    dense: str | None = None
    masks: UInt8 | None = None
    trajectory: Mapping[str, Float32] | None = None


@dataclass(frozen=True)
class ImportedSuite:
    """What an import did."""

    added: int
    already: int
    digest: str
    problems: tuple[SuiteProblem, ...]


@dataclass(frozen=True)
class ImportOptions:
    """camera: None for the first one. num_frames: of each truth, spread over the episode; None for all of them.
    limit: at most so many samples. ability, sub_task, difficulty: what every sample is said to test."""

    camera: str | None = None
    num_frames: int | None = None
    limit: int | None = None
    sub_task: str = UNKNOWN
    ability: str = UNKNOWN
    difficulty: str = UNKNOWN

    def __post_init__(self) -> None:
        if self.num_frames is not None and self.num_frames < 2:
            raise WowError(f"a truth has at least 2 frames, not {self.num_frames}")


def import_suite(
    source: Path, out: Path, options: ImportOptions | None = None, on_sample: OnSample = lambda done, total: None
) -> ImportedSuite:
    """Writes a suite at `out` from a dataset or a folder of videos; continues an import that was interrupted.

    Episodes that cannot be read are listed and left out. Raises WowError where nothing can be read at all.
    """
    chosen = options or ImportOptions()
    found = _sources(Path(source), chosen)
    problems = list(found.problems)
    added = already = 0
    for done, (key, read) in enumerate(found.samples.items(), start=1):
        if (out / key / META).is_file():
            already += 1
        else:
            try:
                write_sample(out, read())
                added += 1
            except WowError as problem:
                problems.append(SuiteProblem(key, str(problem)))
        on_sample(done, len(found.samples))
    if not added + already:
        raise WowError(f"nothing in {source} can be a sample: {problems[0] if problems else 'it holds no video'}")
    return ImportedSuite(added, already, write_card(out, Path(source).resolve().name), tuple(problems))


def write_sample(out: Path, sample: NewSample) -> Path:
    """Writes one sample's folder, whole or not at all."""
    folder = out / sample.key
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    Image.fromarray(sample.video.frames[0]).save(part / "init_frame.png")
    (part / PROMPT).write_text(sample.prompt.strip() + "\n")
    if sample.dense:
        (part / "dense_prompt.txt").write_text(sample.dense.strip() + "\n")
    write_video(part / TRUTH, sample.video, TRUE_TO_LIFE)
    if sample.masks is not None:
        np.savez_compressed(part / MASKS, masks=sample.masks)
    if sample.trajectory is not None:
        np.savez_compressed(part / TRAJECTORY, **dict(sample.trajectory))  # type: ignore[arg-type]
    (part / META).write_text(json.dumps(asdict(sample.meta), indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return folder


@dataclass(frozen=True)
class _Sources:
    samples: Mapping[str, Callable[[], NewSample]]
    problems: tuple[SuiteProblem, ...] = ()


def _sources(source: Path, options: ImportOptions) -> _Sources:
    """What there is to import, by the key that it will have. Nothing is decoded yet."""
    if not source.exists():
        raise WowError(f"{source} does not exist: name a dataset or a folder of videos")
    formats = [format.name for format in FORMATS if format.name != "mp4-txt" and format.detect(source)]
    if formats:
        dataset = open_dataset(source, format=formats[0], skip_bad=True)
        told = [SuiteProblem(str(p.episode or ""), p.what, p.left_out) for p in dataset.problems]
        problems = tuple(dict.fromkeys(told))  # once for each episode, not for each of its cameras
        taken = dataset.numbers[: options.limit or None]
        return _Sources({f"episode_{n:06d}": _reader_of_episode(dataset, n, options) for n in taken}, problems)
    if not source.is_dir():
        raise WowError(f"{source} is no dataset that is known and no folder: name a dataset or a folder of videos")
    if (source / CARD).is_file():
        raise WowError(f"{source} is a suite already: wow bench run --suite {source}")
    films = sorted(file for file in source.rglob("*.mp4") if not any(p.startswith(".") for p in file.parts))
    named = {_key(source, film): _reader_of_film(source, film, options) for film in films[: options.limit]}
    return _Sources(named)


def _key(source: Path, film: Path) -> str:
    return film.relative_to(source).with_suffix("").as_posix()


def _reader_of_film(source: Path, film: Path, options: ImportOptions) -> Callable[[], NewSample]:
    def read() -> NewSample:
        video = read_video(film)
        text = film.with_suffix(".txt")
        lines = [line.strip() for line in text.read_text(errors="replace").splitlines()] if text.is_file() else []
        texts = [line for line in lines if line]
        facts = {} if texts else {"prompt_from": "the file's name"}
        meta = _meta(options, UNKNOWN, str(film.relative_to(source)), facts)
        prompt = texts[0] if texts else " ".join(film.stem.replace("_", " ").replace("-", " ").split())
        dense = max(texts[1:], key=len) if len(texts) > 1 else None
        return NewSample(_key(source, film), _shortened(video, options)[0], prompt, meta, dense)

    return read


def _reader_of_episode(dataset: Dataset, number: int, options: ImportOptions) -> Callable[[], NewSample]:
    def read() -> NewSample:
        camera = options.camera or next(iter(camera.name for camera in dataset.embodiment.cameras), None)
        if camera is None:
            raise WowError("has no camera")
        episode = dataset.episode(dataset.index_of(number), [camera])
        if not episode.task.strip():
            raise WowError("has no instruction")
        video, rows = _shortened(episode.videos[camera], options)
        plain = (str, int, float, bool)
        facts = {key: value for key, value in episode.facts.items() if isinstance(value, plain)}
        meta = _meta(options, dataset.embodiment.robot, f"{dataset.path.name}, episode {number}, {camera}", facts)
        dense = max(episode.captions, key=len, default="")
        masks = _masks(episode, rows, video.frames.shape[1:3])
        return NewSample(f"episode_{number:06d}", video, episode.task, meta, dense or None, masks)

    return read


def _meta(options: ImportOptions, robot: str, source: str, facts: Mapping[str, object]) -> Meta:
    return Meta(options.ability, options.sub_task, options.difficulty, robot, source, facts=facts)


def _shortened(video: Video, options: ImportOptions) -> tuple[Video, NDArray[np.int64]]:
    """The frames that are kept, and which ones they were."""
    if len(video) < 2:
        raise WowError("has a single frame: nothing happens in it")
    if options.num_frames is None or options.num_frames >= len(video):
        return video, np.arange(len(video))
    rows, stride = clip_rows(len(video), options.num_frames)
    return Video(video.frames[rows], video.fps / stride), rows


def _masks(episode: Episode, rows: NDArray[np.int64], size: tuple[int, ...]) -> UInt8 | None:
    """The simulator's own segmentation as a suite's masks; None where it recorded none for pictures of this size."""
    stored: Any = episode.signals.get(_SEGMENTATION)
    names = episode.facts.get("segments")
    if stored is None or not isinstance(names, list) or stored[0].size != size[0] * size[1]:
        return None
    regions = [REGIONS.index(REGION_OF_SEGMENT.get(str(name), "background")) for name in names]
    chosen = np.asarray(stored)[rows].reshape(len(rows), *size).astype(np.int64)
    return np.array(regions, np.uint8)[np.clip(chosen, 0, len(regions) - 1)]
