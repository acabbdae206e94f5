"""Samplers as they were published: diffusers' own where it has them, and the two that it lacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from jaxtyping import Float
from torch import Tensor

from wow.foundation.card import Sampler

Float64 = np.typing.NDArray[np.float64]


def even_sigmas(num_inference_steps: int) -> Float64:
    """Noise levels [n] from 1 in equal steps towards 0, which itself is left out."""
    return np.linspace(1.0, 0.0, num_inference_steps + 1)[:-1]


def karras_sigmas(num_inference_steps: int, low: float = 0.002, high: float = 80.0, rho: float = 7.0) -> list[float]:
    """Noise levels [n + 1] from `high` down to `low`, even in their root of order rho (Karras et al. 2022, eq. 5)."""
    roots = np.linspace(high ** (1 / rho), low ** (1 / rho), num_inference_steps + 1)
    return [float(root**rho) for root in roots]


class ShiftedEuler(FlowMatchEulerDiscreteScheduler):  # type: ignore[misc]
    """Euler steps over even noise levels, shifted: s x / (1 + (s - 1) x). diffusers' own levels end above zero."""

    def set_timesteps(self, num_inference_steps: int, device: torch.device | str | None = None) -> None:
        """Chooses the levels; `timesteps` are 1000 times as large."""
        super().set_timesteps(num_inference_steps, device=device, sigmas=even_sigmas(num_inference_steps).tolist())


class ShiftedUniPC(UniPCMultistepScheduler):  # type: ignore[misc]
    """Wan's own sampler: levels even from 0.999 towards 0, shifted. diffusers' run from 1 towards 0.001."""

    def set_timesteps(self, num_inference_steps: int, device: torch.device | str | None = None) -> None:
        """Chooses the levels; `timesteps` are 1000 times as large."""
        super().set_timesteps(num_inference_steps, device=device, sigmas=0.999 * even_sigmas(num_inference_steps))


def towards(
    point: Float[Tensor, "*latent"],
    clean: Float[Tensor, "*latent"],
    before: Float[Tensor, "*latent"] | None,
    sigmas: tuple[float | None, float, float],
) -> Float[Tensor, "*latent"]:
    """The point at the next noise level, from the clean latent that was predicted at this one and at the last.

    sigmas: of the last level, this one and the next. A two-step Adams-Bashforth rule in the logarithm of sigma, exact
    where the prediction is linear in it; an Euler step where there is no last level. (Zhang & Chen 2023, exponential
    integrators; what Cosmos-Predict2 calls "2ab".)
    """
    last, now, after = sigmas
    step = math.log(now / after)
    decay = math.exp(-step)
    if before is None or last is None:
        return decay * point + (1.0 - decay) * clean
    ratio = math.log(now / last) / step  # where the last level lies, in steps from this one: below zero
    whole = (1.0 - decay) / step
    slope = (1.0 - whole) / step
    return decay * point + step * ((whole - slope / ratio) * clean + slope / ratio * before)


def scheduler_of(sampler: Sampler, shift: float | None) -> Any:
    """The scheduler of a published sampler, in the terms of diffusers. shift: instead of the published one."""
    if sampler.method == "flow-euler":
        return ShiftedEuler(shift=shift)
    if sampler.method == "flow-unipc":
        flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
        if sampler.sigmas is None:
            return ShiftedUniPC(**flow, flow_shift=shift)
        high, low = sampler.sigmas
        return UniPCMultistepScheduler(**flow, use_karras_sigmas=True, sigma_max=high, sigma_min=low)
    if sampler.method in ("edm-euler", "edm-ab2"):
        assert sampler.sigmas is not None, "an EDM sampler states its sigmas"
        high, low = sampler.sigmas
        return EDMEulerScheduler(sigma_max=high, sigma_min=low, sigma_data=0.5)
    linear = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    if sampler.method == "ddim":
        # CogVideoX: velocities, noise levels that end in pure noise, steps counted from there.
        return CogVideoXDDIMScheduler(
            **linear, prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0,
            timestep_spacing="trailing", clip_sample=False,
        )  # fmt: skip
    assert sampler.sigmas is not None, "a Karras schedule states its sigmas"
    high, low = sampler.sigmas
    return EulerDiscreteScheduler(
        **linear, prediction_type="v_prediction", timestep_type="continuous", timestep_spacing="leading",
        steps_offset=1, use_karras_sigmas=True, sigma_max=high, sigma_min=low,
    )  # fmt: skip
