"""The drafter's objective: what a frame looks like as far as the first one and the robot's motion tell.

Trained by itself a drafter sees some five times the clips that a transformer does in the same time, and a transformer
that begins with its weights need not learn where the robot is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from wow.models.draft import Draft, link_error
from wow.train.codec import to_tensor, to_uint8
from wow.train.world import Drafts, WorldObjective
from wow.types import UInt8, WowError


class DraftNetwork(nn.Module):
    """A transformer's drafter, under the name that it has there. Raises WowError where the transformer has none."""

    def __init__(self, world: WorldObjective) -> None:
        super().__init__()
        if world.plain.drafter is None:
            raise WowError("this model makes no drafts: give it a drafter, e.g. --config.model.draft-width 96")
        self.drafter = world.plain.drafter

    def forward(self, first: Float[Tensor, "b c h w"], motion: Float[Tensor, "b t1 a"]) -> Draft:
        """The drafts of clips that begin with a latent and move so."""
        draft: Draft = self.drafter(first, nn.functional.pad(motion, (0, 0, 1, 0)))
        return draft


class DraftObjective:
    """Drafts the clips that a world model is trained on."""

    def __init__(self, world: WorldObjective) -> None:
        self.world = world
        self.network: nn.Module = DraftNetwork(world)

    def batch(self, batch_size: int, generator: torch.Generator) -> Drafts:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        return self.world.drafts(batch_size, random)

    def loss(self, network: nn.Module, batch: Drafts) -> tuple[Tensor, Mapping[str, Tensor]]:
        drafted: Draft = network(batch.latents[:, 0].float(), batch.motion)
        error, beside = self.world.sketch_errors(drafted, batch).mean(), link_error([drafted], [batch.links])
        loss = error + self.world.run.link_loss * beside
        return loss, {"draft_error": error.detach(), "link_error": beside.detach()}

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        return self.world.about()

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """For six episodes: the drafted film strip above the true one."""
        network.eval()
        device, clips, told = next(network.parameters()).device, self.world.clips, self.world.told
        windows = [told.whole(int(i)) for i in np.linspace(0, len(clips) - 1, 6)]
        clean = torch.from_numpy(self.world.latents[np.stack([w.rows for w in windows])]).float().to(device)
        drafted = clean[:, :1] + network(clean[:, 0], told.motions(windows).to(device)).change
        truth = [clips.frames[w.rows] for w in windows]
        context = to_tensor(np.stack([video[0] for video in truth]), device)
        painted = to_uint8(self.world.codec.decode(drafted.float(), context))
        network.train()
        shown = np.linspace(0, clean.shape[1] - 1, 9).round().astype(int)
        pairs = zip(painted, truth, strict=True)
        return np.concatenate([np.concatenate([*video[shown]], axis=1) for pair in pairs for video in pair], axis=0)
