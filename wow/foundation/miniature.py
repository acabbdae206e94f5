"""Random networks with a model's structure: as small as a rehearsal wants them, or in the model's own size.

No file is read. What a person learns from them is about code, time and memory: their videos show nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from wow.foundation.card import Card, Frames, Role
from wow.foundation.checkpoint_network import empty_network
from wow.foundation.families import WAYS
from wow.foundation.schedules import scheduler_of
from wow.types import WowError

_VAE_2_1: dict[str, Any] = {"base_dim": 8, "z_dim": 16, "num_res_blocks": 1, "dim_mult": [1, 1, 1, 1]}
_VAE_2_2: dict[str, Any] = {
    "base_dim": 8, "decoder_base_dim": 8, "z_dim": 48, "num_res_blocks": 1, "is_residual": True, "in_channels": 12,
    "out_channels": 12, "patch_size": 2, "scale_factor_temporal": 4, "scale_factor_spatial": 16,
    "dim_mult": [1, 1, 1, 1], "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
}  # fmt: skip
_VAE_COSMOS_1: dict[str, Any] = {
    "latent_channels": 16, "encoder_block_out_channels": (8, 8, 8, 8), "decode_block_out_channels": (8, 8, 8, 8),
    "attention_resolutions": (8,), "resolution": 64, "num_layers": 1, "patch_size": 4, "scaling_factor": 1.0,
    "spatial_compression_ratio": 8, "temporal_compression_ratio": 8, "latents_mean": None, "latents_std": None,
}  # fmt: skip
_CLIP = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
         "image_size": 224, "patch_size": 56, "projection_dim": 32}  # fmt: skip


@dataclass(frozen=True)
class RandomWords:
    """Embeddings that no text encoder made: normal numbers that depend on the prompt alone, zero beyond its words."""

    width: int
    num_words: int

    def embed(self, prompts: Sequence[str]) -> list[Tensor]:
        """The embeddings [1, l, d] of prompts."""
        return [self._embed(prompt) for prompt in prompts]

    def read_ahead(self, prompts: Sequence[str]) -> None:
        """Nothing: they cost nothing."""

    def _embed(self, prompt: str) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:7], "big")
        words = torch.randn(1, self.num_words, self.width, generator=torch.Generator().manual_seed(seed))
        words[:, len(prompt.split()) + 1 :] = 0.0
        return words


def small(card: Card) -> Card:
    """The card with a transformer of four heads and four blocks, and clips of three latent frames, 32 pixels high.

    Raises WowError for a family that has no transformer of Wan's or Cosmos' kind.
    """
    if card.transformer.kind not in ("WanTransformer3DModel", "CosmosTransformer3DModel"):
        raise WowError(f"{card.name} has no small form: models of the Wan and Cosmos families have")
    head = 64 if card.family == "wan2.2" else 32  # all four heads hold a patch: 48 channels of 2x2 there, 16 elsewhere
    config: dict[str, Any] = {**card.transformer.config, "num_attention_heads": 4, "attention_head_dim": head,
                              "num_layers": 4}  # fmt: skip
    if card.transformer.kind == "WanTransformer3DModel":
        config |= {"ffn_dim": 256, "text_dim": 32, "freq_dim": 64}
        config |= {"image_dim": 32, "added_kv_proj_dim": 128} if card.has("image_encoder") else {}
    else:
        config |= {"mlp_ratio": 2.0, "text_embed_dim": 32, "adaln_lora_dim": 16, "max_size": (16, 64, 64)}
    if config.get("use_crossattn_projection"):
        config |= {"crossattn_proj_in_channels": 32, "encoder_hidden_states_channels": 32}
    configs: dict[Role, dict[str, Any]] = {
        "transformer": config,
        "vae": {"cosmos1": _VAE_COSMOS_1, "wan2.2": _VAE_2_2}.get(card.family, _VAE_2_1),
        "image_encoder": _CLIP,
    }
    parts = tuple(replace(part, config=configs[part.role]) for part in card.parts if part.role in configs)
    frames = Frames(default=2 * card.frames.step + 1, step=card.frames.step, most=card.frames.most)
    words = 512 if card.has("image_encoder") else 16  # a network that sees CLIP's tokens tells them from words by 512
    return replace(card, height=32, width=64 if card.multiple > 16 else 48, frames=frames, parts=parts, num_words=words)


def random_network(card: Card, role: Role, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
                   seed: int = 0) -> nn.Module:  # fmt: skip
    """A network of a card with random weights of about the size that trained ones have.

    Made on the device, parameter by parameter: a model of 14 billion takes its own memory and no more.
    """
    part = card.part(role)
    network = empty_network(part.library, part.kind, dict(part.config))
    generator = torch.Generator(device=device).manual_seed(seed)
    precise = set(getattr(network, "_keep_in_fp32_modules", None) or ())
    for path, module in network.named_modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            kept = torch.float32 if precise & {*path.split("."), name} else dtype
            values = _values(name, parameter, device, kept, generator)
            module._parameters[name] = nn.Parameter(values, requires_grad=False)
        for name, buffer in list(module.named_buffers(recurse=False)):
            module._buffers[name] = buffer.to(device)
    return network.eval()


def small_pipeline(card: Card, seed: int = 0, vae: nn.Module | None = None) -> tuple[Any, RandomWords]:
    """The pipeline of a small card with random networks on the CPU, and what reads its prompts. vae: instead of one."""
    roles: tuple[Role, ...] = ("transformer", "vae", "image_encoder")
    parts: dict[str, Any] = {
        role: vae if role == "vae" and vae is not None else random_network(card, role, seed=seed)
        for role in roles
        if card.has(role)
    }
    parts["scheduler"] = scheduler_of(card.sampler, card.sampler.shift)
    return WAYS[card.family].build(card, parts), RandomWords(text_width(card), card.num_words)


def text_width(card: Card) -> int:
    """How many numbers an embedding of a word has."""
    config = card.transformer.config
    names = ("crossattn_proj_in_channels", "text_dim", "text_embed_dim")
    return next(int(config[name]) for name in names if name in config)


def _values(
    name: str, like: Tensor, device: torch.device | str, dtype: torch.dtype, generator: torch.Generator
) -> Tensor:
    """Matrices keep what passes through them about as large as it was; scales are one, shifts zero, tables small."""
    if name == "bias":
        return torch.zeros(like.shape, device=device, dtype=dtype)
    if name in ("weight", "gamma") and (like.ndim == 1 or name == "gamma"):
        return torch.ones(like.shape, device=device, dtype=dtype)
    spread = like[0].numel() ** -0.5 if name == "weight" else 0.02
    return torch.empty(like.shape, device=device, dtype=dtype).normal_(0.0, spread, generator=generator)
