"""The policy: from one picture and an instruction straight to the motion that does it, learned by imitation.

Convolutions that the text modulates (Perez et al. 2018, FiLM) look for what the instruction speaks of, and a spatial
softmax (Finn et al. 2016, "Deep spatial autoencoders") says where in the picture that is: a few dozen points, read at
three scales. Seeing at full resolution is what a motion needs and a video of few tokens lacks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wow.models.convolution import NORM_GROUPS, ConvolutionBlock
from wow.models.dit import Conditions

PACES = 32
"""Frequencies that the pace is written in."""


@dataclass(frozen=True)
class PolicyConfig:
    """channels, points: of the maps at a quarter, an eighth and a sixteenth of the picture's side. glance: channels of
    the coarse look at the whole picture. width: of what the text and the pace become. hidden: of the last layers."""

    channels: tuple[int, int, int] = (48, 96, 128)
    points: tuple[int, int, int] = (32, 64, 64)
    glance: int = 32
    width: int = 192
    hidden: int = 512
    num_transitions: int = 16
    text_width: int = 384
    action_width: int = 7

    def __post_init__(self) -> None:
        if len(self.channels) != 3 or len(self.points) != 3 or any(count % NORM_GROUPS for count in self.channels):
            raise ValueError(f"impossible policy {self}: three scales, channels in multiples of {NORM_GROUPS}")


class Policy(nn.Module):
    """The motion over `num_transitions` transitions: where the robot gets to, normalised as the world model's is."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.channels
        width, hidden = config.width, config.hidden
        self.sought = nn.Sequential(
            nn.Linear(config.text_width + 2 * PACES, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.fine = nn.Conv2d(5, fine, 5, stride=4, padding=2)
        self.middle = nn.Conv2d(fine, middle, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(middle, coarse, 3, stride=2, padding=1)
        self.look_fine = nn.ModuleList([ConvolutionBlock(fine, width)])
        self.look_middle = nn.ModuleList([ConvolutionBlock(middle, width) for _ in range(2)])
        self.look_coarse = nn.ModuleList([ConvolutionBlock(coarse, width) for _ in range(2)])
        self.to_middle = nn.Conv2d(coarse, middle, 1)
        self.to_fine = nn.Conv2d(middle, fine, 1)
        self.points = nn.ModuleList(
            nn.Conv2d(channels, count, 1) for channels, count in zip(config.channels, config.points, strict=True)
        )
        self.glance = nn.Conv2d(coarse, config.glance, 1)
        seen = 2 * sum(config.points) + 16 * config.glance + width
        self.decide = nn.Sequential(nn.Linear(seen, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.motion = nn.Linear(hidden, config.num_transitions * config.action_width)
        nn.init.zeros_(self.motion.weight)
        nn.init.zeros_(self.motion.bias)

    def forward(self, picture: Float[Tensor, "b 3 h w"], conditions: Conditions) -> Float[Tensor, "b t a"]:
        """picture: in [-1, 1], sides that 16 divides. Of the conditions it reads text and pace; motions it ignores."""
        sought = self.seek(conditions)
        place = _places(picture.shape[-2], picture.shape[-1], picture.device).expand(len(picture), -1, -1, -1)
        fine = self.fine(torch.cat([picture, place], dim=1).contiguous(memory_format=torch.channels_last))
        fine = _through(self.look_fine, fine, sought)
        middle = _through(self.look_middle, self.middle(fine), sought)
        coarse = _through(self.look_coarse, self.coarse(middle), sought)
        middle = middle + functional.interpolate(self.to_middle(coarse), scale_factor=2)
        fine = fine + functional.interpolate(self.to_fine(middle), scale_factor=2)
        found = [
            spatial_softmax(points(functional.silu(seen))).flatten(1)
            for points, seen in zip(self.points, (fine, middle, coarse), strict=True)
        ]
        whole = functional.adaptive_avg_pool2d(self.glance(coarse), 4).flatten(1)
        motion: Tensor = self.motion(self.decide(torch.cat([*found, whole, sought], dim=-1)))
        return motion.reshape(len(picture), self.config.num_transitions, self.config.action_width)

    def seek(self, conditions: Conditions) -> Float[Tensor, "b d"]:
        """What it looks for in a picture when it is told this text and this pace."""
        sought: Tensor = self.sought(torch.cat([self._text(conditions), self._pace(conditions)], dim=-1))
        return sought

    @torch.no_grad()
    def rescale(self, factor: Sequence[float], offset: Sequence[float]) -> None:
        """From now on it says `factor * motion + offset`, for each of the dimensions of a motion."""
        times = torch.tensor(factor).repeat(self.config.num_transitions)
        self.motion.weight *= times[:, None]
        self.motion.bias.copy_(self.motion.bias * times + torch.tensor(offset).repeat(self.config.num_transitions))

    def _text(self, conditions: Conditions) -> Tensor:
        """The mean of the text's vectors at a length of its own, zero where no text is given."""
        known = conditions.text_mask & conditions.has_text[:, None]
        mean = (conditions.text * known[..., None]).sum(dim=1)
        return math.sqrt(self.config.text_width / 10.0) * functional.normalize(mean, dim=-1)

    def _pace(self, conditions: Conditions) -> Tensor:
        """Cosines and sines of the seconds between frames; those of -1 where the pace is free."""
        seconds = torch.where(conditions.has_seconds, conditions.seconds.clamp(0.0, 1.0), -1.0)
        scales = torch.exp(torch.linspace(0.0, math.log(1000.0), PACES, device=seconds.device))
        angles = seconds[:, None] * scales
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


def spatial_softmax(scores: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k two"]:
    """Where each map is high: the mean place (x, y) in [-1, 1] under its softmax over all cells."""
    share = scores.flatten(2).softmax(dim=-1)
    return share @ _places(scores.shape[-2], scores.shape[-1], scores.device)[0].flatten(1).T


def _places(height: int, width: int, device: torch.device) -> Float[Tensor, "one two h w"]:
    """x and y of the middle of every cell in [-1, 1]."""
    y, x = ((2.0 * torch.arange(count, device=device) + 1.0) / count - 1.0 for count in (height, width))
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1])[None]


def _through(blocks: nn.ModuleList, x: Tensor, sought: Tensor) -> Tensor:
    for block in blocks:
        x = block(x, sought)
    return x
