"""The objective of the outcome network: which of the motions that were executed in a scene succeeded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wow.imagine.actions import ActionScale
from wow.models.outcome import OutcomeConfig, OutcomeNetwork
from wow.models.policy import Policy
from wow.models.text import TextConditioner
from wow.train.loop import TrainConfig, fresh
from wow.train.outcome_data import UNKNOWN, Goals, Plans, cut_short, in_contexts, open_attempted, other_words
from wow.types import UInt8, WowError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class OutcomeRun:
    """An outcome network and how it is trained.

    cut: share of motions that are cut short, of whose beginning it is known whether it would have done. wrong: share
    that is held against words for another task, which they do not do. noise: deviation of what is added to a motion, in
    normalised units. hold_out: every so many'th scene is kept from training. smooth: how far a truth lies from certain,
    since the same motion may succeed here and fail there.
    """

    model: OutcomeConfig = field(default_factory=OutcomeConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    cut: float = 0.2
    wrong: float = 0.12
    noise: float = 0.02
    smooth: float = 0.02
    hold_out: int = 10

    def __post_init__(self) -> None:
        if min(self.cut, self.wrong, self.smooth) < 0 or self.cut + self.wrong > 1.0 or self.smooth >= 0.5:
            raise WowError("shares of the training data lie between 0 and 1")
        if self.hold_out < 2 or self.noise < 0:
            raise WowError("--config.hold-out is at least 2, and noise not negative")

    def holds_out(self, scene: int) -> bool:
        """Whether a scene is kept from training."""
        return scene % self.hold_out == self.hold_out - 1


@dataclass(frozen=True)
class OutcomeBatch:
    """sought [b d], practised [b t a]: as of `OutcomeNetwork.practise`. motion [b t a]. success [b]: 0 or 1."""

    sought: Tensor
    practised: Tensor
    motion: Tensor
    success: Tensor

    def to(self, device: torch.device) -> OutcomeBatch:
        """The same on another device."""
        return OutcomeBatch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


class OutcomeObjective:
    """Tells motions that succeeded from those that failed, in the scene and for the words that they were meant for."""

    def __init__(self, run: OutcomeRun, plans: Plans, goals: Goals, policy: Policy) -> None:
        self.run, self.plans = run, plans
        self.network: nn.Module = fresh(lambda: OutcomeNetwork(run.model, policy), run.train)
        held_out = np.array([run.holds_out(int(scene)) for scene in plans.scene])
        self.learned, self.kept = np.flatnonzero(~held_out), np.flatnonzero(held_out)
        if not len(self.learned) or not len(self.kept):
            raise WowError("too few scenes: some are learned from, some are kept to measure on; give more --data")
        self._others = other_words(plans, goals)

    def batch(self, batch_size: int, generator: torch.Generator) -> OutcomeBatch:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        drawn = [self._draw(int(self.learned[random.integers(len(self.learned))]), random) for _ in range(batch_size)]
        contexts = [context for context, _, _ in drawn]
        motion = np.stack([motion for _, motion, _ in drawn])
        motion = motion + self.run.noise * random.standard_normal(motion.shape).astype(np.float32)
        return OutcomeBatch(
            torch.from_numpy(self.plans.sought[contexts]),
            torch.from_numpy(self.plans.practised[contexts]),
            torch.from_numpy(motion),
            torch.tensor([success for _, _, success in drawn]),
        )

    def loss(self, network: nn.Module, batch: OutcomeBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        logits = network(batch.sought, batch.practised, batch.motion).float()
        truth = batch.success * (1.0 - 2.0 * self.run.smooth) + self.run.smooth
        loss = functional.binary_cross_entropy_with_logits(logits, truth)
        return loss, {"right": ((logits > 0) == (batch.success > 0.5)).float().mean().detach()}

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        return {"model": asdict(self.run.model)}

    def preview(self, network: nn.Module) -> UInt8:
        """Held-out plans, most likely ones first: a column as high as the chance, green where it succeeded, red where
        it failed."""
        chances = 1.0 / (1.0 + np.exp(-logits_of(network, self.plans, self.kept)))
        order = np.argsort(-chances)[:: max(len(self.kept) // 512, 1)][:512]
        sheet = np.full((128, len(order), 3), 255, np.uint8)
        for column, place in enumerate(order):
            top = 128 - round(128 * float(chances[place]))
            sheet[top:, column] = (40, 160, 70) if self.plans.success[self.kept[place]] else (210, 50, 50)
        return sheet

    # ---- inside ----

    def _draw(self, plan: int, random: np.random.Generator) -> tuple[int, Floats, float]:
        """A context, a motion, and whether it succeeds there."""
        plans, chance = self.plans, random.random()
        context, motion, success = int(plans.context[plan]), plans.motion[plan], float(plans.success[plan])
        if chance < self.run.wrong:
            others = self._others[plan]
            if len(others):
                return int(others[random.integers(len(others))]), motion, 0.0
        elif chance < self.run.wrong + self.run.cut and plans.step[plan] != UNKNOWN:
            kept = int(random.integers(2, motion.shape[0] + 1))
            done = success and kept > plans.step[plan]
            if not success or done or kept < plans.step[plan] - 1:  # in between nobody knows
                return context, cut_short(motion, kept, plans.summed, bool(random.random() < 0.5)), float(done)
        return context, motion, success


@torch.no_grad()
def logits_of(network: nn.Module, plans: Plans, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """What a network says of plans as they were executed [n]."""
    device, was_training = next(network.parameters()).device, network.training
    network.eval()
    said = [
        network(
            *(torch.from_numpy(table[plans.context[some]]).to(device) for table in (plans.sought, plans.practised)),
            torch.from_numpy(plans.motion[some]).to(device),
        )
        for some in np.array_split(rows, max(len(rows) // 512, 1))
    ]
    network.train(was_training)
    found: NDArray[np.float64] = torch.cat(said).double().cpu().numpy()
    return found


def prepare_outcome(
    run: OutcomeRun,
    data: Sequence[Path],
    imagined: Sequence[Path],
    goals: Goals,
    policy: Policy,
    text: TextConditioner,
    scale: ActionScale,
    size: int,
    on_done: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> tuple[OutcomeObjective, Plans | None]:
    """The objective, and the imagined videos that are calibrated on; None without any.

    scale, size: of the policy's motions and pictures. Raises WowError where no outcome is known.
    """
    network = OutcomeNetwork(replace(run.model, sought=policy.config.width), policy)
    run = replace(run, model=network.config)

    def plans_of(folders: Sequence[Path], goals: Goals) -> Plans:
        transitions = policy.config.num_transitions
        found = open_attempted(folders, scale, transitions, lambda done, total: on_done("folders", done, total))
        return in_contexts(
            found, network, text, scale, size, goals, run.train.seed, lambda done, total: on_done("goals", done, total)
        )

    nobody_else = Goals({}, {})  # what is only measured is asked for its own goal
    return OutcomeObjective(run, plans_of(data, goals), goals, policy), (
        plans_of(imagined, nobody_else) if imagined else None
    )
