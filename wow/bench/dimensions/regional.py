"""Mask-guided regional consistency: whether robot, object and background stay themselves through the video.

arXiv 2601.04137: features of a frame's patches, weighted by the region's mask and normalised, are compared with those
of the first frame and of the frame before. It needs no truth: a still picture is perfectly consistent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from wow.bench.dimensions import contract as c
from wow.types import Float32

EPSILON = 1e-8


def consistency(patches: Float32, masks: NDArray[np.bool_]) -> float:
    """MRC of one region: mean over t = 2..T of (C(1, t) + C(t - 1, t)) / 2.

    patches: [T, h, w, C]; masks: bool [T, H, W]. C is the dot product of the normalised mean features of the region
    in two frames, 0 where it is empty in either.
    """
    size = patches.shape[2], patches.shape[1]
    weights = np.stack([cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) for mask in masks])
    weights = weights / (weights.sum(axis=(1, 2), keepdims=True) + EPSILON)
    features = np.einsum("thw,thwc->tc", weights, patches)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit = np.where(norms > EPSILON, features / np.maximum(norms, EPSILON), 0.0)
    return float((unit[1:] @ unit[0] + (unit[1:] * unit[:-1]).sum(axis=1)).mean() / 2)


def measure(case: c.Case, tools: c.Tools, region: str, encoder: Callable[[c.Tools], c.Encoder | None]) -> float:
    """MRC of one region of the video."""
    network = encoder(tools)
    assert network is not None
    if region == "background":
        masks = ~(_mask_or_nothing(case, "robot") | _mask_or_nothing(case, "object"))
    else:
        masks = case.masks(c.VIDEO, region)
    return consistency(case.patches(c.VIDEO, network), masks)


def _mask_or_nothing(case: c.Case, region: str) -> NDArray[np.bool_]:
    try:
        return case.masks(c.VIDEO, region)
    except c.NotMeasurable:
        return np.zeros(case.video.shape[:3], bool)


def _dino(tools: c.Tools) -> c.Encoder | None:
    return tools.dino


def _alexnet(tools: c.Tools) -> c.Encoder | None:
    return tools.alexnet


METRICS = tuple(
    c.Metric(
        f"{prefix}{region}_consistency", f"{region} consistency{of}", 1, "physical", (c.MASKS, need),
        partial(measure, region=region, encoder=encoder), True, -1.0, 1.0,
    )
    for prefix, of, need, encoder in (("", "", c.DINO, _dino), ("alexnet_", " (AlexNet)", c.ALEXNET, _alexnet))
    for region in ("robot", "object", "background")
)  # fmt: skip
