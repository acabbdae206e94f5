"""Windows of episodes with what they are told: an instruction or a caption, a pace, and the motion that is true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from wow.data.transitions import between_frames
from wow.imagine.actions import ActionScale
from wow.models.dit import Conditions
from wow.train.latents import TextTable
from wow.train.store import Clips

LONGEST_SHORT_TEXT = 16
"""Words in the longest short instruction; dense captions have more."""


class Shares(Protocol):
    """What is drawn how often.

    from_start: share of clips that begin with their episode. free_pace: share with a random pace that need not cover
    what is left. short_texts: share of texts that are a short instruction rather than a dense caption (WoW mixes 1 to
    4). no_text, no_pace: share of clips that go without.
    """

    @property
    def from_start(self) -> float: ...
    @property
    def free_pace(self) -> float: ...
    @property
    def short_texts(self) -> float: ...
    @property
    def no_text(self) -> float: ...
    @property
    def no_pace(self) -> float: ...


@dataclass(frozen=True)
class Window:
    """Which frames of an episode a clip shows: rows of the store, and the robot time between them [s]."""

    episode: int
    rows: NDArray[np.int64]
    seconds: float
    covers_the_rest: bool


class Instructed:
    """Draws windows of `num_frames` frames, and says what a model is told of them. scale: of the motions."""

    def __init__(self, clips: Clips, texts: TextTable, scale: ActionScale, shares: Shares, num_frames: int) -> None:
        self.clips, self.texts, self.scale, self.shares, self.num_frames = clips, texts, scale, shares, num_frames
        # What an episode that ignores its text will do, nobody can tell from its first picture.
        self.plannable = np.flatnonzero(clips.obeys) if clips.obeys.any() else np.arange(len(clips))
        self._short = [[t for t in options if len(t.split()) <= LONGEST_SHORT_TEXT] for options in clips.texts]
        self._dense = [[t for t in options if len(t.split()) > LONGEST_SHORT_TEXT] for options in clips.texts]

    def windows(
        self, count: int, random: np.random.Generator, episodes: NDArray[np.int64] | None = None
    ) -> list[Window]:
        """Clips that start anywhere in one of `episodes`, of all by default."""
        return [draw_window(self.clips, self.shares, self.num_frames, random, episodes) for _ in range(count)]

    def whole(self, episode: int) -> Window:
        """The clip that shows a whole episode."""
        last, steps = self.clips.length(episode) - 1, self.num_frames - 1
        stride = max(1.0, last / steps)
        frames = np.minimum(np.round(stride * np.arange(steps + 1)), last).astype(np.int64)
        return Window(episode, self.clips.start[episode] + frames, stride / self.clips.fps, True)

    def conditions(
        self, windows: Sequence[Window], random: np.random.Generator, short_only: bool = False
    ) -> Conditions:
        """Texts, true motions (given) and paces. short_only: with the short text and no pace, as for `imagine`."""
        given = [self._given(window, random) if not short_only else (True, False) for window in windows]
        tokens, mask = self.spoken(windows, random, short_only)
        has_text, has_seconds = (torch.tensor(column) for column in zip(*given, strict=True))
        return Conditions(
            text=tokens,
            text_mask=mask,
            has_text=has_text,
            motion=self.motions(windows),
            motion_time=torch.zeros(len(windows)),
            seconds=torch.tensor([window.seconds for window in windows], dtype=torch.float32),
            has_seconds=has_seconds,
        )

    def spoken(
        self, windows: Sequence[Window], random: np.random.Generator, short_only: bool = False
    ) -> tuple[Float[Tensor, "b l d"], Bool[Tensor, "b l"]]:
        """The words of a text of each clip's episode, and which of them are real."""
        return self.texts.gather([self._text(window.episode, random, short_only) for window in windows])

    def motions(self, windows: Sequence[Window]) -> Float[Tensor, "b t1 a"]:
        """Where the robot gets to in each clip, normalised."""
        actions = [between_frames(self.clips.actions, window.rows, self.clips.embodiment) for window in windows]
        return torch.from_numpy(self.scale.motion(np.stack(actions)))

    def typical_seconds(self) -> float:
        """The usual robot time between the frames of a clip that covers what is left [s]."""
        random = np.random.default_rng(0)
        drawn = [draw_window(self.clips, self.shares, self.num_frames, random, pace=False) for _ in range(2000)]
        return float(np.mean([window.seconds for window in drawn]))

    def _given(self, window: Window, random: np.random.Generator) -> tuple[bool, bool]:
        """Whether a clip comes with its text and with its pace. A clip that ignores its text goes without it."""
        has_text = bool(self.clips.obeys[window.episode]) and random.random() >= self.shares.no_text
        return has_text, not window.covers_the_rest or random.random() >= self.shares.no_pace

    def _text(self, episode: int, random: np.random.Generator, short_only: bool) -> str:
        if short_only:
            return self.clips.texts[episode][0]
        short, dense = self._short[episode], self._dense[episode]
        options = short if short and (not dense or random.random() < self.shares.short_texts) else dense
        return options[int(random.integers(len(options)))]


def draw_window(
    clips: Clips,
    shares: Shares,
    num_frames: int,
    random: np.random.Generator,
    episodes: NDArray[np.int64] | None = None,
    pace: bool = True,
) -> Window:
    """A clip that starts anywhere and reaches the end of its episode, or runs at a pace of its own.

    Past the end the last frame stays: a finished task looks finished. episodes: those to choose from, all by default.
    pace: whether it may have one of its own.
    """
    episode = int(random.integers(len(clips)) if episodes is None else random.choice(episodes))
    last = clips.length(episode) - 1
    start = 0 if random.random() < shares.from_start else int(random.integers(max(last, 1)))
    steps = num_frames - 1
    to_end = max(1.0, (last - start) / steps)
    covers = random.random() >= shares.free_pace * pace
    stride = to_end if covers else float(random.uniform(1.0, max(to_end, 3.0)))
    frames = np.minimum(np.round(start + stride * np.arange(steps + 1)), last).astype(np.int64)
    return Window(episode, clips.start[episode] + frames, stride / clips.fps, covers)
