"""Half precision where it is faster than single: on GPUs, and on CPUs that multiply bf16."""

from __future__ import annotations

import torch


def has_fast_half(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32 on a device."""
    if device.type == "cpu":
        known: dict[str, object] = getattr(
            torch.cpu, "get_capabilities", dict
        )()  # older versions of PyTorch cannot tell
        return bool(known.get("amx_bf16", False) or known.get("avx512_bf16", False))
    return device.type == "cuda"


def half_where_fast(device: torch.device) -> torch.autocast:
    """A context in which convolutions and matrix products run in bf16 where that is faster."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_half(device))
