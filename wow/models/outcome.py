"""Will it succeed? From what a video shows the robot do, beside what a practised hand would do, to the chance of it.

Success is decided by centimetres at a few moments: how far a gap matters depends on the task, and on when it is there.
So both motions are held against each other moment by moment by convolutions over time that the task modulates (Perez
et al. 2018, FiLM). The practised hand is a policy's, which is neither trained here nor part of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wow.models.dit import Conditions
from wow.models.policy import Policy

MAGNIFIED = 4.0
"""Gaps are small beside the ways along which they arise."""
PER_MOMENT = 22
WHOLE = 6
"""Numbers that say how two motions differ: at each moment, and as a whole; see `compared`."""


@dataclass(frozen=True)
class OutcomeConfig:
    """moves: the dimensions of a motion that say where the hand is. gripper: the one that says whether it is open.
    width, blocks: of the convolutions. sought: numbers that the policy makes of the words; told: what is kept of them.
    """

    moves: tuple[int, ...] = (0, 1, 2)
    gripper: int = 6
    width: int = 64
    blocks: int = 3
    sought: int = 192
    told: int = 24
    dropout: float = 0.2

    def __post_init__(self) -> None:
        if len(self.moves) != 3 or min(self.width, self.blocks, self.told) < 1 or not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"impossible network {self}: a hand moves along three axes")


class OutcomeNetwork(nn.Module):
    """The logit of success of motions [b t a], normalised as the policy's, for what the policy is told.

    policy: whose motion is the practised one. Raises ValueError where it was told less or more than `config.sought`.
    """

    def __init__(self, config: OutcomeConfig, policy: Policy) -> None:
        super().__init__()
        if policy.config.width != config.sought:
            raise ValueError(f"a policy that is told {policy.config.width} numbers instead of {config.sought}")
        self.config = config
        self._policy = (policy,)  # in a tuple it is no part of this network: neither trained nor saved nor averaged
        width, told = config.width, config.told
        self.task = nn.Sequential(nn.LayerNorm(config.sought), nn.Linear(config.sought, told), nn.SiLU())
        self.into = nn.Conv1d(PER_MOMENT, width, 1)
        self.tune = nn.Linear(told, 2 * width * config.blocks)
        self.before = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(config.blocks))
        self.after = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(config.blocks))
        self.drop = nn.Dropout(config.dropout)
        self.out = nn.Sequential(
            nn.Linear(2 * width + told + WHOLE, width), nn.SiLU(), nn.Dropout(config.dropout), nn.Linear(width, 1)
        )

    @property
    def num_transitions(self) -> int:
        """Of the motions that are judged."""
        return self._policy[0].config.num_transitions

    @torch.no_grad()
    def practise(
        self, picture: Float[Tensor, "b 3 h w"], conditions: Conditions
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b t a"]]:
        """What the policy is told, and its motion, in these pictures."""
        (policy,) = self._policy
        policy.to(picture.device)
        return policy.seek(conditions), policy(picture, conditions)

    def forward(
        self, sought: Float[Tensor, "b d"], practised: Float[Tensor, "b t a"], motion: Float[Tensor, "b t a"]
    ) -> Float[Tensor, " b"]:
        """sought, practised: as of `practise`."""
        moments, whole = compared(motion, practised, self.config)
        task = self.task(sought)
        scales = self.tune(task).reshape(len(task), self.config.blocks, 2, -1, 1)
        x = self.into(moments.transpose(1, 2))
        for block, (before, after) in enumerate(zip(self.before, self.after, strict=True)):
            tuned = before(functional.silu(x)) * (1.0 + scales[:, block, 0]) + scales[:, block, 1]
            x = x + after(self.drop(functional.silu(tuned)))
        logit: Tensor = self.out(torch.cat([x.mean(dim=2), x.amax(dim=2), task, whole], dim=-1))
        return logit[:, 0]


def compared(
    motion: Float[Tensor, "b t a"], practised: Float[Tensor, "b t a"], config: OutcomeConfig
) -> tuple[Float[Tensor, "b t n"], Float[Tensor, "b w"]]:
    """How two motions differ: at each moment, and as a whole.

    At each moment: both places and steps, the gap between them, its size, how far each is from the other's whole path
    (somebody who is early or late strays from nowhere), both grippers, and the time.
    """
    moves = list(config.moves)
    own, other = motion[..., moves], practised[..., moves]
    grips = torch.stack([motion[..., config.gripper], practised[..., config.gripper]], dim=-1)
    gap = own - other
    size = gap.norm(dim=-1)
    apart = torch.cdist(own, other)
    astray, missed = apart.amin(dim=2), apart.amin(dim=1)
    fingers = (grips[..., 0] - grips[..., 1]).abs()
    time = torch.linspace(-1.0, 1.0, own.shape[1], device=own.device).expand(len(own), -1)
    near = torch.stack([size, astray, missed], dim=-1)
    moments = torch.cat(
        [
            *(own, other, MAGNIFIED * gap, MAGNIFIED * near, MAGNIFIED * _steps(own), MAGNIFIED * _steps(other)),
            *(grips, fingers[..., None], time[..., None]),
        ],
        dim=-1,
    )
    means = [size.mean(dim=1), size.amax(dim=1), astray.mean(dim=1), missed.mean(dim=1), fingers.mean(dim=1)]
    return moments, MAGNIFIED * torch.stack([*means, size[:, -1]], dim=-1)


def _steps(path: Float[Tensor, "b t 3"]) -> Float[Tensor, "b t 3"]:
    return torch.diff(path, dim=1, prepend=torch.zeros_like(path[:, :1]))
