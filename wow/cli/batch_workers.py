"""Who draws the clips of a batch: this process, several of this machine, or those of a Ray cluster.

Each has the model loaded once, and takes the next clip when it is done with one. A clip that fails, or whose process
ends, is told with the reason, and the others go on.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from safetensors import SafetensorError

from wow.cli.batch import Clip, Outcome
from wow.cli.processes import end_with_parent
from wow.types import WowError

FAULTS = (
    WowError,
    SafetensorError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What libraries raise: everything but the wish to stop."""

Draw = Callable[[Clip], None]
"""Draws a clip and writes it. Raises WowError, or whatever a library raises, where it cannot."""
Open = Callable[[], Draw]
"""Loads the model; travels to the process that shall have it."""


class Engine(Protocol):
    """Makes clips in any order. Raises WowError where no model could be loaded."""

    def __call__(self, open_model: Open, clips: Sequence[Clip]) -> Iterator[Outcome]: ...


def in_this_process(open_model: Open, clips: Sequence[Clip]) -> Iterator[Outcome]:
    """One after another."""
    draw = open_model()
    for clip in clips:
        yield clip, _attempt(draw, clip)


def _attempt(draw: Draw, clip: Clip) -> str:
    """Why a clip could not be made, in one line; "" where it was. No fault of one clip is worth the others."""
    try:
        draw(clip)
    except FAULTS as error:
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    """An error in one line; one that is not ours with its kind, since its words may be few."""
    said = " ".join(str(error).split())
    return said if isinstance(error, WowError) else f"{type(error).__name__}: {said}"[:300].rstrip(": ")


# ---- processes of this machine ----


@dataclass
class _Seat:
    """A process with a model, and the clip that it is at. has_drawn: whether its model has been of any use yet."""

    process: BaseProcess
    clip: Clip
    has_drawn: bool = False


@dataclass(frozen=True)
class LocalProcesses:
    """An `Engine`. gpus: what each process is to take for the only GPU, in CUDA's words; empty without GPUs."""

    count: int
    gpus: Sequence[str] = ()

    def __call__(self, open_model: Open, clips: Sequence[Clip]) -> Iterator[Outcome]:
        waiting = deque(clips)
        seats: dict[Connection, _Seat] = {}
        try:
            for place in range(min(self.count, len(clips))):
                self._start(open_model, place, seats, waiting)
            while seats:
                for ready in multiprocessing.connection.wait(list(seats)):
                    assert isinstance(ready, Connection)
                    yield from self._hear(ready, open_model, seats, waiting)
            if waiting:
                raise WowError("every process ended before its first clip: try fewer --workers")
        finally:
            for seat in seats.values():
                seat.process.terminate()
            for seat in seats.values():
                seat.process.join()

    def _start(self, open_model: Open, place: int, seats: dict[Connection, _Seat], waiting: deque[Clip]) -> None:
        """A process with a clip to begin with."""
        context = multiprocessing.get_context("spawn")  # CUDA and threads do not survive a fork
        ours, theirs = context.Pipe()
        gpu = self.gpus[place] if self.gpus else None
        threads = max(1, (os.cpu_count() or 1) // self.count)
        name = f"wow-imagine-{place}"
        process = context.Process(target=_serve, args=(theirs, open_model, gpu, threads), name=name, daemon=True)
        process.start()
        theirs.close()
        clip = waiting.popleft()
        ours.send(clip)
        seats[ours] = _Seat(process, clip)

    def _hear(
        self, connection: Connection, open_model: Open, seats: dict[Connection, _Seat], waiting: deque[Clip]
    ) -> Iterator[Outcome]:
        """What a process says, or that it has ended; and the next clip for it."""
        seat = seats[connection]
        try:
            could_load, why = connection.recv()
        except (EOFError, ConnectionResetError):
            del seats[connection]
            seat.process.join()
            if waiting and seat.has_drawn:
                self._start(open_model, int(seat.process.name.rpartition("-")[2]), seats, waiting)
            yield seat.clip, f"its process ended with {seat.process.exitcode}; -9 is for want of memory"
            return
        if not could_load:
            raise WowError(why)
        yield seat.clip, why
        if waiting:
            seats[connection] = _Seat(seat.process, waiting.popleft(), has_drawn=True)
            connection.send(seats[connection].clip)
        else:
            del seats[connection]
            connection.send(None)
            seat.process.join()


def _serve(connection: Connection, open_model: Open, gpu: str | None, threads: int) -> None:
    """The life of a process: a model, then clips until there are none."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that shares out
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # before anything asks CUDA what there is
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is loaded
    try:
        draw = open_model()
    except FAULTS as error:
        connection.send((False, _reason(error)))
        return
    while (clip := connection.recv()) is not None:
        connection.send((True, _attempt(draw, clip)))


def gpus_here() -> list[str]:
    """The GPUs of this machine as CUDA names them to a process; those that the environment allows."""
    import torch

    count = torch.cuda.device_count()
    allowed = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return allowed[:count] if allowed else [str(place) for place in range(count)]


# ---- a Ray cluster ----


class _Resident:
    """An actor: a model, loaded for the first clip."""

    def __init__(self, open_model: Open) -> None:
        self.open_model = open_model
        self.draw: Draw | None = None

    def make(self, clip: Clip) -> tuple[bool, str]:
        """Whether the model could be loaded, and why the clip could not be made."""
        try:
            self.draw = self.draw or self.open_model()
        except FAULTS as error:
            return False, _reason(error)
        return True, _attempt(self.draw, clip)


@dataclass(frozen=True)
class RayActors:
    """An `Engine`. count: of models; None takes one for each GPU of the cluster, one where it has none.

    Model, pictures and the folder to write have to lie where every machine finds them under the same path.
    """

    count: int | None
    address: str | None = None

    def __call__(self, open_model: Open, clips: Sequence[Clip]) -> Iterator[Outcome]:
        from wow.bench.ray_engine import connected

        with connected(self.address, self.count or 1) as ray:
            yield from self._share_out(ray, open_model, clips)

    def _share_out(self, ray: Any, open_model: Open, clips: Sequence[Clip]) -> Iterator[Outcome]:
        there = ray.cluster_resources()
        gpus, cpus = int(there.get("GPU", 0)), int(there.get("CPU", 1))
        actor = ray.remote(num_cpus=1, num_gpus=1 if gpus else 0)(_Resident)
        count = min(self.count or max(gpus, 1), gpus or max(cpus, 1), len(clips))  # more would wait for ever
        waiting = deque(clips)
        running: dict[Any, tuple[Any, Clip]] = {}

        def hand_out(resident: Any) -> None:
            clip = waiting.popleft()
            running[resident.make.remote(clip)] = resident, clip

        for _ in range(count):
            hand_out(actor.remote(open_model))
        while running:
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            resident, clip = running.pop(done)
            try:
                could_load, why = ray.get(done)
            except ray.exceptions.RayError as problem:
                could_load, why = True, f"its process failed: {str(problem).strip().splitlines()[-1][:200]}"
                resident = actor.remote(open_model)
            if not could_load:
                raise WowError(why)
            if waiting:
                hand_out(resident)
            yield clip, why
