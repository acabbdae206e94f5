"""The contract of every world model, whatever is inside: our small one, a 14B checkpoint, a latent model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
WHO_CAN: Mapping[str, str] = {
    "image2video": "wow-mini and every model that wow models lists",
    "video2video": "wow-mini, wow-1-dit-2b-600k, wow-1-dit-7b-600k and the cosmos-predict models",
    "forward_dynamics": "wow-mini",
    "inverse_dynamics": "wow-mini",
    "policy": "wow-mini",
}
"""Who can do each of them, in the words of an error; nobody can do the others."""


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
    """Raises WowError, saying who has it and what the model can do instead, where it lacks a capability."""
    if capability not in capabilities:
        others = WHO_CAN.get(capability)
        remedy = f"{others} can" if others else "no model that wow knows can"
        raise WowError(f"{name} cannot do {capability}, it can do {', '.join(sorted(capabilities))}: {remedy}")
