"""What the world model trains on: each frame's latent and each text's tokens, computed once, kept beside the data."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wow.models.codec import Codec
from wow.models.text import TextConditioner
from wow.train.codec import to_tensor
from wow.train.rows import Rows
from wow.train.store import Clips

OnDone = Callable[[int, int], None]
BATCH = 64
PORTION = 4096
"""Frames whose latents are kept in one file."""


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
    """A hash of the weights that make latents: those of codecs with the same hash are the same."""
    digest = hashlib.sha256()
    for name, value in sorted(codec.state_dict().items()):
        if value.is_floating_point() and name.split(".")[0] in ("encoder", "normalise"):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def encode_frames(codec: Codec, clips: Clips, cache: Path, on_done: OnDone) -> Rows:
    """The latent of every frame, float16 [N, c, h, w], read from disk where it is asked for.

    An episode is encoded once: `cache` knows it by its pixels, whatever dataset, camera or selection it comes with. The
    latents that were made stay when this is interrupted.
    """
    kept = cache / f"latents-{codec_hash(codec)[:16]}"
    episodes = [slice(first, end) for first, end in zip(clips.start, clips.start[1:], strict=False)]
    names = [hashlib.sha256(clips.frames[rows].data).hexdigest()[:32] for rows in episodes]
    _, known = _read_latents(kept)
    missing = {name: rows for name, rows in zip(names, episodes, strict=True) if name not in known}
    total, done = sum(rows.stop - rows.start for rows in missing.values()), 0
    for some in _portions(missing):
        frames = np.concatenate([clips.frames[missing[name]] for name in some])
        encoded = []
        for row in range(0, len(frames), BATCH):
            pictures = to_tensor(frames[row : row + BATCH]).to(next(codec.parameters()).device)
            encoded.append(codec.encode(pictures).half().cpu().numpy())
            done += len(pictures)
            on_done(int(done), int(total))
        lengths = {name: int(missing[name].stop - missing[name].start) for name in some}
        _write_latents(kept, lengths, np.concatenate(encoded))
    parts, known = _read_latents(kept)
    places = [known[name] + np.arange(rows.stop - rows.start) for name, rows in zip(names, episodes, strict=True)]
    return Rows(parts, np.concatenate(places))


def _portions(episodes: Mapping[str, slice]) -> Iterator[list[str]]:
    """Names of episodes that have about `PORTION` frames together."""
    some, frames = [], 0
    for name, rows in episodes.items():
        some.append(name)
        frames += rows.stop - rows.start
        if frames >= PORTION:
            yield some
            some, frames = [], 0
    if some:
        yield some


def _read_latents(kept: Path) -> tuple[list[NDArray[np.float16]], dict[str, int]]:
    """The files of a folder, mapped, and for each episode the row at which it begins in all of them together."""
    parts: list[NDArray[np.float16]] = []
    begin, row = {}, 0
    for path in sorted(kept.glob("*.npy")):
        parts.append(np.load(path, mmap_mode="r"))
        for name, length in json.loads(path.with_suffix(".json").read_text()).items():
            begin[name] = row
            row += length
    return parts, begin


def _write_latents(kept: Path, lengths: Mapping[str, int], latents: NDArray[np.float16]) -> None:
    """Keeps the latents of some episodes, one after the other in one file."""
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / f"{hashlib.sha256(' '.join(lengths).encode()).hexdigest()[:32]}.npy"
    path.with_suffix(".json").write_text(json.dumps(dict(lengths)))
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.save(file, latents)
    part.replace(path)


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
