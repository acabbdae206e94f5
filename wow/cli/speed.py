"""`wow speed`: seconds, memory and deviation of every way to sample a foundation model faster, in one run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_json
from wow.cli.progress import Progress
from wow.types import WowError

if TYPE_CHECKING:
    from wow.foundation.card import Card

COLUMNS = ("way", "s/step", "whole clip [s]", "times faster", "GPU [GB]", "passes", "skipped", "PSNR [dB]")
ABOUT = "speed.json"


@dataclass(frozen=True, kw_only=True)
class Measure(MakesFolder, Seeded):
    """Measure the ways to sample a foundation model faster, on random weights of the model's own shape.

    A row that is there is not measured again: the same command goes on where it was.
    """

    model: tyro.conf.Positional[str]
    """A model of `wow models`, of the Wan or Cosmos families."""
    out: Path = field(default_factory=fresh_folder("speed"))
    """Folder to write, or to go on with."""
    shape: str | None = None
    """Height x width x frames, e.g. 480x832x81; the model's own where none is given."""
    steps: int = 3
    """Steps of each clip; what is published for the model where 0 is given."""
    rows: str = "all"
    """Ways to measure, with commas; all of them, or e.g. exact,batched,compiled,fast."""
    tiny: bool = False
    """A small network of the same structure instead, to rehearse on a CPU."""
    device: str | None = None
    """cpu or cuda; the GPU where there is one."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Precision of the network."""

    def continues(self) -> bool:
        return (self.out / ABOUT).is_file()

    def prepare(self) -> list[Path]:
        from wow.foundation.cards import card
        from wow.foundation.request import check_frames

        chosen = card(self.model)
        if chosen.transformer.kind not in ("WanTransformer3DModel", "CosmosTransformer3DModel"):
            raise WowError(f"{chosen.name} has no ways to compare: name a model of the Wan or Cosmos families")
        if self.steps < 0:
            raise WowError(f"--steps is 1 or more, or 0 for the published number, not {self.steps}")
        if self.shape is not None:
            height, width, frames = self._shape()
            check_frames(chosen, frames)
            if height % chosen.multiple or width % chosen.multiple:
                raise WowError(f"{chosen.name} makes clips whose sides are multiples of {chosen.multiple}")
        return super().prepare()

    def run(self) -> Summary:
        import torch

        from wow.foundation.stopwatch import ROWS, Bench

        names = self._names(list(ROWS))
        card, frames = self._card()
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        if device != "cpu" and not torch.cuda.is_available():
            raise WowError("there is no NVIDIA GPU here: leave --device away, or add --tiny --device cpu to rehearse")
        if device == "cpu" and not self.tiny:
            raise WowError(f"{card.name} in its own size needs a GPU: add --tiny to rehearse on this machine")
        steps = self.steps or card.sampler.num_inference_steps
        about = {"model": card.name, "shape": [card.height, card.width, frames], "steps": steps, "tiny": self.tiny,
                 "device": torch.cuda.get_device_name() if device != "cpu" else "cpu", "dtype": self.dtype,
                 "seed": self.seed, "torch": torch.__version__}  # fmt: skip
        self._keep_to(about)
        bench = Bench(card, device, getattr(torch, self.dtype), frames, steps, self.seed)
        rows: list[Summary] = []
        with Progress("speed", total=len(names), unit="ways") as progress:
            for name in names:
                rows.append(self._row(bench, name))
                progress.advance(note=name)
        summary: Summary = {**about, "out": self.out, "rows": rows}
        write_json(self.out / "table.json", summary)
        return summary

    def describe(self, summary: Mapping[str, object]) -> str:
        """The table."""
        rows = summary["rows"]
        assert isinstance(rows, list)
        exact = next((row for row in rows if row["way"] == "exact" and "why_not" not in row), None)
        cells = [COLUMNS, *(_cells(row, exact) for row in rows if "why_not" not in row)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(COLUMNS))]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        left = [f"{row['way']}: {row['why_not']}" for row in rows if "why_not" in row]
        shape = "x".join(map(str, summary["shape"])) if isinstance(summary["shape"], list) else ""
        return "\n".join([f"{summary['model']}, {shape}, {summary['steps']} steps, {summary['device']}", *lines, *left])

    # ---- inside ----

    def _row(self, bench: Any, name: str) -> Summary:
        """One row, measured or read back. What cannot be done here is a row with the reason, and tried again."""
        import numpy as np

        from wow.foundation.overfit import psnr
        from wow.foundation.stopwatch import ROWS

        kept = self.out / f"{name}.json"
        if kept.is_file():
            row: Summary = json.loads(kept.read_text())
            return row
        try:
            measured = bench.measure(ROWS[name])
        except WowError as error:
            return {"way": name, "why_not": str(error)}
        np.save(self.out / f"{name}.npy", measured.frames)
        exact = self.out / "exact.npy"
        numbers = {key: value for key, value in vars(measured).items() if key != "frames"}
        row = {"way": name, **numbers, "psnr": psnr(measured.frames, np.load(exact)) if exact.is_file() else None}
        write_json(kept, row)
        return row

    def _keep_to(self, about: Mapping[str, object]) -> None:
        """Notes what is measured; refuses to mix it with something else."""
        at = self.out / ABOUT
        if at.is_file() and json.loads(at.read_text()) != about:
            raise WowError(f"{self.out} holds measurements of something else ({at}): name another --out")
        write_json(at, about)

    def _names(self, known: list[str]) -> list[str]:
        if self.rows == "all":
            return known
        names = [name.strip() for name in self.rows.split(",")]
        if unknown := [name for name in names if name not in known]:
            raise WowError(f"there is no way called {unknown[0]!r}: there are {', '.join(known)}")
        return sorted(names, key=known.index)

    def _shape(self) -> tuple[int, int, int]:
        parts = (self.shape or "").split("x")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            raise WowError(f"--shape is HEIGHTxWIDTHxFRAMES, e.g. 480x832x81, not {self.shape!r}")
        return int(parts[0]), int(parts[1]), int(parts[2])

    def _card(self) -> tuple[Card, int]:
        from wow.foundation.cards import card
        from wow.foundation.miniature import small

        chosen = small(card(self.model)) if self.tiny else card(self.model)
        if self.shape is None:
            return chosen, chosen.frames.default
        height, width, frames = self._shape()
        return replace(chosen, height=height, width=width), frames


def _cells(row: Mapping[str, Any], exact: Mapping[str, Any] | None) -> tuple[str, ...]:
    faster = "" if exact is None else f"{exact['seconds'] / row['seconds']:.2f}"
    memory = "" if row["gigabytes"] is None else f"{row['gigabytes']:.1f}"
    near = "" if row["psnr"] is None else "same" if row["psnr"] > 100 else f"{row['psnr']:.1f}"
    return (row["way"], f"{row['seconds_per_step']:.3f}", f"{row['seconds']:.1f}", faster, memory, str(row["passes"]),
            str(row["skipped"]), near)  # fmt: skip
