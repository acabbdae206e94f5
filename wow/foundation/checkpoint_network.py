"""Networks of diffusers and transformers without weights, and filled tensor by tensor from a checkpoint."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from wow.foundation.keys_rules import Config, Shape
from wow.types import WowError

_TIED = {"encoder.embed_tokens.weight": "shared.weight"}


class Weights(Protocol):
    """What a network is filled from: named tensors that come one at a time."""

    def tensors(self) -> Iterable[tuple[str, Tensor]]: ...


def empty_network(library: str, kind: str, config: Config) -> nn.Module:
    """The network with parameters that have a shape and no memory; what it computes for itself is there."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False), _quiet():
        return _built(library, kind, config).eval()


def expected_shapes(library: str, kind: str, config: Config) -> dict[str, Shape]:
    """Every tensor that the network wants, by name; of tied ones the first."""
    state = empty_network(library, kind, config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if _TIED.get(name) not in state}


def fill(
    network: nn.Module,
    weights: Weights,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
    on_bytes: Callable[[int], None] = lambda done: None,
    settle: Callable[[str], None] = lambda name: None,
) -> nn.Module:
    """The network with its weights, one tensor at a time: no second copy of it is ever in memory.

    Where neither type nor device change, tensors stay views of the mapped files: their pages are read when they are
    first used, and may be let go by the system. What diffusers keeps in float32 stays so. The weights need no gradient.
    settle: is told the name of each tensor once it is in its place, and may change it there.
    """
    precise = tuple(getattr(network, "_keep_in_fp32_modules", None) or ())
    done = 0
    for name, tensor in weights.tensors():
        wanted = tensor.dtype if dtype is None or not tensor.is_floating_point() else dtype
        if wanted in (torch.float16, torch.bfloat16) and dtype is not None and set(name.split(".")) & set(precise):
            wanted = torch.float32
        _assign(network, name, tensor.to(device, wanted))
        settle(name)
        done += tensor.numel() * tensor.element_size()
        on_bytes(done)
    for alias, name in _TIED.items():
        names = dict(network.named_parameters(remove_duplicate=False))
        if alias in names and name in names:
            _assign(network, alias, names[name])
    _refuse_holes(network)
    return network


def num_parameters(shapes: Iterable[Shape]) -> int:
    """How many numbers tensors of these shapes have."""
    return sum(math.prod(shape) for shape in shapes)


def _built(library: str, kind: str, config: Config) -> nn.Module:
    """The class called with the arguments; what is no argument of it (`_class_name`, …) is left out."""
    if library == "diffusers":
        import diffusers

        built: nn.Module = getattr(diffusers, kind).from_config({k: v for k, v in config.items() if k[0] != "_"})
        return built
    import transformers

    network: Any = getattr(transformers, kind)
    return _transformers(network, config)


def _transformers(network: Any, config: Config) -> nn.Module:
    built: nn.Module = network(network.config_class.from_dict(dict(config)))
    return built


def _assign(network: nn.Module, name: str, tensor: Tensor) -> None:
    """Puts a tensor where the network has a parameter or a buffer of that name."""
    path, _, leaf = name.rpartition(".")
    module = network.get_submodule(path)
    if leaf in module._parameters:
        module._parameters[leaf] = nn.Parameter(tensor.detach(), requires_grad=False)
    else:
        module._buffers[leaf] = tensor


def _refuse_holes(network: nn.Module) -> None:
    holes = [name for name, tensor in network.state_dict().items() if tensor.is_meta]
    if holes:
        raise WowError(f"{len(holes)} tensors have no weights ({', '.join(holes[:3])}): get the whole checkpoint")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without diffusers' and transformers' remarks about configurations that they complete themselves."""
    import logging

    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
