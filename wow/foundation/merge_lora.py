"""A LoRA put into a network for good: nothing is left of it at run time, so that distilled models keep their speed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from wow.foundation.keys_lora import Lora, read_lora
from wow.types import WowError

Loras = Sequence[tuple[Path, float]]


def check_lora(shapes: Mapping[str, Sequence[int]], path: Path) -> Lora:
    """The LoRA in a file, which fits a network of these tensors. Raises WowError where it does not, or is none."""
    lora = read_lora(path)
    for name, addition in lora.additions.items():
        has, wanted = shapes.get(f"{name}.weight"), (addition.up.shape[0], addition.down.shape[1])
        if has is None or tuple(has) != wanted:
            found = "there is no such layer" if has is None else f"that is {list(has)}"
            raise WowError(f"{path} does not fit this model: it adds {list(wanted)} to {name}, and here {found}")
    return lora


@torch.no_grad()
def merge_lora(network: nn.Module, path: Path, scale: float = 1.0) -> int:
    """Adds `scale * up @ down` to every layer that the LoRA names, in float32. Returns how many layers that were.

    Raises WowError where the file is no LoRA, or one of another network: nothing has been changed then.
    """
    lora = check_lora({name: parameter.shape for name, parameter in network.named_parameters()}, path)
    for name, addition in lora.additions.items():
        layer = network.get_submodule(name)
        weight = layer.weight
        assert isinstance(weight, torch.Tensor), "a linear layer has a matrix"
        added = addition.scaled_up().to(weight.device, torch.float32) @ addition.down.to(weight.device, torch.float32)
        layer.weight = nn.Parameter((weight.float() + scale * added).to(weight.dtype), requires_grad=False)
    return len(lora.additions)
