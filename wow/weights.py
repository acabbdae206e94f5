"""The folder that a checkpoint lives in: `manifest.json` and safetensors shards, written whole and checked when read.

A checkpoint has named parts ("text", "codec", "dit"), each with a configuration, tensors and further files such as a
tokenizer. Files are named after their contents, so a save never touches a file that the present manifest names: the
manifest is replaced last, and until then the folder is the old checkpoint. One writer per folder at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from wow.types import WowError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MAX_SHARD_BYTES = 15_500_000  # a little under the 16 MB that a single file of the package may have
SHIPPED = Path(__file__).parent / "checkpoints"

DType = Literal["float16", "float32", "int8-rows"]
Config = dict[str, Any]

_SCALE = ".row_scale"  # int8 tensor "x" has its float32 scales, one per row, beside it as "x.row_scale"
_TENSORS = "tensors"  # the role of a shard; any other role is the name of a further file
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PARTIAL = ".partial"


@dataclass(frozen=True)
class File:
    """One file of a part. role: "tensors" for a shard, else what the file is called by its reader.

    holds: tensor name -> its type and shape as "int8 [30522, 384]"; empty for a file that is no shard.
    """

    name: str
    role: str
    bytes: int
    sha256: str
    holds: Mapping[str, str]


@dataclass(frozen=True)
class Part:
    """One network of a checkpoint: what it is built from and where its numbers are."""

    dtype: str
    config: Config
    files: tuple[File, ...]


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint folder holds."""

    name: str
    parts: Mapping[str, Part]
    format_version: int = FORMAT_VERSION


def shipped(name: str = "wow-mini") -> Path:
    """Folder of a checkpoint that comes with the package. Raises WowError naming the ones there are.

    A name may have been meant for another folder, which is not there: then the error says so.
    """
    folder = SHIPPED / name
    if _PLAIN_NAME.fullmatch(name) and (folder / MANIFEST).is_file():
        return folder
    names = ", ".join(sorted(path.parent.name for path in SHIPPED.glob(f"*/{MANIFEST}"))) or "none: see `wow doctor`"
    if "/" in name or name.startswith(("~", ".")):
        raise WowError(f"there is no folder {name}: name that of a checkpoint, or one that comes with wow ({names})")
    raise WowError(
        f"no checkpoint called {name!r} comes with the package; there is: {names} (wow models lists what else there is)"
    )


