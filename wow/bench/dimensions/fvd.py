"""FVD: how far the imagined videos of a whole suite are from the real ones, as two clouds of I3D logits.

Unterthiner et al. 2018: the Frechet distance of the Gaussians through both clouds. Few videos overestimate it, and the
same suite must be compared with the same suite.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wow.bench.dimensions import contract as c
from wow.types import Float32

Array = NDArray[np.float64]


def measure(case: c.Case, tools: c.Tools) -> c.Measurement:
    """The logits of the video, then those of the truth; the distance is one of many of them."""
    network, truth = tools.i3d, case.frames(c.REFERENCE)
    assert network is not None
    own = _rounded(network(case.frames(c.VIDEO)))
    return c.Measurement(None, parts=(*own, *tools.of_the_truth(network.name, truth, lambda: _rounded(network(truth)))))


def _rounded(logits: Float32) -> list[float]:
    return [float(f"{value:.7g}") for value in logits]


def pooled(parts: Array) -> float:
    """FVD from the parts [N, 2 D] of N samples. Raises NotMeasurable for fewer than two."""
    imagined, real = np.split(np.asarray(parts, np.float64), 2, axis=1)
    return frechet_distance(imagined, real)


def frechet_distance(one: Array, other: Array) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of two clouds [N, D], [M, D]; covariances with N - 1.

    With S = A A^T for A = centred^T / sqrt(N - 1), the trace of the root is the sum of the singular values of A1^T A2:
    exact for any number of points, also fewer than there are dimensions.
    """
    if min(len(one), len(other)) < 2:
        raise c.NotMeasurable("FVD compares clouds of videos: it needs at least two samples")
    first, second = ((cloud - cloud.mean(axis=0)) / np.sqrt(len(cloud) - 1) for cloud in (one, other))
    shift = float(np.square(one.mean(axis=0) - other.mean(axis=0)).sum())
    # Of the two products with the same singular values the smaller one.
    product = first @ second.T if len(one) * len(other) <= one.shape[1] ** 2 else _roots(first) @ _roots(second).T
    root = float(np.linalg.svd(product, compute_uv=False).sum())
    return max(shift + float(np.square(first).sum() + np.square(second).sum()) - 2 * root, 0.0)


def _roots(centred: Array) -> Array:
    """A [D, D] matrix with the same covariance as the rows: the triangle of its QR decomposition."""
    return np.asarray(np.linalg.qr(centred, mode="r"))


METRICS = (c.Metric("fvd", "FVD", 1, "visual", (c.TRUTH, c.I3D), measure, False, 0.0, np.inf, "", pooled),)
