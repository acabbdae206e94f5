"""What a metric is, what it is shown, what it may use, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from wow.bench.memory import Memory
from wow.bench.metrics import Perceptual
from wow.bench.suite import REGIONS, Sample
from wow.bench.tracking import Path, camera_path, centre_path, follow
from wow.types import Float32, UInt8, Video, WowError

Found = TypeVar("Found")

TRUTH, MASKS, OTHER, PLAN = "truth video", "masks", "second instruction", "plan"
DYNAMICS = "forward dynamics"
LPIPS, I3D, DINO, ALEXNET = "LPIPS weights", "I3D weights", "DINO weights", "AlexNet weights"
JUDGE, SIMULATOR = "judge", "simulator"
OF_THE_SAMPLE = (TRUTH, MASKS, OTHER, DYNAMICS, PLAN)
"""Needs that a sample fills or lacks; the others are tools."""
VIDEO, REFERENCE = "video", "truth"


class NotMeasurable(WowError):
    """This metric says nothing about this sample, for the reason given. It is no mistake of anybody."""


class Unreadable(WowError):
    """No actions can be read out of a video, for the reason given: whoever made it shows nothing that could be done."""


class Encoder(Protocol):
    """A network that turns pictures into features."""

    @property
    def name(self) -> str:
        """Tells these features from another network's."""
        ...

    def pooled(self, frames: UInt8) -> Float32:
        """One vector for each picture uint8 [T, H, W, 3]: [T, C]."""
        ...

    def patches(self, frames: UInt8) -> Float32:
        """A grid of vectors for each picture: [T, h, w, C]."""
        ...


class Classifier(Protocol):
    """A network that a whole video becomes one vector of: I3D."""

    @property
    def name(self) -> str: ...
    def __call__(self, frames: UInt8) -> Float32: ...


@dataclass(frozen=True)
class Rubric:
    """A question to a judge. text: what to look at and how to rate it. schema: the JSON schema of the answer."""

    name: str
    text: str
    schema: Mapping[str, Any]


class Judge(Protocol):
    """Somebody who can look at videos and rate them: a vision language model, or a person."""

    @property
    def name(self) -> str:
        """What it is, with its version: ratings of two judges are never mixed."""
        ...

    def ask(self, rubric: Rubric, videos: Mapping[str, Video], texts: Mapping[str, str], trial: int) -> object:
        """The answer, parsed from JSON. trial: counts repetitions of one question; a judge may answer each anew.

        Raises WowError where it cannot answer.
        """
        ...


class Executor(Protocol):
    """Turns a video into actions and executes them in the sample's simulated scene."""

    @property
    def name(self) -> str: ...
    def __call__(self, video: Video, sample: Sample, shuffled: bool = False) -> float:
        """1.0 where the task was done, else 0.0. shuffled: the actions in a random order, always the same one.

        Raises WowError where the sample has no such scene, and Unreadable where the scene is there and the video shows
        nothing.
        """
        ...


@dataclass(frozen=True)
class Tools:
    """What a metric may use, each None where nobody has it."""

    perceptual: Perceptual | None = None
    i3d: Classifier | None = None
    dino: Encoder | None = None
    alexnet: Encoder | None = None
    judge: Judge | None = None
    executor: Executor | None = None
    trials: int = 1
    memory: Memory | None = None

    def of_the_truth(self, what: str, frames: UInt8, find: Callable[[], Sequence[float]]) -> list[float]:
        """Numbers that depend on true frames alone, and on what is said: found out once for all runs on a suite."""
        return list(find()) if self.memory is None else self.memory.recall(what, frames, find)


@dataclass(frozen=True, eq=False)
class Case:
    """One sample and one video of it, made alike. What several metrics ask for is found out once.

    video, truth: uint8 [T, H, W, 3] of one shape. regions: uint8 [H, W], indices into `REGIONS`, of the first frame.
    exact: the same for every frame of the truth, [T, H, W], where the suite knows it. other: the video imagined from
    the same first frame for another sample's instruction, [T, H, W, 3]; acted: those imagined from the sample's own
    actions and from another's. broken: what is there but cannot be read, by need, with what is wrong with it.
    """

    sample: Sample
    video: UInt8
    fps: float
    truth: UInt8 | None = None
    regions: UInt8 | None = None
    exact: UInt8 | None = None
    other: UInt8 | None = None
    acted: tuple[UInt8, UInt8] | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)

    def frames(self, which: str) -> UInt8:
        """The frames of `VIDEO` or of `REFERENCE`."""
        found = self.video if which == VIDEO else self.truth
        if found is None:
            raise NotMeasurable(self.broken.get(TRUTH, f"the sample has no {TRUTH}"))
        return found

    def masks(self, which: str, region: str) -> NDArray[np.bool_]:
        """Where a region is in each frame of `VIDEO` or `REFERENCE`: bool [T, H, W]."""
        first = self.regions
        if first is None or not (first == REGIONS.index(region)).any():
            raise NotMeasurable(f"the sample's masks show no {region}")
        labels = self.once(f"masks {which}", lambda: follow(self.frames(which), first))
        return np.asarray(labels == REGIONS.index(region))

    def path(self, which: str, region: str) -> Path:
        """The path of a region's centre [T, 2], in shares of the picture."""
        return self.once(f"path {which} {region}", lambda: centre_path(self.masks(which, region)))

    def camera(self, which: str) -> Path:
        """The camera's path [T, 2]."""
        return self.once(f"camera {which}", lambda: camera_path(self.frames(which)))

    def patches(self, which: str, encoder: Encoder) -> Float32:
        """The patch features of every frame [T, h, w, C]."""
        return self.once(f"patches {which} {encoder.name}", lambda: encoder.patches(self.frames(which)))

    def once(self, key: str, find: Callable[[], Found]) -> Found:
        """What `find` returns, which is called for the first time only."""
        if key not in self._known:
            self._known[key] = find()
        found: Found = self._known[key]
        return found


@dataclass(frozen=True)
class Measurement:
    """value: None where there is none, `why` then says why, and `need` what is lacking. parts: what a metric over the
    whole suite is made from, or the single ratings that the value is the mean of."""

    value: float | None
    parts: tuple[float, ...] = ()
    why: str = ""
    need: str = ""


@dataclass(frozen=True)
class Metric:
    """One metric. version: grows with every change that changes a value. low, high: its range, in `unit`.

    pool: for a metric of a whole suite, its value from the parts [N, D] of N samples.
    """

    name: str
    title: str
    version: int
    group: str
    needs: tuple[str, ...]
    measure: Callable[[Case, Tools], Measurement | float]
    higher_is_better: bool
    low: float
    high: float
    unit: str = ""
    pool: Callable[[NDArray[np.float64]], float] | None = None


def one_number(metrics: Sequence[float]) -> float:
    """Their mean as a plain float."""
    return float(np.mean(np.asarray(metrics, np.float64)))
