"""Where half precision is taken: by what a processor says of itself."""

from __future__ import annotations

import pytest
import torch

from wow.models.precision import half_where_fast, has_fast_half

CPU = torch.device("cpu")


AMX, AVX512, NEITHER = {"amx_bf16": True}, {"avx512_bf16": True}, {"avx2": True, "amx_bf16": False}


@pytest.mark.parametrize(("says", "fast"), [(AMX, True), (AVX512, True), (NEITHER, False), ({}, False)])
def test_a_processor_that_multiplies_bf16_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, says: dict[str, bool], fast: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: says, raising=False)
    assert has_fast_half(CPU) is fast
    with half_where_fast(CPU):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if fast else torch.float32)


def test_a_torch_that_cannot_tell_computes_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not has_fast_half(CPU)
