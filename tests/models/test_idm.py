"""The inverse dynamics network on small random weights: what must hold whatever it has learned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from wow.models.baseline import FrozenEye, Tracks
from wow.models.idm import (
    PLACES,
    STILL_DEVIATION,
    IdmConfig,
    InverseDynamicsModel,
    Prediction,
    Scale,
    attention,
    expected_position,
    neighbours,
)

SMALL = IdmConfig(size=32, channels=(8, 8, 8), width=16, hidden=32)


def make(**changes: object) -> InverseDynamicsModel:
    torch.manual_seed(0)
    network = InverseDynamicsModel(replace(SMALL, **changes)).eval()  # type: ignore[arg-type]
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return network


def clip(frames: int = 9, batch: int = 1, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(batch, frames, 3, 32, 32, generator=generator) * 2 - 1
    flow = torch.randn(batch, frames - 1, 2, 32, 32, generator=generator)
    return pictures, flow, torch.full((batch,), 0.1), torch.ones(batch, dtype=torch.bool)


@torch.no_grad()
def say(network: InverseDynamicsModel, *given: Tensor | None) -> Prediction:
    said = network(*given)
    assert isinstance(said, Prediction)
    return said


def test_attention_is_where_a_map_is_unlike_the_rest() -> None:
    maps = torch.zeros(1, 2, 9, 17)
    maps[0, 0, 2, 12] = 0.01
    weight = attention(maps)
    assert torch.allclose(weight.sum(dim=(2, 3)), torch.ones(1, 2))
    assert torch.allclose(expected_position(weight)[0, 0], torch.tensor([0.5, -0.5]), atol=0.01)
    assert torch.allclose(expected_position(weight)[0, 1], torch.zeros(2), atol=1e-5)


def test_neighbours_beyond_the_ends_are_the_last_ones() -> None:
    rows = torch.arange(4.0)[None, :, None]
    assert neighbours(rows, (-1, 0, 2), 4)[0].tolist() == [[0, 0, 2], [0, 1, 3], [1, 2, 3], [2, 3, 3]]


@pytest.mark.parametrize("frames", [2, 3, 9])
@pytest.mark.parametrize("branches", [("mask", "flow", "features"), ("two_frames",), ("flow",), ("mask",)])
def test_every_transition_has_an_action_and_every_frame_a_place(branches: tuple[str, ...], frames: int) -> None:
    said = say(make(branches=branches), *clip(frames, batch=2))
    assert said.action.shape == said.action_scale.shape == (2, frames - 1, 7)
    assert said.events.shape == (2, frames - 1, 3) and said.place.shape == (2, frames, PLACES)
    assert (said.action_scale > 0).all() and (said.place_scale > 0).all()


def test_an_action_depends_on_its_window_and_on_nothing_beyond() -> None:
    network = make()
    pictures, flow, *pace = clip(9)
    before = say(network, pictures, flow, *pace).action[0]
    changed = pictures.clone()
    changed[0, 8] = -changed[0, 8]
    after = say(network, changed, flow, *pace).action[0]
    moved = (after - before).abs().amax(dim=1)
    assert (moved[:6] == 0).all() and (moved[6:] > 0).all()


def test_without_a_window_only_its_own_two_frames_count() -> None:
    network = make(branches=("two_frames",), window=False)
    pictures, flow, *pace = clip(5)
    changed = pictures.clone()
    changed[0, 3] = 0.0
    moved = (say(network, changed, flow, *pace).action - say(network, pictures, flow, *pace).action).abs().amax(dim=-1)
    assert (moved[0] > 0).tolist() == [False, False, True, True]


def test_the_pace_counts_where_it_is_known_and_only_there() -> None:
    network = make()
    pictures, flow, *_ = clip()
    answers = {
        (float(pace), bool(is_known)): say(network, pictures, flow, pace[None], is_known[None]).action
        for pace in torch.tensor([0.05, 0.4])
        for is_known in torch.tensor([True, False])
    }
    slow, fast = sorted({pace for pace, _ in answers})
    assert torch.equal(answers[slow, False], answers[fast, False])
    assert not torch.allclose(answers[slow, True], answers[fast, True])


def test_a_dimension_that_never_moves_stays_where_it_is() -> None:
    spread = (0.1, 0.0, 0.1, 0.0, 0.0, 0.0, 0.4)
    said = say(make(action=Scale((0.0,) * 6 + (0.5,), spread)), *clip())
    for column in (1, 3, 4, 5):
        assert (said.action[..., column] == 0).all()
        assert torch.allclose(said.action_scale[..., column], torch.tensor(STILL_DEVIATION))


def test_outside_a_given_mask_nothing_is_seen() -> None:
    network = make(branches=("mask",))
    pictures, flow, *pace = clip(3)
    robot = torch.zeros(1, 3, 1, 8, 8)
    robot[..., 2:5, 2:5] = 1.0
    hidden = pictures.clone()
    hidden[..., :8, :] = 1.0
    inside = pictures.clone()
    inside[..., 9:12, 9:12] = 1.0
    first, same, other = (say(network, frames, flow, *pace, robot).action for frames in (pictures, hidden, inside))
    assert torch.equal(first, same) and not torch.allclose(first, other)


def test_the_mask_learns_from_labels_alone() -> None:
    network = make()
    said = network(*clip(3), None, torch.zeros(2, 3, 32, 32))
    (said.action.sum() + said.place.sum()).backward(retain_graph=True)
    assert network.robot_mask is not None and said.robot.shape == (2, 1, 8, 8)
    assert all(parameter.grad is None for parameter in network.robot_mask.parameters())
    said.robot.sum().backward()
    assert all(parameter.grad is not None for parameter in network.robot_mask.parameters())


def test_a_network_that_is_never_uncertain_says_one_scale() -> None:
    said = say(make(uncertain=False, action=Scale((0.0,) * 7, (0.2,) * 7)), *clip())
    assert torch.allclose(said.action_scale, torch.full_like(said.action_scale, 0.2))


def test_without_a_mask_head_the_whole_frame_is_taken_for_the_robot() -> None:
    assert (make(masks=False).find_robot(clip(3)[0]) == 1).all()


@pytest.mark.parametrize("wrong", [{"branches": ("guesses",)}, {"branches": ()}, {"size": 60}, {"width": 0}])
def test_impossible_networks_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_points_are_tracked_by_what_the_flow_says_there() -> None:
    tracks = Tracks(8)
    seen: list[torch.Tensor] = []
    tracks.out.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0, :, 32:] = 0.5  # the right half moves by a twentieth of the picture's width
    tracks(torch.cat([torch.zeros_like(flow), flow]))
    still, moved = seen[0].view(2, 2, 20, 20)
    right = still[0] > 0
    assert torch.allclose((moved - still)[0], 0.1 * right.float(), atol=1e-6)
    assert torch.equal(moved[1], still[1]) and float(still.abs().max()) < 1.0


def test_frozen_features_stay_as_they_were_installed() -> None:
    network = make(branches=("frozen", "tracks"), window=False, masks=False, size=64)
    eye = network.eyes["frozen"]
    assert isinstance(eye, FrozenEye)
    generator = torch.Generator().manual_seed(0)
    given = [
        (torch.randn(value.shape, generator=generator), torch.randn(bias.shape, generator=generator))
        for value, bias in zip(*[iter(eye.frozen.parameters())] * 2, strict=True)
    ]
    eye.install(given)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    pictures, flow = torch.rand(1, 3, 3, 64, 64, generator=generator), torch.rand(1, 2, 2, 64, 64, generator=generator)
    said = network(pictures, flow, torch.ones(1), torch.ones(1, dtype=torch.bool))
    said.action.square().sum().backward()
    optimizer.step()
    kept = [value for pair in given for value in pair]
    assert all(torch.equal(*pair) for pair in zip(kept, eye.frozen.parameters(), strict=True))
