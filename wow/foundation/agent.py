"""A foundation model where our own is expected: it imagines, and our model's hands act on what it imagines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from wow.foundation.fitting import as_seen
from wow.foundation.identity import digest_of
from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
from wow.foundation.shot import OnStep
from wow.foundation.source import Source
from wow.types import Actions, Embodiment, Float32, UInt8, Video, WowError

LARGEST_FILM = 480
"""The most rows that MuJoCo draws unless a scene asks for more [pixels]."""


class Asked(Protocol):
    """One clip to imagine, as our own model's `Request` says it: frames [K, H, W, 3], words, a seed, a pace [s]."""

    @property
    def context(self) -> UInt8: ...
    @property
    def prompt(self) -> str | None: ...
    @property
    def actions(self) -> Float32 | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def seconds(self) -> float | None: ...


class Steps(Protocol):
    """What is taken over of our own sampler's options; how flow sigmas are shifted is the model's own affair."""

    @property
    def num_inference_steps(self) -> int: ...
    @property
    def guidance_scale(self) -> float: ...


class Hands(Protocol):
    """Who acts on what is imagined: a model with inverse dynamics. guesser, inverse: None where it has no such part."""

    @property
    def name(self) -> str: ...
    @property
    def embodiment(self) -> Embodiment: ...
    @property
    def guesser(self) -> object | None: ...
    @property
    def inverse(self) -> object | None: ...
    def read(self, video: Video, *, paced: bool = True, start: Float32 | None = None) -> Any: ...
    def imitate(self, picture: UInt8, prompt: str, *, fps: float | None = None) -> Actions: ...


@dataclass(frozen=True)
class FoundationAgent:
    """A foundation model that can be asked for what our own can, except for its own plan and for following actions.

    load_hands: brings who acts on its videos, when somebody acts. folder: it has no checkpoint of ours.
    """

    model: FoundationWorldModel
    source: Source
    load_hands: Callable[[], Hands]
    folder: None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.model.name

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, hands included."""
        return self.model.capabilities | ({"inverse_dynamics"} if self.hands.inverse is not None else set())

    @property
    def size(self) -> int:
        """Side of the square pictures that a simulator is to film for it [pixels]."""
        return min(self.model.card.height, LARGEST_FILM)

    @property
    def typical_seconds(self) -> float:
        """Time between its frames [s]."""
        return 1.0 / self.model.card.fps

    @cached_property
    def digest(self) -> str:
        """What tells its files from others'."""
        return digest_of(self.source)

    @cached_property
    def hands(self) -> Hands:
        """Who acts on its videos."""
        return self.load_hands()

    @property
    def embodiment(self) -> Embodiment:
        """The robot of its hands."""
        return self.hands.embodiment

    @property
    def guesser(self) -> object | None:
        """The policy of its hands."""
        return self.hands.guesser

    @property
    def inverse(self) -> object | None:
        """The inverse dynamics of its hands."""
        return self.hands.inverse

    def fit(self, frames: UInt8) -> tuple[UInt8, str]:
        """Frames [T, H, W, 3] or one [H, W, 3] as the model takes them, and what was done to them ("" for nothing)."""
        return self.model.fit(frames if frames.ndim == 4 else frames[None])

    def imagine_all(
        self,
        requests: Sequence[Asked],
        *,
        num_frames: int,
        options: Steps,
        on_step: OnStep = lambda done, total: None,
    ) -> list[Video]:
        """Several clips, one after the other, each in the frame of the picture that it begins with (see `as_seen`)."""
        clips: list[Video] = []
        for request in requests:
            video = self.model.imagine(
                request.context,
                request.prompt,
                actions=None if request.actions is None else Actions(request.actions, self.embodiment),
                num_frames=num_frames,
                seed=request.seed,
                options=_options(options, request),
                on_step=lambda done, total: on_step(len(clips) * total + done, len(requests) * total),
            )
            clips.append(Video(as_seen(self.model.card, video.frames, request.context[-1]), video.fps))
        return clips

    def read(self, video: Video, *, paced: bool = True, start: Float32 | None = None) -> Any:
        """What its hands read from a video's T+1 frames: a `wow.act.reading.Reading`.

        Raises WowError where nothing can be read, which says whose video and whose hands they are.
        """
        try:
            return self.hands.read(video, paced=paced, start=start)
        except WowError as error:
            raise WowError(f"{self.hands.name}, which reads the videos of {self.name}: {error}") from None

    def imitate(self, picture: UInt8, prompt: str, *, fps: float | None = None) -> Actions:
        """What the policy of its hands would do from a picture on."""
        return self.hands.imitate(picture, prompt, fps=fps)


def _options(options: Steps, request: Asked) -> FoundationOptions:
    fps = None if request.seconds is None else max(round(1.0 / request.seconds), 1)
    return FoundationOptions(options.num_inference_steps, options.guidance_scale, fps=fps)