def read_manifest(folder: Path) -> Manifest:
    """What the folder says it holds, checked in form but not yet against the files. Raises WowError."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise WowError(f"{folder} holds no checkpoint: {MANIFEST} is missing; {_mend(path)}") from None
    except (OSError, ValueError) as error:
        raise WowError(f"{path} cannot be read ({error}); {_mend(path)}") from None
    try:
        if document["format_version"] != FORMAT_VERSION:
            raise WowError(
                f"{path} has format version {document['format_version']!r}, this wow reads {FORMAT_VERSION}; "
                "upgrade with `pip install --upgrade wow-world-model`"
            )
        parts = {str(name): _part(part) for name, part in document["parts"].items()}
        return Manifest(str(document["name"]), parts)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise WowError(f"{path} is not a checkpoint manifest ({error!r}); {_mend(path)}") from None


def save_part(
    folder: Path,
    part_name: str,
    tensors: Mapping[str, Tensor],
    config: Config,
    *,
    dtype: DType = "float16",
    files: Mapping[str, bytes] | None = None,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Adds a part to the checkpoint in `folder` (created where missing), or replaces it; other parts stay.

    Tensors are floating point. "int8-rows" stores every tensor of two or more dimensions as int8 with one scale per
    row (its first dimension) and the rest as float32. `files` are further files by name, e.g. "tokenizer.json".
    Raises ValueError where a tensor is not finite in `dtype`, or does not fit into a shard.
    """
    if not all(_PLAIN_NAME.fullmatch(name) for name in (part_name, *(files or {}))) or _TENSORS in (files or {}):
        raise ValueError(f"part and file names are plain names, not {part_name!r} and {list(files or {})}")
    json.dumps(config, allow_nan=False)  # fails before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    old = read_manifest(folder) if (folder / MANIFEST).exists() else Manifest(folder.resolve().name, {})
    shards = _shards(_encode(tensors, dtype), max_shard_bytes)
    written = [
        _write_shard(folder, f"{part_name}-{number:05d}-of-{len(shards):05d}", shard)
        for number, shard in enumerate(shards, start=1)
    ]
    for name, content in (files or {}).items():
        stem, dot, suffix = name.rpartition(".")
        written.append(_write_file(folder, f"{part_name}-{stem or name}", suffix if dot else "bin", name, content, {}))
    manifest = replace(old, parts={**old.parts, part_name: Part(dtype, config, tuple(written))})
    write_manifest(folder, manifest)
    _remove_leftovers(folder, part_name, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Makes the folder the checkpoint that the manifest describes; its files are there already."""
    text = json.dumps(asdict(manifest), indent=2, allow_nan=False) + "\n"
    _write_atomically(folder / MANIFEST, text.encode())


def load_part(folder: Path, part_name: str) -> tuple[dict[str, Tensor], Config]:
    """The tensors of a part as float32 on the CPU, and its configuration; every file is checked against its hash first.

    Raises WowError naming the file, what is wrong with it and what to type next.
    """
    part = _find_part(folder, part_name)
    stored: dict[str, Tensor] = {}
    for file in part.files:
        if file.role == _TENSORS:
            stored.update(_read_shard(folder, file))
    return _decode(stored), part.config


def load_file(folder: Path, part_name: str, file_name: str) -> bytes:
    """The contents of a further file of a part, e.g. "tokenizer.json", checked against its hash. Raises WowError."""
    part = _find_part(folder, part_name)
    for file in part.files:
        if file.role == file_name:
            return _read_checked(folder, file)
    raise WowError(f"part {part_name!r} of {folder} has no {file_name!r}; {_mend(folder / MANIFEST)}")


def verify(folder: Path) -> list[str]:
    """Every problem of a checkpoint folder as a sentence for a person; empty where all is well."""
    try:
        manifest = read_manifest(folder)
    except WowError as error:
        return [str(error)]
    problems = []
    for part in manifest.parts.values():
        for file in part.files:
            try:
                _read_shard(folder, file) if file.role == _TENSORS else _read_checked(folder, file)
            except WowError as error:
                problems.append(str(error))
    return problems


def checkpoint_hash(folder: Path) -> str:
    """SHA-256 of the manifest, in hexadecimal: folders with the same hash hold the same weights. Raises WowError."""
    read_manifest(folder)
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def part_hash(folder: Path, part_name: str) -> str:
    """SHA-256 of what the manifest says of one part, in hexadecimal. Parts beside it do not count. Raises WowError."""
    part = _find_part(folder, part_name)
    return hashlib.sha256(json.dumps(asdict(part), sort_keys=True).encode()).hexdigest()


# ---- numbers as they are stored ----


def _encode(tensors: Mapping[str, Tensor], dtype: DType) -> dict[str, Tensor]:
    """The tensors in the form that is written."""
    if dtype not in get_args(DType):
        raise ValueError(f"dtype is one of {', '.join(get_args(DType))}, not {dtype!r}")
    stored: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or name.endswith(_SCALE):
            raise ValueError(f"{name!r} ({tensor.dtype}): tensors are floating point, no name ends in {_SCALE!r}")
        values = tensor.detach().to("cpu", torch.float32)
        if dtype == "int8-rows" and values.ndim >= 2:
            stored[name], stored[name + _SCALE] = _quantise(values)
        else:
            stored[name] = values.to(torch.float16 if dtype == "float16" else torch.float32)
    for name, tensor in stored.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise ValueError(f"{name!r} holds values that are not finite as {dtype}")
    return stored


def _decode(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `_encode`, up to rounding; float32. Raises WowError where the tensors were not made by it."""
    tensors = {}
    for name, tensor in stored.items():
        if name.endswith(_SCALE):
            continue
        values = tensor.to(torch.float32)
        if tensor.dtype == torch.int8:
            scale = stored.get(name + _SCALE)
            if scale is None or scale.shape != tensor.shape[:1]:
                raise WowError(f"weights hold {name!r} as int8 without one scale per row; copy the checkpoint again")
            values.mul_(scale.view(-1, *[1] * (tensor.ndim - 1)))
        elif tensor.dtype not in (torch.float16, torch.float32):
            raise WowError(
                f"the weights hold {name!r} as {_form(tensor)}, not int8, float16 or float32; save them anew"
            )
        tensors[name] = values
    return tensors


def _quantise(values: Tensor) -> tuple[Tensor, Tensor]:
    """int8 values in [-127, 127] and float32 [rows] scales whose product is `values`, to half a scale."""
    rows = values.flatten(1)
    if rows.shape[1] == 0:
        return values.to(torch.int8), rows.new_ones(len(rows))
    scale = rows.abs().amax(1).clamp(min=1e-30) / 127  # a row of zeros stays zeros
    integers = (rows / scale[:, None]).round().clamp(-127, 127)
    return integers.to(torch.int8).view(values.shape), scale


# ---- writing ----


def _shards(stored: Mapping[str, Tensor], max_shard_bytes: int) -> list[dict[str, Tensor]]:
    """The tensors in their order, in as few groups as keep each group's file within `max_shard_bytes`."""
    shards: list[dict[str, Tensor]] = []
    room = 0
    for name, tensor in stored.items():
        size = tensor.numel() * tensor.element_size() + len(name.encode()) + 256  # 256: its share of the header
        if size > max_shard_bytes:
            raise ValueError(f"{name!r} takes {size} bytes: raise max_shard_bytes (now {max_shard_bytes})")
        if size > room:
            shards.append({})
            room = max_shard_bytes
        shards[-1][name] = tensor
        room -= size
    return shards


def _write_shard(folder: Path, stem: str, shard: Mapping[str, Tensor]) -> File:
    """Writes a group of tensors and says where it is."""
    copies = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in shard.items()}
    holds = {name: _form(tensor) for name, tensor in shard.items()}
    return _write_file(folder, stem, "safetensors", _TENSORS, safetensors.torch.save(copies), holds)


