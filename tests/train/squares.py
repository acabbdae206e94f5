"""Episodes of a moving square, and how well an objective learns from them: for the tests of what is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from wow.train.codec import CodecObjective
from wow.train.draft import DraftObjective
from wow.train.rows import Rows
from wow.train.store import Clips
from wow.types import Dimension, Embodiment

CARD = Embodiment("test", 20.0, tuple(Dimension(f"a{i}", "m") for i in range(7)), action_kind="delta")


def make_clips(lengths: tuple[int, ...] = (6, 20, 33), size: int = 32) -> Clips:
    """Episodes in which a white square moves right; every second one does not do what its text says."""
    total = sum(lengths)
    start = np.concatenate([[0], np.cumsum(lengths)])
    frames = np.zeros((total, size, size, 3), dtype=np.uint8)
    for row in range(total):
        x = row % (size - 8)
        frames[row, 8:16, x : x + 8] = 255
    texts = tuple((f"do thing {i}", f"a dense caption of thing {i} " + "word " * 20) for i in range(len(lengths)))
    actions = np.random.default_rng(0).normal(size=(total, 7)).astype(np.float32) * 0.01
    obeys = np.array([i % 2 == 0 for i in range(len(lengths))])
    return Clips(Rows([frames]), actions, start, texts, obeys, 20.0, CARD, np.zeros((len(actions), 0), np.float32))


CLIPS = make_clips()


def learned(objective: DraftObjective | CodecObjective, steps: int, held: int) -> tuple[dict[str, float], ...]:
    """What `held` clips that stay the same are worth before training and after so many steps of eight."""
    optimizer = torch.optim.Adam(objective.network.parameters(), lr=4e-3)

    def loss(count: int, seed: int) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        batch: Any = objective.batch(count, torch.Generator().manual_seed(seed))
        return objective.loss(objective.network.train(), batch)

    def measured() -> dict[str, float]:
        with torch.no_grad():
            return {name: float(value) for name, value in loss(held, 10_000)[1].items()}

    before = measured()
    for step in range(steps):
        optimizer.zero_grad()
        loss(8, step)[0].backward()
        optimizer.step()
    return before, measured()
