"""The networks and judges that metrics use: which of them are here, by what name, and why the others are not.

Found out without loading any; loaded in each process that measures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from wow.bench.dimensions import contract as c
from wow.bench.memory import Memory
from wow.types import Float32, UInt8, WowError

GRID = 8
"""Patches to a side of AlexNet's last feature map, whatever the picture's size."""


class Toolbox(Protocol):
    """Travels to the processes that measure, so it can be pickled."""

    def names(self) -> Mapping[str, str]:
        """What fills each need, by need: values of two tools are never mixed."""
        ...

    def lacks(self) -> Mapping[str, str]:
        """Why the other needs are not filled."""
        ...

    def open(self, needs: Collection[str]) -> c.Tools:
        """Those of the tools that fill some needs; the others are not loaded."""
        ...


@dataclass(frozen=True)
class StandardToolbox:
    """What can be had without a network. i3d, dino: where their weights are, if not in the usual places.

    judge, executor: make them where a process needs them; their names say what they are, and where there is none, why.
    trials: how often a judge is asked the same question. memory: where what is known of true videos is kept.
    """

    i3d: Path | None = None
    dino: Path | None = None
    judge: Callable[[], c.Judge] | None = None
    judge_name: str = ""
    executor: Callable[[], c.Executor] | None = None
    executor_name: str = ""
    trials: int = 1
    memory: Path | None = None
    no_judge: str = "no judge was named: --judge"
    no_executor: str = "no simulator was named to execute in"

    def names(self) -> Mapping[str, str]:
        return {need: name for need, (name, _) in self._found().items() if name}

    def lacks(self) -> Mapping[str, str]:
        return {need: why for need, (name, why) in self._found().items() if not name}

    def open(self, needs: Collection[str]) -> c.Tools:
        from wow.bench.dinov2 import load_dinov2
        from wow.bench.i3d import load_i3d
        from wow.bench.lpips import load_lpips

        here = {need for need in self.names() if need in needs}
        lpips = load_lpips() if here & {c.LPIPS, c.ALEXNET} else None
        return c.Tools(
            perceptual=lpips,
            i3d=load_i3d(self.i3d) if c.I3D in here else None,
            dino=load_dinov2(self.dino) if c.DINO in here else None,
            alexnet=None if lpips is None else AlexNetEncoder(lpips.name, lpips.features),
            judge=None if self.judge is None or c.JUDGE not in here else self.judge(),
            executor=None if self.executor is None or c.SIMULATOR not in here else self.executor(),
            trials=self.trials,
            memory=None if self.memory is None else Memory(self.memory),
        )

    def _found(self) -> dict[str, tuple[str, str]]:
        """For each need that is a tool its name, or "" and the reason."""
        from wow.bench import dinov2, i3d, lpips

        judge = f"{self.judge_name}, {self.trials} trials" if self.judge is not None else ""
        return {
            c.LPIPS: _looked_for("alexnet", lpips.find_weights),
            c.ALEXNET: _looked_for("alexnet", lpips.find_weights),
            c.I3D: _looked_for("i3d-kinetics-400", lambda: i3d.find_weights(self.i3d)),
            c.DINO: _looked_for(dinov2.named(self.dino), lambda: dinov2.find_weights(self.dino)),
            c.JUDGE: (judge, self.no_judge),
            c.SIMULATOR: (self.executor_name, self.no_executor),
        }


def _looked_for(name: str, find: Callable[[], object]) -> tuple[str, str]:
    try:
        find()
    except WowError as problem:
        return "", str(problem)
    return name, ""


@dataclass(frozen=True)
class AlexNetEncoder:
    """AlexNet's last convolution as features. grid: pictures [T, H, W, 3] to [T, C, side, side]."""

    name: str
    grid: Callable[..., object]

    def pooled(self, frames: UInt8) -> Float32:
        """Its mean over the picture, [T, 256]."""
        return np.asarray(self.patches(frames).mean(axis=(1, 2)), np.float32)

    def patches(self, frames: UInt8) -> Float32:
        """[T, 8, 8, 256]."""
        found = np.asarray(self.grid(frames, GRID), np.float32)
        return np.ascontiguousarray(found.transpose(0, 2, 3, 1))
