"""From recorded episodes to clips that can be compared: as many frames as the model imagines, from start to outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wow.data.transitions import between_frames
from wow.types import Embodiment, Episode, Float32, UInt8, WowError

GRIPPER_PIXEL = "sim.gripper_pixel"
OBJECT_PIXEL = "sim.object_pixel"

EXPERTS = ("expert", "human", "unknown")
"""Who does what the instruction says, unless the episode is known to have failed."""


class EpisodeRecord(Protocol):
    """What is known of an episode without decoding it."""

    @property
    def task(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def success(self) -> bool | None: ...
    @property
    def facts(self) -> Mapping[str, object]: ...


class EpisodeStore(Protocol):
    """Where episodes come from: a dataset, or anything that looks like one."""

    @property
    def records(self) -> Sequence[EpisodeRecord]: ...
    @property
    def embodiment(self) -> Embodiment: ...
    def __len__(self) -> int: ...
    def episode(self, index: int) -> Episode: ...
    def frames(self, episode: int, indices: Sequence[int], camera: str | None = None) -> UInt8: ...


@dataclass(frozen=True)
class Clip:
    """An episode as the model would imagine it.

    frames: uint8 [T, H, W, 3]. actions: float32 [T-1, D], each leading from one of these frames to the next.
    task: the task's name, by which results are grouped; prompt: its short instruction. seconds: robot time between two
    frames [s]. gripper, object: where they are in the picture, float32 [T, 2] of (column, row), None where unknown.
    """

    key: str
    task: str
    prompt: str
    source: str
    frames: UInt8
    actions: Float32
    seconds: float
    gripper: Float32 | None = None
    object: Float32 | None = None


def clip_rows(length: int, num_frames: int) -> tuple[NDArray[np.int64], float]:
    """Which frames of an episode make up its clip, and how many frames one step of the clip spans.

    They reach from the first to the last, evenly. After the end of an episode shorter than the clip its last frame
    stays: a finished task looks finished.
    """
    stride = max(1.0, (length - 1) / (num_frames - 1))
    rows = np.minimum(np.round(stride * np.arange(num_frames)), length - 1).astype(np.int64)
    return rows, stride


def merged_actions(actions: Float32, rows: NDArray[np.int64], embodiment: Embodiment) -> Float32:
    """One action for each step between `rows`: the sum of the changes, the last command of what is no change."""
    return between_frames(actions, rows, embodiment)


def clip_of(episode: Episode, key: str, num_frames: int, camera: str) -> Clip:
    """The clip of a whole episode. Raises WowError where the episode has no such camera or only one frame."""
    if camera not in episode.videos:
        raise WowError(f"episode {key} has no camera {camera!r}, only {', '.join(episode.videos)}")
    if len(episode) < 2:
        raise WowError(f"episode {key} has a single frame: nothing happens in it")
    rows, stride = clip_rows(len(episode), num_frames)
    pixels = {name: episode.signals.get(name) for name in (GRIPPER_PIXEL, OBJECT_PIXEL)}
    gripper, thing = (None if found is None else found[rows].astype(np.float32) for found in pixels.values())
    return Clip(
        key=key,
        task=str(episode.facts.get("task_name", episode.task)),
        prompt=episode.task,
        source=episode.source,
        frames=episode.videos[camera].frames[rows],
        actions=merged_actions(episode.actions, rows, episode.embodiment),
        seconds=stride / episode.videos[camera].fps,
        gripper=gripper,
        object=thing,
    )


def task_of(record: EpisodeRecord) -> str:
    """The name under which an episode's results are grouped."""
    return str(record.facts.get("task_name", record.task))


def is_in_own_scene(record: EpisodeRecord) -> bool:
    """False for an episode recorded in another task's scene (made for comparing siblings)."""
    return record.facts.get("scene", task_of(record)) == task_of(record)


def reset_of(record: EpisodeRecord) -> tuple[str, int] | None:
    """What fixes an episode's first frame: its scene and seed. None where the data do not say."""
    scene, seed = record.facts.get("scene"), record.facts.get("seed")
    return (scene, seed) if isinstance(scene, str) and isinstance(seed, int) else None


def chosen(store: EpisodeStore, source: str, per_task: int) -> list[int]:
    """The first `per_task` episodes of each task from one source, in their own scene; experts only if they succeed."""
    wanted = EXPERTS if source == "expert" else (source,)
    found: dict[str, list[int]] = {}
    for number, record in enumerate(store.records):
        succeeds = record.success is not False or source != "expert"
        if record.source in wanted and succeeds and is_in_own_scene(record):
            found.setdefault(task_of(record), []).append(number)
    return [number for task in sorted(found) for number in found[task][:per_task]]


def batches(numbers: Sequence[int], size: int) -> list[list[int]]:
    """Consecutive groups of at most `size`."""
    return [list(numbers[start : start + size]) for start in range(0, len(numbers), size)]


def clips_of(store: EpisodeStore, numbers: Iterable[int], num_frames: int, camera: str) -> list[Clip]:
    """The clips of some episodes."""
    return [clip_of(store.episode(number), str(number), num_frames, camera) for number in numbers]
