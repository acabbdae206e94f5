"""LoRAs put into a network's weights as they are read: nothing is left of them when it runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wow.foundation.checkpoint_network import Weights
from wow.foundation.keys_lora import Lora, read_lora
from wow.types import WowError

Loras = Sequence[tuple[Path, float]]
Shapes = Mapping[str, Sequence[int]]


def check_lora(shapes: Shapes, path: Path) -> Lora:
    """The LoRA in a file, which fits a network of these tensors. Raises WowError where it does not, or is none."""
    lora = read_lora(path)
    for name, addition in lora.additions.items():
        has, wanted = shapes.get(f"{name}.weight"), (addition.up.shape[0], addition.down.shape[1])
        if has is None or tuple(has) != wanted:
            found = "there is no such layer" if has is None else f"that is {list(has)}"
            raise WowError(f"{path} does not fit this model: it adds {list(wanted)} to {name}, and here {found}")
    for name, difference in lora.differences.items():
        if (size := math.prod(shapes[name]) if name in shapes else 0) != difference.numel():
            raise WowError(f"{path} does not fit this model: it adds {difference.numel()} numbers to {name} of {size}")
    return lora


def with_loras(weights: Weights, shapes: Shapes, loras: Loras) -> Weights:
    """The weights with `scale * up @ down` added to every layer that a LoRA names, and its differences, scaled.

    loras: files, with their scales.

    Raises WowError where a file is no LoRA, or one of another network: nothing has been read then.
    """
    return _Merged(weights, [(check_lora(shapes, path), scale) for path, scale in loras])


@dataclass(frozen=True)
class _Merged:
    weights: Weights
    loras: Sequence[tuple[Lora, float]]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor, one at a time; those that gain something in float32."""
        for name, tensor in self.weights.tensors():
            for lora, scale in self.loras:
                for added in _gains(lora, name):
                    tensor = tensor.float() + scale * added.reshape(tensor.shape)
            yield name, tensor


def _gains(lora: Lora, name: str) -> Iterator[Tensor]:
    """What a LoRA adds to a parameter, in float32."""
    addition = lora.additions.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
    if addition is not None:
        yield addition.scaled_up().to(torch.float32) @ addition.down.to(torch.float32)
    if name in lora.differences:
        yield lora.differences[name].to(torch.float32)
