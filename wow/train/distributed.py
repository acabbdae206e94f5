"""One process or several: what `torchrun` started, as two numbers and a way to wrap a model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(hours=12)
"""How long a process waits for the others: the leading one may decode and encode a whole dataset meanwhile."""


@dataclass(frozen=True)
class World:
    """rank: which process this is, of `size`. device: where it computes."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as the loop calls it: gradients are averaged over processes where there are several."""
        if self.size == 1:
            return model
        return DistributedDataParallel(model, device_ids=[self.device.index] if self.device.type == "cuda" else None)

    def any(self, flag: bool) -> bool:
        """Whether the flag is up in any process, so that all stop at the same step."""
        if self.size == 1:
            return flag
        together = torch.tensor(float(flag), device=self.device)
        torch.distributed.all_reduce(together, op=torch.distributed.ReduceOp.MAX)
        return bool(together.item() > 0)

    def wait(self) -> None:
        """Returns when all processes have got here."""
        if self.size > 1:
            torch.distributed.barrier(device_ids=[self.device.index] if self.device.type == "cuda" else None)


def join() -> World:
    """The group that torchrun's environment describes, or a world of one. GPUs are used where there are any."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    here = device()
    cuda = here.type == "cuda"
    if cuda:
        torch.cuda.set_device(here)
    if size > 1 and not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if cuda else "gloo", rank=rank, world_size=size, timeout=PATIENCE)
    return World(rank, size, here)


@contextmanager
def in_turn() -> Iterator[World]:
    """What is inside is done by the leading process first, then by the first of every other machine, then by the rest.

    So whoever comes later finds on disk what was kept there, and no two write it at once.
    """
    world = join()
    is_first_here = int(os.environ.get("LOCAL_RANK", "0")) == 0
    turn = 0 if world.leads else 1 if is_first_here else 2
    for _ in range(turn):
        world.wait()
    try:
        yield world
    finally:  # also where it fails: the others are not left waiting, and find the same fault
        for _ in range(2 - turn):
            world.wait()


def device() -> torch.device:
    """Where this process computes."""
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        if torch.cuda.is_available()
        else torch.device("cpu")
    )


def leave() -> None:
    """Ends the group, if there was one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
