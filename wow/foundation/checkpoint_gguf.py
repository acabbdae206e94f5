"""The tensors of a GGUF file, the form in which quantised checkpoints are passed on.

Its header is read here, because anybody may have written it: every count, length and offset is held against the size of
the file before it is followed. What a block of quantised numbers means, the package `gguf` knows.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wow.types import WowError

GGUF = b"GGUF"
"""What such a file begins with."""
PLAIN: Mapping[int, torch.dtype] = {0: torch.float32, 1: torch.float16, 28: torch.float64, 30: torch.bfloat16}
"""The types that are stored number by number, by GGUF's own count."""
BLOCKS: Mapping[int, tuple[str, int, int]] = {
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210), 20: ("IQ4_NL", 32, 18), 23: ("IQ4_XS", 256, 136),
}  # fmt: skip
"""The types that are stored in blocks: their name, the numbers in a block, and its bytes."""

_VERSIONS = (2, 3)
_LONGEST_HEADER = 100_000_000
_MOST_AXES = 8
_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes of each type of value
_UINT32, _INT32, _STRING, _ARRAY = 4, 5, 8, 9
_ALIGNMENT, _SHAPE = "general.alignment", "comfy.gguf.orig_shape."


@dataclass(frozen=True)
class Entry:
    """One tensor: its type by GGUF's number, its shape, and where its bytes are in the file."""

    kind: int
    shape: tuple[int, ...]
    start: int
    bytes: int

    @property
    def dtype(self) -> torch.dtype:
        """What it is read as: blocks become float32, which holds each of their numbers exactly."""
        return PLAIN.get(self.kind, torch.float32)


def read_entries(file: Path) -> dict[str, Entry]:
    """Every tensor of a GGUF file by its name, nothing of it read. Raises WowError."""
    size = file.stat().st_size
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        try:
            entries = _entries(_Cursor(content, min(size, _LONGEST_HEADER)))
        except _CutShort as cut:
            raise WowError(
                f"{file} is cut short: its header says more than its {cut} bytes: download it again"
            ) from None
        except _Unheard as tensor:
            known = ", ".join(["F32", "F16", "BF16", *(name for name, *_ in BLOCKS.values())])
            raise WowError(f"{file} holds {tensor}, which is not read here: take the same model as {known}") from None
        except ValueError as error:
            raise WowError(f"{file} has a damaged header ({error}): get it again") from None
    end = max((entry.start + entry.bytes for entry in entries.values()), default=0)
    if end > size:
        raise WowError(f"{file} is cut short: {size} of {end} bytes: download it again")
    if any(entry.kind in BLOCKS for entry in entries.values()):
        _package(file)  # said before minutes of reading, not after
    return entries


def read_entry(file: Path, entry: Entry) -> Tensor:
    """The numbers of one tensor; a view of the mapped file where they are stored one by one."""
    raw = np.memmap(file, np.uint8, "c", entry.start, (entry.bytes,))
    if entry.kind in PLAIN:
        return torch.from_numpy(raw).view(PLAIN[entry.kind]).reshape(entry.shape)
    gguf = _package(file)
    num_blocks = entry.bytes // BLOCKS[entry.kind][2]
    # It unpacks sixteen rows at once: blocks as rows of their own would take ten times as long.
    rows = np.asarray(raw).reshape(math.gcd(num_blocks, entry.shape[0]), -1)
    numbers: Any = gguf.quants.dequantize(rows, gguf.GGMLQuantizationType(entry.kind))
    return torch.from_numpy(numbers).reshape(entry.shape)


def _package(file: Path) -> Any:
    try:
        import gguf
    except ImportError:
        raise WowError(f"{file} is quantised, which needs gguf, and that is not installed: pip install gguf") from None
    return gguf


# ---- the header ----


class _CutShort(Exception):
    """The file ends before what it says it has."""


class _Unheard(Exception):
    """A tensor is stored in a way that is not known here."""


