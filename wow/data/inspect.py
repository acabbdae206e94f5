"""What a dataset holds and what is wrong with it, without training on it first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wow.data.dataset import Dataset, Problem, as_vectors
from wow.data.layout import ACTION
from wow.data.statistics import vector_statistics
from wow.types import Camera, Dimension, Statistics, UInt8, WowError

EPISODES_LOOKED_AT = 12
COLD_TO_WARM = 4.0
COLOURED_SHARE = 0.01


@dataclass(frozen=True)
class Description:
    """A dataset in numbers. lengths: frames of the shortest, the median and the longest episode.

    tasks, sources, outcomes: how many episodes have which. statistics: of the actions, None where there are none.
    unknown: what its card does not say. problems: what is wrong. suspicions: what only a person can settle.
    """

    path: Path
    format: str
    robot: str
    episodes: int
    frames: int
    fps: float
    lengths: tuple[int, int, int]
    cameras: tuple[Camera, ...]
    tasks: Mapping[str, int]
    sources: Mapping[str, int]
    outcomes: Mapping[str, int]
    action: tuple[Dimension, ...]
    statistics: Statistics | None
    unknown: tuple[str, ...]
    problems: tuple[Problem, ...]
    suspicions: tuple[str, ...]


def describe(
    dataset: Dataset, *, decode: bool = False, on_episode: Callable[[int, int], None] = lambda done, total: None
) -> Description:
    """Everything about a dataset, every episode checked. decode: also decode every frame, which takes long."""
    problems = list(dataset.problems)
    bad: set[int] = set()
    for index in range(len(dataset)):
        found = dataset.check(index, decode=decode)
        bad |= {index} if found else set()
        problems += [Problem(problem.file, problem.episode, problem.what) for problem in found]
        on_episode(index + 1, len(dataset))
    good = dataset.select([index for index in range(len(dataset)) if index not in bad])
    lengths = [record.length for record in dataset.records] or [0]
    statistics = dataset.embodiment.statistics.get(ACTION) or _action_statistics(good)
    return Description(
        path=dataset.path,
        format=dataset.format,
        robot=dataset.embodiment.robot,
        episodes=len(dataset),
        frames=dataset.num_frames,
        fps=dataset.fps,
        lengths=(min(lengths), int(np.median(lengths)), max(lengths)),
        cameras=dataset.embodiment.cameras,
        tasks=dict(Counter(record.task for record in dataset.records).most_common()),
        sources=dict(Counter(record.source for record in dataset.records).most_common()),
        outcomes=dict(Counter(_outcome(record.success) for record in dataset.records).most_common()),
        action=dataset.embodiment.action,
        statistics=statistics,
        unknown=dataset.embodiment.unknown,
        problems=tuple(problems),
        suspicions=tuple(_suspicions(good, statistics)),
    )


def _outcome(success: bool | None) -> str:
    return "unknown" if success is None else "success" if success else "failure"


def _action_statistics(dataset: Dataset) -> Statistics | None:
    if not dataset.embodiment.action or not len(dataset):
        return None
    return vector_statistics(np.concatenate([as_vectors(dataset.signal(i, ACTION)) for i in range(len(dataset))]))


def _suspicions(dataset: Dataset, statistics: Statistics | None) -> list[str]:
    said = [_colour_suspicion(dataset, camera) for camera in dataset.cameras]
    if statistics:
        still = [
            dimension.name
            for dimension, low, high in zip(dataset.embodiment.action, statistics.min, statistics.max, strict=True)
            if low == high
        ]
        if still:
            said.append(f"the action never changes in {', '.join(still)}")
    if untold := sum(not record.task.strip() for record in dataset.records):
        said.append(f"{untold} episodes have no task")
    return [each for each in said if each]


def _colour_suspicion(dataset: Dataset, camera: str) -> str:
    """A sentence where a camera's colours look like BGR read as RGB, or where it shows nothing at all."""
    last = len(dataset) - 1
    pictures = []
    for index in sorted({round(number) for number in np.linspace(0, last, EPISODES_LOOKED_AT)} if last >= 0 else ()):
        try:
            pictures.append(dataset.frames(index, [dataset.records[index].length // 2], camera)[0])
        except WowError:
            continue  # its damage is among the problems already
    if not pictures:
        return ""
    if max(int(picture.max()) for picture in pictures) < 16:
        return f"camera {camera} is black"
    if looks_like_bgr(pictures):
        return (
            f"camera {camera} may be BGR instead of RGB: blue outweighs the warm colours of wood, skin and light; look "
            f"at it with wow data show, and swap the channels with wow data import --bgr if skin is blue"
        )
    return ""


def looks_like_bgr(pictures: list[UInt8]) -> bool:
    """Whether pictures look as if red and blue were exchanged. A suspicion: a blue scene looks the same.

    Indoor light, wood, cardboard and skin are orange, so that in nearly all robot recordings clearly orange pixels (red
    > green > blue) outnumber clearly azure ones (blue > green > red), often ten to one; exchanging channels turns one
    into the other. Says nothing about pictures with hardly any colour.
    """
    pixels = np.concatenate([picture[::2, ::2].reshape(-1, 3) for picture in pictures]).astype(np.int16)
    red, green, blue = pixels.T
    warm = float(((red > green + 12) & (green >= blue) & (red > blue + 30)).mean())
    cold = float(((blue > green + 12) & (green >= red) & (blue > red + 30)).mean())
    return cold > COLD_TO_WARM * warm and cold > COLOURED_SHARE
