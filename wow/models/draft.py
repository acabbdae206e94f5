"""The draft of a clip: what each frame looks like as far as the first one and the robot's motion tell.

A number that says how far the hand gets must become a place in the picture before anything can be painted there. Here
that is learned as geometry: points are found in the first frame (spatial softmax, Finn et al. 2016), the motion moves
them, every cell is told how far it is from each, to a fraction of a cell, and a few convolutions draw the robot there
(compare Jakab et al. 2018). A hand's place leaves the elbow of an arm of seven joints free: the way there decides where
that is, and a recurrent network remembers it. What the robot does to things is left to the transformer, which sees the
draft.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wow.models.convolution import ConvolutionBlock, begin_at_zero

MAPS = 6
"""Maps that a point becomes: two bumps, and the directions to the point under each."""
FOUND = 16
"""Points that are looked for in the first frame."""
NARROW, WIDE = 0.6, 2.0
"""Deviations of the bumps [cells]."""


def centres(grid: int, device: torch.device | None = None) -> Float[Tensor, "g g two"]:
    """x and y of the middle of every cell, in cells from the middle of the picture."""
    middle = torch.arange(grid, device=device) - 0.5 * (grid - 1)
    y, x = torch.meshgrid(middle, middle, indexing="ij")
    return torch.stack([x, y], dim=-1)


def draw(points: Float[Tensor, "*n k two"], grid: int) -> Float[Tensor, "*n maps g g"]:
    """The maps of points, given in cells from the middle of the picture."""
    offset = points[..., None, None, :] - centres(grid, points.device)
    square = offset.square().sum(dim=-1)
    narrow, wide = (torch.exp(-0.5 * square / deviation**2) for deviation in (NARROW, WIDE))
    toward = (bump[..., None] * offset / deviation for bump, deviation in ((narrow, NARROW), (wide, WIDE)))
    maps = torch.stack([narrow, wide, *(each[..., axis] for each in toward for axis in (0, 1))], dim=-3)
    return maps.flatten(-4, -3)


def place_code(motion: Float[Tensor, "b t a"]) -> Float[Tensor, "b t five_a"]:
    """A position together with its sines and cosines at two scales, so that a centimetre makes a difference."""
    return torch.cat([motion, *(wave(scale * motion) for scale in (2.0, 6.0) for wave in (torch.sin, torch.cos))], -1)


def path_code(motion: Float[Tensor, "b t a"]) -> Float[Tensor, "b t nine_a"]:
    """A position, and how far it is from those two frames before and after: a hand lags behind where it is sent."""
    count = motion.shape[1]
    near = torch.arange(count, device=motion.device)[:, None] + torch.tensor((-2, -1, 1, 2), device=motion.device)
    around = motion[:, near.clamp(0, count - 1)] - motion[:, :, None]
    return torch.cat([place_code(motion), around.flatten(2)], dim=-1)


@dataclass(frozen=True)
class Draft:
    """change: how a clip's latents differ from its first frame's [b t c h w]. maps [b t m h w]: where points are.

    links: where the links of the arm are [b t k 2], in cells from the middle of the picture.
    """

    change: Float[Tensor, "b t c h w"]
    maps: Float[Tensor, "b t m h w"]
    links: Float[Tensor, "b t k two"] | None = None

    @property
    def planes(self) -> Float[Tensor, "b t cm h w"]:
        """Both, side by side."""
        return torch.cat([self.change, self.maps], dim=2)


def link_error(drafts: Sequence[Draft], truths: Sequence[Tensor]) -> Tensor:
    """The mean squared error of drafted links [cells squared], over those of which the truth [b t k 2] is no NaN."""
    squares, count = torch.zeros((), device=truths[0].device), torch.zeros((), device=truths[0].device)
    for draft, truth in zip(drafts, truths, strict=True):
        if draft.links is not None and truth.shape[2]:
            known = truth.isfinite()
            squares = squares + (draft.links.float() - truth).where(known, 0.0).square().sum()
            count = count + known.sum()
    return squares / count.clamp_min(1.0)


class Places(nn.Module):
    """Where `count` points of the picture get to. code_width: numbers that say where a robot is.

    What is found in the first frame and what the motion adds are summed before a small network bends the sum, as a
    camera's perspective does.
    """

    def __init__(self, channels: int, grid: int, code_width: int, count: int, width: int = 64) -> None:
        super().__init__()
        self.grid, self.count = grid, count
        self.see = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 2 * FOUND, 3, padding=1)
        )
        self.start = nn.Linear(3 * FOUND, 2 * width)
        self.travel = nn.Linear(code_width, 2 * width, bias=False)
        self.bend = nn.Sequential(nn.SiLU(), nn.Linear(2 * width, 2 * width), nn.SiLU())
        self.point = nn.Linear(2 * width, 2 * count)
        self.shift = nn.Linear(code_width, 2 * count, bias=False)

    @property
    def num_maps(self) -> int:
        """Maps of a frame."""
        return MAPS * self.count

    def find(self, first: Float[Tensor, "b c h w"]) -> Float[Tensor, "b f"]:
        """Where in the first frame the points that are looked for are, in cells from its middle, and whether."""
        scores, values = self.see(first).chunk(2, dim=1)
        share = scores.flatten(2).softmax(dim=-1)
        found = share @ centres(self.grid, first.device).flatten(0, 1)
        there = torch.tanh((share * values.flatten(2)).sum(dim=-1))
        return torch.cat([found.flatten(1), there], dim=-1)

    def forward(self, found: Float[Tensor, "b f"], code: Float[Tensor, "b t a"]) -> Float[Tensor, "b t k two"]:
        """Where the points are in every frame, in cells from the middle of the picture.

        found: see `find`. code: where the robot is in every frame, 0 where it began.
        """
        hidden = self.bend(self.start(found)[:, None] + self.travel(code))
        moved = rearrange(self.point(hidden) + self.shift(code), "b t (k two) -> b t k two", two=2)
        # Beyond the picture a point's maps are blank, and nothing would ever bring it back.
        edge = 0.5 * self.grid + 1.0
        kept: Tensor = edge * torch.tanh(moved / edge)
        return kept


class Memory(nn.Module):
    """What the way so far adds to the code of every frame; nothing at first. width: numbers that are remembered."""

    def __init__(self, code_width: int, width: int) -> None:
        super().__init__()
        self.begin = nn.Linear(3 * FOUND, width)
        self.follow = nn.GRU(code_width, width, batch_first=True)
        self.tell = nn.Linear(width, code_width)
        begin_at_zero(self.tell)

    def forward(self, found: Float[Tensor, "b f"], code: Float[Tensor, "b t a"]) -> Float[Tensor, "b t a"]:
        """found: what was found in the first frame. code: where the robot is in every frame, 0 where it began."""
        begin = torch.tanh(self.begin(found)).to(code.dtype)
        with torch.autocast(code.device.type, enabled=False):
            remembered, _ = self.follow(code, begin[None])
        told: Tensor = self.tell(remembered)
        return told


class Drafter(nn.Module):
    """The first frame's latent and a motion of `action_width` numbers a frame to a `Draft`.

    memory: numbers that it remembers of the way so far; 0 for none. links: further points, which recordings may tell.
    """

    def __init__(
        self,
        channels: int,
        grid: int,
        action_width: int,
        points: int,
        width: int,
        num_blocks: int,
        memory: int = 0,
        links: int = 0,
    ) -> None:
        super().__init__()
        code_width = 9 * action_width
        self.places = Places(channels, grid, code_width, points)
        self.memory = Memory(code_width, memory) if memory else None
        self.num_planes = channels + self.places.num_maps
        self.mix = nn.Conv2d(self.num_planes, width, 3, padding=1)
        self.links = Places(channels, grid, code_width, links) if links else None
        if self.links is not None:
            self.mix_links = nn.Conv2d(self.links.num_maps, width, 3, padding=1)
            begin_at_zero(self.mix_links)
        self.cells = nn.Parameter(torch.zeros(width, grid, grid))
        self.state = nn.Sequential(nn.Linear(code_width, width), nn.SiLU())
        self.blocks = nn.ModuleList(ConvolutionBlock(width, width) for _ in range(num_blocks))
        self.last = nn.Conv2d(width, channels, 3, padding=1)
        begin_at_zero(self.last)

    def forward(
        self,
        first: Float[Tensor, "b c h w"],
        motion: Float[Tensor, "b t a"],
        known: Float[Tensor, "b one one"] | float = 1.0,
    ) -> Draft:
        """motion: where the robot is in every frame, 0 where it began. known: 1 where that is so, 0 where nobody knows;
        a draft fades as it is less known."""
        code, found, grid = path_code(motion), self.places.find(first), self.places.grid
        if self.memory is not None:
            code = code + self.memory(found, code)
        maps = draw(self.places(found, code), grid)
        count, shape = code.shape[1], code.shape[:2]
        planes = torch.cat([first[:, None].expand(-1, count, -1, -1, -1), maps], dim=2).flatten(0, 1)
        x = self.mix(planes.contiguous(memory_format=torch.channels_last)) + self.cells
        links = None
        if self.links is not None:
            links = self.links(self.links.find(first), code)
            drawn = draw(links, grid).flatten(0, 1)
            x = x + self.mix_links(drawn.contiguous(memory_format=torch.channels_last))
        state = self.state(code).flatten(0, 1)
        for block in self.blocks:
            x = block(x, state)
        change = self.last(functional.silu(x)).unflatten(0, shape)
        fade = known[..., None, None] if isinstance(known, Tensor) else known
        return Draft(change * fade, maps * fade, links)
