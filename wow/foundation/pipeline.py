"""A foundation model behind our contract: one picture and an instruction in, a video out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wow.foundation.card import Card
from wow.foundation.embeddings import Reader, free_memory
from wow.foundation.families import WAYS, negative_prompt
from wow.foundation.fitting import Size, clip_size, fit_frames
from wow.foundation.memory import Setting
from wow.foundation.plan import Plan
from wow.foundation.request import check
from wow.foundation.schedules import scheduler_of
from wow.foundation.shot import OnStep, Shot, Tell, quiet
from wow.foundation.speed import EXACT, Passes, Speed, check_speed, sped_up
from wow.types import Actions, UInt8, Video, WowError


class Steering(Protocol):
    """What a caller may choose about the sampling, in the words of our own sampler's options."""

    @property
    def num_inference_steps(self) -> int: ...

    @property
    def guidance_scale(self) -> float: ...

    @property
    def shift(self) -> float: ...


@dataclass(frozen=True)
class FoundationOptions:
    """How a foundation model samples. None is as it was published.

    shift: of flow sigmas. size: height and width of the clip. fps: what the clip is taken to be [Hz]. speed: what is
    done to sample faster; exact unless a caller says otherwise.
    """

    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    shift: float | None = None
    negative_prompt: str | None = None
    size: Size | None = None
    fps: int | None = None
    speed: Speed = EXACT


@dataclass
class FoundationWorldModel:
    """A card, its pipeline from diffusers, and its prompts.

    load: brings the pipeline in a setting; called for the first clip, after the text encoder has read the prompts and
    gone. prompts: None where the model knows no text. plan: None where there is nothing to fall back to.
    tell: is told what changes on the way, in one line each. passes: what the last clip took.
    """

    card: Card
    load: Callable[[Setting], Any]
    prompts: Reader | None
    plan: Plan | None = None
    tell: Tell = quiet
    passes: Passes = field(default_factory=Passes)
    _pipeline: Any = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.card.name

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do, of what a world model can be asked."""
        return frozenset({"image2video", "video2video"} & set(self.card.modes))

    def imagine(
        self,
        context: Video | Image.Image | UInt8,
        prompt: str | None = None,
        *,
        actions: Actions | None = None,
        num_frames: int | None = None,
        seed: int = 0,
        options: Steering | FoundationOptions | None = None,
        on_step: OnStep = lambda done, total: None,
    ) -> Video:
        """A clip of `num_frames` frames, at the model's own size, that begins with the context.

        All its frames are the model's: the first is the context as it came through the model's VAE. The same seed
        gives the same clip on the same machine. Raises WowError for what the model cannot do.
        """
        seen, chosen = _frames(context), _options(options)
        check(self.card, seen.shape, prompt, actions is not None, num_frames)
        frames, _ = self.fit(seen, chosen.size)
        check_speed(self.card, chosen.speed)
        shot = self._shot(frames, prompt, num_frames or self.card.frames.default, seed, chosen)
        try:
            drawn = self._draw(shot, chosen.speed, on_step)
        except torch.OutOfMemoryError:
            drawn = self._draw_with_less(shot, chosen.speed, on_step)
        return Video(_bytes(drawn), float(shot.fps))

    def embed(self, prompts: Sequence[str], options: FoundationOptions | None = None) -> None:
        """Reads prompts ahead, so that the text encoder is loaded once for many clips."""
        if self.prompts is not None:
            against = self._against(options or FoundationOptions())
            self.prompts.read_ahead([*prompts, against])

    def fit(self, frames: UInt8, size: Size | None = None) -> tuple[UInt8, str]:
        """Frames [T, H, W, 3] as the model takes them, and what was done to them in words ("" for nothing)."""
        return fit_frames(self.card, frames, clip_size(self.card, (frames.shape[1], frames.shape[2]), size))

    # ---- inside ----

    def _draw(self, shot: Shot, speed: Speed, on_step: OnStep) -> Tensor:
        if self._pipeline is None:
            self._pipeline = self.load(Setting() if self.plan is None else self.plan.setting)
        pipeline = self._pipeline
        pipeline.register_modules(scheduler=scheduler_of(self.card.sampler, shot.shift))
        pipeline.set_progress_bar_config(disable=True)
        device = pipeline._execution_device
        prompt, negative = (None if words is None else words.to(device) for words in (shot.prompt, shot.negative))
        shot = replace(shot, prompt=prompt, negative=negative)
        with torch.no_grad(), sped_up(pipeline, self.card, shot, speed) as passes:
            drawn = WAYS[self.card.family].sample(pipeline, self.card, shot, on_step)
        self.passes = passes
        if speed.cache_threshold:
            self.tell(str(passes))
        return drawn

    def _draw_with_less(self, shot: Shot, speed: Speed, on_step: OnStep) -> Tensor:
        """The clip once more, one level lower in the plan."""
        lower = None if self.plan is None else self.plan.after_running_out()
        if lower is None:
            raise WowError(_NO_MEMORY.format(name=self.name, frames=shot.num_frames)) from None
        self._pipeline = None
        free_memory()
        self.plan = lower
        self.tell(f"the GPU's memory was not enough; once more with less: {lower}")
        try:
            return self._draw(shot, speed, on_step)
        except torch.OutOfMemoryError:
            raise WowError(_NO_MEMORY.format(name=self.name, frames=shot.num_frames)) from None

    def _shot(self, frames: UInt8, prompt: str | None, num_frames: int, seed: int, chosen: FoundationOptions) -> Shot:
        sampler = self.card.sampler
        scale = sampler.guidance_scale if chosen.guidance_scale is None else chosen.guidance_scale
        words = self._embed(prompt, chosen, guided=scale > self.unguided)
        return Shot(
            frames=frames,
            prompt=words[0],
            negative=words[1],
            num_frames=num_frames,
            num_inference_steps=chosen.num_inference_steps or sampler.num_inference_steps,
            guidance_scale=scale,
            shift=sampler.shift if chosen.shift is None else chosen.shift,
            fps=chosen.fps or self.card.fps,
            seed=seed,
        )

    @property
    def unguided(self) -> float:
        """The guidance scale that changes nothing; diffusers' pipelines leave guidance out up to 1 in any case."""
        return 0.0 if self.card.family == "cosmos2" else 1.0

    def _embed(self, prompt: str | None, chosen: FoundationOptions, guided: bool) -> Sequence[Tensor | None]:
        if self.prompts is None or prompt is None:
            return None, None
        texts = [prompt, self._against(chosen)] if guided else [prompt]
        words: list[Tensor | None] = [*self.prompts.embed(texts)]
        return words if guided else [*words, None]

    def _against(self, chosen: FoundationOptions) -> str:
        return negative_prompt(self.card) if chosen.negative_prompt is None else chosen.negative_prompt


