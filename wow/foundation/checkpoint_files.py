"""The tensors in somebody's weight files, by the names they have there: listed at once, read one at a time.

Safetensors (one file, or shards with or without their index), GGUF and PyTorch's zip format. Nothing that a file says
is executed: a `.pt` is read with weights_only=True, and one that wants more is refused with the names of what it wants.
"""

from __future__ import annotations

import functools
import io
import json
import math
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from wow.foundation.checkpoint_gguf import GGUF, read_entries, read_entry
from wow.types import WowError

Config = dict[str, Any]

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""What safetensors calls a type, and what torch calls it."""

WEIGHTS = (".safetensors", ".gguf", ".pt", ".pth", ".bin", ".ckpt")
_WITH_CONFIG = (".safetensors", ".gguf")
_LONGEST_HEADER = 100_000_000
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.(?:safetensors|bin)")
_RANK = re.compile(r".*mp_rank_(\d+)_model_states\.pt")
_NESTED = ("module", "state_dict", "model")  # where trainers put the weights among their other entries
_HARMLESS: list[Any] = [io.BytesIO]  # bytes in memory: transformer-engine's `_extra_state`, which is dropped unread


@dataclass(frozen=True)
class Stored:
    """One tensor as its file says it is. dtype: what it is read as; quantised blocks become float32."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    file: Path
    read: Callable[[], Tensor] = field(repr=False, compare=False)

    @property
    def bytes(self) -> int:
        """What it takes once it is read."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class WeightFiles:
    """Tensors by name. others: entries that are no tensors, with what they are. config: of a `config.json` beside.

    counts_all_axes: False for GGUF, whose writers leave leading axes of size one away.
    """

    path: Path
    tensors: Mapping[str, Stored]
    others: Mapping[str, str] = field(default_factory=dict)
    config: Config = field(default_factory=dict)
    counts_all_axes: bool = True


def open_files(path: Path) -> WeightFiles:
    """What a weight file, or a folder of one network's weight files, holds; only headers are read. Raises WowError."""
    if not path.exists():
        raise WowError(f"there are no weights at {path}: name a file ({', '.join(WEIGHTS)}) or a folder of them")
    if path.is_file():
        return _open(path, [path], path.parent if path.suffix in _WITH_CONFIG else None)
    return _open(path, _files_in(path), path)


def _open(path: Path, files: list[Path], config_in: Path | None) -> WeightFiles:
    tensors: dict[str, Stored] = {}
    others: dict[str, str] = {}
    for file in files:
        held, rest = _open_one(file)
        if double := sorted(held.keys() & tensors.keys()):
            raise WowError(f"{file.name} and {tensors[double[0]].file.name} both hold {double[0]}: name one of them")
        tensors.update(held)
        others.update(rest)
    if not tensors:
        raise WowError(f"{path} holds no tensors; it should be a network's weights")
    config = {} if config_in is None else _config(config_in)
    return WeightFiles(path, tensors, others, config, not any(_is_gguf(file) for file in files))


