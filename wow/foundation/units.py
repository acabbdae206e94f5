"""Where a video transformer is taken apart for training: its blocks, and the linear layers that a LoRA adds to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from wow.foundation.card import Card
from wow.types import WowError

_TARGETS = {
    "WanTransformer3DModel": ("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"),
    "CosmosTransformer3DModel": ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"),
}


def lora_targets(card: Card) -> tuple[str, ...]:
    """The linear layers of a block that a LoRA adds to, by the ends of their names: attention and feed-forward.

    The choice of DiffSynth for Wan and of NVIDIA for Cosmos. Raises WowError for a family without one.
    """
    try:
        return _TARGETS[card.transformer.kind]
    except KeyError:
        raise WowError(f"{card.name} cannot be fine-tuned here: models of the Wan and Cosmos families can") from None


def blocks(network: nn.Module) -> tuple[tuple[str, nn.Module], ...]:
    """The blocks of a transformer by name, in order.

    Each is a unit to shard (`fully_shard` each, then the network, which keeps what is outside the blocks) and a unit
    whose activations are computed again in the backward pass instead of being kept.
    """
    kinds = set(network._no_split_modules)  # type: ignore[arg-type]
    return tuple((name, part) for name, part in network.named_modules() if type(part).__name__ in kinds)


def recompute_activations(network: Any, on: bool = True) -> None:
    """Keeps what enters each block alone, and computes the rest of it again in the backward pass."""
    if on:
        network.enable_gradient_checkpointing()
    else:
        network.disable_gradient_checkpointing()


def add_lora(network: Any, card: Card, rank: int, alpha: float | None = None, seed: int = 0) -> list[nn.Parameter]:
    """Gives every target of a network a LoRA, which alone is trained from then on. Returns its parameters.

    At first it adds nothing. alpha: what it adds is scaled by alpha / rank; 1 where none is given.
    """
    from peft import LoraConfig

    if rank < 1:
        raise ValueError(f"the rank of a LoRA is 1 or more, not {rank}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network.requires_grad_(False)
        config = LoraConfig(
            r=rank, lora_alpha=rank if alpha is None else alpha, target_modules=list(lora_targets(card))
        )
        network.add_adapter(config)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def lora_state_dict(network: nn.Module) -> dict[str, Tensor]:
    """The LoRA of a network as diffusers names it, alpha beside it where it is not the rank; `read_lora` takes it."""
    state = {}
    for name, module in network.named_modules():
        if hasattr(module, "lora_A") and "default" in module.lora_A:
            alpha, rank = float(module.lora_alpha["default"]), int(module.r["default"])
            state[f"transformer.{name}.lora_A.weight"] = module.lora_A["default"].weight.detach()
            state[f"transformer.{name}.lora_B.weight"] = module.lora_B["default"].weight.detach() * (alpha / rank)
    return {name: tensor.cpu().contiguous() for name, tensor in state.items()}
