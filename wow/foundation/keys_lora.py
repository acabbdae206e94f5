"""LoRA files, low-rank additions to a network: diffusers' (PEFT) naming and DiffSynth's, by diffusers' module names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from wow.foundation.checkpoint_files import WeightFiles, open_files
from wow.foundation.keys_cosmos import COSMOS1, COSMOS2
from wow.foundation.keys_rules import KeyMap
from wow.foundation.keys_wan import WAN
from wow.types import WowError

_FAMILIES = (WAN, COSMOS2, COSMOS1)
_PREFIXES = ("pipe.dit.", "dit.", "diffusion_model.", "transformer.", "base_model.model.", "module.", "net.")
_NAME = re.compile(r"(?P<module>.+)\.(?P<half>lora_A|lora_B|lora_down|lora_up|alpha)(?:\.default)?(?:\.weight)?")


@dataclass(frozen=True)
class Addition:
    """What one linear layer gains: `up @ down * alpha / rank`. alpha: the rank where it is None."""

    down: Tensor
    up: Tensor
    alpha: float | None = None

    @property
    def rank(self) -> int:
        """The width between the two halves."""
        return int(self.down.shape[0])

    def scaled_up(self) -> Tensor:
        """The upper half with alpha / rank in it."""
        return self.up if self.alpha is None else self.up * (self.alpha / self.rank)


@dataclass(frozen=True)
class Lora:
    """Additions by the names of diffusers' modules. family: of the network they belong to."""

    family: KeyMap
    additions: dict[str, Addition]

    def state_dict(self) -> dict[str, Tensor]:
        """As diffusers' `load_lora_weights` and `load_lora_adapter` take it."""
        state = {}
        for module, addition in self.additions.items():
            state[f"transformer.{module}.lora_A.weight"] = addition.down
            state[f"transformer.{module}.lora_B.weight"] = addition.scaled_up()
        return state

    def diffsynth_state_dict(self) -> dict[str, Tensor]:
        """As DiffSynth writes it: its authors' module names."""
        state = {}
        for module, addition in self.additions.items():
            original = self.family.original(f"{module}.weight").removesuffix(".weight")
            state[f"{original}.lora_A.default.weight"] = addition.down
            state[f"{original}.lora_B.default.weight"] = addition.scaled_up()
        return state


def is_lora(names: Iterable[str]) -> bool:
    """Whether the names are those of a LoRA."""
    found = [bool(_NAME.fullmatch(name)) for name in names]
    return bool(found) and sum(found) > len(found) / 2


def read_lora(path: Path) -> Lora:
    """The LoRA in a file of either naming. Raises WowError where it belongs to no known network, or is not whole."""
    files = open_files(path)
    if not is_lora(files.tensors):
        raise WowError(f"{path} is no LoRA (no lora_A, lora_B or lora_down, lora_up): name a LoRA file")
    halves = _halves(files)
    family, names = _modules(path, list(halves))
    additions = {}
    for module, found in halves.items():
        down, up = (found.get(half) for half in ("down", "up"))
        if down is None or up is None or down.shape[0] != up.shape[1]:
            raise WowError(f"{path} has no pair of halves that fit for {module}: get the LoRA again")
        alpha = found.get("alpha")
        additions[names[module]] = Addition(down, up, None if alpha is None else float(alpha))
    return Lora(family, additions)


def _halves(files: WeightFiles) -> dict[str, dict[str, Tensor]]:
    """Module as named in the file -> its halves."""
    kinds = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up", "alpha": "alpha"}
    halves: dict[str, dict[str, Tensor]] = {}
    for name, stored in files.tensors.items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise WowError(f"{files.path} is a LoRA with {name} in it, which belongs to none: get the LoRA again")
        module = match["module"]
        while prefix := next((p for p in _PREFIXES if module.startswith(p)), None):
            module = module.removeprefix(prefix)
        halves.setdefault(module, {})[kinds[match["half"]]] = stored.read()
    return halves


def _modules(path: Path, modules: Sequence[str]) -> tuple[KeyMap, dict[str, str]]:
    """The family whose linear layers they are, and what diffusers calls each."""
    weights = [f"{module}.weight" for module in modules]
    for family in _FAMILIES:
        if family.knows(weights, original=False) == len(weights):
            return family, {module: module for module in modules}
        made, unknown = family.to_diffusers(weights)
        if not unknown:
            return family, {
                how.sources[0].removesuffix(".weight"): name.removesuffix(".weight") for name, how in made.items()
            }
    known = ", ".join(family.name for family in _FAMILIES)
    raise WowError(f"{path} is a LoRA of an unknown network (it adds to {modules[0]}): known are {known}")
