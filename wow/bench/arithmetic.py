"""How much arithmetic a computation is, and how fast a device does the kind it is best at: products of matrices."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

CPU_SIDE, GPU_SIDE = 1024, 8192
"""Sides of the matrices whose product is timed: large enough to be at the device's best, done in a moment."""
CPU = torch.device("cpu")
Words = tuple[int, ...]


def matrix_rate(repeats: int = 4, device: torch.device = CPU) -> float:
    """Operations per second of matrix products on a device now, the best of several; a multiplication and an addition
    count as two. float32 on a CPU, with the threads that torch uses; bfloat16 on a GPU."""
    on_gpu = device.type == "cuda"
    side, dtype = (GPU_SIDE, torch.bfloat16) if on_gpu else (CPU_SIDE, torch.float32)
    own = torch.Generator(device).manual_seed(0)  # whoever measures may have promised the global one's numbers
    one, other = (torch.rand(side, side, device=device, dtype=dtype, generator=own) for _ in range(2))
    best = float("inf")
    for _ in range(repeats):
        if on_gpu:
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        torch.mm(one, other)
        if on_gpu:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best


def flop_counter() -> FlopCounterMode:
    """Counts what torch counts, and attention as a CPU computes it, there and back, which torch leaves out."""
    there = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    return FlopCounterMode(display=False, custom_mapping={there: _attention_flops, back: _attention_flops_back})


class Gauge:
    """Counts the arithmetic of what is done while it counts, for `wow.train.loop`; not a bit of that changes."""

    def __init__(self) -> None:
        self._counter = _Watching()

    def counting(self) -> AbstractContextManager[object]:
        """Around what is to be counted."""
        return self._counter

    @property
    def flops(self) -> int:
        """What was counted."""
        return self._counter.flops

    def peak(self, device: torch.device) -> float:
        """What matrix products reach on a device, in operations per second."""
        return matrix_rate(device=device)


class _Watching(TorchDispatchMode):
    """Counts operations as they pass. torch's own counter takes some of them apart (the way back of SiLU, batch norm),
    and the parts round otherwise: training that is counted and training that is not would come to different weights."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counts = flop_counter().flop_registry
        self.flops = 0

    def __enter__(self) -> Self:
        self.flops = 0
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        out = func(*args, **given)
        count = self._counts.get(getattr(func, "_overloadpacket", None))
        self.flops += 0 if count is None else int(count(*args, **given, out_val=out))
        return out


def _attention_flops(query: Words, key: Words, value: Words, *_: Any, out_shape: Any = None, **__: Any) -> int:
    count: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return count


def _attention_flops_back(
    gradient: Words, query: Words, key: Words, value: Words, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    count: int = sdpa_backward_flop_count(gradient, query, key, value)  # type: ignore[no-untyped-call]
    return count
