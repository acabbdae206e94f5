"""Cosmos-Predict2 Video2World, sampled as it was published.

diffusers' own pipeline takes Euler steps, scales the time axis by the frame rate and rounds the clean estimate to the
network's precision; the published sampler does none of this. So the loop is here, over the same networks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import Cosmos2VideoToWorldPipeline
from torch import Tensor

from wow.foundation.card import Card
from wow.foundation.cosmos import latent_shape, starting_noise
from wow.foundation.schedules import karras_sigmas, towards
from wow.foundation.shot import OnStep, Shot

SIGMA_OF_GIVEN_FRAMES = 1e-4


@dataclass(frozen=True)
class Given:
    """The latents [1, c, t, h, w] of frames that were seen, zero after them, and where they are: [1, 1, t, 1, 1]."""

    latents: Tensor
    mask: Tensor

    def over(self, values: Tensor) -> Tensor:
        """The values, with what was seen put over them."""
        return self.mask * self.latents + (1.0 - self.mask) * values


@torch.no_grad()
def sample(pipeline: Cosmos2VideoToWorldPipeline, card: Card, shot: Shot, on_step: OnStep) -> Tensor:
    """Frames [T, 3, H, W] from 0 to 1. Guidance is c + g (c - u), on the clean estimate."""
    assert card.sampler.sigmas is not None, "an EDM sampler states its sigmas"
    high, low = card.sampler.sigmas
    device = pipeline._execution_device
    given = see(pipeline, shot, device)
    noise = starting_noise(latent_shape(pipeline, shot), shot.seed).to(device)

    def clean(point: Tensor, sigma: float) -> Tensor:
        kept = denoise(pipeline.transformer, point, sigma, given, shot.prompt)
        if shot.negative is None:
            return kept
        dropped = denoise(pipeline.transformer, point, sigma, given, shot.negative)
        return kept + shot.guidance_scale * (kept - dropped)

    sigmas = karras_sigmas(shot.num_inference_steps, low, high)
    latents = descend(clean, noise * high, sigmas, on_step)
    frames = decode(pipeline.vae, latents)
    pipeline.maybe_free_model_hooks()
    return frames


def descend(
    clean: Callable[[Tensor, float], Tensor],
    point: Tensor,
    sigmas: list[float],
    on_step: OnStep = lambda done, total: None,
) -> Tensor:
    """From noise at the first sigma to the clean estimate at the last. clean: the estimate at a point and a sigma."""
    before: Tensor | None = None
    last: float | None = None
    for step, (now, after) in enumerate(itertools.pairwise(sigmas)):
        estimate = clean(point, now)
        point = towards(point.double(), estimate.double(), before, (last, now, after)).to(point.dtype)
        before, last = estimate.double(), now
        on_step(step + 1, len(sigmas) - 1)
    return clean(point, sigmas[-1])


def denoise(transformer: Any, point: Tensor, sigma: float, given: Given, text: Tensor | None) -> Tensor:
    """The clean estimate at a noise level, in float32: t = s / (1 + s), c_in = c_skip = 1 - t, c_out = -t."""
    dtype = transformer.dtype
    time, time_of_given = (level / (1.0 + level) for level in (sigma, SIGMA_OF_GIVEN_FRAMES))
    times = given.mask * time_of_given + (1.0 - given.mask) * time
    mask = given.mask.expand(1, 1, -1, *point.shape[-2:])
    velocity = transformer(
        hidden_states=given.over(point * (1.0 - time)).to(dtype),
        timestep=times.to(dtype),
        encoder_hidden_states=text.to(point.device, dtype) if text is not None else None,
        fps=None,  # the published network does not scale time by the frame rate
        condition_mask=mask.to(dtype),
        padding_mask=torch.zeros_like(mask[:, :, 0], dtype=dtype),
        return_dict=False,
    )[0].float()
    return given.over((1.0 - time) * point - time * velocity)


def see(pipeline: Cosmos2VideoToWorldPipeline, shot: Shot, device: torch.device) -> Given:
    """The frames that were seen, as latents: the mean of what the VAE makes of them."""
    shape = latent_shape(pipeline, shot)
    pixels = torch.from_numpy(np.ascontiguousarray(shot.frames)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0
    mean, std = _statistics(pipeline.vae, device)
    seen = pipeline.vae.encode(pixels.to(device, pipeline.vae.dtype)).latent_dist.mode().float()
    count = seen.shape[2]
    latents, mask = torch.zeros(shape, device=device), torch.zeros(1, 1, shape[2], 1, 1, device=device)
    latents[:, :, :count] = (seen - mean) / std
    mask[:, :, :count] = 1.0
    return Given(latents, mask)


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Frames [T, 3, H, W] from 0 to 1."""
    mean, std = _statistics(vae, latents.device)
    video: Tensor = vae.decode((latents * std + mean).to(vae.dtype), return_dict=False)[0][0]
    return (video.float() / 2.0 + 0.5).clamp(0.0, 1.0).transpose(0, 1)


def _statistics(vae: Any, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and deviation of its latents, [1, c, 1, 1, 1]."""
    mean, std = (
        torch.tensor(values, device=device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    return mean, std
