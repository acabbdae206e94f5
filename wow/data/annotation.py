"""Read per-episode annotation JSON with one video per camera: the layout of DROID as Ctrl-World stores it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wow.data.dataset import (
    Array,
    Clip,
    Contents,
    EpisodeRecord,
    Item,
    Pictures,
    Problem,
    bad_episode,
    check_item,
    numbered,
    without_file,
)
from wow.data.embodiment import infer_embodiment
from wow.data.layout import ACTION, STATE
from wow.data.video_file import probe_video
from wow.types import Camera, Dimension, Embodiment, WowError

CARTESIAN = (
    Dimension("x", "m", "robot base"),
    Dimension("y", "m", "robot base"),
    Dimension("z", "m", "robot base"),
    Dimension("roll", "rad", "robot base"),
    Dimension("pitch", "rad", "robot base"),
    Dimension("yaw", "rad", "robot base"),
    Dimension("gripper", "1", "none"),
)
ANGLES = slice(3, 6)


def is_annotated(path: Path) -> bool:
    """A folder `annotation/` of JSON files that name `videos`."""
    file = next(iter(_files(path)), None) if path.is_dir() else None
    return file is not None and '"videos"' in file.read_text(errors="replace")


def _files(path: Path) -> list[Path]:
    return sorted((path / "annotation").glob("**/*.json"))


def read_annotated(path: Path, *, skip_bad: bool = False) -> Contents:
    """One episode per JSON: `texts`, `episode_id`, `success`, `videos[].video_path`, `states` [T][S], `joints` [T][J].

    A recording often has one frame more than states: the frame is cut off, and `problems` says so. Where there is no
    `actions`, they are the change from each Cartesian state to the next, with the gripper's next value: the card tells.
    """
    items: list[Item] = []
    problems: list[Problem] = []
    for number, file in enumerate(_files(path)):
        item, found = _episode(path, file, number)
        found = numbered(found, number)
        bad = [problem for problem in found if problem.left_out]
        if bad and not skip_bad:
            raise bad_episode(bad[0])
        problems += found
        if item is not None and not bad:
            items.append(item)
    if not items:
        embodiment = infer_embodiment(robot="unknown", rate=1.0, action_names=())
        return Contents(embodiment, 1.0, (), tuple(problems))
    embodiment, fps = _card(items[0])
    return Contents(embodiment, fps, tuple(items), tuple(problems))


@dataclass(frozen=True)
class AnnotatedColumns:
    """The numbers in one annotation file."""

    file: Path

    def read(self, keys: Sequence[str] | None = None) -> dict[str, Array]:
        columns = _columns(self.file, _json(self.file))
        for key in keys or ():
            if key not in columns:
                raise WowError(f"{self.file}: has no {key}; there are {', '.join(columns)}")
        return {key: columns[key] for key in keys or columns}


def _episode(root: Path, file: Path, number: int) -> tuple[Item | None, list[Problem]]:
    """An episode and what is wrong with it; no episode where nothing can be made of the file."""
    name = file.stem
    try:
        values = _json(file)
        for key in ("texts", "videos", "states"):
            if not values.get(key):
                raise WowError(f"{file}: has no {key}")
        columns = _columns(file, values)
    except WowError as problem:
        return None, [Problem(file, name, without_file(problem, file), left_out=True)]
    length = len(columns[STATE])
    notes = []
    pictures: dict[str, Pictures] = {}
    for video in values["videos"]:
        clip = Clip(root / str(video["video_path"]))
        camera = clip.file.stem if not clip.file.stem.isdigit() else f"camera_{clip.file.stem}"
        if _frames(clip) == length + 1:
            notes.append(
                Problem(clip.file, name, f"has {length + 1} frames, {length} states: the last frame is cut off")
            )
            clip = replace(clip, length=length)
        pictures[camera] = clip
    texts = [str(text) for text in values["texts"]]
    success = values.get("success")
    record = EpisodeRecord(
        index=0,
        length=length,
        task=texts[0],
        captions=tuple(texts[1:]),
        success=None if success is None else bool(success),
        facts={"episode_id": str(values.get("episode_id", name))},
    )
    item = Item(record, pictures, AnnotatedColumns(file), name, number)
    return item, [*notes, *check_item(item)]


def _frames(clip: Clip) -> int:
    try:
        return clip.count()
    except WowError:
        return -1  # check_item says what is wrong with it


def _columns(file: Path, values: Mapping[str, Any]) -> dict[str, Array]:
    states = _matrix(file, values, "states")
    actions = _matrix(file, values, "actions") if values.get("actions") else _changes(states)
    columns: dict[str, Array] = {STATE: states, ACTION: actions}
    if values.get("joints"):
        columns["observation.joints"] = _matrix(file, values, "joints")
    return columns


def _matrix(file: Path, values: Mapping[str, Any], key: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        matrix = np.asarray(values[key], np.float32)
    except (KeyError, TypeError, ValueError) as problem:
        raise WowError(f"{file}: {key} is not a table of numbers, one row per frame") from problem
    if matrix.ndim != 2:
        raise WowError(f"{file}: {key} has {matrix.ndim} dimensions, not the two of a table with one row per frame")
    return matrix


def _changes(states: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Actions from states: row i is the change from state i to i + 1, angles the short way; the last is no change."""
    following = np.concatenate([states[1:], states[-1:]])
    changes = following - states
    if states.shape[1] == len(CARTESIAN):
        changes[:, ANGLES] = (changes[:, ANGLES] + np.pi) % (2 * np.pi) - np.pi
        changes[:, -1] = following[:, -1]
    return np.asarray(changes, np.float32)


def _card(item: Item) -> tuple[Embodiment, float]:
    """The card and rate, from the first good episode."""
    columns = item.columns.read()
    cameras, rates = [], []
    for name, pictures in item.pictures.items():
        _, height, width, fps = probe_video(pictures.file)
        cameras.append(Camera(name, height, width))
        rates.append(fps)
    fps = rates[0] if rates and rates[0] > 0 else 1.0
    state_width, action_width = columns[STATE].shape[1], columns[ACTION].shape[1]
    are_stated = "actions" in _json(item.columns.file)
    is_cartesian = state_width == len(CARTESIAN)
    if not is_cartesian or are_stated:
        card = infer_embodiment(
            robot="unknown",
            rate=fps,
            action_names=[f"dimension_{number}" for number in range(action_width)],
            state_names=[f"dimension_{number}" for number in range(state_width)],
            cameras=cameras,
            unknown=["the robot is not named"],
        )
        return (replace(card, state=CARTESIAN) if is_cartesian else card), fps
    deltas = tuple(replace(d, name=f"delta_{d.name}") for d in CARTESIAN[:-1])
    return Embodiment(
        robot="unknown",
        rate=fps,
        action=(*deltas, CARTESIAN[-1]),
        state=CARTESIAN,
        action_kind="delta",
        rotation="roll-pitch-yaw",
        cameras=tuple(cameras),
        unknown=(
            "the robot is not named",
            "no actions were recorded: they are the change from each state to the next, the gripper's its next value",
            "the units are taken to be m and rad, as in DROID; the limits and the gripper sign are not stated",
            "the rate is that of the videos",
        ),
    ), fps


def _json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text())
    except (OSError, ValueError) as problem:
        raise WowError(f"{file}: not readable JSON ({problem})") from problem
    if not isinstance(values, dict):
        raise WowError(f"{file}: holds {type(values).__name__} where an object is due")
    return values
