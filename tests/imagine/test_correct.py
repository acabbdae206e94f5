"""A painter that errs in the same way each time is corrected; one that cannot be read is left as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from wow.imagine.correct import paint_until_shown
from wow.types import UInt8

SUMMED = torch.tensor([True, True, True, False])
MEANT = torch.stack([torch.linspace(0, 1, 8)[:, None].expand(8, 4), torch.full((8, 4), -0.4)])


class Painter:
    """Paints a motion as grey values of 1/100: a hand that falls short by a tenth, a gripper that is a little late."""

    def __init__(self, readable: bool = True) -> None:
        self.asked: list[Tensor] = []
        self.readable = readable

    def paint(self, motion: Tensor) -> UInt8:
        self.asked.append(motion)
        shown = motion * torch.tensor([0.9, 0.9, 1.0, 0.8])
        values = (100 + 100 * torch.nn.functional.pad(shown, (0, 0, 1, 0))).round().clamp(0, 255)
        clips: UInt8 = values[:, :, None, :, None].expand(-1, -1, 1, -1, 3).numpy().astype(np.uint8)
        return clips

    def read(self, clips: UInt8) -> Tensor:
        found = (torch.from_numpy(clips[:, 1:, 0, :, 0].astype(np.float32)) - 100) / 100
        return found if self.readable else torch.full_like(found, torch.nan)


def error(painter: Painter, clips: UInt8) -> float:
    return float((painter.read(clips) - MEANT)[..., SUMMED].abs().max())


def test_each_correction_brings_what_is_read_nearer_to_what_was_meant() -> None:
    painter = Painter()
    errors = [error(painter, paint_until_shown(painter.paint, painter.read, MEANT, SUMMED, n)) for n in (0, 1, 3)]
    assert errors[0] > 0.09 and errors[1] < 0.03 and errors[2] < 0.012
    assert len(painter.asked) == 1 + 2 + 4


def test_commands_stay_between_open_and_closed() -> None:
    painter = Painter()
    paint_until_shown(painter.paint, painter.read, MEANT, SUMMED, 5)
    assert max(float(asked[..., 3].max()) for asked in painter.asked) <= 1.0


@pytest.mark.parametrize("corrections", [0, 3])
def test_who_cannot_read_paints_once_and_keeps_that(corrections: int) -> None:
    painter, blind = Painter(), Painter(readable=False)
    once = painter.paint(MEANT)
    assert np.array_equal(paint_until_shown(painter.paint, None, MEANT, SUMMED, corrections), once)
    assert np.array_equal(paint_until_shown(blind.paint, blind.read, MEANT, SUMMED, corrections), once)


def test_a_correction_that_makes_it_worse_is_not_taken() -> None:
    painter = Painter()

    def backwards(clips: UInt8) -> Tensor:
        return 2 * MEANT - painter.read(clips)  # what is missing seems to be too much

    kept = paint_until_shown(painter.paint, backwards, MEANT, SUMMED, 2)
    assert np.array_equal(kept, Painter().paint(MEANT))
