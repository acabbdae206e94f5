"""DINOv2: features of pictures by a vision transformer that learnt without labels. Oquab et al. 2023.

The weights are not ours and not in this package: they are read from a folder that is given, or from the model hub's
cache (`facebook/dinov2-small`, `-base`, `-large`; `config.json` and `model.safetensors`).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from wow.types import Float32, UInt8, WowError

CONFIG, WEIGHTS = "config.json", "model.safetensors"
HOW_TO_GET = "huggingface-cli download facebook/dinov2-small brings them, or name their folder"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE = 224
FRAMES_AT_ONCE = 8


def find_weights(given: Path | None = None) -> Path:
    """The folder with the weights. Raises WowError where there is none."""
    if given is not None:
        if (given / CONFIG).is_file() and (given / WEIGHTS).is_file():
            return given
        raise WowError(f"DINO has no weights in {given}: a folder with {CONFIG} and {WEIGHTS} is wanted")
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub")
    for name in ("large", "base", "small"):
        for folder in sorted(hub.expanduser().glob(f"models--facebook--dinov2-{name}/snapshots/*")):
            if (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file():
                return folder
    raise WowError(f"DINO has no weights; {HOW_TO_GET}")


def named(given: Path | None = None) -> str:
    """What the weights that would be taken are called; "dinov2" where there are none."""
    try:
        folder = find_weights(given)
    except WowError:
        return "dinov2"
    return next((part.split("--")[-1] for part in folder.parts if part.startswith("models--")), folder.name)


def load_dinov2(given: Path | None = None) -> DinoV2:
    """DINOv2 ready to look. Raises WowError where the files are not what they should be."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = find_weights(given)
    try:
        config = json.loads((folder / CONFIG).read_text())
        return DinoV2(load_file(folder / WEIGHTS), config, named(given))
    except (ValueError, KeyError, TypeError, SafetensorError) as problem:
        raise WowError(f"{folder} holds no DINOv2 that can be read ({problem}); {HOW_TO_GET}") from None


class DinoV2:
    """A frozen vision transformer. config: the hub's, of which hidden_size, num_attention_heads, … are used."""

    def __init__(self, tensors: dict[str, Tensor], config: dict[str, Any], name: str) -> None:
        if config.get("model_type") != "dinov2" or config.get("use_swiglu_ffn"):
            raise ValueError(f"model_type {config.get('model_type')} is not a small, base or large DINOv2")
        self._weights = {key.removeprefix("dinov2."): tensor.float() for key, tensor in tensors.items()}
        self._heads = int(config["num_attention_heads"])
        self._depth = int(config["num_hidden_layers"])
        self._patch = int(config["patch_size"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-6))
        self._name = name
        self._known = self._weights["embeddings.position_embeddings"]  # a KeyError here says that it is no DINOv2

    @property
    def name(self) -> str:
        """Tells these features from another network's."""
        return self._name

    def pooled(self, frames: UInt8) -> Float32:
        """The class token of each picture [T, C]."""
        return self._tokens(frames)[:, 0].numpy()

    def patches(self, frames: UInt8) -> Float32:
        """The patch tokens [T, 16, 16, C] for patches of 14 pixels."""
        found = self._tokens(frames)[:, 1:]
        side = math.isqrt(found.shape[1])
        return found.reshape(len(frames), side, side, -1).numpy()

    @torch.no_grad()
    def _tokens(self, frames: UInt8) -> Tensor:
        groups = [frames[start : start + FRAMES_AT_ONCE] for start in range(0, len(frames), FRAMES_AT_ONCE)]
        return torch.cat([self.tokens(self._pixels(group)) for group in groups])

    def _pixels(self, frames: UInt8) -> Tensor:
        """Squeezed to a square of 224 (or the whole patches in it), with ImageNet's mean and deviation taken out."""
        side = SIDE // self._patch * self._patch
        pixels = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).float() / 255
        shape = {"mode": "bicubic", "antialias": True, "align_corners": False}
        squeezed = functional.interpolate(pixels, (side, side), **shape)  # type: ignore[arg-type]
        mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
        return (squeezed.clamp(0, 1) - mean) / deviation

    def tokens(self, pixels: Tensor) -> Tensor:
        """The normalised tokens of the last layer [N, 1 + patches, C], class token first, of pixels [N, 3, H, W]."""
        w = self._weights
        projection = "embeddings.patch_embeddings.projection"
        grid = functional.conv2d(pixels, w[f"{projection}.weight"], w[f"{projection}.bias"], self._patch)
        height, width = grid.shape[-2:]
        first = w["embeddings.cls_token"].expand(len(grid), -1, -1)
        tokens = torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1) + self._places(height, width)
        for layer in range(self._depth):
            tokens = self._block(f"encoder.layer.{layer}", tokens)
        return self._normed("layernorm", tokens)

    def _places(self, height: int, width: int) -> Tensor:
        """The position of every token, stretched from the grid that was trained."""
        first, rest = self._known[:, :1], self._known[:, 1:]
        side = math.isqrt(rest.shape[1])
        if (height, width) == (side, side):
            return self._known
        grid = rest.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        stretched = functional.interpolate(grid, (height, width), mode="bicubic", align_corners=False)
        return torch.cat([first, stretched.flatten(2).transpose(1, 2)], dim=1)

    def _block(self, name: str, tokens: Tensor) -> Tensor:
        attended = self._attention(f"{name}.attention", self._normed(f"{name}.norm1", tokens))
        tokens = tokens + attended * self._weights[f"{name}.layer_scale1.lambda1"]
        hidden = functional.gelu(self._linear(f"{name}.mlp.fc1", self._normed(f"{name}.norm2", tokens)))
        return tokens + self._linear(f"{name}.mlp.fc2", hidden) * self._weights[f"{name}.layer_scale2.lambda1"]

    def _attention(self, name: str, tokens: Tensor) -> Tensor:
        parts = [self._linear(f"{name}.attention.{part}", tokens) for part in ("query", "key", "value")]
        query, key, value = (part.reshape(*part.shape[:-1], self._heads, -1).transpose(1, 2) for part in parts)
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self._linear(f"{name}.output.dense", attended.transpose(1, 2).flatten(2))

    def _linear(self, name: str, value: Tensor) -> Tensor:
        return functional.linear(value, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _normed(self, name: str, value: Tensor) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(value, weight.shape, weight, bias, self._epsilon)
