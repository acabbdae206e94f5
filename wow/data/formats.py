"""The formats that can be read, one entry each, and `open_dataset`, which finds the right one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wow.data.annotation import is_annotated, read_annotated
from wow.data.dataset import Contents, Dataset
from wow.data.idm_hdf5 import is_hdf5, read_hdf5
from wow.data.layout import INFO
from wow.data.lerobot_read import read_lerobot
from wow.data.plain_formats import is_film_folder, is_jsonl, read_film_folder, read_jsonl
from wow.types import WowError


@dataclass(frozen=True)
class Format:
    """A layout on disk. detect: whether a path looks like it. read: its contents; may raise WowError."""

    name: str
    description: str
    detect: Callable[[Path], bool]
    read: Callable[..., Contents]


FORMATS: tuple[Format, ...] = (
    Format(
        "lerobot",
        "LeRobot v3.0, v2.1 and v2.0: meta/info.json, parquet and mp4",
        lambda path: (path / INFO).is_file(),
        read_lerobot,
    ),
    Format(
        "annotation",
        "a folder annotation/ with one JSON per episode and a video per camera",
        is_annotated,
        read_annotated,
    ),
    Format("jsonl", "a .jsonl with video_path, index and dense_lang on each line", is_jsonl, read_jsonl),
    Format("mp4-txt", "a folder of N.mp4, each with its text in N.txt", is_film_folder, read_film_folder),
    Format("hdf5", ".hdf5 files with text, action and observations/image", is_hdf5, read_hdf5),
)


def open_dataset(path: Path, *, format: str | None = None, skip_bad: bool = False) -> Dataset:
    """The dataset at `path`, in the format named or else found out. Nothing is decoded yet.

    skip_bad: leave out episodes that are damaged and list them in `problems`; otherwise the first one is a WowError.
    Where some were left out, `Dataset.index_of` finds the one that a person asks for by its number.
    """
    path = Path(path)
    if not path.exists():
        raise WowError(f"{path}: does not exist; name a dataset's folder or file")
    if path.is_dir() and next(path.iterdir(), None) is None:
        raise WowError(f"{path}: is an empty folder; name one that holds a dataset")
    chosen = _named(format) if format else _detected(path)
    return Dataset(path, chosen.name, chosen.read(path, skip_bad=skip_bad))


def _named(name: str) -> Format:
    for format in FORMATS:
        if format.name == name:
            return format
    raise WowError(f"unknown format {name}; there are {', '.join(format.name for format in FORMATS)}")


def _detected(path: Path) -> Format:
    for format in FORMATS:
        if format.detect(path):
            return format
    known = "; ".join(f"{format.name} ({format.description})" for format in FORMATS)
    raise WowError(f"{path}: not a known format of dataset; there are {known}")
