"""Weights to a folder of safetensors: tensor by tensor, so that memory holds one; whole under its name or not there."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from wow.foundation.checkpoint_files import DTYPES
from wow.types import WowError

MAX_SHARD_BYTES = 5_000_000_000
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_SPARE = 50_000_000  # bytes of the disk to leave free

OnBytes = Callable[[int], None]


@dataclass(frozen=True)
class Written:
    """A tensor to be: its name, what it will be, and how to get it when its turn comes."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[], Tensor]

    @property
    def bytes(self) -> int:
        """What it takes on disk."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_folder(
    folder: Path,
    tensors: Sequence[Written],
    config: Mapping[str, object],
    *,
    stem: str,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    on_bytes: OnBytes = lambda done: None,
) -> list[Path]:
    """Writes shards, their index where there are several, and `config.json`; returns the weight files.

    Everything is written beside `folder` and renamed at the end; what an interrupted one left is removed. Raises
    WowError where the folder is in use, or the disk too small.
    """
    _refuse(folder, sum(tensor.bytes for tensor in tensors))
    _sweep(folder)
    staging = _staging(folder, os.getpid())
    staging.mkdir(parents=True)
    try:
        names = _write_shards(staging, tensors, stem, max_shard_bytes, on_bytes)
        if config:
            (staging / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        if folder.is_dir():
            folder.rmdir()  # empty, or `_refuse` would have said so
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [folder / name for name in names]


def _staging(folder: Path, process: int) -> Path:
    return folder.parent / f".{folder.name}.partial-{process}"


def _sweep(folder: Path) -> None:
    """Removes what writers of this folder left when they were killed; those that still run keep theirs."""
    for left in folder.parent.glob(f"{_staging(folder, 0).name[:-1]}*"):
        process = left.name.rpartition("-")[2]
        if process == str(os.getpid()) or (process.isdigit() and not Path(f"/proc/{process}").exists()):
            shutil.rmtree(left)


def _refuse(folder: Path, size: int) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise WowError(f"{folder} already holds something, which is never overwritten: name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if free < size + _SPARE:
        raise WowError(
            f"{folder} needs {size / 1e9:.1f} GB and the disk has {free / 1e9:.1f}: make room, or name another"
        )


def _write_shards(
    folder: Path, tensors: Sequence[Written], stem: str, max_shard_bytes: int, on_bytes: OnBytes
) -> list[str]:
    shards = _shards(tensors, max_shard_bytes)
    names = [f"{stem}.safetensors"]
    if len(shards) > 1:
        names = [f"{stem}-{n:05d}-of-{len(shards):05d}.safetensors" for n in range(1, len(shards) + 1)]
    done = 0
    for name, shard in zip(names, shards, strict=True):
        with (folder / name).open("wb") as stream:
            for size in write_safetensors(stream, shard):
                done += size
                on_bytes(done)
    if len(shards) > 1:
        index = {
            "metadata": {"total_size": sum(tensor.bytes for tensor in tensors)},
            "weight_map": {t.name: name for name, shard in zip(names, shards, strict=True) for t in shard},
        }
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    return names


def _shards(tensors: Sequence[Written], max_shard_bytes: int) -> list[list[Written]]:
    """The tensors in order, cut where a shard would grow too large; a larger tensor has one for itself."""
    shards: list[list[Written]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + tensor.bytes > max_shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.bytes
    return shards


def write_safetensors(stream: IO[bytes], tensors: Sequence[Written]) -> Iterator[int]:
    """Writes one file; yields the bytes of each tensor when it is written.

    The format: eight bytes of length, a JSON header, the tensors end to end; wide numbers first, so all are aligned.
    """
    ordered = sorted(tensors, key=lambda tensor: -tensor.dtype.itemsize)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for tensor in ordered:
        header[tensor.name] = {
            "dtype": _NAMES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + tensor.bytes],
        }
        place += tensor.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for tensor in ordered:
        stream.write(_bytes(tensor))
        yield tensor.bytes


def _bytes(tensor: Written) -> memoryview:
    made = tensor.make()
    assert tuple(made.shape) == tensor.shape and made.dtype == tensor.dtype, f"{tensor.name} is not what was announced"
    return made.contiguous().flatten().view(torch.uint8).numpy().data
