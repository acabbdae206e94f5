"""The networks that metrics look through: our code for them against other people's, and weights that are not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from wow.bench import i3d
from wow.bench.dimensions import contract as c
from wow.bench.dimensions.registry import METRICS
from wow.bench.dinov2 import DinoV2, find_weights, load_dinov2
from wow.bench.suite_run import tool_of
from wow.bench.toolbox import StandardToolbox
from wow.types import WowError


def test_padding_is_tensorflows() -> None:
    """Of 16 places with a kernel of 7 and stride 2, 8 come out; the odd pixel goes to the far side."""
    padded = i3d._padded(torch.ones(1, 1, 16, 16, 17), (7, 7, 7), (2, 2, 2), 0.0)
    assert padded.shape[2:] == (21, 21, 23)
    assert padded[0, 0, 10, 10].nonzero().ravel().tolist() == list(range(3, 20))
    assert padded[0, 0, :, 10, 10].nonzero().ravel().tolist() == list(range(2, 18))


def test_weights_that_are_missing_or_unknown_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WowError, match="no weights at"):
        i3d.load_i3d(tmp_path / "nothing.ckpt")
    (tmp_path / "i3d.ckpt").write_bytes(b"something else")
    with pytest.raises(WowError, match="hash differs"):
        i3d.load_i3d(tmp_path / "i3d.ckpt")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WowError, match="facebook/dinov2-small"):
        find_weights()


def test_the_hub_comes_before_the_package_and_a_given_path_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = tmp_path / "models--someone--i3d" / "snapshots" / "abc" / i3d.WEIGHTS
    cached.parent.mkdir(parents=True)
    cached.touch()
    given = tmp_path / "mine.ckpt"
    given.touch()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert i3d.find_weights() == cached
    assert i3d.find_weights(given) == given


def tiny_dinov2(folder: Path) -> Path:
    """A DINOv2 of two layers with random weights, as the hub stores one."""
    width, generator = 24, torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.2

    tensors = {
        "embeddings.cls_token": random(1, 1, width),
        "embeddings.position_embeddings": random(1, 26, width),
        "embeddings.patch_embeddings.projection.weight": random(width, 3, 14, 14),
        "embeddings.patch_embeddings.projection.bias": random(width),
        "layernorm.weight": random(width),
        "layernorm.bias": random(width),
    }
    for layer in range(2):
        name = f"encoder.layer.{layer}"
        for part in ("attention.attention.query", "attention.attention.key", "attention.attention.value",
                     "attention.output.dense", "norm1", "norm2"):  # fmt: skip
            is_norm = part.startswith("norm")
            tensors[f"{name}.{part}.weight"] = random(width) if is_norm else random(width, width)
            tensors[f"{name}.{part}.bias"] = random(width)
        tensors[f"{name}.mlp.fc1.weight"], tensors[f"{name}.mlp.fc1.bias"] = random(4 * width, width), random(4 * width)
        tensors[f"{name}.mlp.fc2.weight"], tensors[f"{name}.mlp.fc2.bias"] = random(width, 4 * width), random(width)
        tensors[f"{name}.layer_scale1.lambda1"], tensors[f"{name}.layer_scale2.lambda1"] = random(width), random(width)
    config = {"model_type": "dinov2", "hidden_size": width, "num_attention_heads": 3, "num_hidden_layers": 2}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**config, "patch_size": 14}))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_dinov2_gives_the_features_of_transformers(tmp_path: Path) -> None:
    """Where transformers is installed: the tokens of its Dinov2Model with the same weights, also at another size."""
    transformers = pytest.importorskip("transformers")
    folder = tiny_dinov2(tmp_path / "tiny")
    config = json.loads((folder / "config.json").read_text())
    reference = transformers.Dinov2Model.from_pretrained(folder, config=transformers.Dinov2Config(
        **{**config, "image_size": 70})).eval()  # fmt: skip
    ours = load_dinov2(folder)
    for side in (70, 98):
        pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = reference(pixels).last_hidden_state
            assert torch.allclose(ours.tokens(pixels), expected, atol=1e-4)


def test_dinov2_looks_at_pictures_of_any_size(tmp_path: Path) -> None:
    encoder = load_dinov2(tiny_dinov2(tmp_path / "tiny"))
    frames = np.random.default_rng(0).integers(0, 255, (2, 32, 48, 3), dtype=np.uint8)
    assert encoder.patches(frames).shape == (2, 16, 16, 24) and encoder.pooled(frames).shape == (2, 24)
    assert np.allclose(encoder.pooled(frames)[1:], encoder.pooled(frames[1:]), atol=1e-4)
    assert encoder.name == "tiny"


def test_what_is_no_dinov2_is_a_sentence(tmp_path: Path) -> None:
    folder = tiny_dinov2(tmp_path / "tiny")
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WowError, match="no DINOv2"):
        load_dinov2(folder)
    with pytest.raises(ValueError, match="not a small"):
        DinoV2({}, {"model_type": "dinov2", "use_swiglu_ffn": True}, "giant")


def test_a_toolbox_says_what_it_has_without_loading_it(tmp_path: Path) -> None:
    box = StandardToolbox(dino=tiny_dinov2(tmp_path / "tiny"), i3d=tmp_path / "none.ckpt")
    names, lacks = box.names(), box.lacks()
    assert names[c.DINO] == "tiny" and "no weights at" in lacks[c.I3D]
    assert lacks[c.JUDGE] and lacks[c.SIMULATOR]
    assert names.keys().isdisjoint(lacks)
    assert tool_of(METRICS["robot_consistency"], names) == "tiny", "features of two networks are never mixed"
    opened = box.open({c.DINO, c.I3D})
    assert opened.dino is not None and opened.i3d is None and opened.perceptual is None
