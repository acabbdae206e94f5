"""What training needs of a foundation model: an episode as its network sees it, its loss, and where to take it apart.

A trainer is handed a `FineTuning` and knows nothing of families: `encode` an episode once, keep the example, ask for
the `loss` of it as often as wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from wow.foundation.card import Card
from wow.foundation.embeddings import Reader
from wow.foundation.finetune_loss import LOSSES, Example
from wow.foundation.fitting import Size, clip_size, fit_frames
from wow.foundation.request import check_frames, check_prompt
from wow.foundation.units import blocks, lora_targets
from wow.types import Episode, UInt8, Video, WowError

DEVIATION_OF_COSMOS_1 = 0.5
"""What Cosmos-Predict1 scales its latents to."""


@dataclass(frozen=True)
class FineTuning:
    """A model of the Wan or Cosmos families, ready to be trained.

    pipeline: with its VAE, its transformer and, where it has one, its picture encoder. prompts: reads instructions.
    """

    card: Card
    pipeline: Any
    prompts: Reader

    def __post_init__(self) -> None:
        if self.card.family not in LOSSES:
            raise WowError(f"{self.card.name} cannot be fine-tuned here: models of the Wan and Cosmos families can")

    @property
    def network(self) -> nn.Module:
        """What is trained."""
        network: nn.Module = self.pipeline.transformer
        return network

    @property
    def lora_targets(self) -> tuple[str, ...]:
        """The linear layers that a LoRA adds to, by the ends of their names."""
        return lora_targets(self.card)

    @property
    def blocks(self) -> tuple[tuple[str, nn.Module], ...]:
        """The units to shard and to recompute activations of, by name."""
        return blocks(self.network)

    def encode(
        self, episode: Episode, *, camera: str | None = None, num_frames: int | None = None, size: Size | None = None
    ) -> Example:
        """An episode as the network is trained on it: frames spread evenly over all of it, at the model's size.

        camera: the first where none is named. Raises WowError for a camera, length, size or instruction that does not
        fit.
        """
        names = list(episode.videos)
        if camera is not None and camera not in names:
            raise WowError(f"the episode has no camera {camera!r}: it has {', '.join(names)}")
        return self.encode_clip(episode.videos[camera or names[0]], episode.task, num_frames=num_frames, size=size)

    @torch.no_grad()
    def encode_clip(
        self, video: Video, prompt: str, *, num_frames: int | None = None, size: Size | None = None
    ) -> Example:
        """A video and an instruction as the network is trained on them."""
        check_frames(self.card, num_frames)
        check_prompt(self.card, prompt)
        frames = spread(video.frames, num_frames or self.card.frames.default)
        fitted, _ = fit_frames(self.card, frames, clip_size(self.card, frames.shape[1:3], size))
        (text,) = self.prompts.embed([prompt])
        latents = self.latents(fitted)
        return Example(latents, text.float(), self._condition(fitted), self._picture(fitted), self.card.fps)

    @torch.no_grad()
    def latents(self, frames: UInt8) -> Tensor:
        """Frames [T, H, W, 3] as the network takes them: [1, c, t, h, w], the VAE's mean, normalised, float32."""
        vae = self.pipeline.vae
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0
        raw: Tensor = vae.encode(pixels.to(vae.device, vae.dtype)).latent_dist.mode().float()
        scale = DEVIATION_OF_COSMOS_1 if self.card.family == "cosmos1" else 1.0
        if vae.config.latents_mean is None:
            return raw * scale
        mean, std = (
            torch.tensor(values, device=raw.device).view(1, raw.shape[1], -1, 1, 1)[:, :, : raw.shape[2]]
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        return (raw - mean) * scale / std

    def loss(self, example: Example, generator: torch.Generator) -> Tensor:
        """The loss of the family on one clip, at a noise level that is drawn. generator: on the CPU.

        The same generator state gives the same loss.
        """
        return LOSSES[self.card.family](self.network, self.card, example, generator)

    # ---- inside ----

    def _condition(self, frames: UInt8) -> Tensor | None:
        """What Wan2.1 is shown beside the noise: four channels of a mask, and the latents of the first frame alone."""
        if self.card.family != "wan2.1":
            return None
        count, height, width = frames.shape[:3]
        device = self.pipeline.vae.device
        pixels = torch.from_numpy(frames[0].copy()).permute(2, 0, 1)[None].float().to(device) / 127.5 - 1.0
        channels = self.pipeline.vae.config.z_dim
        _, condition = self.pipeline.prepare_latents(
            pixels, 1, channels, height, width, count, torch.float32, device, torch.Generator().manual_seed(0)
        )
        result: Tensor = condition
        return result

    def _picture(self, frames: UInt8) -> Tensor | None:
        if self.card.family != "wan2.1" or self.pipeline.image_encoder is None:
            return None
        device = next(self.pipeline.image_encoder.parameters()).device
        tokens: Tensor = self.pipeline.encode_image(Image.fromarray(frames[0]), device)
        return tokens.float()


def spread(frames: UInt8, num_frames: int) -> UInt8:
    """`num_frames` frames spread evenly from the first to the last; some are there twice where there are few."""
    places = np.linspace(0, len(frames) - 1, num_frames).round().astype(int)
    chosen: UInt8 = frames[places]
    return chosen
