"""Draws clips from a video transformer: Euler steps along the flow, classifier-free guidance (Ho & Salimans 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from wow.imagine.flow import step_times, velocity
from wow.models.dit import Conditions

Denoiser = Callable[[Tensor, Tensor, Conditions], Tensor]
OnStep = Callable[[int, int], None]


@dataclass(frozen=True)
class SamplingOptions:
    """num_inference_steps: network evaluations per clip (twice that with guidance). guidance_scale: 1 switches it off.

    shift: how much the steps crowd near the noise.
    """

    num_inference_steps: int = 4
    guidance_scale: float = 1.5
    shift: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.num_inference_steps <= 1000 or self.guidance_scale < 0 or self.shift <= 0:
            raise ValueError(f"impossible sampling options {self}")


@torch.no_grad()
def sample(
    denoiser: Denoiser,
    noise: Float[Tensor, "b t c h w"],
    context: Float[Tensor, "b k c h w"],
    conditions: Conditions,
    options: SamplingOptions,
    on_step: OnStep = lambda done, total: None,
) -> Float[Tensor, "b t c h w"]:
    """Clean latents whose first k frames are `context`. The same noise gives the same clip."""
    kept = context.shape[1]
    times = step_times(options.num_inference_steps, options.shift)
    point = torch.cat([context, noise[:, kept:]], dim=1)
    for step, (now, after) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
        time = torch.full(point.shape[:2], now, device=point.device)
        time[:, :kept] = 0.0
        clean = _guided(denoiser, point, time, conditions, options.guidance_scale)
        moved = clean if after == 0.0 else point + (after - now) * velocity(point, clean, now)
        point = torch.cat([context, moved[:, kept:]], dim=1)
        on_step(step + 1, options.num_inference_steps)
    return point


def _guided(denoiser: Denoiser, point: Tensor, time: Tensor, conditions: Conditions, scale: float) -> Tensor:
    """The prediction, moved away from what the network would say without the text."""
    if scale == 1.0 or not bool(conditions.has_text.any()):
        return denoiser(point, time, conditions)
    without = replace(conditions, has_text=torch.zeros_like(conditions.has_text))
    both = Conditions(**{k: torch.cat([v, getattr(without, k)]) for k, v in vars(conditions).items()})
    given, not_given = denoiser(point.repeat(2, 1, 1, 1, 1), time.repeat(2, 1), both).chunk(2)
    return not_given + scale * (given - not_given)
