"""What WoW's released inverse dynamics sees: frozen features of a picture, and where the points of a grid get to."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class FrozenEye(nn.Module):
    """Pictures to a vector, by the convolutions of AlexNet (Krizhevsky 2014) as they come and one linear layer.

    WoW's released baseline does this with DINOv2. The convolutions' weights are given by `install`.
    """

    # Width, kernel, stride and padding of each; before the second and the third, 3x3 pooling of stride 2.
    LAYERS = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))
    MEAN, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)

    def __init__(self, width: int) -> None:
        super().__init__()
        before = (3, *(layer[0] for layer in self.LAYERS))
        self.frozen = nn.ModuleList(
            nn.Conv2d(inputs, *layer) for inputs, layer in zip(before, self.LAYERS, strict=False)
        )
        self.frozen.requires_grad_(False)
        self.out = nn.Sequential(nn.Linear(before[-1], width), nn.LeakyReLU())

    def install(self, weights: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Takes over the kernel [out in k k] and the bias [out] of every convolution, for pictures in [-1, 1]."""
        for layer, (kernel, bias) in zip(self.frozen, weights, strict=True):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            layer.weight.data.copy_(kernel)
            layer.bias.data.copy_(bias)

    def forward(self, pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        mean, deviation = (
            torch.tensor(row, device=pictures.device)[:, None, None] for row in (self.MEAN, self.DEVIATION)
        )
        seen = (pictures - mean) / deviation
        with torch.no_grad():
            for place, layer in enumerate(self.frozen):
                seen = layer(functional.max_pool2d(seen, 3, 2) if place in (1, 2) else seen).relu()
        vector: Tensor = self.out(seen.mean(dim=(2, 3)))
        return vector


class Tracks(nn.Module):
    """The flow between two frames to a vector, by way of where the points of a 20 by 20 grid get to.

    As WoW's released baseline, which tracks them with CoTracker3: 800 numbers, two linear layers.
    """

    POINTS = 20

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Sequential(
            nn.Linear(2 * self.POINTS**2, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, width)
        )

    def forward(self, flow: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n d"]:
        along = (2.0 * torch.arange(self.POINTS, device=flow.device) + 1.0) / self.POINTS - 1.0
        y, x = torch.meshgrid(along, along, indexing="ij")
        grid = torch.stack([x, y], dim=-1).expand(len(flow), -1, -1, -1)
        moved = functional.grid_sample(flow, grid, align_corners=False)
        # Flow comes in tenths of the picture's width, and the picture is 2 wide here.
        ends = grid.permute(0, 3, 1, 2) + 0.2 * moved
        vector: Tensor = self.out(ends.flatten(1))
        return vector
