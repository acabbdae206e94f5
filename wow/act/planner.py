"""Where a plan comes from: imagined and read, or the truth put in for the stages before the one that is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wow.act.arm import Scene
from wow.act.reading import Reading
from wow.types import Actions, UInt8, Video

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What to do, and why.

    video: what it was read from, reading: all that was read; None where it was given. candidates: the uncertainty (see
    `uncertainty_of`) of every future that was imagined, in their order; the chosen one's is the least. truth_succeeds:
    whether the demonstration that it is made of does; None where there is none. The seconds are those of planning.
    """

    actions: Actions
    video: Video | None = None
    reading: Reading | None = None
    candidates: tuple[float, ...] = ()
    truth_succeeds: bool | None = None
    seconds_to_imagine: float = 0.0
    seconds_to_act: float = 0.0

    @property
    def uncertainty(self) -> float | None:
        """Of the chosen candidate; None where nobody estimated it."""
        return min(self.candidates, default=None)


class Planner(Protocol):
    """Asked for a plan whenever the scene has been looked at."""

    def __call__(self, scene: Scene, number: int) -> Plan:
        """What to do from here on; `number` counts the plans of an episode from 0."""


class Imagines(Protocol):
    """A world model that knows what is intended."""

    def __call__(self, picture: UInt8, seeds: Sequence[int], /) -> list[Video]:
        """A video for each seed that begins with the picture [H, W, 3] and shows what is left of the task."""


class Acts(Protocol):
    """An inverse dynamics model."""

    def __call__(self, video: Video, start: Array | None, paced: bool, /) -> Reading:
        """What a video says. start: the hand's target in its first frame [3, m], where it is known. paced: whether
        the video's rate is robot time."""


class Demonstration(Protocol):
    """What an expert would do from here."""

    @property
    def video(self) -> Video:
        """Its T+1 frames."""

    @property
    def actions(self) -> Actions:
        """Its actions [T, D]."""

    @property
    def success(self) -> bool:
        """Whether it succeeds."""


@dataclass(frozen=True)
class ImaginingPlanner:
    """Imagines a few futures and takes the one whose actions are most certain.

    paced: whether the world model was told its pace; else its video's rate says nothing of robot time. seed: of the
    first future of the first plan; the others follow. doubtful: an uncertainty above which as many futures are imagined
    once more; None never.
    """

    imagine: Imagines
    act: Acts
    seed: int
    candidates: int = 1
    paced: bool = False
    doubtful: float | None = None

    def __call__(self, scene: Scene, number: int) -> Plan:
        return self.plan(scene.look(), scene.target, number)

    def plan(self, picture: UInt8, start: Array | None, number: int = 0) -> Plan:
        """The plan for a picture [H, W, 3]. start: the hand's target there [3, m], where it is known."""
        # Every plan has the seeds of two rounds: doubts about one do not change the seeds of the next.
        seeds = range(self.seed + 2 * number * self.candidates, self.seed + 2 * (number + 1) * self.candidates)
        first = self._imagined(picture, start, seeds[: self.candidates])
        if self.doubtful is None or first.uncertainty is None or first.uncertainty <= self.doubtful:
            return first
        second = self._imagined(picture, start, seeds[self.candidates :])
        better = min(first, second, key=lambda plan: plan.uncertainty or 0.0)
        return replace(
            better,
            candidates=first.candidates + second.candidates,
            seconds_to_imagine=first.seconds_to_imagine + second.seconds_to_imagine,
            seconds_to_act=first.seconds_to_act + second.seconds_to_act,
        )

    def _imagined(self, picture: UInt8, start: Array | None, seeds: Sequence[int]) -> Plan:
        """The most certain of the futures with these seeds; the first where certainty is unknown."""
        began = time.perf_counter()
        videos = self.imagine(picture, seeds)
        imagined = time.perf_counter()
        read = [self.act(video, start, self.paced) for video in videos]
        acted = time.perf_counter()
        doubts = [uncertainty_of(reading.actions) for reading in read]
        known = tuple(doubt for doubt in doubts if doubt is not None)
        best = int(np.argmin(known)) if len(known) == len(read) else 0
        return Plan(
            actions=read[best].actions,
            video=videos[best],
            reading=read[best],
            candidates=known,
            seconds_to_imagine=imagined - began,
            seconds_to_act=acted - imagined,
        )


