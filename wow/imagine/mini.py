"""wow-mini as a world model: pictures and words in, a video out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wow.imagine.actions import ActionScale
from wow.imagine.contract import OnStep, demand
from wow.imagine.correct import Read, paint_until_shown
from wow.imagine.guess import first_guess
from wow.imagine.sampler import SamplingOptions, sample, sample_motion
from wow.models.codec import Codec
from wow.models.dit import Conditions, DiT
from wow.models.fit import fit_picture
from wow.models.policy import Policy
from wow.models.text import TextConditioner
from wow.types import Actions, Embodiment, Float32, UInt8, Video, WowError


@dataclass(frozen=True)
class Request:
    """One clip to imagine. context: uint8 [K, H, W, 3] with K odd. actions: float32 [num_frames - 1, D] by the card.

    seconds: robot time between frames; None lets the model choose a pace that finishes the task.
    """

    context: UInt8
    prompt: str | None = None
    actions: Float32 | None = None
    seed: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class MiniWorldModel:
    """A codec, a video transformer and a text encoder. typical_seconds: its usual robot time between frames.

    guesser: a policy whose motion planning begins with; None to plan without one.
    """

    codec: Codec
    dit: DiT
    text: TextConditioner
    scale: ActionScale
    embodiment: Embodiment
    typical_seconds: float
    size: int
    name: str = "wow-mini"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    guesser: Policy | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset({"image2video", "video2video", "forward_dynamics", "policy"})

    @property
    def max_frames(self) -> int:
        """Frames of the longest clip."""
        return self.dit.config.num_frames

    def imagine(
        self,
        context: Video | Image.Image | UInt8,
        prompt: str | None = None,
        *,
        actions: Actions | Float32 | None = None,
        num_frames: int = 17,
        seed: int = 0,
        options: SamplingOptions = SamplingOptions(),  # noqa: B008
        fps: float | None = None,
    ) -> Video:
        """A clip of `num_frames` frames whose first are the context: one picture, uint8 [H, W, 3], or a video.

        Pictures of another size are fitted with their aspect kept, and a warning says how. The same seed gives the
        same bytes. fps: frames per second of robot time; None lets the model choose.
        Raises WowError for an instruction that is empty or too long, an unsupported number of frames, or actions that
        do not fit the card.
        """
        frames, fitting = self.fit(_frames(context))
        if fitting:
            warnings.warn(f"the picture was {fitting}", stacklevel=2)
        values = self._values(actions)
        request = Request(frames, prompt, values, seed, None if fps is None else 1 / fps)
        return self.imagine_all([request], num_frames=num_frames, options=options)[0]

    def fit(self, frames: UInt8) -> tuple[UInt8, str]:
        """Frames [T, H, W, 3] or one [H, W, 3] as [T, size, size, 3], and what was done to them ("" for nothing)."""
        fitted = [fit_picture(frame, self.size) for frame in (frames if frames.ndim == 4 else frames[None])]
        return np.stack([frame for frame, _ in fitted]), fitted[0][1]

    def imagine_all(
        self,
        requests: Sequence[Request],
        *,
        num_frames: int = 17,
        options: SamplingOptions = SamplingOptions(),  # noqa: B008
        on_step: OnStep = lambda done, total: None,
    ) -> list[Video]:
        """Several clips in one batch, each with its own seed. All contexts have the same number of frames."""
        self._check(requests, num_frames)
        pictures = self._tensor(np.stack([request.context for request in requests]))
        with torch.no_grad():
            latent = torch.stack([self.codec.encode(clip) for clip in pictures])
            noise, conditions = self._prepare(requests, num_frames, latent.shape[2:])
            first = options.num_planning_steps if any(request.actions is None for request in requests) else 0
            read = self.motion_reader()
            corrections = 0 if read is None else options.corrections
            total = first + (1 + corrections) * options.num_inference_steps
            if first:
                conditions = self._plan(pictures, latent, conditions, options, lambda done, _: on_step(done, total))
            steps = count(first + 1)

            def paint(motion: Tensor) -> UInt8:
                shown = replace(conditions, motion=motion)
                drawn = sample(self.dit, noise, latent, shown, options, lambda *_: on_step(next(steps), total))
                painted = self.codec.decode(drawn, pictures[:, 0])
                clips: UInt8 = _uint8(painted).permute(0, 1, 3, 4, 2).cpu().numpy()
                return clips

            summed = torch.tensor(self.scale.summed, device=self.device)
            frames = paint_until_shown(paint, read, conditions.motion, summed, corrections)
        return [self._video(clip, request) for clip, request in zip(frames, requests, strict=True)]

    def motion_reader(self) -> Read | None:
        """Who reads motions from clips, so that they can be corrected; nobody, where there are no inverse dynamics."""
        return None

    def policy(
        self,
        context: Video | Image.Image | UInt8,
        prompt: str,
        *,
        num_frames: int = 17,
        seed: int = 0,
        options: SamplingOptions = SamplingOptions(),  # noqa: B008
        fps: float | None = None,
    ) -> Actions:
        """The actions [num_frames - 1, D] behind the clip that `imagine` paints for the same input."""
        frames, _ = self.fit(_frames(context))
        request = Request(frames, prompt, None, seed, None if fps is None else 1 / fps)
        self._check([request], num_frames)
        with torch.no_grad():
            pictures = self._tensor(frames)[None]
            latent = self.codec.encode(pictures[0])[None]
            _, conditions = self._prepare([request], num_frames, latent.shape[2:])
            drawn = self._plan(pictures, latent, conditions, options)
        values = self.scale.actions(drawn.motion[0].cpu().numpy())
        return Actions(values, self.embodiment, seconds=request.seconds)

    def imitate(self, picture: UInt8, prompt: str, *, fps: float | None = None) -> Actions:
        """The actions that the policy alone would take from uint8 [H, W, 3]: behaviour cloning, without a world model.

        Raises WowError where the model has no policy, and as `check_prompt`.
        """
        if self.guesser is None:
            raise WowError(
                f"{self.name} has no policy: train one with wow train policy, and add it with "
                f"wow train export --policy RUN --out FOLDER"
            )
        self.check_prompt(prompt)
        frames, _ = self.fit(picture)
        request = Request(frames, prompt, seconds=None if fps is None else 1 / fps)
        with torch.no_grad():
            _, conditions = self._prepare([request], self.guesser.config.num_transitions + 1, torch.Size([1]))
            motion = self.guesser(self._tensor(frames), conditions)
        return Actions(self.scale.actions(motion[0].cpu().numpy()), self.embodiment, seconds=request.seconds)

    def check_prompt(self, prompt: str) -> None:
        """Raises WowError for an instruction that is empty, or longer than what is read of it."""
        if not prompt.strip():
            raise WowError("the instruction is empty: say what the robot should do, e.g. 'open the drawer'")
        self.text.check(prompt, self.name)

    def readable(self, prompt: str) -> str:
        """An instruction that `check_prompt` lets pass: a long one loses its end. For who can tell people so."""
        return self.text.beginning(prompt)

    def reconstruct(self, frames: UInt8) -> UInt8:
        """A clip [T, H, W, 3] through the codec and back, painted over its first frame: the best `imagine` could do."""
        with torch.no_grad():
            pictures = self._tensor(frames)
            painted = self.codec.decode(self.codec.encode(pictures)[None], pictures[:1])[0]
        result: UInt8 = _uint8(painted).permute(0, 2, 3, 1).cpu().numpy()
        return result

    # ---- inside ----

    def _plan(
        self,
        pictures: Tensor,
        latent: Tensor,
        conditions: Conditions,
        options: SamplingOptions,
        on_step: OnStep = lambda done, total: None,
    ) -> Conditions:
        """The conditions with a motion for the clips that have none. pictures [b k 3 h w], latent: of the context."""
        guess = None
        if self.guesser is not None:
            summed = torch.tensor(self.scale.summed, device=self.device)
            guess = first_guess(self.guesser, pictures[:, 0], conditions, summed)
        return sample_motion(self.dit, latent, conditions, options, on_step, guess)

    def _video(self, frames: UInt8, request: Request) -> Video:
        clip = frames.copy()
        clip[: len(request.context)] = request.context  # what was seen is not imagined
        return Video(clip, 1.0 / (request.seconds or self.typical_seconds))

    def _check(self, requests: Sequence[Request], num_frames: int) -> None:
        if not 3 <= num_frames <= self.max_frames or num_frames % 2 == 0:
            allowed = ", ".join(str(count) for count in range(3, self.max_frames + 1, 2))
            raise WowError(f"{self.name} imagines clips of {allowed} frames, not {num_frames}")
        for request in requests:
            seen, height, width, _ = request.context.shape
            if (height, width) != (self.size, self.size):
                raise WowError(
                    f"{self.name} takes pictures of {self.size}x{self.size}, not {width}x{height}: fit them first"
                )
            if seen % 2 == 0 or seen >= num_frames:
                raise WowError(f"{self.name} takes an odd number of context frames below {num_frames}, not {seen}")
            if request.prompt is None and request.actions is None:
                demand("unconditional video", self.name, self.capabilities)
            if request.prompt is not None:
                self.check_prompt(request.prompt)
            if request.actions is not None:
                self._check_actions(request.actions, num_frames)

    def _check_actions(self, actions: Float32, num_frames: int) -> None:
        names = ", ".join(f"{dim.name} [{dim.unit}]" for dim in self.embodiment.action)
        if actions.shape != (num_frames - 1, len(self.embodiment.action)):
            raise WowError(
                f"{num_frames} frames need actions [{num_frames - 1}, {len(self.embodiment.action)}] "
                f"({names}), not {list(actions.shape)}"
            )
        for place, dim in enumerate(self.embodiment.action):
            if not np.isfinite(actions[:, place]).all():
                raise WowError(f"the actions hold a value that is not a number in {dim.name}: mend the file")

    def _values(self, actions: Actions | Float32 | None) -> Float32 | None:
        if not isinstance(actions, Actions):
            return actions
        for ours, theirs in zip(self.embodiment.action, actions.embodiment.action, strict=False):
            if (ours.name, ours.unit) != (theirs.name, theirs.unit):
                raise WowError(
                    f"{self.name} expects {ours.name} in {ours.unit}, the actions have {theirs.name} in {theirs.unit}"
                )
        return actions.values

    def _tensor(self, frames: UInt8) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device).float() / 127.5 - 1.0
        return pictures.movedim(-1, -3)

    def _prepare(self, requests: Sequence[Request], num_frames: int, shape: torch.Size) -> tuple[Tensor, Conditions]:
        """The noise of the clips, and their conditions: a motion that is not given is noise too.

        Noise is drawn clip by clip on the CPU, so that it depends neither on the device nor on the rest of the batch.
        """
        steps = (num_frames - 1, len(self.embodiment.action))
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        noise = torch.stack([torch.randn(num_frames, *shape, generator=generator) for generator in generators])
        motion = torch.stack(
            [
                torch.randn(steps, generator=generator)
                if request.actions is None
                else torch.from_numpy(self.scale.motion(request.actions))
                for generator, request in zip(generators, requests, strict=True)
            ]
        )
        tokens, mask = self.text.encode([request.prompt or "." for request in requests])
        seconds = [request.seconds or self.typical_seconds for request in requests]
        conditions = Conditions(
            text=tokens,
            text_mask=mask,
            has_text=torch.tensor([request.prompt is not None for request in requests]),
            motion=motion,
            motion_time=torch.tensor([1.0 if request.actions is None else 0.0 for request in requests]),
            seconds=torch.tensor(seconds, dtype=torch.float32),
            has_seconds=torch.tensor([request.seconds is not None for request in requests]),
        )
        return noise.to(self.device), conditions.map(lambda value: value.to(self.device))


def _uint8(pictures: Tensor) -> Tensor:
    """Pictures in [-1, 1] as bytes."""
    return ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _frames(context: Video | Image.Image | UInt8) -> UInt8:
    """The frames [T, H, W, 3] or the one [H, W, 3] of what a caller gave. Raises WowError where it is neither."""
    if isinstance(context, Video):
        return context.frames
    frames = np.asarray(context.convert("RGB") if isinstance(context, Image.Image) else context)
    if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3:
        raise WowError(f"a picture is uint8 [H, W, 3], not {frames.dtype} {list(frames.shape)}")
    return frames
