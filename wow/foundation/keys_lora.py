"""LoRA files, low-rank additions to a network: diffusers' (PEFT) naming and DiffSynth's, by diffusers' module names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
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
_DIFFERENCE = re.compile(r"(?P<module>.+)\.(?P<kind>diff|diff_b)")
_PARAMETER = {"diff": "weight", "diff_b": "bias"}


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
    """Additions by the names of diffusers' modules. family: of the network they belong to.

    differences: what whole parameters gain, by diffusers' names of them: distilled LoRAs move biases and norms too.
    """

    family: KeyMap
    additions: dict[str, Addition]
    differences: dict[str, Tensor] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Tensor]:
        """As diffusers' `load_lora_weights` and `load_lora_adapter` take it. Raises WowError for differences."""
        if self.differences:
            raise WowError(f"diffusers has no place for what a LoRA adds to {next(iter(self.differences))}: merge it")
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
        for name, difference in self.differences.items():
            module, _, parameter = self.family.original(name).rpartition(".")
            state[f"{module}.{'diff' if parameter == 'weight' else 'diff_b'}"] = difference
        return state


def is_lora(names: Iterable[str]) -> bool:
    """Whether the names are those of a LoRA."""
    names = list(names)
    halves = [name for name in names if _NAME.fullmatch(name)]
    return bool(halves) and len(halves) + sum(bool(_DIFFERENCE.fullmatch(name)) for name in names) > len(names) / 2


def read_lora(path: Path) -> Lora:
    """The LoRA in a file of either naming. Raises WowError where it belongs to no known network, or is not whole."""
    files = open_files(path)
    if not is_lora(files.tensors):
        raise WowError(f"{path} is no LoRA (no lora_A, lora_B or lora_down, lora_up): name a LoRA file")
    halves, differences = _halves(files)
    family, names = _modules(path, [*(f"{module}.weight" for module in halves), *differences])
    additions = {}
    for module, found in halves.items():
        down, up = (found.get(half) for half in ("down", "up"))
        if down is None or up is None or down.shape[0] != up.shape[1]:
            raise WowError(f"{path} has no pair of halves that fit for {module}: get the LoRA again")
        alpha = found.get("alpha")
        name = names[f"{module}.weight"].removesuffix(".weight")
        additions[name] = Addition(down, up, None if alpha is None else float(alpha))
    return Lora(family, additions, {names[name]: tensor for name, tensor in differences.items()})


def _halves(files: WeightFiles) -> tuple[dict[str, dict[str, Tensor]], dict[str, Tensor]]:
    """Module as named in the file -> its halves; and parameter -> what it gains as a whole."""
    kinds = {"lora_A": "down", "lora_down": "down", "lora_B": "up", "lora_up": "up", "alpha": "alpha"}
    halves: dict[str, dict[str, Tensor]] = {}
    differences: dict[str, Tensor] = {}
    for name, stored in files.tensors.items():
        if match := _DIFFERENCE.fullmatch(name):
            differences[f"{_bare(match['module'])}.{_PARAMETER[match['kind']]}"] = stored.read()
        elif match := _NAME.fullmatch(name):
            halves.setdefault(_bare(match["module"]), {})[kinds[match["half"]]] = stored.read()
        else:
            raise WowError(f"{files.path} is a LoRA with {name} in it, which belongs to none: get the LoRA again")
    return halves, differences


def _bare(module: str) -> str:
    """A module's name without what programs put before it."""
    while prefix := next((p for p in _PREFIXES if module.startswith(p)), None):
        module = module.removeprefix(prefix)
    return module


def _modules(path: Path, names: Sequence[str]) -> tuple[KeyMap, dict[str, str]]:
    """The family whose parameters they are, and what diffusers calls each."""
    for family in _FAMILIES:
        if family.knows(names, original=False) == len(names):
            return family, {name: name for name in names}
        made, unknown = family.to_diffusers(names)
        if not unknown:
            return family, {how.sources[0]: name for name, how in made.items()}
    known = ", ".join(family.name for family in _FAMILIES)
    raise WowError(f"{path} is a LoRA of an unknown network (it adds to {names[0]}): known are {known}")
