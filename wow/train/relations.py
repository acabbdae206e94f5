"""Token relation distillation: the transformer's tokens should be alike where a frozen encoder's features are alike.

After VideoREPA (Zhang et al. 2025), which WoW names for its auxiliary loss: cosine similarities between all tokens of a
clip, inside and across frames, are compared with the teacher's; differences within a margin are forgiven.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wow.models.dit import Conditions, DiT
from wow.models.draft import Draft
from wow.train.store import Clips
from wow.types import UInt8

BATCH = 64


class FrameEncoder(Protocol):
    """A frozen network that sees what is in a picture."""

    @property
    def name(self) -> str:
        """Tells its features from another network's in the cache."""

    def features(self, frames: UInt8, side: int) -> Float[Tensor, "n d side side"]:
        """Features of pictures [N, H, W, 3], averaged to a grid of `side` by `side` cells."""


def relations(tokens: Float[Tensor, "b n d"]) -> Float[Tensor, "b n n"]:
    """Cosine similarity of every token with every other."""
    unit = functional.normalize(tokens, dim=-1)
    return unit @ unit.transpose(1, 2)


def relation_loss(student: Float[Tensor, "b n d"], teacher: Float[Tensor, "b n e"], margin: float = 0.1) -> Tensor:
    """How much the student's relations differ from the teacher's, beyond the margin; the widths may differ."""
    return functional.relu((relations(student) - relations(teacher)).abs() - margin).mean()


class ObservedDiT(nn.Module):
    """A transformer together with a projection of what its tokens are after one of its blocks."""

    def __init__(self, dit: DiT, block: int, width: int = 256) -> None:
        super().__init__()
        self.dit = dit
        self.block = block
        inner = dit.config.width
        self.relation_head = nn.Sequential(nn.Linear(inner, inner), nn.SiLU(), nn.Linear(inner, width))

    def forward(
        self, noisy: Tensor, time: Tensor, conditions: Conditions, draft: Draft | None = None
    ) -> tuple[Tensor, Tensor]:
        """The clean latents, and the projected tokens [b, n, width]."""
        seen: list[Tensor] = []
        hook = self.dit.blocks[self.block].register_forward_hook(lambda module, given, out: seen.append(out))
        try:
            clean = self.dit(noisy, time, conditions, draft)
        finally:
            hook.remove()
        return clean, self.relation_head(seen[0].flatten(1, 2))

    def matrices(self) -> list[Tensor]:
        """Those of the transformer."""
        return self.dit.matrices()


def encode_teacher(
    encoder: FrameEncoder, clips: Clips, side: int, cache: Path, on_done: Callable[[int, int], None]
) -> NDArray[np.float16]:
    """The teacher's features of every frame [N, side * side, d], from `cache` where they were computed before."""
    which = hashlib.sha256(clips.identity.encode() + clips.start.tobytes()).hexdigest()[:16]
    path = cache / f"relations-{encoder.name}-{side}-{which}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        rows = []
        for row in range(0, len(clips.frames), BATCH):
            grid = encoder.features(np.asarray(clips.frames[row : row + BATCH]), side)
            rows.append(rearrange(grid, "n d h w -> n (h w) d").half().cpu().numpy())
            on_done(min(row + BATCH, len(clips.frames)), len(clips.frames))
        part = path.with_suffix(".part.npy")
        np.save(part, np.concatenate(rows))
        shutil.move(part, path)
    features: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return features


def clip_features(features: NDArray[np.float16], rows: NDArray[np.int64]) -> Float[Tensor, "b n d"]:
    """The teacher's tokens of clips whose frames are `rows` [b, t], one set for each of the transformer's groups.

    A group is the first frame, or two frames; two frames' features are averaged.
    """
    frames = torch.from_numpy(np.asarray(features[rows])).float()
    pairs = rearrange(frames[:, 1:], "b (g two) n d -> b g two n d", two=2).mean(dim=2)
    return rearrange(torch.cat([frames[:, :1], pairs], dim=1), "b g n d -> b (g n) d")
