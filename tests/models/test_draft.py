"""Points as maps: a cell is told how far it is from each, and the points go where the motion goes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from wow.models.draft import MAPS, Draft, Drafter, Places, centres, draw, link_error


def test_a_point_is_highest_in_its_cell_and_the_directions_point_to_it() -> None:
    grid = 8
    point = centres(grid)[2, 5] + torch.tensor([0.2, -0.1])
    narrow, wide, *toward = draw(point[None], grid).unbind(0)
    assert narrow.argmax() == wide.argmax() == 2 * grid + 5
    offset = point - centres(grid)
    for axis in (0, 1):
        for directions in (toward[axis], toward[2 + axis]):
            near = directions.abs() > 1e-6
            assert torch.equal(directions[near] > 0, offset[..., axis][near] > 0)


def test_a_point_moved_by_a_cell_has_its_maps_moved_by_a_cell() -> None:
    point = torch.tensor([[0.3, -0.6]])
    here, there = draw(point, 8), draw(point + torch.tensor([1.0, 2.0]), 8)
    assert here.shape == (MAPS, 8, 8)
    assert torch.allclose(here[:, :-2, :-1], there[:, 2:, 1:], atol=1e-6)


def test_points_learn_to_follow_what_moves_to_a_fraction_of_a_cell() -> None:
    """Told only what a square looks like after each motion, a linear painter on the maps finds out where it is."""
    torch.manual_seed(0)
    places = Places(1, 8, 2, 2, width=16)
    paint = torch.nn.Conv2d(places.num_maps, 1, 3, padding=1)
    optimizer = torch.optim.Adam([*places.parameters(), *paint.parameters()], lr=5e-3)

    def clips(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        begin, motion = 4.0 * torch.rand(count, 1, 2) - 2.0, 3.0 * torch.rand(count, 4, 2) - 1.5
        path = torch.cat([begin, begin + motion], dim=1)
        square = torch.exp(-(centres(8) - path[:, :, None, None]).square().sum(dim=-1))
        return square[:, :, None], functional.pad(motion, (0, 0, 1, 0))

    def error(count: int) -> torch.Tensor:
        square, motion = clips(count)
        maps = draw(places(places.find(square[:, 0]), motion), 8)
        return (paint(maps.flatten(0, 1)) - square.flatten(0, 1)).square().mean() / square.var()

    for _ in range(400):
        optimizer.zero_grad()
        error(32).backward()
        optimizer.step()
    # A square that is painted half a cell beside its place is wrong by 0.2 and more.
    assert error(256) < 0.05


@pytest.mark.parametrize(("memory", "least", "most"), [(16, 0.0, 0.2), (0, 0.5, 1.2)])
def test_what_the_way_decides_is_drawn_by_who_remembers_it(memory: int, least: float, most: float) -> None:
    """A hand wanders, and where it went first decides for the rest of the clip on which side an elbow is."""
    torch.manual_seed(0)
    drafter = Drafter(1, 8, 2, 2, width=16, num_blocks=1, memory=memory)
    optimizer = torch.optim.Adam(drafter.parameters(), lr=1e-2)

    def error(count: int) -> torch.Tensor:
        motion = 2.0 * torch.rand(count, 8, 2) - 1.0
        elbow = torch.stack([3.0 * motion[:, 0, 0].sign(), torch.zeros(count)], dim=-1)
        square = torch.exp(-(centres(8) - elbow[:, None, None]).square().sum(dim=-1))
        change = drafter(torch.zeros(count, 1, 8, 8), functional.pad(motion, (0, 0, 1, 0))).change[:, 4:, 0]
        return (change - square[:, None]).square().mean() / square.var()

    for _ in range(250):
        optimizer.zero_grad()
        error(32).backward()
        optimizer.step()
    with torch.no_grad():
        assert least <= error(256) <= most


def test_a_drafter_without_a_memory_gets_one_and_draws_as_before() -> None:
    torch.manual_seed(0)
    without, remembering = Drafter(2, 8, 3, 2, width=8, num_blocks=1), Drafter(2, 8, 3, 2, 8, 1, memory=4)
    torch.nn.init.normal_(without.last.weight)
    remembering.load_state_dict(without.state_dict(), strict=False)
    first, motion = torch.randn(2, 2, 8, 8), torch.randn(2, 5, 3)
    expected, drawn = without(first, motion), remembering(first, motion)
    assert torch.equal(drawn.change, expected.change)
    assert torch.equal(drawn.maps, expected.maps)


def test_only_links_that_are_known_count() -> None:
    nothing = torch.zeros(1, 2, 1, 1, 1)
    draft = Draft(nothing, nothing, torch.zeros(1, 2, 2, 2))
    truth = torch.tensor([[[[3.0, 4.0], [torch.nan] * 2], [[torch.nan] * 2] * 2]])
    assert link_error([draft], [truth]) == 12.5, "mean square of 3 and 4"
    assert link_error([draft], [torch.full_like(truth, torch.nan)]) == 0.0
    assert link_error([draft], [torch.zeros(1, 2, 0, 2)]) == 0.0, "data that mark none"
