"""What the families of video models are trained with: noise levels to draw, and how much each counts. Pure functions.

Wan: the trainer that the WoW models came from (DiffSynth). Cosmos-Predict1 and 2: the recipes in the WoW repository.
Cosmos-Predict2.5: rectified flow with a shifted logit-normal time (Esser et al. 2024), as its report describes.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

FLOW_STEPS = 1000
"""Noise levels that a flow model of Wan's kind is trained on."""
GIVEN_LATENTS = 2
"""The most latent frames that a Cosmos model is given in training."""

Level = Float[Tensor, ""]


def flow_levels(shift: float) -> Float[Tensor, "1000"]:
    """Wan's noise levels from 1 towards 0: even, then shifted by s x / (1 + (s - 1) x)."""
    even = torch.linspace(1.0, 0.0, FLOW_STEPS + 1, dtype=torch.float64)[:-1]
    return (shift * even / (1.0 + (shift - 1.0) * even)).float()


def flow_weights(levels: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """How much each of Wan's levels counts: a bell around the middle of time, lowered until it touches 0, of mean 1."""
    bell = torch.exp(-2.0 * (levels.double() - 0.5) ** 2)
    lowered = bell - bell.min()
    return (lowered * len(levels) / lowered.sum()).float()


def cosmos2_level(most_latents: int, generator: torch.Generator) -> Level:
    """Cosmos-Predict2's sigma, as `edm_level`; one in twenty log-uniform in 200 to 100000."""
    if float(torch.rand((), generator=generator)) < 0.05:
        low, high = math.log(200.0), math.log(100_000.0)
        return torch.exp(low + (high - low) * torch.rand((), generator=generator))
    return edm_level(most_latents, generator)


def cosmos2_weight(sigma: Level) -> Level:
    """How much the squared error of Cosmos-Predict2's clean estimate counts.

    Of the velocity, which the network answers with, it is 10 (1 + s^2) / (1 + s)^2: between 5 and 10 at every level.
    """
    return 10.0 * (1.0 + sigma**2) / sigma**2


def edm_level(most_latents: int, generator: torch.Generator) -> Level:
    """Cosmos-Predict1's sigma: log-normal, times the root of the latent frames of the clips that the model is made for.

    Those of the model, not of the clip at hand: a short clip of a model is trained at the model's levels.
    """
    return torch.exp(torch.randn((), generator=generator)) * math.sqrt(most_latents)


def edm_level_of_given(generator: torch.Generator) -> Level:
    """The sigma of what Cosmos-Predict1 is given: log-normal around exp(-3)."""
    return torch.exp(2.0 * torch.randn((), generator=generator) - 3.0)


def edm_weight(sigma: Level, data: float = 0.5) -> Level:
    """How much the squared error of a clean estimate counts (Karras et al. 2022, table 1)."""
    return (sigma**2 + data**2) / (sigma * data) ** 2


def edm_scales(sigma: Level, data: float = 0.5) -> tuple[Level, Level, Level, Level]:
    """c_skip, c_out, c_in and c_noise of Karras et al. 2022, table 1."""
    total = sigma**2 + data**2
    return data**2 / total, sigma * data / torch.sqrt(total), 1.0 / torch.sqrt(total), 0.25 * torch.log(sigma)


def logit_normal_time(shift: float, generator: torch.Generator) -> Level:
    """A time from 0 to 1 of rectified flow, 1 is noise: the logistic of a normal number, shifted."""
    time = torch.sigmoid(torch.randn((), generator=generator))
    return shift * time / (1.0 + (shift - 1.0) * time)
