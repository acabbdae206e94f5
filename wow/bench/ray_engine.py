"""The samples of a suite, scored by the processes of a Ray cluster instead of this machine's own.

Suite, videos and results have to lie where every machine of the cluster finds them under the same path.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from wow.bench.suite_run import Job, JobDone, Work, do_job
from wow.types import WowError


@dataclass(frozen=True)
class RayCluster:
    """An `Engine`. address: of a running cluster, "auto" for the one that the environment names; None starts one on
    this machine, with `workers` processors, and ends it afterwards."""

    workers: int
    address: str | None = None

    def __call__(self, work: Work, jobs: Sequence[Job]) -> Iterator[JobDone]:
        with connected(self.address, self.workers) as ray:
            try:
                yield from _done(ray, work, jobs)
            except (
                ray.exceptions.RayTaskError,
                ray.exceptions.RaySystemError,
                ray.exceptions.WorkerCrashedError,
            ) as problem:
                reason = str(problem).strip().splitlines()[-1][:200]
                raise WowError(f"a process of the Ray cluster failed ({reason}); the same command continues") from None


@contextlib.contextmanager
def connected(address: str | None, workers: int) -> Iterator[Any]:
    """Ray, connected to a cluster as long as this lasts; see `RayCluster`. One that is connected already stays so.

    Raises WowError where there is no cluster.
    """
    import ray

    started = not ray.is_initialized()
    if started:
        _connect(ray, address, workers)
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _connect(ray: Any, address: str | None, workers: int) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        settings |= {"num_cpus": workers, "include_dashboard": False}
    try:
        _answers(address)
        ray.init(address=address, **settings)
    except (OSError, ValueError, RuntimeError) as problem:
        reason = str(problem).strip().splitlines()[0][:200]
        raise WowError(f"there is no Ray cluster at {address} ({reason}): start one with ray start --head") from None


def _answers(address: str | None) -> None:
    """Raises OSError where nobody listens at "host:port": Ray itself would go on asking for minutes."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host, int(port)), timeout=10):
            return


def _done(ray: Any, work: Work, jobs: Sequence[Job]) -> Iterator[JobDone]:
    """Jobs as they are done. Two for each processor are on their way, so that a killed run loses little."""
    score = ray.remote(num_cpus=1)(do_job)
    shared = ray.put(work)
    most = 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting = iter(jobs)
    running: list[Any] = []
    while True:
        running += [score.remote(shared, job) for job in islice(waiting, most - len(running))]
        if not running:
            return
        finished, running = ray.wait(running, num_returns=1)
        yield from ray.get(finished)
