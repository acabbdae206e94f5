"""How far two paths are apart. Each function takes two paths [T, 2]; the longer is thinned evenly to the shorter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wow.bench.align import spread

Path = NDArray[np.float64]


def path_l2(one: Path, other: Path) -> float:
    """The root mean square distance of points at the same time."""
    first, second = alike(one, other)
    return float(np.sqrt(np.square(first - second).sum(axis=1).mean()))


def dtw(one: Path, other: Path) -> float:
    """Dynamic time warping: the least sum of distances over all ways to walk both paths forward (Sakoe 1978)."""
    distance = _distances(*alike(one, other))
    total = np.full((len(distance) + 1, len(distance) + 1), np.inf)
    total[0, 0] = 0.0
    for i, row in enumerate(distance, start=1):
        for j, step in enumerate(row, start=1):
            total[i, j] = step + min(total[i - 1, j], total[i, j - 1], total[i - 1, j - 1])
    return float(total[-1, -1])


def frechet(one: Path, other: Path) -> float:
    """The discrete Frechet distance: the shortest leash with which both can be walked forward (Eiter, Mannila 1994)."""
    distance = _distances(*alike(one, other))
    leash = np.full((len(distance) + 1, len(distance) + 1), np.inf)
    leash[0, 0] = 0.0
    for i, row in enumerate(distance, start=1):
        for j, step in enumerate(row, start=1):
            leash[i, j] = max(step, min(leash[i - 1, j], leash[i, j - 1], leash[i - 1, j - 1]))
    return float(leash[-1, -1])


def absolute_error(one: Path, other: Path) -> float:
    """ATE: the root mean square distance of two paths that are both begun at (0, 0)."""
    first, second = alike(one, other)
    return path_l2(first - first[0], second - second[0])


def relative_error(one: Path, other: Path) -> float:
    """RPE: the root mean square difference of their steps from one frame to the next."""
    first, second = alike(one, other)
    return path_l2(np.diff(first, axis=0), np.diff(second, axis=0))


def alike(one: Path, other: Path) -> tuple[Path, Path]:
    """Both paths with as many points as the shorter one. ValueError for an empty one."""
    length = min(len(one), len(other))
    if length == 0:
        raise ValueError("an empty path has no distance from another")
    return one[spread(len(one), length)], other[spread(len(other), length)]


def _distances(first: Path, second: Path) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.square(first[:, None] - second[None]).sum(axis=-1)))
