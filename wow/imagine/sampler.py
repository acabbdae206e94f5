"""Draws clips from a video transformer by Euler steps along the flow: first the motion, then its video."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from wow.imagine.flow import step_times, velocity
from wow.models.dit import Conditions

OnStep = Callable[[int, int], None]


@runtime_checkable
class Denoiser(Protocol):
    """What draws a clip: the clean motion from a noisy one, and the clean latents from noisy ones."""

    def __call__(self, noisy: Tensor, time: Tensor, conditions: Conditions, /) -> Tensor:
        """Clean latents."""

    def plan(self, context: Tensor, conditions: Conditions, /) -> Tensor:
        """The clean motion, before there is a video."""


@dataclass(frozen=True)
class SamplingOptions:
    """num_inference_steps: of the video. num_planning_steps: of the motion before it, where none is given.

    One planning step gives the mean of all motions that may follow, whatever the seed; more draw one of them.
    guidance_scale: how strongly the text steers the motion; 1 switches guidance off, and a guess that is taken as it is
    knows none. shift: how much the steps crowd near the noise. corrections: how often a clip is painted anew, its
    motion moved by what is read from it less than was meant; a model without inverse dynamics paints once.
    """

    num_inference_steps: int = 2
    num_planning_steps: int = 1
    guidance_scale: float = 1.0
    shift: float = 2.0
    corrections: int = 2

    def __post_init__(self) -> None:
        steps = (self.num_inference_steps, self.num_planning_steps)
        amounts = (self.guidance_scale, self.corrections)
        if not all(1 <= count <= 1000 for count in steps) or min(amounts) < 0 or self.shift <= 0:
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
    """Clean latents whose first k frames are `context`, showing the motion of `conditions`, which has level 0.

    The same noise gives the same clip.
    """
    kept = context.shape[1]
    times = step_times(options.num_inference_steps, options.shift)
    point = torch.cat([context, noise[:, kept:]], dim=1)
    for step, (now, after) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
        time = torch.full(point.shape[:2], now, device=point.device)
        time[:, :kept] = 0.0
        clean = denoiser(point, time, conditions)
        moved = clean if after == 0.0 else point + (after - now) * velocity(point, clean, now)
        point = torch.cat([context, moved[:, kept:]], dim=1)
        on_step(step + 1, options.num_inference_steps)
    return point


@torch.no_grad()
def sample_motion(
    denoiser: Denoiser,
    context: Float[Tensor, "b k c h w"],
    conditions: Conditions,
    options: SamplingOptions,
    on_step: OnStep = lambda done, total: None,
    guess: Float[Tensor, "b t1 a"] | None = None,
) -> Conditions:
    """The conditions with a motion drawn, and now given, where its level was 1: its noise is what they hold there.

    guess: what somebody who sees better takes for the mean of all motions that may follow. One planning step takes it
    as it is; several move it by what a motion that the denoiser draws differs from the denoiser's own mean.
    """
    given, motion = (conditions.motion_time == 0.0)[:, None, None], conditions.motion
    steps, mean = options.num_planning_steps, motion
    times = step_times(steps, options.shift)
    for step, (now, after) in enumerate(zip(times[:-1].tolist(), times[1:].tolist(), strict=True)):
        if steps > 1 or guess is None:
            known = replace(conditions, motion=motion, motion_time=now * conditions.motion_time)
            clean = _guided(denoiser, context, known, options.guidance_scale)
            mean = clean if step == 0 else mean
            moved = clean if after == 0.0 else motion + (after - now) * velocity(motion, clean, now)
            motion = torch.where(given, motion, moved)
        on_step(step + 1, steps)
    if guess is not None:
        motion = torch.where(given, motion, guess if steps == 1 else guess + motion - mean)
    return replace(conditions, motion=motion, motion_time=torch.zeros_like(conditions.motion_time))


def _guided(denoiser: Denoiser, context: Tensor, conditions: Conditions, scale: float) -> Tensor:
    """The motion, moved away from what the network would say without the text (Ho & Salimans 2022)."""
    if scale == 1.0 or not bool(conditions.has_text.any()):
        return denoiser.plan(context, conditions)
    without = replace(conditions, has_text=torch.zeros_like(conditions.has_text))
    both = Conditions(**{k: torch.cat([v, getattr(without, k)]) for k, v in vars(conditions).items()})
    with_text, without_text = denoiser.plan(context.repeat(2, 1, 1, 1, 1), both).chunk(2)
    return without_text + scale * (with_text - without_text)
