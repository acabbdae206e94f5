"""Feature cosine: whether each frame means the same to a network as the true one.

Under DINO's name only with DINO's weights; AlexNet's, which are always to be had, go under AlexNet's.
"""

from __future__ import annotations

import numpy as np

from wow.bench.dimensions import contract as c


def cosine(case: c.Case, encoder: c.Encoder) -> float:
    """The mean cosine of the features of frames 1..T-1 of video and truth."""
    one, other = (encoder.pooled(case.frames(which)[1:]) for which in (c.VIDEO, c.REFERENCE))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(norms, 1e-12)).mean())


def dino(case: c.Case, tools: c.Tools) -> float:
    """With DINOv2."""
    assert tools.dino is not None
    return cosine(case, tools.dino)


def alexnet(case: c.Case, tools: c.Tools) -> float:
    """With AlexNet's last convolution, averaged over the picture."""
    assert tools.alexnet is not None
    return cosine(case, tools.alexnet)


METRICS = (
    c.Metric("dino", "DINO cosine", 1, "visual", (c.TRUTH, c.DINO), dino, True, -1.0, 1.0),
    c.Metric("alexnet_cosine", "AlexNet cosine", 1, "visual", (c.TRUTH, c.ALEXNET), alexnet, True, -1.0, 1.0),
)
