"""Time and peak memory of reading a checkpoint of full size with random weights. Run as a script.

Writes the file first (2.8 GB in bfloat16, 5.7 GB in float32), then reads it in a process of its own, the way a model is
read before its first clip, and touches every number, so that each page really comes from the disk.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from wow.foundation.cards import card
from wow.foundation.checkpoint import open_checkpoint
from wow.foundation.checkpoint_network import empty_network, expected_shapes, fill
from wow.foundation.keys_wan import WAN


def write(path: Path, name: str, dtype: torch.dtype) -> None:
    """One file in the authors' layout with random numbers."""
    part = card(name).transformer
    shapes = expected_shapes(part.library, part.kind, dict(part.config))
    made, _ = WAN.to_original(list(shapes))
    generator = torch.Generator().manual_seed(0)
    state = {
        original: torch.empty(how.shape(shapes), dtype=dtype).uniform_(-0.02, 0.02, generator=generator)
        for original, how in made.items()
    }
    save_file(state, path)


def read(path: Path, name: str, wanted: str) -> dict[str, float]:
    """Seconds and the most memory that this process ever had [GB], of which mapped pages are a part."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    part = card(name).transformer
    checkpoint = open_checkpoint(path, part)
    opened = time.perf_counter() - began
    network = empty_network(checkpoint.library, checkpoint.kind, checkpoint.config)
    fill(network, checkpoint, dtype=getattr(torch, wanted))
    filled = time.perf_counter() - began
    total = sum(float(parameter.sum(dtype=torch.float32)) for parameter in network.parameters())
    assert total == total, "numbers"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    seconds = {"opened_s": opened, "filled_s": filled, "touched_s": time.perf_counter() - began}
    sizes = {"file_gb": path.stat().st_size / 1e9, "resident_gb": size / 1e9}
    return seconds | sizes | {"before_gb": before / 1e6, "peak_gb": peak / 1e6}


def main() -> None:
    """Writes, then reads in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="wow-1-wan-1.3b-2m")
    parser.add_argument("--stored", default="bfloat16")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.file and options.write:
        write(options.file, options.model, getattr(torch, options.stored))
        return
    if options.file:
        print(json.dumps(read(options.file, options.model, options.dtype)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "diffusion_pytorch_model.safetensors"
        words = [sys.executable, __file__, "--file", str(path), "--model", options.model, "--dtype", options.dtype]
        # A process begins with the peak of the one that started it: who writes must not be who starts the reader.
        subprocess.run([*words, "--stored", options.stored, "--write"], check=True)
        print(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip())


if __name__ == "__main__":
    main()
