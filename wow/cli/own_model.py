"""wow-mini's row in `wow models`, read off its manifest without loading a weight."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from wow.cli.options import Summary
from wow.foundation.cards import OURS

MODES = ("image2video", "video2video", "forward_dynamics", "inverse_dynamics", "policy")
"""What it can do; `assembly.load(OURS).capabilities`, which takes seconds to ask."""


def facts() -> Summary | None:
    """What it is, as plain values; None where it is not installed whole (`wow doctor` says more)."""
    manifest = files("wow") / "checkpoints" / OURS / "manifest.json"
    if not manifest.is_file():
        return None
    parts = json.loads(manifest.read_text())["parts"]
    about = parts["dit"]["config"]
    return {
        "name": OURS,
        "parameters": sum(_numbers(part) for part in parts.values()),
        "weights_mb": round(sum(file["bytes"] for part in parts.values() for file in part["files"]) / 1e6, 1),
        "modes": MODES,
        "robot": about["embodiment"]["robot"],
        "size": about["size"],
        "num_frames": about["model"]["num_frames"],
        "fps": round(1.0 / about["typical_seconds"]),
        "parts": list(parts),
        "licence": "Apache-2.0",
    }


def row(own: Mapping[str, object]) -> tuple[str, ...]:
    """Its row in the table of models."""
    from wow.cli.sampling import Drawing

    clip = f"{own['num_frames']} x {own['size']} x {own['size']} at {own['fps']}"
    sampled = (str(Drawing.num_inference_steps), f"{Drawing.guidance_scale:g} unconditional")
    takes = (f"{own['weights_mb']} MB", "none needed", str(own["licence"]))
    return (str(own["name"]), _millions(own), "its own", clip, *sampled, *takes)


def lines(own: Mapping[str, object]) -> list[str]:
    """The same as a page, for people."""
    modes, parts = own["modes"], own["parts"]
    assert isinstance(modes, tuple) and isinstance(parts, list)
    told = {
        "does": ", ".join(modes),
        "clips": f"up to {own['num_frames']} frames (2k+1) of {own['size']}x{own['size']} at about {own['fps']} fps",
        "robot": str(own["robot"]),
        "weights": f"{own['weights_mb']} MB, {_millions(own)} numbers: {', '.join(parts)}",
        "licence": str(own["licence"]),
        "from": "comes with the package",
    }
    return [str(own["name"]), *(f"  {key:<10}{value}" for key, value in told.items())]


def _millions(own: Mapping[str, object]) -> str:
    return f"{float(str(own['parameters'])) / 1e6:.0f}M"


def _numbers(part: Mapping[str, Any]) -> int:
    """How many numbers a part has; the scales that int8 is stored with are none of them."""
    shapes = {name: said for file in part["files"] for name, said in file["holds"].items()}
    return sum(
        math.prod(int(size) for size in re.findall(r"\d+", said.partition("[")[2]))
        for name, said in shapes.items()
        if not name.endswith(".row_scale")
    )
