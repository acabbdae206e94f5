"""One clip on several GPUs: each process has a share of the tokens, and all of the heads' turns (Ulysses).

Around every block the tokens are split; in self-attention an exchange gives each process all tokens of its share of the
heads, and another gives them back (Jacobs et al. 2023). Every process ends with the whole answer, so that the sampler
around it does not know. The exchange is diffusers'; the weights are whole in every process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from diffusers.hooks import HookRegistry, ModelHook
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.embeddings import apply_rotary_emb
from torch import Tensor, nn

from wow.foundation.units import blocks
from wow.types import WowError

HOOK = "wow_share"


@dataclass(frozen=True)
class Team:
    """The processes of one clip. config: what diffusers' attention wants to know of them."""

    rank: int
    size: int
    config: Any

    def share(self, values: Tensor, dim: int) -> Tensor:
        """This process's part of values along their tokens."""
        return values.chunk(self.size, dim)[self.rank].contiguous()

    def whole(self, part: Tensor, dim: int) -> Tensor:
        """The parts of all processes, put together."""
        parts = [torch.empty_like(part) for _ in range(self.size)]
        dist.all_gather(parts, part.contiguous())
        return torch.cat(parts, dim)


def join(device: str) -> Team:
    """The team that torchrun started this process in. device: "cuda", where each process takes its own GPU, or "cpu".

    Raises WowError where torchrun did not start it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        raise WowError(
            "--context-parallel shares one clip among processes, and this is one alone: start it with "
            "torchrun --nproc-per-node 2 -m wow.cli.main imagine …"
        )
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    mesh = dist.device_mesh.init_device_mesh(device, (1, size), mesh_dim_names=("ring", "ulysses"))
    from diffusers import ContextParallelConfig
    from diffusers.models._modeling_parallel import ParallelConfig

    config = ParallelConfig(context_parallel_config=ContextParallelConfig(ulysses_degree=size))
    config.setup(rank, size, torch.device(device), mesh=mesh)
    return Team(rank, size, config)


@contextlib.contextmanager
def shared(network: Any, team: Team) -> Iterator[None]:
    """The network answers as a team as long as this lasts: every process asks the same and gets the same.

    Raises WowError where heads or tokens cannot be shared evenly.
    """
    units: list[Any] = [block for _, block in blocks(network)]
    is_wan = hasattr(network, "blocks")
    heads = int(network.config.num_attention_heads)
    if heads % team.size:
        raise WowError(f"{heads} heads cannot be shared by {team.size} processes: start a number that divides them")
    processors = [unit.attn1.processor for unit in units]
    for place, unit in enumerate(units):
        hook = _Share(team, is_wan, place == 0, place == len(units) - 1)
        HookRegistry.check_if_exists_or_initialize(unit).register_hook(hook, HOOK)
        if is_wan:
            unit.attn1.processor._parallel_config = team.config
        else:
            unit.attn1.set_processor(CosmosSelfAttention(team.config))
    try:
        yield
    finally:
        for unit, processor in zip(units, processors, strict=True):
            HookRegistry.check_if_exists_or_initialize(unit).remove_hook(HOOK, recurse=False)
            if is_wan:
                processor._parallel_config = None
            else:
                unit.attn1.set_processor(processor)


class _Share(ModelHook):  # type: ignore[misc]
    """Gives a block this process's share of what belongs to tokens, and the last one's answer to all."""

    def __init__(self, team: Team, is_wan: bool, is_first: bool, is_last: bool) -> None:
        super().__init__()
        self.team, self.is_wan, self.is_first, self.is_last = team, is_wan, is_first, is_last

    def new_forward(self, module: nn.Module, tokens: Tensor, text: Any, *rest: Any) -> Tensor:
        """The tokens [b, n / size, d] after the block, whole after the last."""
        if self.is_first:
            if tokens.shape[1] % self.team.size:
                raise WowError(
                    f"{tokens.shape[1]} tokens cannot be shared by {self.team.size} processes: start a number that "
                    "divides them, or ask for another size or length"
                )
            tokens = self.team.share(tokens, 1)
        after: Tensor = self.fn_ref.original_forward(tokens, text, *(self._wan if self.is_wan else self._cosmos)(*rest))
        return self.team.whole(after, 1) if self.is_last else after

    def _wan(self, time: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Any, ...]:
        """time: [b, 6, d], or [b, n, 6, d] where each token has its own. rotary: two of [1, n, 1, d]."""
        time = self.team.share(time, 1) if time.ndim == 4 else time
        return time, tuple(self.team.share(part, 1) for part in rotary)

    def _cosmos(
        self, embedded: Tensor, time: Tensor, rotary: tuple[Tensor, Tensor], places: Tensor | None, *rest: Any
    ) -> tuple[Any, ...]:
        """embedded, time: [b, d], or [b, n, d] where tokens differ. rotary: two of [n, d]. places: [b, n, d]."""
        embedded, time = (self.team.share(part, 1) if part.ndim == 3 else part for part in (embedded, time))
        places = None if places is None else self.team.share(places, 1)
        return embedded, time, tuple(self.team.share(part, 0) for part in rotary), places, *rest


class CosmosSelfAttention:
    """Cosmos' self-attention for a team: diffusers' own keeps all tokens in one process."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Attention among all tokens; the answer for those of this process [b, n / size, d]."""
        query, key, value = (
            layer(hidden_states).unflatten(2, (attn.heads, -1)) for layer in (attn.to_q, attn.to_k, attn.to_v)
        )
        query, key = attn.norm_q(query), attn.norm_k(key)
        if image_rotary_emb is not None:
            query, key = (
                apply_rotary_emb(part.transpose(1, 2), image_rotary_emb, use_real=True, use_real_unbind_dim=-2)
                .transpose(1, 2)
                for part in (query, key)
            )  # fmt: skip
        mixed = dispatch_attention_fn(query, key, value, parallel_config=self.config)
        answer: Tensor = attn.to_out[0](mixed.flatten(2, 3).type_as(query))
        return answer
