"""Wan2.1 and Wan2.2: image to video, with WoW's and the authors' own samplers.

The 1.3B that WoW widened to 36 channels has no CLIP branch: there the picture enters through the VAE alone, and
everything else is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import WanImageToVideoPipeline
from PIL import Image
from torch import Tensor

from wow.foundation.card import Card
from wow.foundation.shot import OnStep, Shot

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class PublishedWan(WanImageToVideoPipeline):  # type: ignore[misc]
    """diffusers' pipeline, with the picture brought to CLIP as Wan's authors do: squashed, not cut to a square."""

    def encode_image(self, image: Image.Image, device: torch.device | None = None) -> Tensor:
        """CLIP's tokens [1, n, d] of a picture, from the block before the last."""
        device = device or self._execution_device
        tower = self.image_encoder
        hidden = tower(
            pixel_values=clip_pixels(image, tower.config.image_size).to(device, tower.dtype), output_hidden_states=True
        )
        tokens: Tensor = hidden.hidden_states[-2]
        return tokens.to(device)


def clip_pixels(image: Image.Image, size: int) -> Tensor:
    """A picture as CLIP sees it, [1, 3, size, size]: bicubic straight to a square, CLIP's mean and deviation."""
    pixels = torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)[None].float() / 255.0
    small = F.interpolate(pixels, size=(size, size), mode="bicubic", align_corners=False)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD))
    return (small - mean) / std


def build(card: Card, parts: Mapping[str, Any]) -> WanImageToVideoPipeline:
    """The pipeline of a Wan model. parts: its networks by role; a text encoder may come later."""
    return PublishedWan(
        tokenizer=parts.get("tokenizer"),
        text_encoder=parts.get("text_encoder"),
        vae=parts["vae"],
        scheduler=parts["scheduler"],
        image_encoder=parts.get("image_encoder"),
        transformer=parts["transformer"],
        expand_timesteps=card.family == "wan2.2",
    )


def sample(pipeline: WanImageToVideoPipeline, card: Card, shot: Shot, on_step: OnStep) -> Tensor:
    """Frames [T, 3, H, W] from 0 to 1. Guidance is u + g (c - u)."""
    video = pipeline(
        image=shot.pictures[0],
        prompt_embeds=shot.prompt,
        negative_prompt_embeds=shot.negative,
        guidance_scale=shot.guidance_scale,
        **shot.call(on_step),
    )
    frames: Tensor = video.frames[0]
    return frames
