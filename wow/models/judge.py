"""Trained critics as they are used: videos and motions of any length, to probabilities that can be believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wow.models.dit import Conditions
from wow.models.faults import FaultNetwork
from wow.models.fit import fit_frames, fit_picture
from wow.models.outcome import OutcomeNetwork
from wow.models.precision import has_fast_half
from wow.models.text import TextConditioner
from wow.types import Actions, Float32, UInt8, WowError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Chance:
    """How a logit is read: chance = sigmoid(slope * logit + offset), fitted to held-out cases."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, logit: Array | float) -> Array:
        """The probability of a logit, of any shape."""
        return sigmoid(self.slope * np.asarray(logit, np.float64) + self.offset)


@dataclass(frozen=True)
class OutcomeJudge:
    """A trained outcome network with the text encoder that it learned with, and how its logits are read.

    motion_of: actions as the normalised motion [T, A] of its policy. size: of the pictures that the policy sees.
    """

    network: OutcomeNetwork
    text: TextConditioner
    motion_of: Callable[[Actions], Float32]
    size: int
    chance: Chance = field(default_factory=Chance)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @torch.no_grad()
    def __call__(self, picture: UInt8, goal: str, actions: Actions, seconds: float | None = None) -> Array:
        """The chance that the actions reach the goal from the picture [H, W, 3], after each of T transitions [T].

        The last one is that of all actions; those before it are of who stops there. seconds: what all of them take,
        where somebody asked for it: the practised hand then gets as far as it does in that time. Raises WowError for a
        goal that is longer than what is read of it.
        """
        self.text.check(goal, "the learned critic")
        tokens, mask = (x.to(self.device) for x in self.text.encode([goal]))
        conditions = unhurried(tokens, mask)
        if seconds is not None:
            pace = torch.full_like(conditions.seconds, seconds / self.network.num_transitions)
            conditions = replace(conditions, seconds=pace, has_seconds=torch.ones_like(conditions.has_seconds))
        seen = torch.from_numpy(fit_picture(picture, self.size)[0].copy()).to(self.device).movedim(-1, 0)[None].float()
        sought, practised = self.network.practise(seen / 127.5 - 1.0, conditions)
        motion = torch.from_numpy(self.motion_of(actions)).to(self.device)
        count = len(motion)
        stopped = motion[torch.minimum(torch.arange(count)[None], torch.arange(count)[:, None])]
        logits = self.network(sought.expand(count, -1), practised.expand(count, -1, -1), stopped)
        return self.chance(logits.double().cpu().numpy())


def unhurried(tokens: torch.Tensor, mask: torch.Tensor) -> Conditions:
    """The conditions of a policy that is told words [b l e] and may choose its pace."""
    rows = torch.zeros(len(tokens), device=tokens.device)
    always = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
    return Conditions(tokens, mask, always, torch.zeros(len(tokens), 0, 0, device=tokens.device), rows, rows, ~always)


@dataclass(frozen=True)
class Finding:
    """The faults of a video; frame numbers are its own.

    faults: the chance of each kind. alarm: whether they are worth a word: more than in nineteen of twenty clean videos.
    fault: the likeliest kind. span: the first and last frame that show it. quality: how good it looks, 0 to 1. logit:
    of the likeliest kind.
    """

    faults: Mapping[str, float]
    alarm: bool
    fault: str
    span: tuple[int, int]
    quality: float
    logit: float


@dataclass(frozen=True)
class FaultJudge:
    """A trained fault network. alarm: the logit from which on a fault is worth a word."""

    network: FaultNetwork
    alarm: float = math.inf
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @torch.no_grad()
    def __call__(self, frames: UInt8) -> Finding:
        """What is found in frames [T, H, W, 3]; other sizes than the network's are fitted, other lengths resampled."""
        config = self.network.config
        rows = np.round(np.linspace(0, len(frames) - 1, config.num_frames)).astype(np.int64)
        shown = torch.from_numpy(fit_frames(frames[rows], config.size)[0]).to(self.device)
        half = has_fast_half(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            seen = self.network(as_pictures(shown, half)[None])
        kinds, each = (x[0].double().cpu().numpy() for x in (seen.faults, seen.fault_frames))
        worst = int(kinds.argmax())
        first, last = loudest(sigmoid(each[:, worst]))
        return Finding(
            faults=dict(zip(config.faults, sigmoid(kinds).tolist(), strict=True)),
            alarm=bool(kinds[worst] > self.alarm),
            fault=config.faults[worst],
            span=(int(rows[first]), int(rows[last])),
            quality=float(sigmoid(float(seen.quality[0]))),
            logit=float(kinds[worst]),
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


def fit_chance(logits: Array, truths: NDArray[np.bool_]) -> Chance:
    """Slope and offset with which a sigmoid of the logits [N] is most likely to give the truths [N] (Platt 1999).

    The slope stays positive: the order of videos is the network's. Blank where one kind of truth is missing.
    """
    if truths.all() or not truths.any():
        return Chance()
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
    return Chance(slope, offset) if math.isfinite(slope) and math.isfinite(offset) else Chance()


def chance_from_json(document: Mapping[str, Any], origin: str) -> Chance:
    """The calibration that `dataclasses.asdict` wrote. Raises WowError naming `origin` where it is not one."""
    try:
        chance = Chance(float(document["slope"]), float(document["offset"]))
        if not (math.isfinite(chance.slope) and math.isfinite(chance.offset)):
            raise ValueError("a number is infinite")
    except (KeyError, TypeError, ValueError) as problem:
        raise WowError(f"{origin}: the critic's calibration cannot be read ({problem!r}); train it again") from None
    return chance
