"""How much arithmetic a computation is, and how fast a device does the kind it is best at: products of matrices."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import torch
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
    """Counts the arithmetic of what is done while it counts, for `wow.train.loop`."""

    def __init__(self) -> None:
        self._counter = flop_counter()

    def counting(self) -> AbstractContextManager[object]:
        """Around what is to be counted."""
        return self._counter

    @property
    def flops(self) -> int:
        """What was counted."""
        return self._counter.get_total_flops()

    def peak(self, device: torch.device) -> float:
        """What matrix products reach on a device, in operations per second."""
        return matrix_rate(device=device)


def _attention_flops(query: Words, key: Words, value: Words, *_: Any, out_shape: Any = None, **__: Any) -> int:
    count: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return count


def _attention_flops_back(
    gradient: Words, query: Words, key: Words, value: Words, *_: Any, out_shape: Any = None, **__: Any
) -> int:
    count: int = sdpa_backward_flop_count(gradient, query, key, value)  # type: ignore[no-untyped-call]
    return count
