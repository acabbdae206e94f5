"""LoRAs put into a network's weights as they are read: nothing is left of them when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wow.foundation.checkpoint_network import Weights
from wow.foundation.keys_lora import Addition, Lora, read_lora
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
    return lora


def with_loras(weights: Weights, shapes: Shapes, loras: Loras) -> Weights:
    """The weights with `scale * up @ down` added to every layer that a LoRA names. loras: files, with their scales.

    Raises WowError where a file is no LoRA, or one of another network: nothing has been read then.
    """
    return _Merged(weights, [(check_lora(shapes, path).additions, scale) for path, scale in loras])


@dataclass(frozen=True)
class _Merged:
    weights: Weights
    additions: Sequence[tuple[Mapping[str, Addition], float]]

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor, one at a time; those that gain something in float32."""
        for name, tensor in self.weights.tensors():
            for additions, scale in self.additions:
                if (addition := additions.get(name.removesuffix(".weight"))) is not None and name.endswith(".weight"):
                    added = addition.scaled_up().to(torch.float32) @ addition.down.to(torch.float32)
                    tensor = tensor.float() + scale * added
            yield name, tensor
