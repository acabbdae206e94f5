"""Trajectories: whether robot and object go where they really went (arXiv 2601.04137).

The centre of each region, in shares of the picture, followed through both videos in the same way; the robot's path
as a camera that stands still would have seen it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from wow.bench import paths
from wow.bench.dimensions import contract as c
from wow.bench.tracking import Path


def path_of(case: c.Case, which: str, region: str) -> Path:
    """The path of a region [T, 2]; of the robot, without what the camera's motion adds to it.

    A camera that goes right sends everything left, so its path is added: a thing that stands still then stands still.
    """
    path = case.path(which, region)
    return path + case.camera(which) if region == "robot" else path


def measure(case: c.Case, _: c.Tools, region: str, distance: Callable[[Path, Path], float]) -> float:
    """The distance of the paths in video and truth."""
    return distance(path_of(case, c.VIDEO, region), path_of(case, c.REFERENCE, region))


_DISTANCES = {
    "l2": ("L2", paths.path_l2, 2**0.5),
    "dtw": ("DTW", paths.dtw, float("inf")),
    "frechet": ("Frechet", paths.frechet, 2**0.5),
}
_VERSIONS = {"robot": 2, "object": 1}
"""2: the camera's path was taken away before, which doubled its motion."""
METRICS = tuple(
    c.Metric(
        f"{region}_path_{name}", f"{region} path, {title}", _VERSIONS[region], "physical", (c.TRUTH, c.MASKS),
        partial(measure, region=region, distance=distance), False, 0.0, high, "picture",
    )
    for region in ("robot", "object")
    for name, (title, distance, high) in _DISTANCES.items()
)  # fmt: skip