def _open_one(file: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    """What kind of file it is, by its first bytes."""
    with file.open("rb") as stream:
        start = stream.read(64)
    if len(start) >= 10 and start[8:9] == b"{":
        return _open_safetensors(file), {}
    if start.startswith(b"PK\x03\x04"):
        return _open_torch(file)
    if start.startswith(b"version https://git-lfs"):
        raise WowError(f"{file} is a Git LFS pointer, not the weights: fetch them with git lfs pull")
    if start.startswith(GGUF):
        return _open_gguf(file), {}
    if start[:1] == b"\x80":
        raise WowError(
            f"{file} is a pickle of before PyTorch 1.6, which cannot be mapped into memory: "
            "save it once more with a newer PyTorch, or take the safetensors of the same model"
        )
    raise WowError(
        f"{file} is neither safetensors, GGUF nor a PyTorch file (it starts with {start[:12]!r}): get it again"
    )


# ---- folders ----


def _files_in(folder: Path) -> list[Path]:
    """The weight files of a folder that belong together. Raises WowError where there are none, or several sets."""
    indices = sorted(folder.glob("*.safetensors.index.json"))
    if indices:
        return _indexed(_only(folder, indices))
    shards = [file for file in sorted(folder.glob("*.safetensors")) if _SHARD.fullmatch(file.name)]
    if shards:
        return _complete(shards)
    ranks = sorted(folder.glob("*mp_rank_*_model_states.pt")) + sorted(folder.glob("checkpoint/mp_rank_*_states.pt"))
    if len(ranks) > 1:
        raise WowError(f"{folder} holds {len(ranks)} ranks of a model-parallel run: merge them into one file first")
    for pattern in ("*.safetensors", *(f"*{suffix}" for suffix in WEIGHTS[1:])):
        found = _plain([file for file in sorted(folder.glob(pattern)) if file.is_file()])
        if found and not ranks:
            return [_only(folder, found)]
    if ranks:
        return ranks
    parts = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and _holds_weights(entry))
    hint = f"; its parts do, name one: {', '.join(str(folder / part) for part in parts)}" if parts else ""
    raise WowError(f"{folder} holds no weights (no {', '.join(WEIGHTS)}){hint}")


def _plain(files: list[Path]) -> list[Path]:
    """Without variants of another precision, such as `model.fp16.safetensors` beside `model.safetensors`."""
    names = {file.name for file in files}
    return [file for file in files if f"{file.name.split('.')[0]}{file.suffix}" not in names - {file.name}]


def _only(folder: Path, found: list[Path]) -> Path:
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:6])
        raise WowError(f"{folder} holds several sets of weights, name one file: {names}")
    return found[0]


def _indexed(index: Path) -> list[Path]:
    """The shards that an index names, checked to be plain names beside it, and there."""
    document = _json(index)
    names = sorted(set(document.get("weight_map", {}).values())) if isinstance(document, dict) else []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise WowError(f"{index} is not an index of shards beside it: get it again")
    if missing := [name for name in names if not (index.parent / name).is_file()]:
        raise WowError(f"{index.parent} lacks {_few(missing)} of {len(names)} shards: download them")
    return [index.parent / name for name in names]


def _complete(shards: list[Path]) -> list[Path]:
    """Shards without an index, checked against the number in their names."""
    parsed = [match for file in shards if (match := _SHARD.fullmatch(file.name))]
    stem, _, count = parsed[0].groups()
    if {(match[1], match[3]) for match in parsed} != {(stem, count)}:
        raise WowError(f"{shards[0].parent} holds shards of different sets: keep one set")
    wanted = [f"{stem}-{number:05d}-of-{count}.safetensors" for number in range(1, int(count) + 1)]
    there = {file.name for file in shards}
    if missing := [name for name in wanted if name not in there]:
        raise WowError(f"{shards[0].parent} lacks {_few(missing)} of {int(count)} shards: download them")
    return shards


def _holds_weights(folder: Path) -> bool:
    return any(file.suffix in WEIGHTS for file in folder.iterdir())


def _config(folder: Path) -> Config:
    path = folder / "config.json"
    document = _json(path) if path.is_file() else {}
    if not isinstance(document, dict):
        raise WowError(f"{path} is not a network's configuration: get it again")
    return document


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise WowError(f"{path} is not JSON ({error}): get it again") from None


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# ---- safetensors ----


