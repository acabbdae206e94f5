"""Dimension 5: what imagining costs. Time, memory, arithmetic, and how much of the machine's own rate it reaches."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from wow.bench.arithmetic import flop_counter, matrix_rate
from wow.bench.samples import Clip
from wow.bench.system import Asked, Imaginer
from wow.types import WowError


@dataclass(frozen=True)
class Cost:
    """The price of one video of `num_frames` frames, imagined alone.

    seconds: one number for each timed call of a loaded system. flops: multiplications and additions of one call, a
    fused one counted as two. matrix_flops_per_second: what float32 matrix products of side 1024 reach here with the
    same threads. cold_seconds, cold_bytes: a whole command from its start, and its peak resident memory; None where no
    command was given.
    """

    num_frames: int
    threads: int
    seconds: tuple[float, ...]
    flops: float
    matrix_flops_per_second: float
    cold_seconds: tuple[float, ...] = ()
    cold_bytes: tuple[float, ...] = ()

    @property
    def share_of_matrix_rate(self) -> float:
        """Of the fastest call and the fastest product: both are what the machine does when nobody else uses it."""
        return self.flops / min(self.seconds) / self.matrix_flops_per_second


def measure_cost(system: Imaginer, clip: Clip, repeats: int = 5) -> Cost:
    """Time and arithmetic of a loaded system. The first call only warms it up; the matrix rate is taken in between."""
    num_frames = len(clip.frames)

    def once() -> None:
        system.imagine(Asked([clip.frames[0]], [clip.prompt], num_frames, 0))

    once()
    rates, seconds = [matrix_rate()], []
    for _ in range(repeats):
        began = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - began)
        rates.append(matrix_rate())
    counter = flop_counter()
    with counter:
        once()
    return Cost(num_frames, torch.get_num_threads(), tuple(seconds), float(counter.get_total_flops()), max(rates))


def with_cold_command(cost: Cost, command: Sequence[str], repeats: int = 3) -> Cost:
    """The cost with time and peak memory of a command from its start to its end. Raises WowError where it fails.

    `{out}` in the command becomes a fresh folder each time.
    """
    runs = [_run(command) for _ in range(repeats)]
    return replace(
        cost, cold_seconds=tuple(seconds for seconds, _ in runs), cold_bytes=tuple(memory for _, memory in runs)
    )


# A process is charged with the memory of the one that it was forked from, and this one may be large by now: a small
# process in between starts the command and reports.
_STARTER = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
seconds = time.perf_counter() - began
bytes_held = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([done.returncode, seconds, bytes_held, done.stderr.strip().splitlines()[-1:]]))
"""


def _run(command: Sequence[str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        words = [word.replace("{out}", str(Path(folder) / "out")) for word in command]
        starter = [sys.executable, "-I", "-S", "-c", _STARTER, *words]
        report = subprocess.run(starter, stdout=subprocess.PIPE, check=True, text=True).stdout
    status, seconds, memory, complaint = json.loads(report)
    if status:
        raise WowError(f"{' '.join(words[:6])} … failed: {complaint[0] if complaint else f'exit code {status}'}")
    return float(seconds), float(memory)
