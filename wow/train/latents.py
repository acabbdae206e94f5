"""What the world model trains on: each frame's latent and each text's tokens, computed once, kept beside the data."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wow.models.codec import Codec
from wow.models.text import TextConditioner
from wow.train.codec import to_tensor
from wow.train.store import Clips

OnDone = Callable[[int, int], None]
BATCH = 64


@dataclass(frozen=True)
class TextTable:
    """Token embeddings of many texts. Row i of `start` is where text i begins in `tokens` (float16 [M, d])."""

    index: dict[str, int]
    tokens: NDArray[np.float16]
    start: NDArray[np.int64]

    def gather(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Padded tokens [b, l, d] and their mask [b, l]."""
        rows = [self.index[text] for text in texts]
        lengths = [int(self.start[row + 1] - self.start[row]) for row in rows]
        tokens = torch.zeros(len(rows), max(lengths), self.tokens.shape[1])
        mask = torch.zeros(len(rows), max(lengths), dtype=torch.bool)
        for place, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            tokens[place, :length] = torch.from_numpy(
                self.tokens[self.start[row] : self.start[row + 1]].astype(np.float32)
            )
            mask[place, :length] = True
        return tokens, mask


def codec_hash(codec: Codec) -> str:
    """A hash of the codec's weights: latents of codecs with the same hash are the same."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.state_dict().items()):
        if value.is_floating_point():
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def encode_frames(codec: Codec, clips: Clips, cache: Path, on_done: OnDone) -> NDArray[np.float16]:
    """The latent of every frame, float16 [N, c, h, w]; from `cache` when this codec has seen these frames before."""
    stamp = f"{codec_hash(codec)[:16]}-{len(clips.frames)}-{hashlib.sha256(clips.start.tobytes()).hexdigest()[:8]}"
    path = cache / f"latents-{stamp}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        device = next(codec.parameters()).device
        part = path.with_suffix(".part.npy")
        total = len(clips.frames)
        height, width = (side // 16 for side in clips.frames.shape[1:3])
        out = np.lib.format.open_memmap(
            part, mode="w+", dtype=np.float16, shape=(total, codec.config.latent_channels, height, width)
        )
        for row in range(0, total, BATCH):
            pictures = to_tensor(clips.frames[row : row + BATCH]).to(device)
            out[row : row + BATCH] = codec.encode(pictures).half().cpu().numpy()
            on_done(min(row + BATCH, total), total)
        out.flush()
        shutil.move(part, path)
    latents: NDArray[np.float16] = np.load(path)
    return latents


def encode_texts(conditioner: TextConditioner, texts: Sequence[str], cache: Path, on_done: OnDone) -> TextTable:
    """The token embeddings of all distinct texts; from `cache` when these texts were encoded before."""
    distinct = sorted(set(texts), key=lambda text: (len(text), text))
    stamp = hashlib.sha256("\n".join(distinct).encode()).hexdigest()[:16]
    path = cache / f"texts-{stamp}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        tokens, lengths = [], []
        for row in range(0, len(distinct), BATCH):
            batch, mask = conditioner.encode(distinct[row : row + BATCH])
            for one, kept in zip(batch, mask, strict=True):
                tokens.append(one[kept].half().cpu().numpy())
                lengths.append(int(kept.sum()))
            on_done(min(row + BATCH, len(distinct)), len(distinct))
        part = path.with_suffix(".part.npz")
        np.savez(part, tokens=np.concatenate(tokens), start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        shutil.move(part, path)
    with np.load(path, allow_pickle=False) as found:
        return TextTable({text: row for row, text in enumerate(distinct)}, found["tokens"], found["start"])
