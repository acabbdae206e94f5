"""A transformer's linear layers in 8 bits, each as soon as its weights are there: they are never all held in 16."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from wow.foundation.memory import QUANTISATIONS
from wow.foundation.plan import NEEDS_TORCHAO
from wow.foundation.units import blocks
from wow.types import WowError


def quantisers() -> tuple[str, ...]:
    """The quantisations that this installation can do."""
    return QUANTISATIONS if importlib.util.find_spec("torchao") else ()


def layers(network: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers inside a transformer's blocks, by name.

    They are nearly all of its weights. What is around the blocks (time, text and patches in, the head out) keeps its
    precision: it is small, and every token depends on it.
    """
    return {
        f"{block}.{name}": part
        for block, inside in blocks(network)
        for name, part in inside.named_modules()
        if isinstance(part, nn.Linear)
    }


def quantiser(network: nn.Module, how: str, device: str) -> Callable[[str], None]:
    """What quantises a layer of the network when it is told that the tensor of that name is there.

    how: "int8", weights with a scale for each row; "fp8", weights, and where the device it will run on has the
    arithmetic for it activations too. Raises WowError where torchao is not installed.
    """
    quantize_, config = _torchao(how, device)
    waiting = {f"{name}.weight": layer for name, layer in layers(network).items()}

    def settle(name: str) -> None:
        if (layer := waiting.pop(name, None)) is not None:
            quantize_(layer, config)

    return settle


def quantise(network: nn.Module, how: str, device: str) -> None:
    """Quantises a network that has its weights."""
    settle = quantiser(network, how, device)
    for name in layers(network):
        settle(f"{name}.weight")


def _torchao(how: str, device: str) -> tuple[Any, Any]:
    """torchao's function, and its configuration for that way."""
    try:
        with _quiet():
            from torchao import quantization
    except ImportError:
        raise WowError(NEEDS_TORCHAO.format(how=how)) from None
    if how == "int8":
        return quantization.quantize_, quantization.Int8WeightOnlyConfig()
    has_arithmetic = device != "cpu" and torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 9)
    if has_arithmetic:
        return quantization.quantize_, quantization.Float8DynamicActivationFloat8WeightConfig()
    return quantization.quantize_, quantization.Float8WeightOnlyConfig()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torchao's remarks about kernels that it has for other machines."""
    loggers = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
