"""The names in Wan's encoder files mean what we take them for: their features are those of the definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


def opened(weights: dict[str, Any], config: dict[str, Any] | None, folder: Path) -> Any:
    import json

    from wow.foundation.checkpoint import open_checkpoint
    from wow.foundation.checkpoint_network import empty_network, fill

    save_file(weights, folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    checkpoint = open_checkpoint(folder)
    return fill(empty_network(checkpoint.library, checkpoint.kind, checkpoint.config), checkpoint)


def umt5(w: dict[str, Any], words: Any) -> Any:
    """UMT5's encoder: pre-norm, no scaling of the scores, positions in 32 buckets of its own in every layer."""

    def rms(name: str, x: Any) -> Any:
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * w[f"{name}.weight"]

    def linear(name: str, x: Any) -> Any:
        return x @ w[f"{name}.weight"].T

    x = w["token_embedding.weight"][words]
    places = torch.arange(len(words))
    away = places[None, :] - places[:, None]
    # half of the buckets for what follows; of each half, eight exact and the rest logarithmic up to 128
    near = away.abs().clamp(max=7)
    far = 8 + (torch.log(away.abs().clamp(min=1) / 8) / math.log(128 / 8) * 8).long().clamp(max=7)
    bucket = 16 * (away > 0) + torch.where(away.abs() < 8, near, far)
    for n in range(2):
        at = f"blocks.{n}"
        y = rms(f"{at}.norm1", x)
        q, k, v = (linear(f"{at}.attn.{part}", y).unflatten(-1, (2, 4)) for part in "qkv")
        scores = torch.einsum("nhc,mhc->hnm", q, k) + w[f"{at}.pos_embedding.embedding.weight"][bucket].permute(2, 0, 1)
        x = x + linear(f"{at}.attn.o", torch.einsum("hnm,mhc->nhc", scores.softmax(-1), v).flatten(1))
        y = rms(f"{at}.norm2", x)
        gate = F.gelu(linear(f"{at}.ffn.gate.0", y), approximate="tanh")
        x = x + linear(f"{at}.ffn.fc2", linear(f"{at}.ffn.fc1", y) * gate)
    return rms("norm", x)


def test_text_features_are_those_of_the_definition(original: Callable[[str], Any], tmp_path: Path) -> None:
    weights = original("umt5")
    words = torch.randint(0, 30, (23,), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours = opened(weights, None, tmp_path)(input_ids=words[None]).last_hidden_state[0]
    assert (ours - umt5(weights, words)).abs().max() < 1e-5


def clip(w: dict[str, Any], picture: Any) -> Any:
    """CLIP's picture tower up to the last block but one, which is what Wan looks at."""

    def affine(name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-5)
        return scaled * w[f"visual.{name}.weight"] + w[f"visual.{name}.bias"]

    def linear(name: str, x: Any) -> Any:
        return x @ w[f"visual.{name}.weight"].T + w[f"visual.{name}.bias"]

    patches = picture.unflatten(2, (2, 14)).unflatten(1, (2, 14)).permute(1, 3, 0, 2, 4).flatten(2).flatten(0, 1)
    x = torch.cat([w["visual.cls_embedding"][0], patches @ w["visual.patch_embedding.weight"].flatten(1).T])
    x = affine("pre_norm", x + w["visual.pos_embedding"][0])
    for n in range(1):
        at = f"transformer.{n}"
        qkv = linear(f"{at}.attn.to_qkv", affine(f"{at}.norm1", x)).unflatten(-1, (3, 2, 8))
        q, k, v = qkv.unbind(1)
        scores = torch.einsum("nhc,mhc->hnm", q, k) / math.sqrt(8)
        x = x + linear(f"{at}.attn.proj", torch.einsum("hnm,mhc->nhc", scores.softmax(-1), v).flatten(1))
        x = x + linear(f"{at}.mlp.2", F.gelu(linear(f"{at}.mlp.0", affine(f"{at}.norm2", x))))
    return x


def test_picture_features_are_those_of_the_definition(
    original: Callable[[str], Any], beside: dict[str, Any], tmp_path: Path
) -> None:
    weights = original("clip")
    picture = torch.randn(3, 28, 28, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        network = opened(weights, beside["clip"], tmp_path)
        ours = network(pixel_values=picture[None], output_hidden_states=True).hidden_states[-2][0]
    assert (ours - clip(weights, picture)).abs().max() < 1e-5
