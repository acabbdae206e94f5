"""Wan's names mean what we take them for: the network computes what its definition, written out here, computes.

The definition is re-derived from the published facts and reads the authors' names itself, so that a wrong name in our
table, or two exchanged ones, show in the numbers.
"""

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
WORDS = 512  # what every prompt is padded to, and where diffusers cuts picture tokens from text tokens


class Wan:
    """The forward pass on a dictionary of the authors' tensors. Single precision, one clip."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self.w = weights

    def linear(self, name: str, x: Any) -> Any:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def rms(self, name: str, x: Any) -> Any:
        """Over the full width, not per head."""
        return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.w[f"{name}.weight"]

    @staticmethod
    def standardised(x: Any, eps: float = 1e-6) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        return centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + eps)

    @staticmethod
    def attend(q: Any, k: Any, v: Any) -> Any:
        scores = torch.einsum("nhc,mhc->hnm", q, k) / math.sqrt(HEAD)
        return torch.einsum("hnm,mhc->nhc", scores.softmax(-1), v).flatten(1)

    @staticmethod
    def split(x: Any) -> Any:
        return x.unflatten(-1, (HEADS, HEAD))

    @staticmethod
    def turned(x: Any, grid: tuple[int, int, int]) -> Any:
        """Rotary positions: neighbouring channels are one complex number; time, height and width share the pairs."""
        spatial = 2 * (HEAD // 6)
        widths = (HEAD - 2 * spatial, spatial, spatial)
        angles = []
        for axis, (size, width) in enumerate(zip(grid, widths, strict=True)):
            frequency = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
            shape = [1, 1, 1, width // 2]
            shape[axis] = size
            along = torch.outer(torch.arange(size, dtype=torch.float64), frequency).reshape(shape)
            angles.append(along.expand(*grid, width // 2))
        angle = torch.cat(angles, -1).flatten(0, 2)[:, None]
        pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2).float()

    def time(self, timestep: float) -> Any:
        width = self.w["time_embedding.0.weight"].shape[1]
        frequency = 10000.0 ** (-torch.arange(width // 2) / (width // 2))
        wave = torch.cat([torch.cos(timestep * frequency), torch.sin(timestep * frequency)])
        return self.linear("time_embedding.2", F.silu(self.linear("time_embedding.0", wave)))

    def picture(self, tokens: Any) -> Any:
        def affine(name: str, x: Any) -> Any:
            return self.standardised(x, 1e-5) * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

        inner = F.gelu(self.linear("img_emb.proj.1", affine("img_emb.proj.0", tokens)))
        return affine("img_emb.proj.4", self.linear("img_emb.proj.3", inner))

    def block(self, n: int, x: Any, time: Any, text: Any, picture: Any | None, grid: tuple[int, int, int]) -> Any:
        at = f"blocks.{n}"
        shift, scale, gate, shift2, scale2, gate2 = self.w[f"{at}.modulation"][0] + time
        own = self.standardised(x) * (1 + scale) + shift
        q, k = (self.split(self.rms(f"{at}.self_attn.norm_{p}", self.linear(f"{at}.self_attn.{p}", own))) for p in "qk")
        v = self.split(self.linear(f"{at}.self_attn.v", own))
        x = x + gate * self.linear(f"{at}.self_attn.o", self.attend(self.turned(q, grid), self.turned(k, grid), v))
        asked = self.standardised(x) * self.w[f"{at}.norm3.weight"] + self.w[f"{at}.norm3.bias"]
        cross = f"{at}.cross_attn"
        q = self.split(self.rms(f"{cross}.norm_q", self.linear(f"{cross}.q", asked)))
        k = self.split(self.rms(f"{cross}.norm_k", self.linear(f"{cross}.k", text)))
        told = self.attend(q, k, self.split(self.linear(f"{cross}.v", text)))
        if picture is not None:
            k = self.split(self.rms(f"{cross}.norm_k_img", self.linear(f"{cross}.k_img", picture)))
            told = told + self.attend(q, k, self.split(self.linear(f"{cross}.v_img", picture)))
        x = x + self.linear(f"{cross}.o", told)  # no gate here
        inner = self.linear(f"{at}.ffn.0", self.standardised(x) * (1 + scale2) + shift2)
        return x + gate2 * self.linear(f"{at}.ffn.2", F.gelu(inner, approximate="tanh"))

    def __call__(self, latent: Any, timestep: float, text: Any, picture: Any | None) -> Any:
        weight = self.w["patch_embedding.weight"]
        frames, height, width = latent.shape[1], latent.shape[2] // 2, latent.shape[3] // 2
        patches = latent.unflatten(3, (width, 2)).unflatten(2, (height, 2)).permute(1, 2, 4, 0, 3, 5).flatten(3)
        x = patches.flatten(0, 2) @ weight.flatten(1).T + self.w["patch_embedding.bias"]
        time = self.time(timestep)
        six = self.linear("time_projection.1", F.silu(time)).unflatten(0, (6, -1))
        inner = F.gelu(self.linear("text_embedding.0", text), approximate="tanh")
        words = self.linear("text_embedding.2", inner)
        seen = None if picture is None else self.picture(picture)
        for n in range(2):
            x = self.block(n, x, six, words, seen, (frames, height, width))
        shift, scale = self.w["head.modulation"][0] + time
        out = self.linear("head.head", self.standardised(x) * (1 + scale) + shift)
        out = out.reshape(frames, height, width, 2, 2, -1)
        return out.permute(5, 0, 1, 3, 2, 4).flatten(4).flatten(2, 3)


@pytest.mark.parametrize("name", ["wan-i2v", "wan-t2v", "wan-36", "wan-ti2v"])
def test_the_network_computes_its_definition(
    name: str, original: Callable[[str], Any], beside: dict[str, Any], tmp_path: Path
) -> None:
    from wow.foundation.checkpoint import open_checkpoint
    from wow.foundation.checkpoint_network import empty_network, fill

    weights = original(name)
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(str(beside[name]).replace("'", '"'))
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.layout == "wan"
    network = fill(empty_network(checkpoint.library, checkpoint.kind, checkpoint.config), checkpoint)
    generator = torch.Generator().manual_seed(1)
    latent = torch.randn(checkpoint.config["in_channels"], 3, 4, 6, generator=generator)
    text = torch.randn(WORDS, 20, generator=generator)
    text[9:] = 0  # padding is zeros, and is attended to
    picture = torch.randn(257, 12, generator=generator) if name == "wan-i2v" else None
    with torch.no_grad():
        ours = network(
            hidden_states=latent[None],
            timestep=torch.tensor([637.5]),
            encoder_hidden_states=text[None],
            encoder_hidden_states_image=None if picture is None else picture[None],
            return_dict=False,
        )[0][0]
        theirs = Wan(weights)(latent, 637.5, text, picture)
    assert theirs.std() > 0.1
    assert (ours - theirs).abs().max() < 1e-5


def test_every_published_name_has_a_rule_and_no_two_rules_meet() -> None:
    from wow.foundation.checkpoint import FAMILIES

    for family in FAMILIES:
        originals = [rule.original for rule in family.rules]
        targets = [name for rule in family.rules for name in rule.diffusers]
        assert len(set(originals)) == len(originals) and len(set(targets)) == len(targets)


@pytest.mark.parametrize("name", ["wan-i2v", "wan-t2v", "wan-36", "wan-vae"])
def test_diffusers_own_converter_agrees(
    name: str, library: Any, original: Callable[[str], Any], tmp_path: Path
) -> None:
    """Theirs reads one way and is not strict, but where both know a name they agree on it."""
    from diffusers.loaders import single_file_utils

    from wow.foundation.keys_wan import WAN
    from wow.foundation.keys_wan_vae import WAN_VAE

    weights = original(name)
    family, convert = (
        (WAN_VAE, single_file_utils.convert_wan_vae_to_diffusers)
        if name == "wan-vae"
        else (WAN, single_file_utils.convert_wan_transformer_to_diffusers)
    )
    made, unknown = family.to_diffusers(list(weights))
    theirs = convert(dict(weights))
    assert not unknown and theirs.keys() == made.keys()
    assert all(torch.equal(theirs[key], how.make(weights.__getitem__)) for key, how in made.items())
