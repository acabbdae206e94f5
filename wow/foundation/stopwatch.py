"""What each way to sample faster gains and costs, measured on a network of a model's own shape with random weights.

Time does not depend on the values of weights. How far a cached clip is from the exact one does: with random weights it
is what this network does, not what the released one would.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from wow.foundation.card import Card, Role
from wow.foundation.embeddings import free_memory
from wow.foundation.families import WAYS
from wow.foundation.miniature import RandomWords, random_network, text_width
from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
from wow.foundation.plan import NEEDS_TORCHAO
from wow.foundation.quantise import quantise, quantisers
from wow.foundation.schedules import scheduler_of
from wow.foundation.speed import EXACT, Speed
from wow.types import UInt8, WowError


@dataclass(frozen=True)
class Row:
    """One way to sample. quantisation: of the linear layers, "none", "int8" or "fp8"."""

    speed: Speed
    quantisation: str = "none"


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "exact": Row(EXACT),
        "batched": Row(Speed(batched_guidance=True)),
        "cudnn": Row(Speed(attention="_native_cudnn")),
        "flash3": Row(Speed(attention="_flash_3")),
        "sage": Row(Speed(attention="sage")),
        "compiled": Row(Speed(compile=True)),
        "compiled-cudnn": Row(Speed(compile=True, attention="_native_cudnn")),
        "interval": Row(Speed(guidance_interval=(0.0, 0.5))),
        "cache-0.1": Row(Speed(cache_threshold=0.1)),
        "cache-0.3": Row(Speed(cache_threshold=0.3)),
        "fast": Row(Speed(compile=True, attention="_native_cudnn", cache_threshold=0.3)),
        "int8": Row(EXACT, "int8"),
        "fp8": Row(EXACT, "fp8"),
        "fp8-compiled": Row(Speed(compile=True), "fp8"),
    }
)
"""What is measured, in this order: networks that are compiled or quantised come after those that are not."""


@dataclass(frozen=True)
class Measured:
    """seconds: of the whole clip, the VAE's part included. seconds_per_step: the median after the first step.

    gigabytes: the most that PyTorch held on the GPU at once; None on a CPU. passes, skipped: through the network.
    frames: [T, H, W, 3].
    """

    seconds: float
    seconds_per_step: float
    gigabytes: float | None
    passes: int
    skipped: int
    frames: UInt8


class Bench:
    """A model with random weights on a device, which draws the same clip one way after another."""

    def __init__(self, card: Card, device: str, dtype: torch.dtype, num_frames: int, steps: int, seed: int = 0) -> None:
        self.card, self.device, self.dtype, self.seed = card, device, dtype, seed
        self.num_frames, self.steps = num_frames, steps
        self.model: FoundationWorldModel | None = None
        self.made_for: tuple[bool, str] | None = None

    def measure(self, row: Row) -> Measured:
        """Draws the clip that way, after one step to warm up. Raises WowError where it cannot be done here."""
        if row.quantisation != "none" and row.quantisation not in quantisers():
            raise WowError(NEEDS_TORCHAO.format(how=row.quantisation))
        model = self._model(row)
        options = FoundationOptions(self.steps, size=(self.card.height, self.card.width), speed=row.speed)
        self._draw(model, replace(options, num_inference_steps=1), [])
        if self.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        times: list[float] = []
        began = time.perf_counter()
        frames = self._draw(model, options, times)
        total = time.perf_counter() - began
        held = torch.cuda.max_memory_allocated() / 1e9 if self.device != "cpu" else None
        between = np.diff(times) if len(times) > 1 else np.array([total])
        return Measured(total, float(np.median(between)), held, model.passes.made, model.passes.skipped, frames)

    def _draw(self, model: FoundationWorldModel, options: FoundationOptions, times: list[float]) -> UInt8:
        def on_step(done: int, total: int) -> None:
            if self.device != "cpu":
                torch.cuda.synchronize()
            times.append(time.perf_counter())

        try:
            video = model.imagine(
                structured_picture(self.card.height, self.card.width), "push the square",
                num_frames=self.num_frames, seed=self.seed, options=options, on_step=on_step,
            )  # fmt: skip
        except torch.OutOfMemoryError:
            raise WowError("the GPU's memory was not enough") from None
        return video.frames

    def _model(self, row: Row) -> FoundationWorldModel:
        """The model; a new one where the last one was compiled or quantised and this must not be."""
        wanted = row.speed.compile, row.quantisation
        if self.model is None or self.made_for != wanted:
            self.model = None
            free_memory()
            self.model, self.made_for = self._made(row.quantisation), wanted
        return self.model

    def _made(self, quantisation: str) -> FoundationWorldModel:
        card = self.card
        roles: tuple[Role, ...] = ("transformer", "vae", "image_encoder")
        parts: dict[str, Any] = {"scheduler": scheduler_of(card.sampler, card.sampler.shift)}
        for role in roles:
            precise = role == "vae" and card.family.startswith("wan")
            if card.has(role):
                dtype = torch.float32 if precise else self.dtype
                parts[role] = random_network(card, role, self.device, dtype, self.seed)
        if quantisation != "none":
            quantise(parts["transformer"], quantisation, self.device)
        pipeline = WAYS[card.family].build(card, parts).to(self.device)
        words = RandomWords(text_width(card), card.num_words)
        return FoundationWorldModel(card, lambda setting: pipeline, words)


def structured_picture(height: int, width: int) -> UInt8:
    """A scene of a few even shapes [H, W, 3]: a table, a wall, a block and a ball."""
    rows, columns = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    picture = np.stack([200 - 60 * rows, 190 - 50 * columns, 170 + 30 * rows], axis=-1)
    picture[rows > 0.6] = (120, 85, 60)
    picture[(abs(rows - 0.65) < 0.12) & (abs(columns - 0.35) < 0.08)] = (40, 90, 200)
    picture[(rows - 0.7) ** 2 + (columns - 0.65) ** 2 < 0.006] = (220, 50, 40)
    return np.ascontiguousarray(picture.astype(np.uint8))
