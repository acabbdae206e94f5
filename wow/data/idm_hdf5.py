"""Read the HDF5 files of WoW's inverse dynamics: `text`, `action` [T, 7] and `observations/image` [T, H, W, 3]."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wow.data.dataset import (
    Array,
    Contents,
    EpisodeRecord,
    Item,
    Problem,
    bad_episode,
    check_item,
    numbered,
    placed,
    without_file,
)
from wow.data.embodiment import infer_embodiment
from wow.data.layout import ACTION, STATE
from wow.types import Camera, UInt8, WowError

SUFFIXES = (".h5", ".hdf5")
IMAGE = "observations/image"
STATES = "observations/state"
CAMERA = "image"
ASSUMED_FPS = 10.0


def is_hdf5(path: Path) -> bool:
    """An HDF5 file, or a folder with some, by their suffix."""
    return bool(_files(path))


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix in SUFFIXES else []
    return sorted(file for file in path.glob("**/*") if file.suffix in SUFFIXES)


def read_hdf5(path: Path, *, skip_bad: bool = False) -> Contents:
    """One episode per file. The rate is the file's attribute `fps`; where it has none, 10 is assumed and said."""
    items: list[Item] = []
    problems: list[Problem] = []
    forms: list[tuple[int, int, int, int, float | None]] = []
    for number, file in enumerate(_files(path)):
        try:
            item, form = _episode(file, number)
        except WowError as problem:
            found = [Problem(file, file.stem, without_file(problem, file), left_out=True)]
        else:
            found = check_item(item)
            if not found and forms and form != forms[0]:
                found = [Problem(file, file.stem, f"differs in size, width or rate: {form} after {forms[0]}", True)]
        found = numbered(found, number)
        if found and not skip_bad:
            raise bad_episode(found[0])
        problems += found
        if not found:
            items.append(item)
            forms.append(form)
    if not forms:
        return Contents(infer_embodiment(robot="unknown", rate=1.0, action_names=()), 1.0, (), tuple(problems))
    height, width, num_actions, num_states, fps = forms[0]
    embodiment = infer_embodiment(
        robot="unknown",
        rate=fps or ASSUMED_FPS,
        action_names=[f"dimension_{number}" for number in range(num_actions)],
        state_names=[f"dimension_{number}" for number in range(num_states)],
        cameras=[Camera(CAMERA, height, width)],
        unknown=["the robot is not named"]
        + ([] if fps else [f"the rate is not stated; {ASSUMED_FPS:g} Hz is assumed"]),
    )
    return Contents(embodiment, fps or ASSUMED_FPS, tuple(items), tuple(problems))


@dataclass(frozen=True)
class Hdf5Pictures:
    """The frames in one file: raw, or each a JPEG or PNG."""

    file: Path

    def count(self) -> int:
        with _open(self.file) as content:
            return len(content[IMAGE])

    def read(self, indices: Sequence[int], out: UInt8 | None = None) -> UInt8:
        with _open(self.file) as content:
            return placed([_picture(self.file, content[IMAGE][index]) for index in indices], out)


@dataclass(frozen=True)
class Hdf5Columns:
    """The numbers in one file."""

    file: Path

    def read(self, keys: Sequence[str] | None = None) -> dict[str, Array]:
        with _open(self.file) as content:
            columns = {ACTION: np.asarray(content["action"])}
            if STATES in content:
                columns[STATE] = np.asarray(content[STATES])
        for key in keys or ():
            if key not in columns:
                raise WowError(f"{self.file}: has no {key}; there are {', '.join(columns)}")
        return {key: columns[key] for key in keys or columns}


def _episode(file: Path, number: int) -> tuple[Item, tuple[int, int, int, int, float | None]]:
    with _open(file) as content:
        for key in ("text", "action", IMAGE):
            if key not in content:
                raise WowError(f"{file}: has no {key}; there must be text, action and {IMAGE}")
        action = content["action"]
        if action.ndim != 2 or not len(action) or action.dtype.kind not in "fiu":
            raise WowError(f"{file}: action has shape {action.shape}; it must be numbers [T, D]")
        if not len(content[IMAGE]):
            raise WowError(f"{file}: {IMAGE} holds no frames")
        texts = _texts(content["text"][()])
        first = _picture(file, content[IMAGE][0])
        states = content[STATES].shape[1] if STATES in content and content[STATES].ndim == 2 else 0
        fps = float(content.attrs["fps"]) if "fps" in content.attrs else None
        form = (*first.shape[:2], action.shape[1], states, fps)
        length = len(action)
    if not texts:
        raise WowError(f"{file}: text is empty")
    record = EpisodeRecord(0, length, texts[0], tuple(texts[1:]))
    return Item(record, {CAMERA: Hdf5Pictures(file)}, Hdf5Columns(file), file.stem, number), form


def _texts(stored: Any) -> list[str]:
    """HDF5 holds text as bytes, str, or arrays of either."""
    pieces = stored.ravel().tolist() if isinstance(stored, np.ndarray) else [stored]
    decoded = [piece.decode(errors="replace") if isinstance(piece, bytes) else str(piece) for piece in pieces]
    return [text.strip() for text in decoded if text.strip()]


def _picture(file: Path, stored: Any) -> UInt8:
    values = np.asarray(stored)
    if values.ndim == 3 and values.shape[-1] == 3 and values.dtype == np.uint8:
        return values
    if values.ndim == 1 and values.dtype == np.uint8:
        from PIL import Image, UnidentifiedImageError

        try:
            return np.asarray(Image.open(io.BytesIO(values.tobytes())).convert("RGB"))
        except (UnidentifiedImageError, OSError) as problem:
            raise WowError(f"{file}: {IMAGE} holds bytes that are no picture") from problem
    raise WowError(f"{file}: {IMAGE} has frames {values.dtype} {values.shape}; they must be uint8 [H, W, 3] or JPEG")


class _open:
    """The file, opened; what HDF5 says about a damaged one becomes one line that names it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __enter__(self) -> Any:
        import h5py

        try:
            self._content = h5py.File(self._file, "r")
        except OSError as problem:
            raise self._damaged(problem) from problem
        return self._content

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._content.close()
        if isinstance(error, OSError):
            raise self._damaged(error) from error

    def _damaged(self, problem: OSError) -> WowError:
        return WowError(f"{self._file}: not a readable HDF5 file ({problem})")
