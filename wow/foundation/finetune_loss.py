"""The training loss of each family, on one clip: the inverse of its sampler, in the network's own terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wow.foundation import objectives
from wow.foundation.card import Card
from wow.foundation.cosmos_predict2 import Given, denoise

COSMOS_2_5_SHIFT = 5.0
COSMOS_2_5_TIME_OF_GIVEN = 1e-4


@dataclass(frozen=True)
class Example:
    """One clip as a network is trained on it. Everything is float32.

    latents: [1, c, t, h, w], of the clip, normalised as the network takes them. text: [1, l, d]. condition: what Wan2.1
    is shown beside the noise, a mask and the first frame [1, c', t, h, w]; None elsewhere. picture: CLIP's tokens
    [1, n, d] where the network has that branch. fps: of the clip [Hz].
    """

    latents: Tensor
    text: Tensor
    condition: Tensor | None
    picture: Tensor | None
    fps: int

    def to(self, device: torch.device | str) -> Example:
        """The same on a device."""
        condition, picture = (None if part is None else part.to(device) for part in (self.condition, self.picture))
        return Example(self.latents.to(device), self.text.to(device), condition, picture, self.fps)


def wan(network: nn.Module, card: Card, example: Example, generator: torch.Generator) -> Float[Tensor, ""]:
    """Flow matching: the squared error of the velocity `noise - clean`, weighted by the level (see `flow_weights`).

    Wan2.2 is given the clean first latent frame at time 0 in place of a noisy one, and is not asked for it.
    """
    assert card.sampler.shift is not None, "a flow sampler states its shift"
    levels = objectives.flow_levels(card.sampler.shift)
    place = int(torch.randint(len(levels), (), generator=generator))
    level, weight = float(levels[place]), float(objectives.flow_weights(levels)[place])
    clean, noise = example.latents, _noise(example, generator)
    point = (1.0 - level) * clean + level * noise
    asked = torch.ones_like(clean[:, :1])
    if example.condition is None:
        asked[:, :, 0] = 0.0
        point = asked * point + (1.0 - asked) * clean
        times = (asked[:, 0, :, ::2, ::2] * level * objectives.FLOW_STEPS).flatten(1)
    else:
        point = torch.cat([point, example.condition], dim=1)
        times = torch.full((len(clean),), level * objectives.FLOW_STEPS, device=clean.device)
    velocity = _run(network, point, times, example, encoder_hidden_states_image=_as(network, example.picture))
    return weight * _mean((velocity - (noise - clean)) ** 2, asked)


def cosmos_first(network: nn.Module, card: Card, example: Example, generator: torch.Generator) -> Float[Tensor, ""]:
    """Cosmos-Predict1: EDM, data of deviation 0.5. Given latents carry noise of their own and are not asked for."""
    clean = example.latents
    mask = _given(clean, generator)
    sigma = objectives.edm_level(card.frames.most_latents, generator).to(clean.device)
    own = objectives.edm_level_of_given(generator).to(clean.device)
    noisy = clean + sigma * _noise(example, generator)
    skip, out, scale, time = objectives.edm_scales(sigma)
    seen = (clean + own * _noise(example, generator)) * objectives.edm_scales(own)[2]
    point = mask * seen + (1.0 - mask) * noisy * scale
    answer = _run(network, point, time[None], example, fps=example.fps, **_masks(network, mask, clean))
    estimate = skip * noisy + out * answer
    return objectives.edm_weight(sigma) * _mean((estimate - clean) ** 2, 1.0 - mask)


def cosmos_second(network: nn.Module, card: Card, example: Example, generator: torch.Generator) -> Float[Tensor, ""]:
    """Cosmos-Predict2: the squared error of the clean estimate under its preconditioning (see `denoise`).

    Given latents are put over the point and over the estimate, so that they add nothing.
    """
    clean = example.latents
    given = Given(clean, _given(clean, generator))
    sigma = objectives.cosmos2_level(card.frames.most_latents, generator).to(clean.device)
    estimate = denoise(network, clean + sigma * _noise(example, generator), float(sigma), given, example.text)
    return objectives.cosmos2_weight(sigma) * torch.mean((estimate - clean) ** 2)


def cosmos_later(network: nn.Module, card: Card, example: Example, generator: torch.Generator) -> Float[Tensor, ""]:
    """Cosmos-Predict2.5: rectified flow, every latent frame with a time of its own; given ones are not asked for."""
    clean, noise = example.latents, _noise(example, generator)
    mask = _given(clean, generator)
    time = objectives.logit_normal_time(COSMOS_2_5_SHIFT, generator).to(clean.device)
    point = mask * clean + (1.0 - mask) * ((1.0 - time) * clean + time * noise)
    times = mask * COSMOS_2_5_TIME_OF_GIVEN + (1.0 - mask) * time
    velocity = _run(network, point, times, example, **_masks(network, mask, clean))
    return _mean((velocity - (noise - clean)) ** 2, 1.0 - mask)


Loss = Callable[[nn.Module, Card, Example, torch.Generator], Tensor]
LOSSES: Mapping[str, Loss] = {
    "wan2.1": wan,
    "wan2.2": wan,
    "cosmos1": cosmos_first,
    "cosmos2": cosmos_second,
    "cosmos2.5": cosmos_later,
}
"""By family. The same generator state gives the same noise, level and loss."""


# ---- inside ----


def _run(network: nn.Module, point: Tensor, times: Tensor, example: Example, **more: Any) -> Tensor:
    """The network's answer in float32."""
    answer: Tensor = network(
        hidden_states=_as(network, point),
        timestep=times,
        encoder_hidden_states=_as(network, example.text),
        return_dict=False,
        **more,
    )[0]
    return answer.float()


def _as(network: nn.Module, values: Tensor | None) -> Tensor | None:
    """The values in the network's precision."""
    return None if values is None else values.to(next(network.parameters()).dtype)


def _noise(example: Example, generator: torch.Generator) -> Tensor:
    """Normal noise of the clip's shape, drawn where the generator is."""
    noise = torch.randn(example.latents.shape, generator=generator, device=generator.device)
    return noise.to(example.latents.device)


def _given(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Which latent frames are given, one or two of the first: a mask [1, 1, t, 1, 1]. One at least is asked for."""
    most = min(objectives.GIVEN_LATENTS, clean.shape[2] - 1)
    count = int(torch.randint(1, most + 1, (), generator=generator)) if most else 0
    mask = torch.zeros(1, 1, clean.shape[2], 1, 1, device=clean.device)
    mask[:, :, :count] = 1.0
    return mask


def _masks(network: nn.Module, mask: Tensor, clean: Tensor) -> dict[str, Tensor | None]:
    """What Cosmos is told about frames and edges: which are given, and that no pixel is padding."""
    condition = mask.expand(1, 1, -1, *clean.shape[-2:])
    return {
        "condition_mask": _as(network, condition),
        "padding_mask": _as(network, torch.zeros_like(condition[:, :, 0])),
    }


def _mean(error: Tensor, counted: Tensor) -> Tensor:
    """The mean over what counts. counted: a mask that the error's shape extends."""
    return (error * counted).sum() / counted.expand_as(error).sum()
