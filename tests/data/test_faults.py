"""Faults put into videos: they are where they say they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from wow.data.faults import FAULTS, apply, is_visible
from wow.types import UInt8

BALL = 6


def rolling_ball(frames: int = 17, size: int = 64, step: float = 2.0) -> tuple[UInt8, np.ndarray]:
    """A red ball that rolls over a grey floor with a stripe, and where it is in every frame."""
    y, x = np.mgrid[:size, :size]
    floor = np.full((size, size, 3), 120, np.uint8)
    floor[:, size // 2 : size // 2 + 2] = 100
    video, masks = [], []
    for number in range(frames):
        mask = (y - size / 2) ** 2 + (x - 10 - step * number) ** 2 <= (BALL / 2) ** 2
        frame = floor.copy()
        frame[mask] = (220, 20, 20)
        video.append(frame)
        masks.append(mask)
    return np.stack(video), np.stack(masks)


def middle(frame: UInt8) -> np.ndarray:
    """Where the red is on average."""
    red = (frame[..., 0].astype(int) - frame[..., 1]) > 80
    return np.argwhere(red).mean(axis=0)


def count_red(frame: UInt8) -> int:
    return int(((frame[..., 0].astype(int) - frame[..., 1]) > 80).sum())


@pytest.mark.parametrize("known", [True, False], ids=["mask", "no mask"])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_its_span_and_nothing_before_it(name: str, known: bool) -> None:
    frames, mask = rolling_ball()
    for seed in range(5):
        faulty = apply(name, frames, 0.7, np.random.default_rng(seed), mask if known else None)
        first, last = faulty.span
        different = np.flatnonzero((faulty.frames != frames).any(axis=(1, 2, 3)))
        assert faulty.frames.shape == frames.shape and faulty.frames.dtype == np.uint8
        assert 0 <= first < last < len(frames) or (first == last and not known)
        assert not len(different) or different.min() >= first
        assert name == "teleport" or not len(different) or different.max() <= last


@pytest.mark.parametrize("name", FAULTS)
def test_the_same_randomness_gives_the_same_bytes_and_the_input_is_left_alone(name: str) -> None:
    frames, _ = rolling_ball()
    before = frames.copy()
    one, other = (apply(name, frames, 0.5, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.frames, other.frames) and one.span == other.span
    assert np.array_equal(frames, before)


def test_what_teleports_jumps_once_and_goes_on_beside_its_path() -> None:
    frames, mask = rolling_ball()
    faulty = apply("teleport", frames, 0.6, np.random.default_rng(1), mask)
    offset = np.array([middle(new) - middle(old) for new, old in zip(faulty.frames, frames, strict=True)])
    jump = faulty.span[1]
    assert np.linalg.norm(offset[:jump], axis=1).max() < 0.5
    assert np.allclose(offset[jump:], offset[jump], atol=1.0) and np.linalg.norm(offset[jump]) > 2 * BALL


def test_what_vanishes_leaves_the_floor() -> None:
    frames, mask = rolling_ball()
    faulty = apply("vanish", frames, 0.5, np.random.default_rng(2), mask)
    first, last = faulty.span
    reds = [count_red(frame) for frame in faulty.frames]
    assert max(reds[first : last + 1]) == 0 and min(reds[:first] + reds[last + 1 :]) > 0


def test_a_duplicate_doubles_what_is_seen() -> None:
    frames, mask = rolling_ball()
    faulty = apply("duplicate", frames, 0.5, np.random.default_rng(5), mask)
    first, _ = faulty.span
    assert count_red(faulty.frames[first]) > 1.6 * count_red(frames[first])


def test_a_frozen_span_shows_one_picture_and_a_reversed_one_the_same_pictures_backwards() -> None:
    frames, _ = rolling_ball()
    frozen, backwards = (apply(name, frames, 0.5, np.random.default_rng(0)) for name in ("freeze", "reverse"))
    first, last = frozen.span
    assert (frozen.frames[first : last + 1] == frames[first]).all()
    first, last = backwards.span
    assert np.array_equal(backwards.frames[first : last + 1], frames[first : last + 1][::-1])


@pytest.mark.parametrize(("name", "measure"), [("teleport", "offset"), ("morph", "size"), ("jitter", "offset")])
def test_more_strength_changes_more(name: str, measure: str) -> None:
    frames, mask = rolling_ball()

    def change(strength: float) -> float:
        found = []
        for seed in range(10):
            faulty = apply(name, frames, strength, np.random.default_rng(seed), mask)
            one, other = faulty.frames[faulty.span[1]], frames[faulty.span[1]]
            if measure == "size":
                found.append(abs(count_red(one) - count_red(other)))
            else:
                found.append(float(np.linalg.norm(middle(one) - middle(other))))
        return float(np.mean(found))

    assert change(0.1) < change(1.0)


def test_a_still_video_of_one_colour_and_a_tiny_one_are_no_trouble() -> None:
    still = np.full((5, 16, 16, 3), 90, np.uint8)
    for name in FAULTS:
        faulty = apply(name, still, 1.0, np.random.default_rng(0))
        assert not is_visible(still, faulty.frames)


def test_what_is_asked_wrongly_is_named() -> None:
    frames, mask = rolling_ball()
    random = np.random.default_rng(0)
    with pytest.raises(ValueError, match="teleport, vanish"):
        apply("melt", frames, 0.5, random)
    with pytest.raises(ValueError, match="strength"):
        apply("vanish", frames, 0.0, random)
    with pytest.raises(ValueError, match="mask"):
        apply("vanish", frames, 0.5, random, mask[:3])
