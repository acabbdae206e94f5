"""Points of the picture that go where the robot goes, drawn as maps for a network that paints on a coarse grid.

A number that says how far the hand gets must become a place in the picture before anything can be painted there. Here
that is learned as geometry: points are found in the first frame (spatial softmax, Finn et al. 2016), the motion moves
them, and every cell is told how far it is from each, to a fraction of a cell (compare Jakab et al. 2018).
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

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


class Places(nn.Module):
    """Where `count` points of the picture get to, as maps of each frame. code_width: numbers that say where a robot is.

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

    def forward(self, first: Float[Tensor, "b c h w"], code: Float[Tensor, "b t a"]) -> Float[Tensor, "b t maps h w"]:
        """first: the first frame's latent. code: where the robot is in every frame, 0 where it began."""
        points: Tensor = self.points(first, code)
        return draw(points, self.grid)

    def points(self, first: Float[Tensor, "b c h w"], code: Float[Tensor, "b t a"]) -> Float[Tensor, "b t k two"]:
        """Where the points are in every frame, in cells from the middle of the picture."""
        scores, values = self.see(first).chunk(2, dim=1)
        share = scores.flatten(2).softmax(dim=-1)
        found = share @ centres(self.grid, first.device).flatten(0, 1)
        there = (share * values.flatten(2)).sum(dim=-1)
        begin = self.start(torch.cat([found.flatten(1), there], dim=-1))
        hidden = self.bend(begin[:, None] + self.travel(code))
        moved: Tensor = rearrange(self.point(hidden) + self.shift(code), "b t (k two) -> b t k two", two=2)
        return moved
