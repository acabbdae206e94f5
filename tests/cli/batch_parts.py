"""What processes of a batch can be handed in place of a model."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from wow.cli.batch import Clip
from wow.types import WowError


def pretend(folder: Path) -> Callable[[Clip], None]:
    """A model that leaves a file for each clip with the process it was drawn by, and does what the instruction says."""
    (folder / f"opened-{os.getpid()}").touch()

    def draw(clip: Clip) -> None:
        if clip.instruction == "fail":
            raise WowError("no picture")
        if clip.instruction == "die":
            os._exit(9)
        time.sleep(0.2)
        (folder / clip.name).write_text(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}")

    return draw


def broken(folder: Path) -> Callable[[Clip], None]:
    """A model that cannot be loaded."""
    raise WowError("the weights are cut short")


def dying(folder: Path) -> Callable[[Clip], None]:
    """A model whose loading takes the process with it."""
    os._exit(9)
