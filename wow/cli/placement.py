"""How a foundation model is run and sampled: options that `wow imagine` and `wow plan-memory` have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wow.types import WowError

if TYPE_CHECKING:
    from wow.foundation.plan import Wish
    from wow.foundation.speed import Speed


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where and in which precision a foundation model runs; the plan decides what is left to it."""

    device: str | None = None
    """cpu or cuda; the GPU where there is one."""
    offload: Literal["auto", "none", "model", "blocks"] = "auto"
    """What is on the GPU at a time, of a foundation model: everything, one network, or one block."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Precision of a foundation model."""
    quantize: Literal["auto", "none", "int8", "fp8"] = "auto"
    """8-bit linear layers, of a foundation model; auto takes them only where nothing exact fits."""
    tiling: Literal["auto", "on", "off"] = "auto"
    """Decode a foundation model's video in tiles."""

    def wish(self) -> Wish:
        """What the plan has to keep to."""
        from wow.foundation.plan import Wish

        return Wish(
            dtype=None if self.dtype == "auto" else self.dtype,
            offload=None if self.offload == "auto" else self.offload,
            tiling={"auto": None, "on": True, "off": False}[self.tiling],
            quantisation=None if self.quantize == "auto" else self.quantize,
            device=self.device,
        )


@dataclass(frozen=True, kw_only=True)
class FoundationSampling(Placement):
    """What only foundation models can be told about sampling."""

    resolution: str | None = None
    """Width x height of a foundation model's clip, e.g. 832x480; its own where none is given."""
    negative_prompt: str | None = None
    """What a foundation model keeps away from; its authors' words where none are given."""
    shift: float | None = None
    """How much a flow model's steps crowd near the noise; its authors' where none is given."""
    batched_guidance: bool = False
    """Both branches of guidance in one pass: the same clip, with more memory."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Shares of the steps between which guidance is at work; 0 1 is exact."""
    cache_threshold: float = 0.0
    """End a pass after its first block while little has changed: 0 never does (exact), 0.1 is careful, 0.3 bold."""
    attention: str | None = None
    """How attention is computed, by diffusers' names: native, _native_cudnn, _flash_3, sage, ..."""
    context_parallel: bool = False
    """Draw each clip with all processes that torchrun started, one per GPU."""
    compile: bool = False
    """Compile the transformer's blocks; the first clip waits for it."""
    lora: Path | None = None
    """LoRA to merge into a foundation model, e.g. a distilled one of few steps."""
    lora_scale: float = 1.0
    """How much of the LoRA."""

    def size(self) -> tuple[int, int] | None:
        """Height and width that were asked for. Raises WowError where they are none."""
        if self.resolution is None:
            return None
        width, _, height = self.resolution.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise WowError(f"--resolution is WIDTHxHEIGHT, e.g. 832x480, not {self.resolution!r}")
        return int(height), int(width)

    def speed(self) -> Speed:
        """What is done to sample faster. Raises WowError for numbers that cannot work."""
        import torch

        from wow.foundation.parallel import join
        from wow.foundation.speed import Speed

        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        return Speed(
            batched_guidance=self.batched_guidance,
            guidance_interval=self.guidance_interval,
            cache_threshold=self.cache_threshold,
            attention=self.attention,
            compile=self.compile,
            team=join(device) if self.context_parallel else None,
        )

    def refuse_for(self, model: str) -> None:
        """Raises WowError where something was said that only a foundation model understands."""
        for option in fields(FoundationSampling):
            if getattr(self, option.name) != option.default and option.name != "device":
                name = option.name.replace("_", "-")
                raise WowError(
                    f"--{name} is for foundation models (wow models lists them), not for {model}: leave it away"
                )
