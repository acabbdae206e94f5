"""One process of several that share a network's weights: the same loss and gradients as alone. For torchrun."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from wow.cli.processes import end_at_once
from wow.foundation.cards import CARDS
from wow.foundation.finetune import FineTuning
from wow.foundation.finetune_loss import Example
from wow.foundation.miniature import small, small_pipeline
from wow.foundation.units import blocks, recompute_activations
from wow.types import Video


def measured(tuning: FineTuning, example: Example) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss, and its gradients put together of what each process has."""
    loss = tuning.loss(example, torch.Generator().manual_seed(0))
    loss.backward()
    gradients = {name: part.grad for name, part in tuning.network.named_parameters() if part.grad is not None}
    tuning.network.zero_grad()
    whole = {name: part.full_tensor() if isinstance(part, DTensor) else part for name, part in gradients.items()}
    return float(loss.detach()), whole


dist.init_process_group("gloo")
mesh = dist.device_mesh.init_device_mesh("cpu", (dist.get_world_size(),))
for name in ("wow-1-wan-14b-2m", "wan2.2-ti2v-5b", "cosmos-predict1-7b", "cosmos-predict2-2b", "cosmos-predict2.5-2b"):
    card = small(CARDS[name])
    tuning = FineTuning(card, *small_pipeline(card))
    frames = np.random.default_rng(1).integers(0, 255, (9, 32, 48, 3), dtype=np.uint8)
    example = tuning.encode_clip(Video(frames, 10.0), "push the square")
    tuning.network.requires_grad_(True).train()
    alone, expected = measured(tuning, example)
    for _, block in blocks(tuning.network):
        fully_shard(block, mesh=mesh)
    fully_shard(tuning.network, mesh=mesh)
    held = sum(part.to_local().numel() for part in tuning.network.parameters())
    every = sum(part.numel() for part in tuning.network.parameters())
    assert held < 0.55 * every, (name, held, every)
    for recomputed in (False, True):
        recompute_activations(tuning.network, recomputed)
        together, gradients = measured(tuning, example)
        assert abs(together - alone) < 1e-5 * max(alone, 1.0), (name, together, alone)
        assert gradients.keys() == expected.keys()
        for key, gradient in gradients.items():
            assert torch.allclose(gradient, expected[key], rtol=1e-4, atol=1e-6), (name, key)
print(f"process {dist.get_rank()} of {dist.get_world_size()} agrees")
dist.destroy_process_group()
end_at_once(0)
