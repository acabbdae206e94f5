"""The first guess of a plan: what a policy would do, at the pace of the clip that is asked for."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wow.models.dit import Conditions
from wow.models.policy import Policy


def first_guess(
    policy: Policy, picture: Float[Tensor, "b 3 h w"], conditions: Conditions, summed: Bool[Tensor, " a"]
) -> Float[Tensor, "b t1 a"]:
    """The policy's motion over as many transitions as `conditions.motion` has, at most as many as the policy's own.

    With a given pace these are the policy's first ones; with a free one they cover what is left of the task, as its own
    do. summed: the dimensions that say how far the robot got, and are 0 at the start.
    """
    motion: Tensor = policy(picture, conditions)
    wanted = conditions.motion.shape[1]
    if wanted == motion.shape[1]:
        return motion
    return torch.where(conditions.has_seconds[:, None, None], motion[:, :wanted], _resampled(motion, wanted, summed))


def _resampled(motion: Float[Tensor, "b t a"], count: int, summed: Bool[Tensor, " a"]) -> Float[Tensor, "b n a"]:
    """The same path in `count` transitions, straight between its points."""
    begin = torch.where(summed, 0.0, motion[:, :1])
    path = torch.cat([begin, motion], dim=1)
    at = torch.linspace(0.0, motion.shape[1], count + 1, device=motion.device)[1:]
    before = at.floor().long().clamp_max(motion.shape[1] - 1)
    share = (at - before)[:, None]
    return (1.0 - share) * path[:, before] + share * path[:, before + 1]
