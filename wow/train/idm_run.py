"""How an inverse dynamics model is trained, and which clips it sees: any pace, any moment of an episode."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wow.act.reading import Layout
from wow.models.idm import IdmConfig
from wow.train.disturb import Disturbance
from wow.train.idm_data import Source, moves_of
from wow.train.loop import TrainConfig
from wow.types import WowError

Loss = Literal["smooth_l1", "squared"]


@dataclass(frozen=True)
class IdmRun:
    """An inverse dynamics model and how it is trained.

    frames: of a clip. longest_stride: recorded frames that a transition spans at most. no_pace: share of clips that do
    not say how fast they run. imagined: share of clips from imagined videos, where there are any. labelled: pictures a
    step from which the robot's outline is learned. backwards: share of recorded clips that are run backwards, each
    change being its opposite and the gripper's commands unknown; for actions that are what the tool did, in a fixed
    frame, where episodes are few. place_loss, event_loss, mask_loss: weights beside the actions' loss.
    evenness: with 0 certain transitions have the largest gradients, with 1 all have the same. hold_out: every so
    many'th episode is kept from training, more often in a small dataset; errors are measured and deviations calibrated
    on `measured` clips of those. loss: how an error counts beside its scale, by its square up to one scale and by its
    size beyond, or always by its square.
    """

    model: IdmConfig = field(default_factory=IdmConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    disturbance: Disturbance = field(default_factory=Disturbance)
    frames: int = 9
    longest_stride: int = 12
    no_pace: float = 0.3
    imagined: float = 0.3
    labelled: int = 16
    backwards: float = 0.0
    place_loss: float = 0.5
    event_loss: float = 0.2
    mask_loss: float = 1.0
    evenness: float = 1.0
    hold_out: int = 20
    measured: int = 100
    loss: Loss = "smooth_l1"

    def __post_init__(self) -> None:
        if not all(0.0 <= share <= 1.0 for share in (self.no_pace, self.imagined, self.evenness, self.backwards)):
            raise WowError("shares of the training data lie between 0 and 1")
        if self.frames < 2 or min(self.longest_stride, self.measured) < 1 or self.hold_out < 2:
            raise WowError("a clip has at least 2 frames, a stride is at least 1, and not every episode is held out")

    def holds_out(self, episode: int, count: int) -> bool:
        """Whether an episode of `count` is kept from training."""
        every = min(self.hold_out, max(count // 2, 2))
        return episode % every == every - 1


@dataclass(frozen=True)
class IdmWindow:
    """Which frames a clip shows: rows of its source's store, `first` being its episode's first one.

    seconds: robot time between them. is_paced: whether the clip says so. backwards: whether the last frame comes first.
    """

    source: Source
    rows: NDArray[np.int64]
    first: int
    seconds: float
    is_paced: bool
    backwards: bool = False


def draw_window(source: Source, run: IdmRun, random: np.random.Generator) -> IdmWindow:
    """A clip of an episode that is not held out."""
    count = len(source.clips)
    episode = int(random.integers(count))
    while run.holds_out(episode, count):
        episode = int(random.integers(count))
    window = window_of(source, episode, run, random, run.frames)
    if source.imagined or run.backwards == 0.0:
        return window
    return replace(window, backwards=bool(random.random() < run.backwards))


def window_of(source: Source, episode: int, run: IdmRun, random: np.random.Generator, frames: int) -> IdmWindow:
    """A clip at a stride drawn evenly on a logarithmic scale; past the end of the episode the last frame stays.

    At least half of the clip lies inside the episode, where that is long enough.
    """
    clips = source.clips
    last = clips.length(episode) - 1
    # Imagined frames are as far apart as the world model put them: at most the next but one is seen.
    longest = min(2.0 if source.imagined else float(run.longest_stride), max(2.0 * last / (frames - 1), 1.0))
    stride = float(np.exp(random.uniform(0.0, np.log(longest))))
    start = int(random.integers(max(int(last - 0.5 * stride * (frames - 1)), 0) + 1))
    rows = np.minimum(np.round(start + stride * np.arange(frames)), last).astype(np.int64)
    is_paced = not source.imagined and random.random() >= run.no_pace
    first = int(clips.start[episode])
    return IdmWindow(source, first + rows, first, stride / clips.fps, bool(is_paced))


def layout_of(run: IdmRun, source: Source) -> Layout:
    """Which numbers of the source's actions are what, and the paces that are trained for."""
    clips = source.clips
    card = clips.embodiment
    return Layout(moves_of(card), card.gripper_place, 1.0 / clips.fps, run.longest_stride / clips.fps)
