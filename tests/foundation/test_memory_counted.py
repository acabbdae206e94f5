"""What the plan takes to be alive during a pass is counted: every tensor of a pass of full size, without memory."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")

import diffusers

from wow.foundation.cards import CARDS
from wow.foundation.memory import Setting, activations, job_of
from wow.foundation.torchvision_free import lend_resize


class Alive(TorchDispatchMode):
    """Bytes of the storages that are alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self.peak = 0

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in (leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)):
            storage = tensor.untyped_storage()
            if storage._cdata not in self._sizes:
                self._sizes[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self._sizes.pop, storage._cdata, None)
        self.peak = max(self.peak, sum(self._sizes.values()))
        return result


def peak(build: Callable[[], Any], call: Callable[[Any], object]) -> int:
    """Bytes alive at once during a call, the network itself not counted; in bfloat16."""
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        torch.set_default_dtype(torch.bfloat16)
        try:
            network = build()
        finally:
            torch.set_default_dtype(torch.float32)
        with Alive() as alive:
            call(network)
    return alive.peak


def numbers(*shape: int) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.bfloat16)


def test_a_pass_of_wan_1_3b() -> None:
    card = CARDS["wow-1-wan-1.3b-2m"]
    config = {**card.transformer.config, "num_layers": 1}
    counted = peak(
        lambda: diffusers.WanTransformer3DModel(**config),
        lambda network: network(numbers(1, 36, 21, 60, 104), torch.empty(1), numbers(1, 512, 4096), return_dict=False),
    )
    assert activations(card, job_of(card), Setting()) == pytest.approx(counted, rel=0.1)


def test_a_pass_of_cosmos_predict2_2b() -> None:
    lend_resize()
    card = CARDS["cosmos-predict2-2b"]
    config = {**card.transformer.config, "num_layers": 1}
    counted = peak(
        lambda: diffusers.CosmosTransformer3DModel(**config),
        lambda network: network(
            hidden_states=numbers(1, 16, 24, 88, 160), timestep=numbers(1, 1, 24, 1, 1), fps=None,
            encoder_hidden_states=numbers(1, 512, 1024), condition_mask=numbers(1, 1, 24, 88, 160),
            padding_mask=numbers(1, 1, 88, 160), return_dict=False,
        ),
    )  # fmt: skip
    assert activations(card, job_of(card), Setting()) == pytest.approx(counted, rel=0.1)
