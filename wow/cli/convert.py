"""`wow convert`: a network's weights from its authors' layout to diffusers' and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from wow.cli.options import Command, Summary
from wow.cli.progress import Progress

if TYPE_CHECKING:
    from wow.foundation.checkpoint import Checkpoint

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Convert(Command):
    """Write a network's weights in another layout, bit for bit. What they are is told by their names and shapes."""

    source: tyro.conf.Positional[Path]
    """Weights to read: a file, or the folder of one network (safetensors, shards, .gguf, .pt, .pth, .bin, .ckpt)."""
    out: tyro.conf.Positional[Path]
    """Folder to write, as safetensors and config.json; refused when it already holds something."""
    to: Literal["diffusers", "wan", "cosmos"]
    """Layout to write: diffusers', or that of the network's authors."""
    ema: bool = False
    """Take the averaged weights where the source has them beside the raw ones."""
    max_shard_gb: float = 5.0
    """Largest file to write [GB]."""

    def run(self) -> Summary:
        from wow.foundation.convert import convert

        with Progress("convert", total=None, unit="MB") as progress:

            def on_open(checkpoint: Checkpoint) -> None:
                progress.total = checkpoint.bytes // MEGABYTE

            done = convert(
                self.source,
                self.out,
                self.to,
                ema=self.ema,
                max_shard_bytes=int(self.max_shard_gb * 1e9),
                on_open=on_open,
                on_bytes=lambda written: progress.update(written // MEGABYTE),
            )
        return {
            "network": done.network,
            "from": done.source_layout,
            "to": done.layout,
            "tensors": done.tensors,
            "bytes": done.bytes,
            "files": list(done.files),
            "dropped": done.dropped,
        }

    def describe(self, summary: Mapping[str, object]) -> str:
        """What was written, and what was left out."""
        dropped = summary["dropped"]
        files = summary["files"]
        assert isinstance(dropped, Mapping) and isinstance(files, list)
        reasons: dict[str, int] = {}
        for reason in dropped.values():
            reasons[reason] = reasons.get(reason, 0) + 1
        head = f"{self.out}: {summary['network']}, {summary['tensors']} tensors in {len(files)} file(s)"
        return "\n".join([f"{head}, {summary['from']} to {summary['to']}", *_left_out(reasons)])


def _left_out(reasons: Mapping[str, int]) -> list[str]:
    return [f"left out {count}: {reason}" for reason, count in reasons.items()]