_NO_MEMORY = (
    "the GPU's memory is not enough for {frames} frames of {name}: close what else uses it, ask for fewer frames, "
    "or say --offload blocks"
)


def _frames(context: Video | Image.Image | UInt8) -> UInt8:
    """The frames [T, H, W, 3] of what a caller gave."""
    if isinstance(context, Video):
        return context.frames
    frames = np.asarray(context.convert("RGB") if isinstance(context, Image.Image) else context)
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3:
        raise WowError(f"a picture is uint8 [H, W, 3], not {frames.dtype} {list(frames.shape)}")
    return frames if frames.ndim == 4 else frames[None]


def _options(options: Steering | FoundationOptions | None) -> FoundationOptions:
    if isinstance(options, FoundationOptions):
        return options
    if options is None:
        return FoundationOptions()
    return FoundationOptions(options.num_inference_steps, options.guidance_scale, options.shift)


def _bytes(frames: Tensor) -> UInt8:
    """Frames [T, 3, H, W] from 0 to 1 as [T, H, W, 3] of uint8. Raises WowError where they are not numbers."""
    if not bool(torch.isfinite(frames).all()):
        raise WowError(
            "the model drew values that are not numbers: its weights and precision do not go together; "
            "try --dtype bfloat16 or float32"
        )
    result: UInt8 = (frames.float().clamp(0, 1) * 255.0).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return np.ascontiguousarray(result)
