"""Pictures become the size of a clip as each model's authors do it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from wow.foundation.cards import CARDS
from wow.foundation.fitting import as_seen, clip_size, fit_frames
from wow.types import WowError

WOW_WAN, WAN, WAN_2_2 = (CARDS[name] for name in ("wow-1-wan-14b-2m", "wan2.1-i2v-14b-480p", "wan2.2-ti2v-5b"))


def ramp(height: int, width: int) -> np.ndarray:
    """Brightness rises from left to right, and red from top to bottom."""
    picture = np.zeros((1, height, width, 3), np.uint8)
    picture[..., 1] = np.linspace(0, 255, width)[None, None]
    picture[..., 0] = np.linspace(0, 255, height)[None, :, None]
    return picture


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (600, 400), (64, 64)])
def test_every_picture_becomes_a_clip_on_the_models_grid(name: str, size: tuple[int, int]) -> None:
    card = CARDS[name]
    wanted = clip_size(card, size)
    fitted, said = fit_frames(card, ramp(*size), wanted)
    assert fitted.shape == (1, *wanted, 3) and fitted.dtype == np.uint8 and "scaled from" in said
    assert wanted[0] % card.multiple == wanted[1] % card.multiple == 0
    assert wanted[0] * wanted[1] <= card.height * card.width


def test_a_picture_that_fits_is_left_alone() -> None:
    picture = ramp(480, 832)
    fitted, said = fit_frames(WOW_WAN, picture, clip_size(WOW_WAN, (480, 832)))
    assert fitted is picture and said == ""


SQUASHED = ["wow-1-wan-14b-600k", "wow-1-wan-14b-2m", "wow-1-wan-1.3b-2m", "wow-1-dit-7b-600k", "cosmos-predict1-7b"]
CUT = ["wow-1-dit-2b-600k", "cosmos-predict2-2b", "cosmos-predict2.5-2b"]


@pytest.mark.parametrize("name", SQUASHED)
def test_wow_and_cosmos_1_squash_and_keep_the_edges(name: str) -> None:
    card = CARDS[name]
    fitted, said = fit_frames(card, ramp(600, 600), clip_size(card, (600, 600)))
    assert fitted[0, :, 0, 1].max() < 3 and fitted[0, :, -1, 1].min() > 252 and "stretches" in said
    assert fitted[0, 0, :, 0].max() < 3 and fitted[0, -1, :, 0].min() > 252


def test_squashing_is_bicubic_with_antialiasing_as_cosmos_1_does_it() -> None:
    """Its authors scale in floating point, with torch; the two agree to the rounding of a byte."""
    picture = np.random.default_rng(0).integers(0, 255, (1, 90, 160, 3), dtype=np.uint8)
    fitted, _ = fit_frames(CARDS["cosmos-predict1-7b"], picture, (32, 64))
    pixels = torch.from_numpy(picture).permute(0, 3, 1, 2).double()
    theirs = F.interpolate(pixels, size=(32, 64), mode="bicubic", antialias=True).clamp(0, 255)
    assert np.abs(fitted[0] - theirs[0].permute(1, 2, 0).numpy()).max() <= 1.5


@pytest.mark.parametrize("name", CUT)
def test_later_cosmos_cuts_and_keeps_the_aspect(name: str) -> None:
    """704x1280 of 1000x1000: the whole width is seen, and 704 / 1280 of the height."""
    fitted, said = fit_frames(CARDS[name], ramp(1000, 1000), (704, 1280))
    red, green = fitted[0, :, 640, 0].astype(float), fitted[0, 352, :, 1].astype(float)
    assert green[0] < 2 and green[-1] > 252
    assert red[0] == pytest.approx(255 * (1 - 704 / 1280) / 2, abs=2)
    assert (red[-1] - red[0]) / (green[-1] - green[0]) == pytest.approx(704 / 1280, abs=0.02)
    assert "45% cut off" in said


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("size", [(300, 300), (240, 480), (480, 300)])
def test_fitting_can_be_undone_where_the_model_saw_something(name: str, size: tuple[int, int]) -> None:
    """Red and green rise by themselves: their places are right where a clip that was fitted gives the picture back."""
    card, picture = CARDS[name], ramp(*size)
    fitted, _ = fit_frames(card, picture, clip_size(card, size))
    back = as_seen(card, fitted.repeat(2, 0), picture[0])
    assert back.shape == (2, *size, 3) and np.abs(back.astype(float) - picture).max() <= 8
    dark = as_seen(card, np.zeros_like(fitted), picture[0])
    seen = (dark[0] == 0).all(axis=-1)
    aspects = size[1] / size[0], fitted.shape[2] / fitted.shape[1]
    kept = min(aspects) / max(aspects) if card.fit == "cover" else 1.0
    assert seen.mean() == pytest.approx(kept, abs=0.05)
    assert np.array_equal(dark[0][~seen], picture[0][~seen]), "the rest is what the camera saw"


def test_wan_follows_the_aspect_at_the_same_area() -> None:
    assert clip_size(WAN, (480, 832)) == (480, 832)
    assert clip_size(WAN, (1000, 1000)) == (624, 624)
    assert clip_size(WAN, (832, 480)) == (832, 480)


def test_wan_2_2_takes_the_nearer_of_two_grids() -> None:
    assert clip_size(WAN_2_2, (704, 1280)) == (704, 1280)
    assert clip_size(WAN_2_2, (1280, 704)) == (1280, 704)
    assert clip_size(WAN_2_2, (1000, 1000)) == (928, 960)


@pytest.mark.parametrize("name", CARDS)
def test_extreme_aspects_are_refused(name: str) -> None:
    for size in ((100, 900), (900, 100)):
        with pytest.raises(WowError, match="crop it"):
            clip_size(CARDS[name], size)


def test_a_size_off_the_grid_names_one_on_it() -> None:
    with pytest.raises(WowError, match="--resolution 640x352"):
        clip_size(WOW_WAN, (480, 640), (360, 640))
    assert clip_size(WOW_WAN, (480, 640), (368, 640)) == (368, 640)


def test_cogvideox_has_one_size_only() -> None:
    with pytest.raises(WowError, match="720x480"):
        clip_size(CARDS["cogvideox-5b-i2v"], (480, 640), (320, 640))


@pytest.mark.parametrize(
    ("name", "most"), [("wow-1-wan-14b-2m", 16384), ("wan2.2-ti2v-5b", 32768), ("wow-1-dit-2b-600k", 1920)]
)
def test_a_side_is_no_longer_than_there_are_positions(name: str, most: int) -> None:
    card = CARDS[name]
    assert clip_size(card, (480, 832), (480, most)) == (480, most)
    with pytest.raises(WowError, match=rf"at most {most} pixels a side, not {most + card.multiple}x480"):
        clip_size(card, (480, 832), (480, most + card.multiple))
