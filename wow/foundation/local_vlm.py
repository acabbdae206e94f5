"""A vision-language model in this process: Qwen's families (2-VL, 2.5-VL, 3-VL), read from a folder by transformers.

Nothing is downloaded, no code that comes with weights is run, and weights are read from safetensors alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from wow.types import UInt8, WowError

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
"""What `config.json` calls the models that are spoken to here: they share their words for pictures and turns."""
PICTURE = "<|image_pad|>"
LONGEST = 8192
"""Tokens of the longest question."""


@dataclass(frozen=True)
class Said:
    """What the model said, and how many tokens were read and written, which cost nothing but time."""

    text: str
    tokens: int
    cost: float = 0.0


@dataclass(frozen=True)
class LocalVlm:
    """A model that looks at pictures and answers in words; see `load_local_vlm`."""

    model: Any
    tokenizer: Any
    image_processor: Any
    name: str

    @torch.no_grad()
    def __call__(
        self,
        system: str,
        text: str,
        pictures: Sequence[UInt8] = (),
        *,
        schema: Mapping[str, object] | None = None,
        max_tokens: int = 400,
        seconds: float | None = None,
    ) -> Said:
        """The likeliest answer. pictures: uint8 [H, W, 3].

        schema: not enforced here, so the text has to describe it. seconds: after them no further word is begun; how
        long reading the question takes depends on its length alone. Raises WowError where the question is too long, or
        the model cannot answer it: no memory is left, or what it computes is no number.
        """
        inputs = self._inputs(system, text, pictures)
        length = inputs["input_ids"].shape[1]
        if length > LONGEST:
            raise WowError(f"the question to {self.name} has {length} tokens, at most {LONGEST}: show fewer frames")
        limits = {"max_new_tokens": max_tokens, "max_time": seconds, "pad_token_id": self._end}
        try:
            written = self.model.generate(**inputs, do_sample=False, **limits)[0, length:]
        except (RuntimeError, ValueError, IndexError) as problem:
            reason = " ".join(str(problem).split())[:160]
            raise WowError(
                f"{self.name} broke down over a question of {length} tokens ({reason}); name another"
            ) from None
        return Said(self.tokenizer.decode(written, skip_special_tokens=True).strip(), length + len(written))

    # ---- inside ----

    @property
    def _end(self) -> int:
        found = self.tokenizer.eos_token_id
        return int(found if found is not None else 0)

    def _inputs(self, system: str, text: str, pictures: Sequence[UInt8]) -> dict[str, torch.Tensor]:
        seen: dict[str, torch.Tensor] = {}
        counts: list[int] = []
        if pictures:
            shown = self.image_processor(images=[Image.fromarray(picture) for picture in pictures], return_tensors="pt")
            seen = {key: shown[key].to(self.model.device) for key in ("pixel_values", "image_grid_thw")}
            counts = [int(grid.prod()) // self.image_processor.merge_size**2 for grid in seen["image_grid_thw"]]
        ids = self.tokenizer(conversation(system, text, counts), return_tensors="pt", add_special_tokens=False)
        token_ids = ids["input_ids"].to(self.model.device)
        # 1 where a token stands for a piece of a picture: what its position in the picture is counted by.
        kinds = (token_ids == self.model.config.image_token_id).int()
        if int(kinds.sum()) != sum(counts):
            raise WowError(f"{self.name}: its tokenizer does not know {PICTURE}; the folder is not whole")
        more = {"mm_token_type_ids": kinds} if counts else {}
        return {"input_ids": token_ids, "attention_mask": torch.ones_like(token_ids), **more, **seen}


def conversation(system: str, text: str, counts: Sequence[int]) -> str:
    """The question in the families' own marks: who speaks, and `counts[i]` tokens for the pieces of picture i.

    No text can speak for somebody else: marks that stand in it are broken.
    """
    pictures = "".join(f"<|vision_start|>{PICTURE * count}<|vision_end|>" for count in counts)
    system, text = (part.replace("<|", "< |") for part in (system, text))
    turns = (("system", system), ("user", pictures + text))
    said = "".join(f"<|im_start|>{who}\n{what}<|im_end|>\n" for who, what in turns)
    return f"{said}<|im_start|>assistant\n"


def load_local_vlm(folder: Path, device: str | None = None) -> LocalVlm:
    """The model in a folder, as `save_pretrained` or a clone of its repository leaves it.

    Raises WowError where there is none, where it is of another family, or where its files cannot be read.
    """
    family = _family(folder)
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    kept: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = AutoModelForImageTextToText.from_pretrained(folder, use_safetensors=True, dtype="auto", **kept)
        tokenizer = AutoTokenizer.from_pretrained(folder, **kept)
        image_processor = AutoImageProcessor.from_pretrained(folder, **kept)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise WowError(f"{folder}: this {family} model cannot be read ({reason}); copy its folder again") from None
    return LocalVlm(model.eval().to(where), tokenizer, image_processor, folder.name)


def _family(folder: Path) -> str:
    try:
        family = json.loads((folder / "config.json").read_text())["model_type"]
    except (FileNotFoundError, NotADirectoryError):
        raise WowError(
            f"{folder} holds no model: name one with config.json, tokenizer and safetensors (nothing is downloaded)"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise WowError(f"{folder}/config.json cannot be read; copy the model's folder again") from None
    if family not in FAMILIES:
        raise WowError(
            f"{folder} holds a model of the kind {str(family)[:40]!r}; local critics are {', '.join(FAMILIES)}"
        )
    return str(family)
