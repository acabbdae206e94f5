"""A trained critic as it is used: a video of any length and goals in words, to probabilities that can be believed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wow.models.critic import MERITS, CriticNetwork
from wow.models.fit import fit_frames
from wow.models.text import TextConditioner
from wow.types import UInt8, WowError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What held-out episodes said: chance = sigmoid(slope * logit + offset), and the fault logit of an alarm.

    alarm: exceeded by one clean video in twenty.
    """

    slope: float = 1.0
    offset: float = 0.0
    alarm: float = 0.0

    def chance(self, logit: Array | float) -> Array:
        """The probability of a completion logit."""
        return sigmoid(self.slope * logit + self.offset)


@dataclass(frozen=True)
class Opinion:
    """What the critic makes of a video for one goal; frame numbers are the video's own.

    success: the chance that the goal is reached at the end, in a world like ours. done: the chance of it frame by frame
    [T]. progress: how far it got, 0 to 1. faults: the chance of each kind. alarm: whether they are worth a word: more
    than in nineteen of twenty clean videos. fault: the likeliest kind. span: the first and last frame that show it.
    merits: by name as in models.critic.MERITS, 0 to 1. logit: of success, before calibration.
    """

    success: float
    done: Array
    progress: float
    faults: Mapping[str, float]
    alarm: bool
    fault: str
    span: tuple[int, int]
    merits: Mapping[str, float]
    logit: float
    fault_logit: float


@dataclass(frozen=True)
class Judge:
    """A critic network with the text encoder that it was trained with, and its calibration."""

    network: CriticNetwork
    text: TextConditioner
    calibration: Calibration = field(default_factory=Calibration)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @torch.no_grad()
    def __call__(self, frames: UInt8, goals: Sequence[str]) -> list[Opinion]:
        """An opinion for each goal. frames: uint8 [T, H, W, 3]; other sizes are fitted, other lengths resampled."""
        config = self.network.config
        rows = np.round(np.linspace(0, len(frames) - 1, config.num_frames)).astype(np.int64)
        seen = torch.from_numpy(fit_frames(frames[rows], config.size)[0]).to(self.device)
        words, mask = (x.to(self.device) for x in self.text.encode(list(goals)))
        half = _has_fast_half(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            said = self.network(as_pictures(seen, half)[None], words[None], mask[None])
        logits = {name: value[0].float().cpu().numpy().astype(np.float64) for name, value in vars(said).items()}
        return [self._opinion(logits, goal, rows, len(frames)) for goal in range(len(goals))]

    def _opinion(self, logits: Mapping[str, Array], goal: int, rows: NDArray[np.int64], length: int) -> Opinion:
        kinds = self.network.config.faults
        worst = int(logits["faults"].argmax())
        first, last = loudest(sigmoid(logits["fault_frames"][:, worst]))
        every = np.interp(np.arange(length), rows, sigmoid(logits["done"][goal]))
        return Opinion(
            success=float(self.calibration.chance(logits["completed"][goal])),
            done=every,
            progress=float(sigmoid(logits["progress"][goal])),
            faults=dict(zip(kinds, sigmoid(logits["faults"]).tolist(), strict=True)),
            alarm=bool(logits["faults"][worst] > self.calibration.alarm),
            fault=kinds[worst],
            span=(int(rows[first]), int(rows[last])),
            merits=dict(zip(MERITS, sigmoid(logits["merits"]).tolist(), strict=True)),
            logit=float(logits["completed"][goal]),
            fault_logit=float(logits["faults"][worst]),
        )


def as_pictures(frames: torch.Tensor, half: bool) -> torch.Tensor:
    """uint8 [… t h w 3] as [… t 3 h w] in [-1, 1]; in half precision, which eight bits do not exceed, if so asked."""
    return frames.movedim(-1, -3).to(torch.bfloat16 if half else torch.float32) / 127.5 - 1.0


def sigmoid(x: Array | float) -> Array:
    """1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, np.float64))))


def loudest(chances: Array, share: float = 0.5) -> tuple[int, int]:
    """The first and last frame of the stretch around the largest of the chances [T] that stays above a share of it."""
    peak = int(chances.argmax())
    loud = chances >= share * chances[peak]
    first, last = peak, peak
    while first > 0 and loud[first - 1]:
        first -= 1
    while last + 1 < len(chances) and loud[last + 1]:
        last += 1
    return first, last


def fit_chance(logits: Array, truths: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset with which a sigmoid of the logits [N] is most likely to give the truths [N] (Platt 1999).

    The slope stays positive: the order of videos is the network's. Blank where one kind of truth is missing.
    """
    if truths.all() or not truths.any():
        return 1.0, 0.0
    # Targets a little inside of 0 and 1, so that a perfect ranking does not ask for an infinite slope.
    high, low = (truths.sum() + 1) / (truths.sum() + 2), 1 / ((~truths).sum() + 2)
    x = torch.from_numpy(logits.astype(np.float64))
    y = torch.from_numpy(np.where(truths, high, low))
    found = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([found], max_iter=100, line_search_fn="strong_wolfe")

    def cost() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(found[0].exp() * x + found[1], y)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(cost)  # type: ignore[no-untyped-call]
    slope, offset = float(found[0].detach().exp()), float(found[1].detach())
    return (slope, offset) if math.isfinite(slope) and math.isfinite(offset) else (1.0, 0.0)


def calibration_from_json(document: Mapping[str, Any], origin: str) -> Calibration:
    """The calibration that `dataclasses.asdict` wrote. Raises WowError naming `origin` where it is not one."""
    try:
        return Calibration(float(document["slope"]), float(document["offset"]), float(document["alarm"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise WowError(f"{origin}: the critic's calibration cannot be read ({problem!r}); train it again") from None


def _has_fast_half(device: torch.device) -> bool:
    """Whether bf16 is faster than fp32 on a device; older versions of PyTorch cannot tell."""
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cuda" or bool(known.get("amx_bf16", False))
