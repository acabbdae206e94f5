"""CogVideoX and Stable Video Diffusion, through diffusers' pipelines, which are what their authors published."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diffusers import CogVideoXImageToVideoPipeline, StableVideoDiffusionPipeline
from torch import Tensor

from wow.foundation.card import Card
from wow.foundation.shot import OnStep, Shot

FRAMES_DECODED_AT_ONCE = 8


def build_cogvideox(card: Card, parts: Mapping[str, Any]) -> CogVideoXImageToVideoPipeline:
    """The pipeline of CogVideoX. parts: its networks by role; a text encoder may come later."""
    return CogVideoXImageToVideoPipeline(
        tokenizer=parts.get("tokenizer"),
        text_encoder=parts.get("text_encoder"),
        vae=parts["vae"],
        transformer=parts["transformer"],
        scheduler=parts["scheduler"],
    )


def sample_cogvideox(pipeline: CogVideoXImageToVideoPipeline, card: Card, shot: Shot, on_step: OnStep) -> Tensor:
    """Frames [T, 3, H, W] from 0 to 1. Guidance is u + g (c - u); g follows a cosine where the card says so."""
    video = pipeline(
        image=shot.pictures[0],
        prompt_embeds=shot.prompt,
        negative_prompt_embeds=shot.negative,
        guidance_scale=shot.guidance_scale,
        use_dynamic_cfg=card.sampler.guidance == "dynamic",
        **shot.call(on_step),
    )
    frames: Tensor = video.frames[0]
    return frames


def build_svd(card: Card, parts: Mapping[str, Any]) -> StableVideoDiffusionPipeline:
    """The pipeline of Stable Video Diffusion. parts: its networks by role."""
    return StableVideoDiffusionPipeline(
        vae=parts["vae"],
        image_encoder=parts["image_encoder"],
        unet=parts["transformer"],
        scheduler=parts["scheduler"],
        feature_extractor=parts["image_processor"],
    )


def sample_svd(pipeline: StableVideoDiffusionPipeline, card: Card, shot: Shot, on_step: OnStep) -> Tensor:
    """Frames [T, 3, H, W] from 0 to 1. Guidance rises linearly from 1 at the first frame; there is no text."""
    video = pipeline(
        image=shot.pictures[0],
        max_guidance_scale=shot.guidance_scale,
        fps=shot.fps,
        motion_bucket_id=127,
        noise_aug_strength=0.02,
        decode_chunk_size=FRAMES_DECODED_AT_ONCE,
        **shot.call(on_step),
    )
    frames: Tensor = video.frames[0]
    return frames