def _write_file(folder: Path, stem: str, suffix: str, role: str, content: bytes, holds: Mapping[str, str]) -> File:
    """Writes a file named after its contents and says where it is."""
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"{stem}-{sha256[:12]}.{suffix}"
    _write_atomically(folder / name, content)
    return File(name, role, len(content), sha256, holds)


def _write_atomically(path: Path, content: bytes) -> None:
    """The file is there whole or not at all, also after a power cut."""
    partial = path.with_name(path.name + _PARTIAL)
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _remove_leftovers(folder: Path, part_name: str, manifest: Manifest) -> None:
    """Deletes what earlier saves of the part left: files that no manifest names any more, and half-written ones."""
    named = {file.name for part in manifest.parts.values() for file in part.files}
    ours = re.compile(rf"{re.escape(part_name)}-.+-[0-9a-f]{{12}}\.\w+({re.escape(_PARTIAL)})?")
    for path in folder.iterdir():
        if ours.fullmatch(path.name) and path.name not in named:
            path.unlink()


# ---- reading ----


def _part(document: Mapping[str, Any]) -> Part:
    """A part as the manifest writes it. Raises KeyError, TypeError, AttributeError or ValueError where it is none."""
    files = tuple(
        File(file["name"], file["role"], int(file["bytes"]), file["sha256"], dict(file["holds"]))
        for file in document["files"]
    )
    for file in files:
        # A manifest may come from a stranger: it names files of its own folder and nothing else.
        if not _PLAIN_NAME.fullmatch(file.name):
            raise ValueError(f"{file.name!r} is not a plain file name")
    if not isinstance(document["config"], dict) or document["dtype"] not in get_args(DType):
        raise ValueError(f"config is no object, or dtype {document['dtype']!r} is unknown")
    return Part(document["dtype"], document["config"], files)


def _find_part(folder: Path, part_name: str) -> Part:
    parts = read_manifest(folder).parts
    if part_name not in parts:
        there = ", ".join(parts) or "none"
        raise WowError(f"{folder} has no part {part_name!r}, only {there}; {_mend(folder / MANIFEST)}")
    return parts[part_name]


def _read_checked(folder: Path, file: File) -> bytes:
    """The bytes of a file whose size and hash are those of the manifest. Raises WowError."""
    path = folder / file.name
    try:
        size = path.stat().st_size
        if size != file.bytes:  # before reading: a wrong file may be huge
            raise WowError(f"{path} is corrupted: {size} bytes instead of {file.bytes}; {_mend(path)}")
        content = path.read_bytes()
    except FileNotFoundError:
        raise WowError(f"{path} is missing ({file.bytes} bytes expected); {_mend(path)}") from None
    except OSError as error:
        raise WowError(f"{path} cannot be read ({error.strerror}); {_mend(path)}") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise WowError(f"{path} is corrupted: its SHA-256 is not {file.sha256[:12]}…; {_mend(path)}")
    return content


def _read_shard(folder: Path, file: File) -> dict[str, Tensor]:
    """The stored tensors of a shard, with the types and shapes that the manifest promises. Raises WowError."""
    path = folder / file.name
    try:
        tensors = safetensors.torch.load(_read_checked(folder, file))
    except SafetensorError as error:
        raise WowError(f"{path} is not a safetensors file ({error}); {_mend(path)}") from None
    forms = {name: _form(tensor) for name, tensor in tensors.items()}
    if forms != file.holds:
        odd = min(name for name in {*forms, *file.holds} if forms.get(name) != file.holds.get(name))
        raise WowError(f"{path} has {odd!r} as {forms.get(odd)}, expected {file.holds.get(odd)}; {_mend(path)}")
    return tensors


def _form(tensor: Tensor) -> str:
    """Type and shape as the manifest writes them: "int8 [30522, 384]"."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _mend(path: Path) -> str:
    """What to type next."""
    if SHIPPED in path.parents:
        restore = f"`git checkout -- {path}` or `pip install --force-reinstall wow-world-model`"
        return f"restore it with {restore}, then check with `wow doctor`"
    return "copy the checkpoint again or train it anew, then check it with `wow doctor`"
