"""A network's weights from one layout to another, bit for bit: its authors' names and stacking, or diffusers'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from wow.foundation.checkpoint import Checkpoint, Layout, open_checkpoint
from wow.foundation.checkpoint_write import MAX_SHARD_BYTES, Written, write_folder
from wow.foundation.keys_rules import Config
from wow.types import WowError


@dataclass(frozen=True)
class Converted:
    """What was written. dropped: what the source has and the result has not, with the reason."""

    network: str
    source_layout: Layout
    layout: Layout
    files: tuple[Path, ...]
    tensors: int
    bytes: int
    dropped: dict[str, str]


def convert(
    source: Path,
    folder: Path,
    layout: Layout,
    *,
    ema: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    on_open: Callable[[Checkpoint], None] = lambda checkpoint: None,
    on_bytes: Callable[[int], None] = lambda done: None,
) -> Converted:
    """Writes the network in `source` to a new folder in another layout (or the same, tidied: prefixes gone, one set).

    Numbers and their types are kept, so converting back gives the same bytes. Memory holds one tensor at a time.
    Raises WowError before anything is written where the source is not whole or has no such layout.
    """
    if layout not in get_args(Layout):
        raise WowError(f"there is no layout {layout!r}: say --to {', '.join(get_args(Layout))}")
    checkpoint = open_checkpoint(source, ema=ema)
    tensors = _as_diffusers(checkpoint) if layout == "diffusers" else _as_authors(checkpoint, layout)
    on_open(checkpoint)
    files = write_folder(
        folder,
        tensors,
        _config(checkpoint, layout),
        stem="model" if checkpoint.library == "transformers" or layout == "cosmos" else "diffusion_pytorch_model",
        max_shard_bytes=max_shard_bytes,
        on_bytes=on_bytes,
    )
    size = sum(tensor.bytes for tensor in tensors)
    dropped = dict(checkpoint.dropped)
    return Converted(checkpoint.title, checkpoint.layout, layout, tuple(files), len(tensors), size, dropped)


def _as_diffusers(checkpoint: Checkpoint) -> list[Written]:
    shapes = checkpoint.shapes()
    return [
        Written(name, checkpoint.dtype(name), shapes[name], lambda name=name: checkpoint.read(name))  # type: ignore[misc]
        for name in checkpoint.made
    ]


def _as_authors(checkpoint: Checkpoint, layout: Layout) -> list[Written]:
    """The tensors as the network's authors call and stack them."""
    family = checkpoint.family
    if family is None or family.layout != layout:
        has = f"{family.layout} and diffusers" if family else "diffusers alone"
        raise WowError(f"{checkpoint.path} is a {checkpoint.title}, which has no layout {layout!r}: it has {has}")
    made, unknown = family.to_original(list(checkpoint.made))
    assert not unknown, f"tensors that were checked have no name in {layout}: {unknown[:3]}"
    shapes = checkpoint.shapes()
    return [
        Written(
            family.prefix + name,
            checkpoint.dtype(how.sources[0]),
            how.shape(shapes),
            lambda how=how: how.make(checkpoint.read),  # type: ignore[misc]
        )
        for name, how in made.items()
    ]


def _config(checkpoint: Checkpoint, layout: Layout) -> Config:
    """The `config.json` to write: what the layout's readers expect, and what the shapes do not show."""
    plain = {name: _json(value) for name, value in checkpoint.config.items() if not name.startswith("_")}
    if layout == "diffusers":
        named: Config = {"_class_name": checkpoint.kind} if checkpoint.library == "diffusers" else {}
        return named | plain | ({} if named else {"architectures": [checkpoint.kind]})
    assert checkpoint.family is not None
    plain.pop("architectures", None)
    return checkpoint.family.original_config(plain) if checkpoint.family.original_config else plain


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
