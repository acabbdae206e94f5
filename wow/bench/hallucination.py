"""Videos that a world model makes of what cannot be or was not meant: does a critic believe them?

Two kinds, both surely no success: the video of an instruction that cannot be followed in the scene, because it is about
other things, and the video of another task's actions, judged for the scene's own goal. Who imagines is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from wow.bench.critic import IMPOSSIBLE, WRONG_ACTIONS, Case
from wow.data import Dataset, EpisodeRecord
from wow.data.transitions import between_frames
from wow.types import Float32, UInt8, Video

Others = Callable[[EpisodeRecord], Sequence[tuple[str, str]]]
"""The name and the instruction of tasks that nothing in an episode's scene can do; none where that is not known."""


class Dream(Protocol):
    """A world model."""

    def __call__(self, picture: UInt8, prompt: str, actions: Float32 | None, seed: int, seconds: float, /) -> Video:
        """A video from a picture [H, W, 3] on, of a prompt or of actions [T, D]. seconds: from frame to frame."""


def hallucinations_of(
    dataset: Dataset, number: int, others: Others, dream: Dream, num_frames: int, seed: int
) -> Iterator[Case]:
    """Two videos that are no success, imagined from the first frame of a recorded episode; none where it was imagined.

    The wrong actions are those of the next episode of the data that did one of the other tasks; without one, none.
    """
    record = dataset.records[number]
    found = others(record)
    if record.source == "imagined" or not found:
        return
    task = str(record.facts.get("task_name", record.task))
    whole = next(iter(dataset.episode(number).videos.values()))
    picture, seconds = whole.frames[0], (len(whole) - 1) / whole.fps / (num_frames - 1)
    _, impossible = found[number % len(found)]
    yield Case(IMPOSSIBLE, task, dream(picture, impossible, None, seed + number, seconds), impossible, False)
    donor = _donor(dataset, number, {name for name, _ in found}, num_frames)
    if donor is not None:
        length, rate = dataset.records[donor].length, whole.fps
        rows = np.round(np.linspace(0, length - 1, num_frames)).astype(np.int64)
        actions = between_frames(dataset.episode(donor).actions, rows, dataset.embodiment)
        pace = (length - 1) / rate / (num_frames - 1)
        video = dream(picture, record.task, actions, seed + number, pace)
        yield Case(WRONG_ACTIONS, task, video, record.task, False)


def _donor(dataset: Dataset, number: int, tasks: set[str], num_frames: int) -> int | None:
    """The next episode after `number`, in a circle, that did one of these tasks and is long enough."""
    count = len(dataset.records)
    for other in ((number + step) % count for step in range(1, count)):
        record = dataset.records[other]
        did = record.source != "imagined" and record.success and record.facts.get("task_name") in tasks
        if did and record.length >= num_frames:
            return other
    return None
