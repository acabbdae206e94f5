"""What the world model trains on: each frame's latent and each text's tokens, computed once, kept beside the data."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
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
    which = hashlib.sha256(clips.identity.encode() + clips.start.tobytes()).hexdigest()[:16]
    stamp = f"{codec_hash(codec)[:16]}-{len(clips.frames)}-{which}"
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
    """The token embeddings of all these texts, and of those that were encoded before: `cache` keeps every one."""
    path = cache / "texts.npz"
    known = _read_table(path)
    missing = sorted(set(texts) - known.index.keys(), key=lambda text: (len(text), text))
    if missing:
        tokens, lengths = [known.tokens] if known.index else [], [*np.diff(known.start)]
        for row in range(0, len(missing), BATCH):
            batch, mask = conditioner.encode(missing[row : row + BATCH])
            for one, kept in zip(batch, mask, strict=True):
                tokens.append(one[kept].half().cpu().numpy())
                lengths.append(int(kept.sum()))
            on_done(min(row + BATCH, len(missing)), len(missing))
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        index = {text: row for row, text in enumerate([*known.index, *missing])}
        known = TextTable(index, np.concatenate(tokens), start)
        _write_table(path, known)
    return known


def _read_table(path: Path) -> TextTable:
    """The table in a file; an empty one where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as found:
            texts = json.loads(found["texts"].tobytes())
            return TextTable({text: row for row, text in enumerate(texts)}, found["tokens"], found["start"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return TextTable({}, np.zeros((0, 0), np.float16), np.zeros(1, np.int64))


def _write_table(path: Path, table: TextTable) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npz")
    texts = np.frombuffer(json.dumps(list(table.index)).encode(), np.uint8)
    np.savez(part, tokens=table.tokens, start=table.start, texts=texts)
    part.replace(path)
