"""All metrics by name, and how one is measured: what it needs is asked for first, and what is lacking is said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2

from wow.bench.dimensions import (
    camera,
    drift,
    execution,
    features,
    fvd,
    judged,
    lpips,
    planning,
    psnr,
    regional,
    sensitivity,
    small_objects,
    ssim,
    trajectories,
)
from wow.bench.dimensions.contract import (
    ALEXNET,
    DINO,
    DYNAMICS,
    I3D,
    JUDGE,
    LPIPS,
    MASKS,
    OTHER,
    PLAN,
    SIMULATOR,
    TRUTH,
    Case,
    Measurement,
    Metric,
    Tools,
)
from wow.types import WowError

_FILES = (
    fvd, psnr, ssim, lpips, features, judged, regional, trajectories, camera, planning, execution, sensitivity,
    small_objects, drift,
)  # fmt: skip
METRICS: Mapping[str, Metric] = {metric.name: metric for file in _FILES for metric in file.METRICS}


def chosen_metrics(names: Sequence[str]) -> list[Metric]:
    """The metrics that are named; all of them where none is. Raises WowError for a name that does not exist."""
    if unknown := [name for name in names if name not in METRICS]:
        raise WowError(f"there is no metric {unknown[0]!r}: choose from {', '.join(METRICS)}")
    return [METRICS[name] for name in dict.fromkeys(names)] if names else list(METRICS.values())


def measure(metric: Metric, case: Case, tools: Tools, lacks: Mapping[str, str] | None = None) -> Measurement:
    """The value of a metric for one case, or the reason why it has none. lacks: why a tool is missing, by need.

    Pictures that no one foresaw, or a package that is not installed, cost this metric alone, not the run.
    """
    for need in metric.needs:
        if not _has(need, case, tools):
            if need == DYNAMICS and need in case.broken:
                # That a model cannot be told actions is no gap that another call could fill.
                return Measurement(None, why=case.broken[need])
            return Measurement(None, why=case.broken.get(need) or (lacks or {}).get(need, _WHY[need]), need=need)
    try:
        found = metric.measure(case, tools)
    except WowError as problem:
        return Measurement(None, why=str(problem))
    except (ImportError, ValueError, ArithmeticError, cv2.error) as problem:
        return Measurement(None, why=f"could not be computed ({' '.join(str(problem).split())[:200]})")
    measurement = found if isinstance(found, Measurement) else Measurement(float(found))
    if measurement.value is not None and not math.isfinite(measurement.value):
        return Measurement(None, why=f"came out as {measurement.value}")
    return measurement


_WHY = {
    TRUTH: "the sample has no truth video",
    MASKS: "the sample has no masks or key points",
    OTHER: "no video of the same picture for another instruction was given",
    DYNAMICS: "no videos of the same picture for two motions were given",
    PLAN: "the sample has no plan of key steps",
    LPIPS: "no weights of LPIPS are here",
    I3D: "no weights of I3D are here",
    DINO: "no weights of DINOv2 are here",
    ALEXNET: "no weights of AlexNet are here",
    JUDGE: "there is no judge",
    SIMULATOR: "there is no simulator to execute in",
}


def _has(need: str, case: Case, tools: Tools) -> bool:
    filled: Mapping[str, object | None] = {
        TRUTH: case.truth,
        MASKS: case.regions,
        OTHER: case.other,
        DYNAMICS: case.acted,
        PLAN: case.sample.meta.plan or None,
        LPIPS: tools.perceptual,
        I3D: tools.i3d,
        DINO: tools.dino,
        ALEXNET: tools.alexnet,
        JUDGE: tools.judge,
        SIMULATOR: tools.executor,
    }
    return filled[need] is not None
