"""The machine at hand, as far as a plan needs to know it."""

from __future__ import annotations

import os

import torch

from wow.foundation.memory import GB, Machine

PEAKS = {
    "B200": 2250e12, "GB200": 2250e12, "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "H800": 989e12,
    "A100": 312e12, "A800": 312e12, "L40S": 362e12, "RTX 6000 Ada": 364e12, "RTX PRO 6000": 500e12, "A6000": 155e12,
    "RTX 5090": 210e12, "RTX 4090": 165e12, "RTX 3090": 71e12, "A40": 150e12, "A10": 125e12, "L4": 121e12, "T4": 65e12,
}  # fmt: skip
"""Dense operations a second in bfloat16, as their makers state them."""
UNKNOWN_GPU = 100e12
CPU_CORE = 60e9
"""Operations a second of one core in float32."""


def at_hand(device: str | None = None, vram: float | None = None, ram: float | None = None) -> Machine:
    """This machine; with another GPU memory or memory [bytes] where a caller asks what such a machine could do.

    device: "cpu" looks past the GPU.
    """
    memory = ram or float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if device == "cpu":
        return _cpu(memory)
    if torch.cuda.is_available() and vram is None:
        properties = torch.cuda.get_device_properties(torch.device(device or "cuda"))
        return Machine(properties.name, float(properties.total_memory), memory, peak(properties.name))
    if vram is None:
        return _cpu(memory)
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else _like(vram)
    return Machine(f"a GPU like an {name}", vram, memory, peak(name))


def peak(name: str) -> float:
    """Operations a second of a GPU, by what it calls itself."""
    return next((speed for part, speed in PEAKS.items() if part.replace(" ", "") in name.replace(" ", "")), UNKNOWN_GPU)


def _cpu(memory: float) -> Machine:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Machine(f"{cores} CPU cores", 0.0, memory, cores * CPU_CORE)


def _like(vram: float) -> str:
    """A GPU with so much memory that many people have."""
    return next(name for least, name in ((70 * GB, "H100"), (40 * GB, "L40S"), (0.0, "RTX 4090")) if vram >= least)
