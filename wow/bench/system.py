"""What is measured: anything that imagines videos. And two that need no model, which a model has to beat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from wow.bench.samples import Clip, EpisodeStore, clip_of
from wow.types import Float32, UInt8, WowError

THUMBNAIL = 32
"""Side of the pictures by which first frames are compared [pixels]: enough to see where arm and objects are."""


@dataclass(frozen=True)
class Asked:
    """What videos are asked for: one for each first frame [H, W, 3], with the seeds `seed`, `seed` + 1, …

    actions: for each, float32 [num_frames - 1, D] in the units of the data's embodiment card; None for `image2video`.
    seconds: robot time between two frames [s]; None where the system is to choose its pace. A prompt is None only where
    there are actions.
    """

    contexts: Sequence[UInt8]
    prompts: Sequence[str | None]
    num_frames: int
    seed: int
    actions: Sequence[Float32] | None = None
    seconds: Sequence[float] | None = None


@runtime_checkable
class Imaginer(Protocol):
    """The system under test."""

    @property
    def name(self) -> str:
        """What it is, with its version or the hash of its weights: results of two names are never mixed."""
        ...

    def imagine(self, asked: Asked) -> list[UInt8]:
        """One video uint8 [num_frames, H, W, 3] for each first frame, starting with it; the same for the same."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """A system whose codec can be measured alone: no imagined video can be better than its reconstruction."""

    def reconstruct(self, videos: Sequence[UInt8]) -> list[UInt8]:
        """Each video [T, H, W, 3] through the codec and back."""
        ...


@runtime_checkable
class HasSteps(Protocol):
    """A system that trades time for quality."""

    def with_num_inference_steps(self, steps: int) -> Imaginer:
        """The same system with that many network evaluations a video."""
        ...


class RepeatFirstFrame:
    """Nothing moves: what every world model must at least beat."""

    name = "first frame repeated"

    def imagine(self, asked: Asked) -> list[UInt8]:
        """The first frame, `num_frames` times."""
        return [np.repeat(context[None], asked.num_frames, axis=0) for context in asked.contexts]


class NearestTrainingVideo:
    """What was seen in training: of the episodes with the same instruction, the one whose first frame looks most alike.

    An instruction that training never had is looked up among all episodes. Distance: squared error of 32x32 thumbnails.
    """

    name = "nearest training video"

    def __init__(
        self, store: EpisodeStore, camera: str, on_done: Callable[[int, int], None] = lambda done, total: None
    ) -> None:
        self._store = store
        self._camera = camera
        # A failed or random episode is no answer to its instruction.
        answers = [record.success is not False and record.source != "random" for record in store.records]
        self._numbers = [int(number) for number in np.flatnonzero(answers)]
        if not self._numbers:
            raise WowError("the training data hold no successful episode to compare with: name others or none")
        self._texts = np.array([store.records[number].task for number in self._numbers])
        thumbnails = []
        for done, number in enumerate(self._numbers):
            thumbnails.append(thumbnail(store.frames(number, [0], camera)[0]))
            on_done(done + 1, len(self._numbers))
        self._thumbnails = np.array(thumbnails)

    def imagine(self, asked: Asked) -> list[UInt8]:
        """The training videos themselves, first frames included."""
        pairs = zip(asked.contexts, asked.prompts, strict=True)
        return [self._nearest(context, prompt, asked.num_frames).frames for context, prompt in pairs]

    def _nearest(self, context: UInt8, prompt: str | None, num_frames: int) -> Clip:
        among = np.flatnonzero(self._texts == prompt)
        among = among if len(among) else np.arange(len(self._texts))
        distance = np.square(self._thumbnails[among] - thumbnail(context)).sum(axis=(1, 2, 3))
        number = self._numbers[int(among[int(distance.argmin())])]
        return clip_of(self._store.episode(number), str(number), num_frames, self._camera)


def thumbnail(frame: UInt8) -> Float32:
    """float32 [32, 32, 3]: the frame with each pixel an average over the area it stands for."""
    from PIL import Image

    small = Image.fromarray(frame).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)
