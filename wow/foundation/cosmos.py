"""Cosmos-Predict1 and 2.5 Video2World, through diffusers' pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from diffusers import Cosmos2_5_PredictBasePipeline, Cosmos2VideoToWorldPipeline, CosmosVideoToWorldPipeline
from diffusers.pipelines.cosmos.pipeline_cosmos2_video2world import DEFAULT_NEGATIVE_PROMPT as NEGATIVE_PROMPT
from torch import Tensor

from wow.foundation.card import Card
from wow.foundation.shot import OnStep, Shot
from wow.foundation.torchvision_free import lend_resize
from wow.types import UInt8

__all__ = ["NEGATIVE_PROMPT", "NoGuardrail", "build", "sample_first", "sample_later", "starting_noise"]

PIPELINES = {
    "cosmos1": CosmosVideoToWorldPipeline,
    "cosmos2": Cosmos2VideoToWorldPipeline,
    "cosmos2.5": Cosmos2_5_PredictBasePipeline,
}


class NoGuardrail:
    """Lets everything pass. NVIDIA's licence asks whoever offers Cosmos to others for a guardrail of their own."""

    def to(self, device: torch.device | str) -> NoGuardrail:
        return self

    def check_text_safety(self, text: str) -> bool:
        return True

    def check_video_safety(self, frames: UInt8) -> UInt8:
        return frames


def build(card: Card, parts: Mapping[str, Any]) -> Any:
    """The pipeline of a Cosmos model. parts: its networks by role; a text encoder may come later."""
    lend_resize()
    return PIPELINES[card.family](
        text_encoder=parts.get("text_encoder"),
        tokenizer=parts.get("tokenizer"),
        transformer=parts["transformer"],
        vae=parts["vae"],
        scheduler=parts["scheduler"],
        safety_checker=NoGuardrail(),
    )


def starting_noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Normal noise that is the same on every device, drawn as NVIDIA's samplers draw it (numpy's old generator)."""
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape).astype(np.float32))


def latent_shape(pipeline: Any, shot: Shot) -> tuple[int, ...]:
    """The shape [1, c, t, h, w] of the clip's latents."""
    time, space = pipeline.vae_scale_factor_temporal, pipeline.vae_scale_factor_spatial
    height, width = shot.frames.shape[1:3]
    channels = pipeline.transformer.config.in_channels - 1  # the last marks which frames are given
    return 1, channels, (shot.num_frames - 1) // time + 1, height // space, width // space


def sample_first(pipeline: CosmosVideoToWorldPipeline, card: Card, shot: Shot, on_step: OnStep) -> Tensor:
    """Frames [T, 3, H, W] from 0 to 1, of Cosmos-Predict1. Guidance is c + g (c - u), on the clean estimate."""
    given = {"image": shot.pictures[0]} if len(shot.frames) == 1 else {"video": shot.pictures}
    video = pipeline(
        **given,
        prompt_embeds=shot.prompt,
        negative_prompt_embeds=shot.negative,
        guidance_scale=shot.guidance_scale,
        fps=shot.fps,
        latents=starting_noise(latent_shape(pipeline, shot), shot.seed),
        **shot.call(on_step),
    )
    frames: Tensor = video.frames[0]
    return frames


def sample_later(pipeline: Cosmos2_5_PredictBasePipeline, card: Card, shot: Shot, on_step: OnStep) -> Tensor:
    """Frames [T, 3, H, W] from 0 to 1, of Cosmos-Predict2.5. Guidance is c + g (c - u), on the velocity.

    One picture goes in as a clip of one frame: what the pipeline does to a picture needs torchvision, and comes to the
    same, because the first latent sees the first frame alone.
    """
    seen = torch.from_numpy(np.ascontiguousarray(shot.frames)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0
    video = pipeline(
        video=seen,
        prompt_embeds=shot.prompt,
        negative_prompt_embeds=shot.negative,
        guidance_scale=shot.guidance_scale,
        num_latent_conditional_frames=(len(shot.frames) - 1) // 4 + 1,
        latents=starting_noise(latent_shape(pipeline, shot), shot.seed),
        **shot.call(on_step),
    )
    frames: Tensor = video.frames[0]
    return frames