class _Cursor:
    """Reads numbers and texts one after another, and never beyond the end."""

    def __init__(self, content: mmap.mmap, end: int) -> None:
        self.content, self.end, self.place = content, end, 0

    def skip(self, count: int) -> int:
        """Goes on by so many bytes; returns where it was."""
        before = self.place
        if count > self.end - before:
            raise _CutShort(self.end)
        self.place += count
        return before

    def number(self, code: str) -> int:
        """The next number, in struct's letter."""
        value: int = struct.unpack_from(f"<{code}", self.content, self.skip(struct.calcsize(code)))[0]
        return value

    def numbers(self, code: str, count: int) -> tuple[int, ...]:
        """The next numbers of one type."""
        start = self.skip(count * struct.calcsize(code))
        return struct.unpack_from(f"<{count}{code}", self.content, start)

    def name(self) -> str:
        """The next text, where it is a name."""
        length = self.number("Q")
        start = self.skip(length)
        text = self.content[start : start + length].decode("utf-8")
        if not text.isprintable():
            raise ValueError("a name that cannot be printed")
        return text


def _entries(cursor: _Cursor) -> dict[str, Entry]:
    """Raises ValueError where the header contradicts itself."""
    cursor.skip(4)
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise ValueError("big-endian" if version & 0xFFFF == 0 else f"version {version}")
    num_tensors, num_values = cursor.number("Q"), cursor.number("Q")
    values = dict(_value(cursor) for _ in range(num_values))
    (alignment,) = values.get(_ALIGNMENT) or (32,)
    if alignment < 8 or alignment & (alignment - 1) or alignment > 1 << 20:
        raise ValueError(f"an alignment of {alignment}")
    entries: dict[str, Entry] = {}
    for _ in range(num_tensors):
        name, entry = _entry(cursor, values, alignment)
        if name in entries:
            raise ValueError(f"{name} twice")
        entries[name] = entry
    data = -(-cursor.place // alignment) * alignment
    return {name: replace(entry, start=data + entry.start) for name, entry in entries.items()}


def _value(cursor: _Cursor) -> tuple[str, tuple[int, ...]]:
    """A value's name, and its numbers where they are needed; others are passed over."""
    name, kind = cursor.name(), cursor.number("I")
    count = 1
    is_array = kind == _ARRAY
    if is_array:
        kind, count = cursor.number("I"), cursor.number("Q")
    if name == _ALIGNMENT and kind == _UINT32 and not is_array:
        return name, cursor.numbers("I", 1)
    if name.startswith(_SHAPE) and kind == _INT32 and is_array and count <= _MOST_AXES:
        return name, cursor.numbers("i", count)
    if kind == _STRING:
        for _ in range(count):
            cursor.skip(cursor.number("Q"))
    elif kind in _SCALARS:
        cursor.skip(count * _SCALARS[kind])
    else:
        raise ValueError(f"{name} is a value of type {kind}")
    return name, ()


def _entry(cursor: _Cursor, values: Mapping[str, tuple[int, ...]], alignment: int) -> tuple[str, Entry]:
    """A tensor's entry, its start counted from where the tensors begin."""
    name, num_axes = cursor.name(), cursor.number("I")
    if num_axes > _MOST_AXES:
        raise ValueError(f"{name} has {num_axes} axes")
    stored = cursor.numbers("Q", num_axes)[::-1]  # the last axis comes first
    kind, start = cursor.number("I"), cursor.number("Q")
    shape = values.get(_SHAPE + name) or stored
    if not all(axis > 0 for axis in (*stored, *shape)) or math.prod(shape) != math.prod(stored):
        raise ValueError(f"{name} has the shape {list(shape)}, stored as {list(stored)}")
    if start % alignment:
        raise ValueError(f"{name} begins at byte {start}, between the places for tensors")
    numbers, size = _block(name, kind)
    if (stored[-1] if stored else 1) % numbers:
        raise ValueError(f"{name} has rows of {list(stored[-1:])} numbers, and blocks of {numbers}")
    return name, Entry(kind, shape, start, math.prod(stored) // numbers * size)


def _block(name: str, kind: int) -> tuple[int, int]:
    """How many numbers a block has, and how many bytes."""
    if kind in PLAIN:
        return 1, PLAIN[kind].itemsize
    if kind not in BLOCKS:
        raise _Unheard(f"{name} as type {kind}")
    return BLOCKS[kind][1:]
