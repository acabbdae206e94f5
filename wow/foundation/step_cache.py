"""Passes cut short after the first block where little has changed since the last whole one.

What the first block adds tells how far the rest would move: its relative change from step to step is summed up, and
while the sum stays below a threshold the rest of the network is replaced by what it added last time. (TeaCache, Liu et
al. 2024, sums up changes; first-block caching, Cheng 2024, measures them at the first block.)
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import torch.distributed
from diffusers.hooks import HookRegistry, ModelHook
from torch import Tensor, nn

from wow.foundation.guidance import Clock
from wow.foundation.units import blocks

HOOK = "wow_step_cache"


@dataclass
class Memory:
    """What is kept of one branch. first: what the first block added at the last step. rest: what the others added in
    the last whole pass. changed: the sum of changes since then.
    """

    first: Tensor | None = None
    rest: Tensor | None = None
    changed: float = 0.0


class StepCache:
    """Hooks on the blocks of a network, there from entering to leaving. The last step is always a whole pass.

    shared: whether each process of several has a share of the tokens. skipped: how many passes were cut short.
    """

    def __init__(self, network: nn.Module, clock: Clock, threshold: float, shared: bool = False) -> None:
        self.units = [block for _, block in blocks(network)]
        assert len(self.units) > 1, "a network of one block has nothing to skip"
        self.clock, self.threshold, self.shared = clock, threshold, shared
        self.memories: dict[str, Memory] = {}
        self.skipped = 0
        self.is_short = False
        self.after_first: Tensor | None = None

    @property
    def memory(self) -> Memory:
        """Of the branch that is computed now."""
        return self.memories.setdefault(self.clock.branch, Memory())

    def __enter__(self) -> Self:
        for place, unit in enumerate(self.units):
            registry = HookRegistry.check_if_exists_or_initialize(unit)
            registry.register_hook(_Block(self, place == 0, place == len(self.units) - 1), HOOK)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for unit in self.units:
            HookRegistry.check_if_exists_or_initialize(unit).remove_hook(HOOK, recurse=False)

    def see_first(self, before: Tensor, after: Tensor) -> None:
        """Decides whether this pass ends here. before, after: the tokens [b, n, d] around the first block."""
        memory, added = self.memory, after - before
        if memory.first is not None:
            memory.changed += relative_change(added, memory.first, self.shared)
        memory.first = added
        self.is_short = memory.rest is not None and memory.changed < self.threshold and not self.clock.is_last
        if self.is_short:
            self.skipped += 1
        else:
            memory.changed, self.after_first = 0.0, after

    def finish(self, tokens: Tensor) -> Tensor:
        """The tokens after the last block: of a short pass, the first's and what the others added last time."""
        if self.is_short:
            assert self.memory.rest is not None
            return tokens + self.memory.rest
        assert self.after_first is not None
        self.memory.rest, self.after_first = tokens - self.after_first, None
        return tokens


class _Block(ModelHook):  # type: ignore[misc]
    """Runs a block, or lets the tokens pass."""

    def __init__(self, cache: StepCache, is_first: bool, is_last: bool) -> None:
        super().__init__()
        self.cache, self.is_first, self.is_last = cache, is_first, is_last

    def new_forward(self, module: nn.Module, tokens: Tensor, *inputs: Any, **named: Any) -> Tensor:
        """The tokens [b, n, d] after the block."""
        if self.is_first:
            after: Tensor = self.fn_ref.original_forward(tokens, *inputs, **named)
            self.cache.see_first(tokens, after)
            return after
        after = tokens if self.cache.is_short else self.fn_ref.original_forward(tokens, *inputs, **named)
        return self.cache.finish(after) if self.is_last else after


def relative_change(now: Tensor, before: Tensor, shared: bool = False) -> float:
    """The mean absolute change as a share of what there was; of all processes together where tokens are shared."""
    sums = torch.stack([(now - before).abs().double().sum(), before.abs().double().sum()])
    if shared:
        torch.distributed.all_reduce(sums)
    changed, was = sums.tolist()
    return float(changed / max(was, 1e-30))
