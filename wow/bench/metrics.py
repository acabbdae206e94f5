"""How alike two pictures are: PSNR, SSIM and, through a judge that is handed in, LPIPS.

A video is scored over frames 1..T-1: its first frame was given and would only flatter the average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from wow.types import Float32, UInt8

PSNR_CEILING = 60.0
"""Two frames that are equal up to rounding to 8 bits differ by 58.9 dB. What is closer counts as this, not as infinity,
so that one frame in which nothing moves cannot decide an average."""

SSIM_SIGMA = 1.5
"""Width of SSIM's Gaussian window [pixels], with its 11x11 support as in Wang et al. 2004. Their pictures were larger,
but 11 of 128 pixels is about a gripper here, and fits into a 32-pixel crop."""
SSIM_WINDOW = 11
SSIM_FLOORS = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)
"""What keeps its two quotients finite where a picture is dark, or flat."""


class Perceptual(Protocol):
    """A learned distance between pictures, e.g. LPIPS: uint8 [N, H, W, 3] twice to float32 [N], 0 for equal ones."""

    def __call__(self, first: UInt8, second: UInt8) -> Float32: ...


@dataclass(frozen=True)
class Scores:
    """Likeness to the truth. psnr [dB], ssim: more is better; lpips: less is better, None where it has no weights."""

    psnr: float
    ssim: float
    lpips: float | None


def psnr(imagined: UInt8, truth: UInt8) -> Float32:
    """Peak signal-to-noise ratio of each picture [dB]: uint8 [N, H, W, C] twice to [N]; at most `PSNR_CEILING`."""
    _check_alike(imagined, truth)
    difference = imagined.astype(np.float32) - truth.astype(np.float32)
    mean_square = np.square(difference).mean(axis=tuple(range(1, difference.ndim)), dtype=np.float64)
    floor = 255.0**2 / 10 ** (PSNR_CEILING / 10)
    decibel: Float32 = (10 * np.log10(255.0**2 / np.maximum(mean_square, floor))).astype(np.float32)
    return decibel


def ssim(imagined: UInt8, truth: UInt8) -> Float32:
    """Structural similarity of each picture, averaged over the colour channels: uint8 [N, H, W, 3] twice to [N].

    Wang et al. 2004: Gaussian window of sigma 1.5, population covariance. At least 11 pixels a side.
    """
    _check_alike(imagined, truth)
    return np.array([_ssim(one, other) for one, other in zip(imagined, truth, strict=True)], dtype=np.float32)


def _ssim(one: UInt8, other: UInt8) -> float:
    """Of two pictures [H, W, 3]. Where the window reaches beyond the picture nothing is compared."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    mean_a, mean_b = _windowed(a), _windowed(b)
    variance_a, variance_b = _windowed(a * a) - mean_a * mean_a, _windowed(b * b) - mean_b * mean_b
    covariance = _windowed(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + SSIM_FLOORS[0]) * (2 * covariance + SSIM_FLOORS[1])
    below = (mean_a**2 + mean_b**2 + SSIM_FLOORS[0]) * (variance_a + variance_b + SSIM_FLOORS[1])
    edge = SSIM_WINDOW // 2
    return float((above / below)[edge:-edge, edge:-edge].mean())


def _windowed(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    size = (SSIM_WINDOW, SSIM_WINDOW)
    return np.asarray(cv2.GaussianBlur(picture, size, SSIM_SIGMA, borderType=cv2.BORDER_REFLECT), np.float64)


def score_frames(imagined: UInt8, truth: UInt8, perceptual: Perceptual | None) -> Scores:
    """The average over all pictures given: uint8 [N, H, W, 3] twice."""
    return Scores(
        psnr=float(psnr(imagined, truth).mean()),
        ssim=float(ssim(imagined, truth).mean()),
        lpips=None if perceptual is None else float(perceptual(imagined, truth).mean()),
    )


def score_video(imagined: UInt8, truth: UInt8, perceptual: Perceptual | None) -> Scores:
    """The average over frames 1..T-1 of two videos uint8 [T, H, W, 3] that share their first frame."""
    if len(truth) < 2:
        raise ValueError("a video of one frame has nothing imagined in it")
    _check_alike(imagined, truth)
    return score_frames(imagined[1:], truth[1:], perceptual)


def average(scores: Sequence[Scores]) -> Scores:
    """The mean of several scores; LPIPS is None as soon as one lacks it."""
    lpips = [score.lpips for score in scores if score.lpips is not None]
    return Scores(
        psnr=float(np.mean([score.psnr for score in scores])),
        ssim=float(np.mean([score.ssim for score in scores])),
        lpips=float(np.mean(lpips)) if len(lpips) == len(scores) else None,
    )


def _check_alike(imagined: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    if imagined.shape != truth.shape or imagined.dtype != np.uint8 or truth.dtype != np.uint8:
        found = f"{imagined.dtype} {imagined.shape} and {truth.dtype} {truth.shape}"
        raise ValueError(f"only uint8 pictures of one shape can be compared, not {found}")
