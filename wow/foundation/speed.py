"""Ways to sample faster: which there are, and how they are put on a pipeline for the time of one clip.

Every default is exact. Each way is a hook of diffusers' own kind, so that offloading and compiling go on beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from wow.foundation.card import Card
from wow.foundation.guidance import Branches, Clock
from wow.foundation.parallel import Team, shared
from wow.foundation.shot import Shot
from wow.foundation.step_cache import StepCache
from wow.foundation.units import blocks
from wow.types import WowError

HOOK, COMPILED = "wow_branches", "wow_compiled"
TRANSFORMERS = ("wan2.1", "wan2.2", "cosmos1", "cosmos2", "cosmos2.5")


@dataclass(frozen=True)
class Speed:
    """batched_guidance: both branches in one pass; exact, and needs twice the memory of a pass.

    guidance_interval: the share of the steps, from the first, between which guidance is at work; outside only the
    conditional branch is computed (Kynkäänniemi et al. 2024). cache_threshold: a pass is cut short after its first
    block while what that block does has changed by less than this since the last whole pass, in sum over the steps;
    0 never does, 0.1 is careful, 0.3 bold (after TeaCache, Liu et al. 2024, and first-block caching). attention:
    diffusers' name of an implementation; None is its default. compile: blocks through torch.compile, by that compiler.
    team: processes that draw the clip together; exact.
    """

    batched_guidance: bool = False
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    cache_threshold: float = 0.0
    attention: str | None = None
    compile: bool = False
    compiler: str = "inductor"
    team: Team | None = None

    def __post_init__(self) -> None:
        low, high = self.guidance_interval
        if not 0.0 <= low < high <= 1.0:
            raise WowError(
                f"a guidance interval is two shares of the steps, such as 0 and 0.5, not {low:g} and {high:g}"
            )
        if not 0.0 <= self.cache_threshold <= 10.0:
            raise WowError(f"a cache threshold is 0 (never) to 10, not {self.cache_threshold:g}: 0.1 is careful")


EXACT = Speed()


@dataclass
class Passes:
    """What a clip took: passes through the network, and how many of them ended after its first block."""

    made: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        """In words."""
        return f"{self.skipped} of {self.made} passes through the network ended after its first block"


def check_speed(card: Card, speed: Speed) -> None:
    """Raises WowError for what a model cannot do, or what is not installed."""
    if speed.attention is not None:
        _check_attention(speed.attention)
    asked = speed.batched_guidance or speed.cache_threshold or speed.guidance_interval != (0.0, 1.0) or speed.team
    if asked and card.family not in TRANSFORMERS:
        raise WowError(f"{card.name} samples as it was published alone: batched guidance, intervals and caching "
                       "are for models of the Wan and Cosmos families")  # fmt: skip
    if speed.batched_guidance and card.family == "cosmos1":
        raise WowError(f"{card.name} gives each branch of guidance noise of its own: leave batched guidance away")


@contextlib.contextmanager
def sped_up(pipeline: Any, card: Card, shot: Shot, speed: Speed) -> Iterator[Passes]:
    """The pipeline samples that clip faster as long as this lasts."""
    check_speed(card, speed)
    passes = Passes()
    with contextlib.ExitStack() as stack:
        if speed.attention is not None:
            from diffusers.models.attention_dispatch import attention_backend

            stack.enter_context(attention_backend(speed.attention))
        if speed.compile:
            compile_blocks(denoiser(pipeline), speed.compiler)
        if card.family in TRANSFORMERS:
            stack.enter_context(_hooked(denoiser(pipeline), shot, speed, passes, _steps(card, shot)))
        yield passes


def denoiser(pipeline: Any) -> nn.Module:
    """The network that denoises."""
    network: nn.Module = getattr(pipeline, "transformer", None) or pipeline.unet
    return network


def compile_blocks(network: nn.Module, compiler: str) -> None:
    """Compiles every block once: they share their code, so the first clip waits for one block and not for forty."""
    from diffusers.hooks import HookRegistry, ModelHook

    class Compiled(ModelHook):  # type: ignore[misc]
        """Runs what it covers through torch.compile."""

        def new_forward(self, module: nn.Module, *inputs: Any, **named: Any) -> Any:
            if not hasattr(self, "run"):
                self.run = torch.compile(self.fn_ref.original_forward, backend=compiler)
            answer: Any = self.run(*inputs, **named)  # type: ignore[no-untyped-call]
            return answer

    for _, block in blocks(network) or (("", network),):
        registry = HookRegistry.check_if_exists_or_initialize(block)
        if registry.get_hook(COMPILED) is None:
            registry.register_hook(Compiled(), COMPILED)


# ---- inside ----


@contextlib.contextmanager
def _hooked(network: nn.Module, shot: Shot, speed: Speed, passes: Passes, steps: int) -> Iterator[None]:
    from diffusers.hooks import HookRegistry

    clock = Clock(steps)
    branches = Branches(clock, shot.negative, speed.batched_guidance, speed.guidance_interval)
    cache = StepCache(network, clock, speed.cache_threshold, speed.team is not None) if speed.cache_threshold else None
    registry = HookRegistry.check_if_exists_or_initialize(network)
    registry.register_hook(branches, HOOK)
    try:
        with cache or contextlib.nullcontext(), shared(network, speed.team) if speed.team else contextlib.nullcontext():
            yield
    finally:
        registry.remove_hook(HOOK, recurse=False)
        passes.made = branches.made
        passes.skipped = 0 if cache is None else cache.skipped


def _steps(card: Card, shot: Shot) -> int:
    """How often the sampler asks for a direction; the last question of edm-ab2 is about the end."""
    return shot.num_inference_steps + (card.family == "cosmos2")


def _check_attention(name: str) -> None:
    from diffusers.models.attention_dispatch import AttentionBackendName, attention_backend

    known = [member.value for member in AttentionBackendName]
    if name not in known:
        raise WowError(f"there is no attention called {name!r}: there are {', '.join(known)}")
    try:
        with attention_backend(name):
            pass
    except (RuntimeError, ValueError, ImportError) as error:
        raise WowError(f"attention {name!r} cannot be used here ({str(error).splitlines()[0]}): try native") from None
