"""Checkpoints of a run: all that is needed to go on bit for bit, in safetensors and JSON, whole or not there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wow.types import WowError

KEPT = 2
"""How many of the newest checkpoints stay on disk."""


@dataclass(frozen=True)
class Progress:
    """Where a run is. step: optimiser steps done, also the position in the data; seconds: time spent training."""

    step: int
    seconds: float


def save_checkpoint(
    run: Path, progress: Progress, model: nn.Module, average: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> Path:
    """Writes `run/checkpoints/step-…` under another name first, so that a crash leaves the one before it."""
    final = run / "checkpoints" / f"step-{progress.step:08d}"
    part = final.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(_tensors(model), part / "model.safetensors")
    save_file(_tensors(average), part / "average.safetensors")
    save_file(_optimizer_tensors(model, optimizers), part / "optimizer.safetensors")
    save_file({"cpu": torch.get_rng_state()}, part / "random.safetensors")
    state = {"step": progress.step, "seconds": progress.seconds, "torch": torch.__version__}
    with (part / "state.json").open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    for old in _complete(run)[:-KEPT]:
        shutil.rmtree(old)
    return final


def latest_checkpoint(run: Path) -> Path | None:
    """The newest complete checkpoint of a run, None where there is none."""
    complete = _complete(run)
    return complete[-1] if complete else None


def load_checkpoint(
    folder: Path, model: nn.Module, average: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> Progress:
    """Puts a run's state back. Raises WowError where the checkpoint is of another model."""
    state = json.loads((folder / "state.json").read_text())
    for module, name in ((model, "model"), (average, "average")):
        try:
            module.load_state_dict(load_file(folder / f"{name}.safetensors"))
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise WowError(
                f"{folder} is of another model ({reason}): continue with its recipe or name a new --out"
            ) from None
    _put_optimizer_tensors(model, optimizers, load_file(folder / "optimizer.safetensors"))
    torch.set_rng_state(load_file(folder / "random.safetensors")["cpu"])
    return Progress(step=int(state["step"]), seconds=float(state["seconds"]))


def load_average(run: Path) -> dict[str, Tensor]:
    """The averaged weights of a run's newest checkpoint. Raises WowError where the run has none."""
    folder = latest_checkpoint(run)
    if folder is None:
        raise WowError(f"{run} holds no checkpoint: train first, or name the folder given to wow train as --out")
    return load_file(folder / "average.safetensors")


def start_from(network: nn.Module, tensors: Mapping[str, Tensor]) -> int:
    """Gives a network those of other weights that fit it; returns how many do. Raises WowError where none does."""
    own = network.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise WowError("none of the weights to start from fits this model: name the recipe that they were trained with")
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def _complete(run: Path) -> list[Path]:
    folder = run / "checkpoints"
    return sorted(path for path in folder.glob("step-*") if path.suffix != ".part" and (path / "state.json").exists())


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}


def _optimizer_tensors(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{names[parameter]}|{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def _put_optimizer_tensors(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor]
) -> None:
    parameters = dict(model.named_parameters())
    owner = {
        parameter: optimizer
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for key, value in tensors.items():
        name, slot = key.split("|")
        parameter = parameters[name]
        on_device = value if slot == "step" else value.to(parameter.device)
        owner[parameter].state[parameter][slot] = on_device.contiguous(
            memory_format=torch.channels_last
            if value.dim() == 4 and _is_channels_last(parameter)
            else torch.contiguous_format
        )


def _is_channels_last(parameter: Tensor) -> bool:
    return parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
