"""What imagining costs: the arithmetic that is counted is the arithmetic that is done."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from wow.bench.arithmetic import Gauge, flop_counter, matrix_rate
from wow.bench.cost import Cost, measure_cost, with_cold_command
from wow.bench.samples import Clip
from wow.bench.system import Asked
from wow.types import UInt8, WowError


class Multiplier:
    """Multiplies two matrices of side 256 for each frame, and imagines nothing."""

    name = "multiplier"

    def imagine(self, asked: Asked) -> list[UInt8]:
        matrix = torch.ones(256, 256)
        for _ in range(asked.num_frames):
            torch.mm(matrix, matrix)
        return [np.repeat(context[None], asked.num_frames, axis=0) for context in asked.contexts]


@pytest.fixture
def clip() -> Clip:
    frames = np.zeros((5, 16, 16, 3), dtype=np.uint8)
    return Clip("0", "wait", "wait", "expert", frames, np.zeros((4, 7), dtype=np.float32), 0.1)


def test_a_system_of_known_arithmetic(clip: Clip) -> None:
    cost = measure_cost(Multiplier(), clip, repeats=2)
    assert cost.flops == 5 * 2 * 256**3
    assert len(cost.seconds) == 2 and cost.num_frames == 5
    assert cost.share_of_matrix_rate == cost.flops / min(cost.seconds) / cost.matrix_flops_per_second


def test_attention_counts_as_its_two_products() -> None:
    heads, words, width = 4, 32, 16
    query = torch.rand(2, heads, words, width)
    with torch.no_grad(), flop_counter() as counter:
        scaled_dot_product_attention(query, query, query)
    assert counter.get_total_flops() == 2 * (2 * 2 * heads * words * words * width)


def test_attention_back_counts_as_five_products() -> None:
    query = torch.rand(2, 4, 32, 16, requires_grad=True)
    with flop_counter() as counter:
        scaled_dot_product_attention(query, query, query).sum().backward()
    assert counter.get_total_flops() == (2 + 5) * 2 * (2 * 4 * 32 * 32 * 16)


def test_what_is_counted_is_computed_to_the_bit_as_if_it_were_not() -> None:
    """Also where torch's counter takes operations apart; and it counts as much as that one."""
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    pictures = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def gradients() -> list[Tensor]:
        return list(torch.autograd.grad(network(pictures).square().sum(), list(network.parameters())))

    plain, gauge = gradients(), Gauge()
    for _ in range(2):
        with gauge.counting():
            counted = gradients()
    assert all(torch.equal(one, other) for one, other in zip(plain, counted, strict=True))
    with flop_counter() as counter:
        gradients()
    assert gauge.flops == counter.get_total_flops() > 0


def test_masked_attention_counts_as_much() -> None:
    query = torch.rand(2, 4, 32, 16)
    mask = torch.ones(2, 1, 32, 32, dtype=torch.bool)
    with torch.no_grad(), flop_counter() as counter:
        scaled_dot_product_attention(query, query, query, attn_mask=mask)
    assert counter.get_total_flops() == 2 * (2 * 2 * 4 * 32 * 32 * 16)


def test_the_matrix_rate_is_a_rate() -> None:
    assert 1e8 < matrix_rate(repeats=2) < 1e15


def test_a_command_is_timed_and_its_memory_seen() -> None:
    """Its own memory, and not that of the process that measures, which holds more."""
    ours = np.ones(600_000_000, dtype=np.uint8)
    cost = Cost(5, 1, (1.0,), 1e9, 1e10)
    hungry = [sys.executable, "-c", "import time; held = b'x' * 200_000_000; time.sleep(0.1)"]
    cost = with_cold_command(cost, hungry, repeats=1)
    assert len(cost.cold_seconds) == 1 and min(cost.cold_seconds) > 0.1
    assert 200e6 < max(cost.cold_bytes) < 300e6 < ours.nbytes


def test_a_command_that_fails_is_one_sentence() -> None:
    cost = Cost(5, 1, (1.0,), 1e9, 1e10)
    with pytest.raises(WowError, match="no such thing"):
        with_cold_command(cost, [sys.executable, "-c", "raise SystemExit('no such thing')"], repeats=1)
