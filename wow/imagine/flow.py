"""Rectified flow: the straight path between a clean latent (time 0) and pure noise (time 1). Liu et al. 2022.

The network predicts the clean end of the path; its velocity follows. Li & He 2025, "Back to basics", on why a network
narrower than its tokens should predict what lies on the data manifold rather than noise.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def interpolate(
    clean: Float[Tensor, "b t *cell"], noise: Float[Tensor, "b t *cell"], time: Float[Tensor, "b t"]
) -> Float[Tensor, "b t *cell"]:
    """The point at `time` on the path from `clean` to `noise`; every frame may be at its own time."""
    at = time.reshape(*time.shape, *[1] * (clean.dim() - 2))
    return (1.0 - at) * clean + at * noise


def velocity(point: Tensor, clean: Tensor, time: float) -> Tensor:
    """Direction of the path through `point` that starts at `clean`: noise minus clean, wherever on the path one is."""
    return (point - clean) / time


def step_times(num_steps: int, shift: float = 1.0) -> Float[Tensor, " steps_and_end"]:
    """Times from 1 to 0, both included. shift > 1 spends more of the steps near the noise (Esser et al. 2024)."""
    even = torch.linspace(1.0, 0.0, num_steps + 1)
    return shift * even / (1.0 + (shift - 1.0) * even)
