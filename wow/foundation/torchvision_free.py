"""The one function of torchvision that diffusers' Cosmos transformer calls, for machines that have no torchvision."""

from __future__ import annotations

from types import SimpleNamespace

import torch.nn.functional as F
from diffusers.models.transformers import transformer_cosmos
from torch import Tensor


def lend_resize() -> None:
    """Lets the Cosmos transformer resize its padding mask. Does nothing where torchvision is installed.

    Without torchvision that module never defines the name `transforms` and fails in its first forward pass.
    """
    if not hasattr(transformer_cosmos, "transforms"):
        functional = SimpleNamespace(resize=_resize)
        transformer_cosmos.transforms = SimpleNamespace(
            functional=functional, InterpolationMode=SimpleNamespace(NEAREST="nearest")
        )


def _resize(picture: Tensor, size: list[int], interpolation: str) -> Tensor:
    return F.interpolate(picture, size=size, mode=interpolation)
