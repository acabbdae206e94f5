"""Muon by batches of a shape: it does what torch's does, and its updates are near orthogonal."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wow.train.muon import Muon, orthogonal

SHAPES = ((24, 24), (48, 24), (24, 24), (24, 96), (48, 24))


def matrices() -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES]


def stepped(kind: type[torch.optim.Optimizer], steps: int) -> list[Tensor]:
    found = matrices()
    optimizer = kind(found, lr=0.05, weight_decay=0.1)  # type: ignore[call-arg]
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        for number, matrix in enumerate(found):
            matrix.grad = None if number == 2 and step == 0 else torch.randn(matrix.shape, generator=generator)
        optimizer.step()
    return [matrix.detach() for matrix in found]


def test_the_update_is_torchs_to_the_rounding_of_bfloat16() -> None:
    ours, theirs = stepped(Muon, 3), stepped(torch.optim.Muon, 3)
    for before, one, other in zip(matrices(), ours, theirs, strict=True):
        assert (one - other).norm() < 0.02 * (other - before.detach()).norm()


def test_its_state_is_torchs() -> None:
    ours, theirs = Muon(matrices(), lr=0.05, weight_decay=0.1), torch.optim.Muon(matrices(), lr=0.05, momentum=0.95)
    for optimizer in (ours, theirs):
        for matrix in optimizer.param_groups[0]["params"]:
            matrix.grad = torch.ones_like(matrix)
        optimizer.step()
    assert [*ours.state_dict()["state"][0]] == [*theirs.state_dict()["state"][0]]
    assert ours.param_groups[0].keys() == theirs.param_groups[0].keys()


@pytest.mark.parametrize("shape", [(3, 16, 16), (3, 40, 16), (3, 16, 40)])
def test_what_comes_out_is_near_orthogonal(shape: tuple[int, int, int]) -> None:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonal(drawn, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    left, _, right = torch.linalg.svd(drawn, full_matrices=False)
    found = found.float()
    values = torch.linalg.svdvals(found)
    assert found.shape == shape and values.min() > 0.3 and values.max() < 1.3
    assert torch.nn.functional.cosine_similarity(found.flatten(1), (left @ right).flatten(1)).min() > 0.9
