"""The fault network and its judge: what they may depend on, and what their numbers mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wow.models.faults import RARE, FaultConfig, FaultNetwork, shift_in_time
from wow.models.judge import FaultJudge, loudest

FAULTS = ("teleport", "freeze")
CONFIG = FaultConfig(FAULTS, 32, 9, 4, (8, 8, 16), 16, 1, 2)


@pytest.fixture(scope="module")
def network() -> FaultNetwork:
    torch.manual_seed(0)
    return FaultNetwork(CONFIG).eval()


def test_order_in_time_matters_and_other_clips_do_not(network: FaultNetwork) -> None:
    frames = torch.rand(2, 9, 3, 32, 32) * 2 - 1
    seen, backwards, alone = network(frames), network(frames.flip(1)), network(frames[1:])
    assert not torch.allclose(seen.faults, backwards.faults, atol=1e-4)
    assert torch.allclose(seen.fault_frames[1:], alone.fault_frames, atol=1e-4)


def test_a_video_is_as_wrong_as_its_worst_cell_and_cuttings_are_seen_alike(network: FaultNetwork) -> None:
    frames = torch.rand(1, 9, 3, 32, 32) * 2 - 1
    seen = network(frames)
    assert seen.fault_cells.shape == (1, 9, 2, 4, 4) and network(frames[..., :16, :16]).fault_cells.shape[-1] == 2
    torch.nn.init.constant_(network.cells.bias, 50.0)
    louder = network(frames)
    assert (louder.fault_frames > 20).all() and (louder.faults > 20).all()
    torch.nn.init.constant_(network.cells.bias, RARE)


def test_a_shift_in_time_moves_an_eighth_each_way() -> None:
    x = torch.arange(3.0).view(1, 3, 1, 1, 1).expand(1, 3, 8, 1, 1)
    moved = shift_in_time(x)[0, :, :, 0, 0]
    assert moved[:, 0].tolist() == [0, 0, 1] and moved[:, 1].tolist() == [1, 2, 0]
    assert (moved[:, 2:] == x[0, :, 2:, 0, 0]).all()


@pytest.mark.parametrize("length", [2, 9, 31])
def test_videos_of_any_length_and_size_are_inspected_in_their_own_frames(network: FaultNetwork, length: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (length, 48, 64, 3), np.uint8)
    quiet, alarmed = FaultJudge(network)(frames), FaultJudge(network, -100.0)(frames)
    assert 0 <= quiet.span[0] <= quiet.span[1] < length and 0 < quiet.quality < 1
    assert set(quiet.faults) == set(FAULTS) and quiet.fault == max(quiet.faults, key=quiet.faults.__getitem__)
    assert not quiet.alarm and alarmed.alarm


def test_the_loudest_stretch_is_around_the_peak() -> None:
    assert loudest(np.array([0.6, 0.1, 0.5, 0.9, 0.46, 0.2, 0.8])) == (2, 4)


def test_a_size_that_its_cells_do_not_divide_is_impossible() -> None:
    with pytest.raises(ValueError, match="whole cells"):
        FaultConfig(FAULTS, size=40)
