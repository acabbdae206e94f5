"""What processes of a batch can be handed in place of a model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from wow.cli.batch import Clip
from wow.types import WowError

FAULTS = {
    "mismatch": RuntimeError("mat1 and mat2 shapes cannot be multiplied\n(2x3 and 4x5)"),
    "memory": MemoryError(),
    "file": SafetensorError("incomplete metadata"),
}
"""What libraries raise, by the instruction that makes the model below raise it."""


def pretend(folder: Path) -> Callable[[Clip], None]:
    """A model that leaves a file for each clip with the process it was drawn by, and does what the instruction says."""
    (folder / f"opened-{os.getpid()}").touch()

    def draw(clip: Clip) -> None:
        if clip.instruction == "fail":
            raise WowError("no picture")
        if clip.instruction == "die":
            os._exit(9)
        if clip.instruction in FAULTS:
            raise FAULTS[clip.instruction]
        time.sleep(0.2)
        (folder / clip.name).write_text(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}")

    return draw


def broken(folder: Path) -> Callable[[Clip], None]:
    """A model that cannot be loaded."""
    raise WowError("the weights are cut short")


def faulty(folder: Path) -> Callable[[Clip], None]:
    """A model whose loading fails in a library."""
    raise FAULTS["file"]


def dying(folder: Path) -> Callable[[Clip], None]:
    """A model whose loading takes the process with it."""
    os._exit(9)