@dataclass(frozen=True)
class DemonstratingPlanner:
    """The truth in place of imagination: an expert's actions, or its video read by the inverse dynamics model.

    demonstrate: what the expert would do from here. act: None to take its actions as they are. reconstruct: what the
    codec makes of frames [T, H, W, 3], None to leave it out. num_frames: frames of the clip that is read, spread evenly
    over the demonstration as an imagined one is. paced: whether the pace is known; if not, actions too are those
    between the frames of such a clip.
    """

    demonstrate: Callable[[], Demonstration]
    act: Acts | None = None
    reconstruct: Callable[[UInt8], UInt8] | None = None
    num_frames: int = 17
    paced: bool = True

    def __call__(self, scene: Scene, number: int) -> Plan:
        truth = self.demonstrate()
        if self.act is None:
            actions = truth.actions if self.paced else in_transitions(truth.actions, self.num_frames - 1)
            return Plan(actions, truth_succeeds=truth.success)
        rows, every = clip_rows(len(truth.video), self.num_frames)
        frames = truth.video.frames[rows]
        began = time.perf_counter()
        video = Video(frames if self.reconstruct is None else self.reconstruct(frames), truth.video.fps / every)
        coded = time.perf_counter()
        reading = self.act(video, scene.target, self.paced)
        acted = time.perf_counter()
        doubt = uncertainty_of(reading.actions)
        return Plan(
            actions=reading.actions,
            video=video,
            reading=reading,
            candidates=() if doubt is None else (doubt,),
            truth_succeeds=truth.success,
            seconds_to_imagine=coded - began,
            seconds_to_act=acted - coded,
        )


@dataclass(frozen=True)
class GivenPlanner:
    """Always the same actions, as from a file."""

    actions: Actions

    def __call__(self, scene: Scene, number: int) -> Plan:
        return Plan(self.actions)


def uncertainty_of(actions: Actions) -> float | None:
    """The mean deviation of the values, each as a share of its dimension's range on the card; None where unknown.

    Dimensions without limits do not count, nor do those that never moved in training, whose deviation is exactly 0.
    """
    if actions.deviations is None:
        return None
    limits = [(dimension.low, dimension.high) for dimension in actions.embodiment.action]
    widths = np.array([np.nan if low is None or high is None else high - low for low, high in limits])
    shares = actions.deviations / widths
    counted = np.isfinite(shares) & (actions.deviations > 0)
    return float(shares[counted].mean()) if counted.any() else 0.0


def clip_rows(num_recorded: int, num_frames: int) -> tuple[NDArray[np.int64], float]:
    """Which recorded frames a clip shows that covers a recording to its end, and how many it goes on each time.

    A recording with fewer frames is shown at its own pace, its last frame again and again.
    """
    last = num_recorded - 1
    every = max(1.0, last / (num_frames - 1))
    return np.minimum(np.round(every * np.arange(num_frames)), last).astype(np.int64), every


def in_transitions(actions: Actions, num_transitions: int) -> Actions:
    """The actions [T, D] as those between the frames of a clip that covers them, at a pace that nobody knows.

    Changes are summed over what lies between two frames, of commands it is the mean.
    """
    rows, _ = clip_rows(len(actions) + 1, num_transitions + 1)
    values = actions.values.astype(np.float64)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    changes, spans = np.diff(sums[rows], axis=0), np.diff(rows)[:, None]
    # Where the last frame is repeated nothing lies between, and the last command stays.
    means = np.where(spans > 0, changes / np.maximum(spans, 1), values[-1])
    between = np.where(actions.embodiment.adds_up, changes, means).astype(np.float32)
    return replace(actions, values=between, seconds=None, deviations=None)