def _open_safetensors(file: Path) -> dict[str, Stored]:
    """Its tensors, after its header has been checked against its length."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(_LONGEST_HEADER, size - 8):
            raise WowError(f"{file} is cut short: its header alone has {length} bytes, the file {size}: get it again")
        try:
            header = json.loads(stream.read(length))
            entries = {name: _entry(entry) for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WowError(f"{file} has a damaged header ({error}): get it again") from None
    end = 8 + length + max((stop for _, _, stop in entries.values()), default=0)
    if end > size:
        raise WowError(f"{file} is cut short: {size} of {end} bytes: download it again")
    handle = _Handle(file)
    return {name: Stored(dtype, shape, file, handle.reader(name)) for name, (dtype, shape, _) in entries.items()}


def _entry(entry: Any) -> tuple[torch.dtype, tuple[int, ...], int]:
    """Type, shape and last byte of a tensor. Raises ValueError or KeyError where they contradict each other."""
    dtype, shape = DTYPES[entry["dtype"]], tuple(entry["shape"])
    first, last = entry["data_offsets"]
    if not all(isinstance(n, int) and n >= 0 for n in (*shape, first, last)):
        raise ValueError("sizes that are no numbers")
    if last - first != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{last - first} bytes for a tensor of shape {list(shape)}")
    return dtype, shape, last


class _Handle:
    """A safetensors file, opened when the first tensor is asked for."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._opened: Any = None

    def reader(self, name: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            if self._opened is None:
                self._opened = safe_open(self._file, "pt")
            tensor: Tensor = self._opened.get_tensor(name)
            return tensor

        return read


# ---- GGUF ----


def _is_gguf(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(GGUF)) == GGUF


def _open_gguf(file: Path) -> dict[str, Stored]:
    return {
        name: Stored(entry.dtype, entry.shape, file, functools.partial(read_entry, file, entry))
        for name, entry in read_entries(file).items()
    }


# ---- PyTorch ----


def _open_torch(file: Path) -> tuple[dict[str, Stored], dict[str, str]]:
    _check_archive(file)
    with torch.serialization.safe_globals(_HARMLESS):
        wanted = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        if wanted:
            raise WowError(
                f"{file} would run code when opened ({_few(sorted(wanted))}), so it is not: "
                "save only its tensors (torch.save of a state dict), or take safetensors"
            )
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return _state(file, content)


def _check_archive(file: Path) -> None:
    """Raises WowError where the archive is cut short, or is a program."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        raise WowError(f"{file} is cut short or damaged (no end of archive): download it again") from None
    inner = {name.split("/", 1)[-1] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        raise WowError(
            f"{file} is a TorchScript program, and code from a file is never run: "
            "take the same network from a diffusers folder (for Cosmos-Predict1's tokenizer: its vae/)"
        )
    if "data.pkl" not in inner:
        raise WowError(f"{file} is an archive, but not PyTorch weights: get the weights")


def _state(file: Path, content: Any) -> tuple[dict[str, Stored], dict[str, str]]:
    """The tensors of a state dict, wherever a trainer nested it, and what else is there."""
    rank = _RANK.fullmatch(file.name)
    if rank and int(rank[1]):
        raise WowError(f"{file} is one rank of a model-parallel run: merge the ranks into one file first")
    others: dict[str, str] = {}
    # A trainer may keep tensors of its own beside the weights, such as the state of a random generator.
    while (inner := _nested(content)) is not None:
        others |= {str(name): "the trainer's own" for name in content if name != inner}
        content = content[inner]
    if not isinstance(content, dict):
        raise WowError(f"{file} holds a {type(content).__name__}, not a state dict: save model.state_dict()")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    others |= {str(name): type(value).__name__ for name, value in content.items() if not isinstance(value, Tensor)}
    return {name: _held(file, tensor) for name, tensor in tensors.items()}, others


def _nested(content: Any) -> str | None:
    """Under which name a trainer put the weights; None where they are not further in."""
    if not isinstance(content, dict):
        return None
    return next((name for name in _NESTED if _has_tensors(content.get(name))), None)


def _has_tensors(content: Any) -> bool:
    """Whether a dictionary holds tensors, or one further in does."""
    if not isinstance(content, dict):
        return False
    return any(isinstance(value, Tensor) for value in content.values()) or _nested(content) is not None


def _held(file: Path, tensor: Tensor) -> Stored:
    return Stored(tensor.dtype, tuple(tensor.shape), file, lambda: tensor.detach())
