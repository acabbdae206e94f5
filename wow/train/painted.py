"""Clips of recorded motions as a transformer paints them, for a codec that learns to show them as what was recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from wow.imagine.sampler import SamplingOptions, sample
from wow.models.codec import Codec
from wow.models.dit import DiT
from wow.train.codec import PaintedClips, to_tensor
from wow.train.instructed import Instructed

OnDone = Callable[[int, int], None]
BATCH = 8


@torch.no_grad()
def paint_clips(told: Instructed, dit: DiT, codec: Codec, count: int, seed: int, on_done: OnDone) -> PaintedClips:
    """Clips of told.num_frames, each painted over its first frame for the motion that was recorded.

    The same seed paints the same clips. told: in the scale of the transformer's motions. codec: of its latents.
    """
    device, random = next(dit.parameters()).device, np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    rows, errors = [], []
    for first in range(0, count, BATCH):
        windows = told.windows(min(BATCH, count - first), random)
        shown = np.stack([window.rows for window in windows])
        clean = torch.stack([codec.encode(clip) for clip in to_tensor(told.clips.frames[shown], device)])
        conditions = told.conditions(windows, random).map(lambda value: value.to(device))
        noise = torch.randn(clean.shape, generator=generator).to(device)
        drawn = sample(dit, noise, clean[:, :1], conditions, SamplingOptions())
        rows.append(shown)
        errors.append((drawn - clean).half().cpu().numpy())
        on_done(first + len(windows), count)
    return PaintedClips(np.concatenate(rows), np.concatenate(errors))
