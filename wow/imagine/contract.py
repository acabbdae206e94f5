"""The contract of every world model, whatever is inside: our small one, a 14B checkpoint, a latent model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wow.imagine.sampler import SamplingOptions
from wow.types import Actions, Video, WowError

OnStep = Callable[[int, int], None]

CAPABILITIES = (
    "text2video",
    "image2video",
    "video2world",
    "video2video",
    "forward_dynamics",
    "inverse_dynamics",
    "policy",
)
"""The words for what a world model can do."""


class WorldModel(Protocol):
    """From frames that were seen, and what is intended, to frames that may follow."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, in the words of `CAPABILITIES`."""

    def imagine(
        self,
        context: Video,
        *,
        prompt: str | None,
        actions: Actions | None,
        num_frames: int,
        seed: int,
        options: SamplingOptions,
    ) -> Video:
        """A clip of `num_frames` frames that begins with the context. Raises WowError for what the model cannot do."""


def demand(capability: str, name: str, capabilities: frozenset[str]) -> None:
    """Raises WowError, saying what the model can do instead, where it lacks a capability."""
    if capability not in capabilities:
        raise WowError(
            f"{name} cannot do {capability}; it can do {', '.join(sorted(capabilities))}: "
            "wow doctor lists the models at hand and what each can do"
        )
