"""What a prompt looks like to a network, kept on disk: the text encoder is loaded for new prompts alone."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from wow.foundation.card import Card


def cache_folder() -> Path:
    """Where embeddings are kept unless a caller names another folder."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "wow" / "embeddings"


class Reader(Protocol):
    """Turns prompts into embeddings [1, l, d] on the CPU."""

    def embed(self, prompts: Sequence[str]) -> list[Tensor]: ...

    def read_ahead(self, prompts: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class Shelf:
    """Embeddings on disk. encoder: what tells one text encoder's numbers from another's, e.g. a hash of its files."""

    folder: Path
    encoder: str

    def path(self, prompt: str) -> Path:
        """Where the embedding of a prompt is, or would be."""
        key = "\0".join((self.encoder, prompt)).encode()
        return self.folder / f"{hashlib.sha256(key).hexdigest()}.safetensors"

    def take(self, prompt: str) -> Tensor | None:
        """The embedding [1, l, d] of a prompt; None where there is none, or none that can be read."""
        try:
            return safetensors.torch.load_file(self.path(prompt))["embedding"]
        except (FileNotFoundError, SafetensorError, KeyError):
            return None

    def put(self, prompt: str, embedding: Tensor) -> None:
        """Keeps an embedding; whole or not at all."""
        path = self.path(prompt)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        safetensors.torch.save_file({"embedding": embedding.detach().cpu().contiguous()}, part)
        part.replace(path)


@dataclass
class Prompts:
    """Prompts to embeddings, by the text encoder of a pipeline, which is there only while it is at work.

    load: brings the text encoder, on the device where it shall run. keeps: leave it there afterwards.
    """

    pipeline: Any
    card: Card
    load: Callable[[], Any]
    shelf: Shelf | None = None
    keeps: bool = False
    _seen: dict[str, Tensor] = field(default_factory=dict)

    def embed(self, prompts: Sequence[str]) -> list[Tensor]:
        """The embeddings [1, l, d] of prompts, on the CPU."""
        found = {prompt: self._find(prompt) for prompt in dict.fromkeys(prompts)}
        found |= dict(self._encode([prompt for prompt, embedding in found.items() if embedding is None]))
        return [embedding for prompt in prompts if (embedding := found[prompt]) is not None]

    def read_ahead(self, prompts: Sequence[str]) -> None:
        """Has the text encoder, loaded once, read prompts. On a shelf they take no memory, however many they are."""
        for _ in self._encode([prompt for prompt in dict.fromkeys(prompts) if not self._has(prompt)]):
            pass

    def _has(self, prompt: str) -> bool:
        return prompt in self._seen if self.shelf is None else self.shelf.path(prompt).is_file()

    def _find(self, prompt: str) -> Tensor | None:
        return self._seen.get(prompt) if self.shelf is None else self.shelf.take(prompt)

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        if not prompts:
            return
        if self.pipeline.text_encoder is None:
            self.pipeline.register_modules(text_encoder=self.load())
        encoder = self.pipeline.text_encoder
        for prompt in prompts:
            embedding, _ = self.pipeline.encode_prompt(
                prompt,
                do_classifier_free_guidance=False,
                max_sequence_length=self.card.num_words,
                device=next(encoder.parameters()).device,
            )
            if self.shelf is None:
                self._seen[prompt] = embedding.cpu()
            else:
                self.shelf.put(prompt, embedding)
            yield prompt, embedding.cpu()
        if not self.keeps:
            self.pipeline.register_modules(text_encoder=None)
            del encoder
            free_memory()


def free_memory() -> None:
    """Gives back what nothing refers to any more, on the GPU too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
