"""NVIDIA's names mean what we take them for: the network computes what its definition, written out here, computes."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

HEADS, HEAD = 2, 12
RATIOS = {"cosmos1": (2.0, 1.0, 1.0), "cosmos2": (1.0, 3.0, 3.0), "cosmos2.5": (1.0, 3.0, 3.0)}
"""How far positions are stretched over time, height and width."""

PARTS = ("self_attn", "cross_attn", "mlp")
_PREDICT2 = {
    **{part: f"blocks.{{n}}.{{part}}.{part}_proj" for part in "qkv"},
    "o": "blocks.{n}.{part}.output_proj",
    "q_norm": "blocks.{n}.{part}.q_norm",
    "k_norm": "blocks.{n}.{part}.k_norm",
    "in": "blocks.{n}.mlp.layer1",
    "out": "blocks.{n}.mlp.layer2",
    "modulation": "blocks.{n}.adaln_modulation_{part}",
    "time_norm": "t_embedding_norm",
    "last": "final_layer.adaln_modulation",
}
_ATTENTION1 = "blocks.block{n}.blocks.{place}.block.attn"
NAMES = {
    "cosmos1": {
        **{part: f"{_ATTENTION1}.to_{part}.0" for part in "qkv"},
        "o": f"{_ATTENTION1}.to_out.0",
        "q_norm": f"{_ATTENTION1}.to_q.1",
        "k_norm": f"{_ATTENTION1}.to_k.1",
        "in": "blocks.block{n}.blocks.2.block.layer1",
        "out": "blocks.block{n}.blocks.2.block.layer2",
        "modulation": "blocks.block{n}.blocks.{place}.adaLN_modulation",
        "time_norm": "affline_norm",
        "last": "final_layer.adaLN_modulation",
    },
    "cosmos2": _PREDICT2,
    "cosmos2.5": _PREDICT2,
}


class Cosmos:
    """The forward pass on a dictionary of NVIDIA's tensors. One clip, one time for each frame."""

    def __init__(self, family: str, weights: dict[str, Any]) -> None:
        self.w = {name.removeprefix("net."): tensor for name, tensor in weights.items()}
        self.names, self.ratios = NAMES[family], RATIOS[family]

    def at(self, what: str, n: int, part: str) -> str:
        return self.names[what].format(n=n, part=part, place=PARTS.index(part))

    def linear(self, name: str, x: Any) -> Any:
        return x @ self.w[f"{name}.weight"].T

    def rms(self, name: str, x: Any) -> Any:
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.w[f"{name}.weight"]

    @staticmethod
    def standardised(x: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + 1e-6)

    def turned(self, x: Any, grid: tuple[int, int, int]) -> Any:
        """Rotary positions: channel c goes with channel c + half; frequencies of time, height, width in this order."""
        spatial = HEAD // 6 * 2
        angles = []
        for axis, width in enumerate((HEAD - 2 * spatial, spatial, spatial)):
            base = 10000.0 * self.ratios[axis] ** (width / (width - 2))
            frequency = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
            shape = [1, 1, 1, width // 2]
            shape[axis] = grid[axis]
            along = torch.outer(torch.arange(grid[axis], dtype=torch.float64), frequency).reshape(shape)
            angles.append(along.expand(*grid, width // 2))
        angle = torch.cat(angles, -1).flatten(0, 2)[:, None]
        first, second = x.double().chunk(2, -1)
        cos, sin = torch.cos(angle), torch.sin(angle)
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1).float()

    def attend(self, n: int, part: str, x: Any, context: Any, grid: tuple[int, int, int] | None) -> Any:
        q, k, v = (
            self.linear(self.at(what, n, part), source).unflatten(-1, (HEADS, HEAD))
            for what, source in (("q", x), ("k", context), ("v", context))
        )
        # each head by itself
        q, k = self.rms(self.at("q_norm", n, part), q), self.rms(self.at("k_norm", n, part), k)
        if grid is not None:
            q, k = self.turned(q, grid), self.turned(k, grid)
        scores = (torch.einsum("nhc,mhc->hnm", q, k) / math.sqrt(HEAD)).softmax(-1)
        return self.linear(self.at("o", n, part), torch.einsum("hnm,mhc->nhc", scores, v).flatten(1))

    def modulation(self, name: str, time: Any, shared: Any) -> Any:
        """Its own low-rank part, plus what the time's own network gives to all."""
        return self.linear(f"{name}.2", self.linear(f"{name}.1", F.silu(time))) + shared

    def learned_positions(self, grid: tuple[int, int, int]) -> Any:
        """Predict1's: one vector along each axis, their sum brought to length one per channel; 0 in Predict2."""
        if "extra_pos_embedder.pos_emb_t" not in self.w:
            return 0.0
        t, h, w = (self.w[f"extra_pos_embedder.pos_emb_{axis}"][:size] for axis, size in zip("thw", grid, strict=True))
        total = (t[:, None, None] + h[None, :, None] + w[None, None]).flatten(0, 2)
        return total / (1e-6 + torch.sqrt((total * total).mean(-1, keepdim=True)))

    def __call__(self, latent: Any, times: Any, context: Any) -> Any:
        frames, height, width = latent.shape[1], latent.shape[2] // 2, latent.shape[3] // 2
        # channels slowest, then the two axes of the patch
        patches = latent.unflatten(3, (width, 2)).unflatten(2, (height, 2)).permute(1, 2, 4, 0, 3, 5).flatten(3)
        x = self.linear("x_embedder.proj.1", patches.flatten(0, 2))
        if "crossattn_proj.0.weight" in self.w:
            context = F.gelu(self.linear("crossattn_proj.0", context) + self.w["crossattn_proj.0.bias"])
        half = x.shape[1] // 2
        wave = times[:, None] * 10000.0 ** (-torch.arange(half) / half)
        wave = torch.cat([torch.cos(wave), torch.sin(wave)], -1).repeat_interleave(height * width, 0)
        hidden = F.silu(self.linear("t_embedder.1.linear_1", wave))
        shared, time = self.linear("t_embedder.1.linear_2", hidden), self.rms(self.names["time_norm"], wave)
        grid = (frames, height, width)
        for n in range(2):
            x = x + self.learned_positions(grid)
            for part in PARTS:
                shift, scale, gate = self.modulation(self.at("modulation", n, part), time, shared).chunk(3, -1)
                y = self.standardised(x) * (1 + scale) + shift
                if part == "self_attn":
                    y = self.attend(n, part, y, y, grid)
                elif part == "cross_attn":
                    y = self.attend(n, part, y, context, None)
                else:
                    y = self.linear(self.at("out", n, part), F.gelu(self.linear(self.at("in", n, part), y)))
                x = x + gate * y
        last = self.modulation(self.names["last"], time, shared[:, : 2 * x.shape[1]])
        shift, scale = last.chunk(2, -1)
        out = self.linear("final_layer.linear", self.standardised(x) * (1 + scale) + shift)
        # the two axes of the patch slowest, then channels
        return out.reshape(*grid, 2, 2, 16).permute(5, 0, 1, 3, 2, 4).flatten(4).flatten(2, 3)


@pytest.mark.parametrize("name", ["cosmos1", "cosmos2", "cosmos2.5"])
def test_the_network_computes_its_definition(name: str, original: Callable[[str], Any], tmp_path: Path) -> None:
    from wow.foundation.checkpoint import open_checkpoint
    from wow.foundation.checkpoint_network import empty_network, fill

    weights = original(name)
    save_file(weights, tmp_path / "model.safetensors")
    checkpoint = open_checkpoint(tmp_path / "model.safetensors")
    assert checkpoint.layout == "cosmos" and tuple(checkpoint.config["rope_scale"]) == RATIOS[name]
    # The mask of padded pixels is one more input channel; given as such, diffusers needs no torchvision to resize it.
    config = {**checkpoint.config, "in_channels": 18, "concat_padding_mask": False}
    network = fill(empty_network(checkpoint.library, checkpoint.kind, config), checkpoint)
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(18, 3, 4, 6, generator=generator)
    times = torch.tensor([1e-4, 0.7, 0.7])  # the first frame is given, and so nearly clean
    context = torch.randn(7, 36 if name == "cosmos2.5" else 20, generator=generator)
    with torch.no_grad():
        ours = network(
            hidden_states=latent[None],
            timestep=times.reshape(1, 1, 3, 1, 1),
            encoder_hidden_states=context[None],
            return_dict=False,
        )[0][0]
        theirs = Cosmos(name, weights)(latent, times, context)
    assert theirs.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["cosmos2", "cosmos2.5"])  # of Predict1's names, theirs knows only some (0.42.1)
def test_diffusers_own_converter_agrees(name: str, library: Any, original: Callable[[str], Any]) -> None:
    from diffusers.loaders.single_file_utils import convert_cosmos_transformer_checkpoint_to_diffusers

    from wow.foundation.keys_cosmos import COSMOS2

    weights = original(name)
    theirs = convert_cosmos_transformer_checkpoint_to_diffusers(dict(weights))
    plain = {key.removeprefix("net."): tensor for key, tensor in weights.items()}
    made, unknown = COSMOS2.to_diffusers(list(plain))
    assert not unknown and theirs.keys() == made.keys()
    assert all(torch.equal(theirs[key], how.make(plain.__getitem__)) for key, how in made.items())
