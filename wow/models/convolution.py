"""A residual block of convolutions that a vector modulates: what draws, and what looks, on a coarse grid."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

NORM_GROUPS = 8


class ConvolutionBlock(nn.Module):
    """Two convolutions around a residual path, modulated per frame; starts as the identity."""

    def __init__(self, channels: int, state_width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(state_width, 2 * channels)
        begin_at_zero(self.modulation, self.second)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        shift, scale = self.modulation(state)[..., None, None].chunk(2, dim=1)
        hidden = functional.group_norm(x, NORM_GROUPS) * (1.0 + scale) + shift
        hidden = functional.silu(self.first(functional.silu(hidden)))
        changed: Tensor = x + self.second(hidden)
        return changed


def begin_at_zero(*layers: nn.Linear | nn.Conv2d) -> None:
    """What these layers say is zero until they have learned."""
    for layer in layers:
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
