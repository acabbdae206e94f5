"""One clip to sample, with everything decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from wow.types import UInt8

OnStep = Callable[[int, int], None]
Tell = Callable[[str], None]


def quiet(line: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Shot:
    """frames: what was seen, uint8 [K, H, W, 3], at the size of the clip. prompt, negative: embeddings [1, l, d]; None
    where the model knows no text, or guidance is off. shift: of flow sigmas; None where the model has none.
    """

    frames: UInt8
    prompt: Tensor | None
    negative: Tensor | None
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    shift: float | None
    fps: int
    seed: int

    @property
    def pictures(self) -> list[Image.Image]:
        """The frames that were seen."""
        return [Image.fromarray(frame) for frame in self.frames]

    @property
    def generator(self) -> torch.Generator:
        """Where its noise comes from; on the CPU, so that the device does not matter."""
        return torch.Generator().manual_seed(self.seed)

    def call(self, on_step: OnStep) -> dict[str, Any]:
        """The arguments that diffusers' video pipelines have in common."""
        steps = self.num_inference_steps

        def report(pipeline: Any, step: int, timestep: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            on_step(min(step + 1, steps), steps)
            return tensors

        return {
            "height": self.frames.shape[1],
            "width": self.frames.shape[2],
            "num_frames": self.num_frames,
            "num_inference_steps": steps,
            "generator": self.generator,
            "output_type": "pt",
            "callback_on_step_end": report,
        }
