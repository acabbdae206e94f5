"""Mean, spread, extremes and quantiles of the vectors of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wow.types import Statistics, UInt8

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
IMAGES_SAMPLED = 8


def vector_statistics(values: NDArray[np.generic]) -> Statistics:
    """Statistics of each column of `values` [N, D], N >= 1."""
    table = np.asarray(values, np.float64)
    low, high = np.quantile(table, (0.01, 0.99), axis=0)
    return Statistics(
        mean=_numbers(table.mean(0)),
        std=_numbers(table.std(0)),
        min=_numbers(table.min(0)),
        max=_numbers(table.max(0)),
        q01=_numbers(low),
        q99=_numbers(high),
        count=len(table),
    )


def _numbers(row: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(number) for number in row)


def vector_summary(values: NDArray[np.generic]) -> dict[str, list[float]]:
    """LeRobot's statistics of one episode's vectors [T, D]: each entry has D numbers, `count` has one."""
    table = np.asarray(values, np.float64)
    quantiles = np.quantile(table, list(QUANTILES.values()), axis=0)
    return {
        "min": table.min(0).tolist(),
        "max": table.max(0).tolist(),
        "mean": table.mean(0).tolist(),
        "std": table.std(0).tolist(),
        "count": [len(table)],
        **dict(zip(QUANTILES, quantiles.tolist(), strict=True)),
    }


def image_summary(frames: UInt8) -> dict[str, list[float]]:
    """LeRobot's statistics of frames [T, H, W, 3]: three numbers in [0, 1] each, of some frames and pixels."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, IMAGES_SAMPLED).round().astype(int))
    pixels = frames[chosen, ::2, ::2].reshape(-1, 3)
    summary = vector_summary(pixels / np.float32(255))
    return {**summary, "count": [len(chosen)]}


def merge_summaries(summaries: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
    """The summary of several episodes together. Exact but for the quantiles, which are the episodes' weighted mean."""
    table = {key: np.asarray([each[key] for each in summaries], np.float64) for key in summaries[0]}
    weights = table["count"] / table["count"].sum()
    mean = (weights * table["mean"]).sum(0)
    variance = (weights * (table["std"] ** 2 + (table["mean"] - mean) ** 2)).sum(0)
    return {
        "min": table["min"].min(0).tolist(),
        "max": table["max"].max(0).tolist(),
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "count": [int(table["count"].sum())],
        **{key: (weights * table[key]).sum(0).tolist() for key in QUANTILES if key in table},
    }


class RunningSummary:
    """The summary of all episodes so far, fed one by one. Memory and time do not grow with their number."""

    def __init__(self) -> None:
        self._merged: dict[str, dict[str, list[float]]] = {}

    def add(self, summaries: Mapping[str, Mapping[str, Sequence[float]]]) -> None:
        """Take in one episode: feature key -> its summary."""
        for key, summary in summaries.items():
            known = self._merged.get(key)
            self._merged[key] = merge_summaries([known, summary] if known else [summary])

    def result(self) -> dict[str, dict[str, list[float]]]:
        """Feature key -> summary of everything taken in."""
        return dict(self._merged)


def summary_to_statistics(summary: Mapping[str, Sequence[float]]) -> Statistics:
    """A summary as the card's Statistics."""
    vectors = {key: tuple(float(n) for n in summary[key]) for key in ("mean", "std", "min", "max", "q01", "q99")}
    return Statistics(count=int(summary["count"][0]), **vectors)
