"""Tries: several plans for one scene, each executed, and what became of them. What a critic of motions learns from.

A folder holds a NumPy archive without pickled objects for every scene, and the card of the robot that acts.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wow.data.embodiment import read_embodiment, write_embodiment
from wow.types import Embodiment, Float32, UInt8, WowError

CARD = "embodiment.json"
NEVER = -1
LARGEST = 16 * 2**20
"""Bytes of the largest file that is read."""


@dataclass(frozen=True)
class Tries:
    """K plans for what a text asks for in a scene.

    picture: uint8 [H, W, 3]. actions: float32 [K, T, D] by the card. success_step: the transition of each plan in which
    it first succeeded, from 0; `NEVER` where it did not [K]. sources: where each plan came from [K].
    """

    task: str
    seed: int
    text: str
    picture: UInt8
    actions: Float32
    success_step: NDArray[np.int64]
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.sources)
        if self.picture.dtype != np.uint8 or self.picture.ndim != 3 or self.picture.shape[-1] != 3:
            raise ValueError(f"a picture is uint8 [H, W, 3], not {self.picture.dtype} {list(self.picture.shape)}")
        if self.actions.ndim != 3 or len(self.actions) != count or self.success_step.shape != (count,):
            raise ValueError(f"{count} plans have actions [{count}, T, D], not {list(self.actions.shape)}")
        if not np.isfinite(self.actions).all() or (self.success_step >= self.actions.shape[1]).any():
            raise ValueError("actions are numbers, and a plan succeeds within its transitions")


def file_of(folder: Path, task: str, seed: int) -> Path:
    """Where the tries of a scene are."""
    return folder / f"{task}-{seed}.npz"


def write_tries(folder: Path, tries: Tries, card: Embodiment) -> None:
    """Adds a scene to a folder, whole or not at all."""
    if not (folder / CARD).exists():
        write_embodiment(folder / CARD, card)
    path = file_of(folder, tries.task, tries.seed)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(
            file,
            task=tries.task,
            seed=tries.seed,
            text=tries.text,
            picture=tries.picture,
            actions=tries.actions,
            success_step=tries.success_step,
            sources=np.array(tries.sources),
        )
    part.replace(path)


def read_tries(folder: Path) -> tuple[list[Tries], Embodiment]:
    """Every scene of a folder, by name, and the card. Raises WowError naming the file that is missing or damaged."""
    files = sorted(folder.glob("*.npz"))
    if not files or not (folder / CARD).is_file():
        raise WowError(f"{folder} holds no tries: record some with wow data tries --out {folder}")
    return [_read(file) for file in files], read_embodiment(folder / CARD)


def is_tries(folder: Path) -> bool:
    """Whether a folder holds tries rather than a dataset of episodes."""
    return (folder / CARD).is_file()


def _read(file: Path) -> Tries:
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it has more than {LARGEST >> 20} MB")
        with np.load(file, allow_pickle=False) as found:
            return Tries(
                task=str(found["task"]),
                seed=int(found["seed"]),
                text=str(found["text"]),
                picture=found["picture"],
                actions=found["actions"].astype(np.float32),
                success_step=found["success_step"].astype(np.int64),
                sources=tuple(str(source) for source in found["sources"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as problem:
        raise WowError(f"{file}: damaged tries ({problem}): delete the file and give the same command again") from None
