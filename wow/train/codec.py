"""The codec's objective: paint what changed since the context picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wow.models.codec import Codec, CodecConfig
from wow.train.loop import TrainConfig, fresh
from wow.train.store import Clips
from wow.types import UInt8, WowError

PHASE = 4
"""The step in pixels at which a network that sees (AlexNet) looks at a picture first."""
CELL = 16
"""Pixels along a latent's cell."""

Perceive = Callable[[Tensor, Tensor], Tensor]
"""How different pictures [n 3 h w] in [-1, 1] look, one number for each pair."""


@dataclass(frozen=True)
class CodecRun:
    """A codec and how it is trained.

    crop: side of the square pieces trained on [pixels, a multiple of 16]; they are drawn where something moved.
    targets: frames per context picture. squared_weight: weight of the squared error beside the absolute one;
    perceptual_weight: that of a perceptual distance, 0 to leave it out; gradient_weight: that of the absolute error of
    differences between neighbouring pixels, which leaves no texture where a perceptual distance would like one.
    frozen_latents: train the way back alone; so what was trained on the latents stays valid. painted: of the clips of a
    batch, the share whose latents a transformer painted for the recorded motion (see `PaintedClips`): the way back
    learns to show them as what was recorded; painted_clips: how many it paints.
    """

    model: CodecConfig = field(default_factory=CodecConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    crop: int = 64
    targets: int = 4
    squared_weight: float = 4.0
    perceptual_weight: float = 0.0
    gradient_weight: float = 0.0
    frozen_latents: bool = False
    painted: float = 0.0
    painted_clips: int = 900

    def __post_init__(self) -> None:
        if self.crop % CELL or self.crop < CELL or self.targets < 1:
            raise WowError(f"the crop is a multiple of {CELL} pixels and there is at least one target frame")
        if not 0.0 <= self.painted <= 1.0 or self.painted_clips < 1:
            raise WowError("the painted share of a batch lies between 0 and 1, and at least one clip is painted")
        if self.painted and not self.frozen_latents:
            raise WowError("what was painted is of the latents as they are: add --config.frozen-latents")
        if self.painted and not self.model.latent_noise:
            raise WowError("what was painted comes as noise: leave --config.model.latent-noise above 0")


@dataclass(frozen=True)
class PaintedClips:
    """Clips that a transformer painted over a first frame. rows [n t]: the frames of the store that they should show.

    errors: float16 [n t c h w], how far the latents painted are from those of these frames.
    """

    rows: NDArray[np.int64]
    errors: NDArray[np.float16]


@dataclass(frozen=True)
class CodecBatch:
    """Pictures [b t 3 crop crop] and their context [b 3 crop crop]. noise [b t c g g]: see `Codec.forward`.

    phase: where the grid of a network that looks at them begins, in pixels.
    """

    pictures: Tensor
    context: Tensor
    noise: Tensor
    phase: tuple[int, int]

    def to(self, device: torch.device) -> CodecBatch:
        """The same on another device."""
        return CodecBatch(self.pictures.to(device), self.context.to(device), self.noise.to(device), self.phase)


class CodecObjective:
    """Reconstructs frames of an episode from their latents and one other frame of it, on pieces where things move."""

    def __init__(
        self, run: CodecRun, clips: Clips, perceive: Perceive | None = None, painted: PaintedClips | None = None
    ) -> None:
        """perceive: how different pictures look; painted: clips; needed where the run has a weight or a share for them.

        Raises WowError without.
        """
        if run.perceptual_weight > 0 and perceive is None:
            raise WowError("a perceptual loss needs a network that sees: leave --config.perceptual-weight at 0 without")
        if run.painted > 0 and painted is None:
            raise WowError("nobody paints: name a model with --painter, or leave --config.painted at 0")
        self.run = run
        self.clips = clips
        self.perceive = perceive
        self.painted = painted
        codec = fresh(lambda: Codec(run.model), run.train)
        # On a CPU convolutions run up to twice as fast in this layout.
        self.network: nn.Module = codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._latents = (codec.encoder, codec.normalise) if run.frozen_latents else ()
        for module in self._latents:
            module.requires_grad_(False)

    def batch(self, batch_size: int, generator: torch.Generator) -> CodecBatch:
        count = 0 if self.painted is None else round(self.run.painted * batch_size)
        chosen = [self._frames_of_an_episode(generator) for _ in range(batch_size - count)]
        errors: list[NDArray[np.float16]] = []
        for _ in range(count):
            rows, error = self._painted_frames(generator)
            chosen.append(rows)
            errors.append(error)
        frames = to_tensor(np.stack([self.clips.frames[rows] for rows in chosen]))
        crop, grid = self.run.crop, self.run.crop // CELL
        corners = where_moving(frames, crop, generator)
        pieces = cut(frames, [(CELL * y, CELL * x) for y, x in corners], crop)
        noise = torch.randn(
            *pieces.shape[:1], self.run.targets, self.run.model.latent_channels, grid, grid, generator=generator
        )
        if errors:
            # To the decoder a painter's error is one more noise, of whatever size it has.
            seen = cut(torch.from_numpy(np.stack(errors)).float(), corners[-count:], grid)
            noise[-count:] = seen / self.run.model.latent_noise
        down, right = torch.randint(PHASE, (2,), generator=generator).tolist()
        return CodecBatch(pieces[:, 1:], pieces[:, 0], noise, (down, right))

    def _frames_of_an_episode(self, generator: torch.Generator) -> NDArray[np.int64]:
        """Rows of a context frame and of others of its episode."""
        episode = int(torch.randint(len(self.clips), (1,), generator=generator))
        # With repetition: an episode may be shorter than the number of frames asked for.
        chosen = torch.randint(self.clips.length(episode), (self.run.targets + 1,), generator=generator).numpy()
        chosen[0] = 0 if chosen[0] % 2 else chosen[0]
        rows: NDArray[np.int64] = self.clips.start[episode] + chosen
        return rows

    def _painted_frames(self, generator: torch.Generator) -> tuple[NDArray[np.int64], NDArray[np.float16]]:
        """Rows of a painted clip's first frame and of others, and the errors [t c h w] of these others."""
        assert self.painted is not None
        rows = self.painted.rows
        clip = int(torch.randint(len(rows), (1,), generator=generator))
        later = torch.randint(1, rows.shape[1], (self.run.targets,), generator=generator).numpy()
        return rows[clip][[0, *later]], self.painted.errors[clip, later]

    def loss(self, network: nn.Module, batch: CodecBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        for module in self._latents:
            module.eval()  # running statistics would go on moving
        pictures = batch.pictures
        painted, _ = network(pictures, batch.context.contiguous(memory_format=torch.channels_last), batch.noise)
        error = painted.float() - pictures
        squared = error.square().mean()
        loss = error.abs().mean() + self.run.squared_weight * squared
        if self.run.gradient_weight:
            loss = loss + self.run.gradient_weight * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean())
        decibel = 10.0 * torch.log10(4.0 / squared.detach().clamp_min(1e-9))
        if self.perceive is None or not self.run.perceptual_weight:
            return loss, {"crop_psnr": decibel}
        pair = [_moved(each.float().flatten(0, 1), batch.phase) for each in (painted, pictures)]
        looks = self.perceive(*pair).mean()
        return loss + self.run.perceptual_weight * looks, {"crop_psnr": decibel, "perceptual": looks.detach()}

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """Rows of context, truth, reconstruction for six episodes spread over the data."""
        network.eval()
        device = next(network.parameters()).device
        rows = []
        for episode in np.linspace(0, len(self.clips) - 1, 6).astype(int):
            last = self.clips.length(episode) - 1
            frames = [self.clips.frames[self.clips.start[episode] + i] for i in (0, last // 2, last)]
            pictures = to_tensor(np.stack(frames)).to(device)
            painted, _ = network(pictures[None, 1:], pictures[:1])
            rows.append(
                np.concatenate([*frames[:1], frames[1], to_uint8(painted[0])[0], frames[2], to_uint8(painted[0])[1]], 1)
            )
        network.train()
        return np.concatenate(rows, axis=0)


def where_moving(frames: Tensor, crop: int, generator: torch.Generator) -> list[tuple[int, int]]:
    """A place in each clip [b 1+t 3 h w], drawn with a chance that grows with how much it differs from the context.

    Row and column of the cell of 16 pixels at its upper left.
    """
    change = (frames[:, 1:] - frames[:, :1]).abs().mean(dim=(1, 2))
    cells = functional.avg_pool2d(change[:, None], CELL)
    energy = functional.avg_pool2d(cells, crop // CELL, stride=1)[:, 0]
    chance = energy.flatten(1) + 0.05 * energy.flatten(1).mean(dim=1, keepdim=True) + 1e-4
    place = torch.multinomial(chance.cpu(), 1, generator=generator)[:, 0]
    return [divmod(one, energy.shape[-1]) for one in place.tolist()]


def cut(clips: Tensor, corners: Sequence[tuple[int, int]], side: int) -> Tensor:
    """A square piece of each clip [b ... h w], its upper left at a row and a column of the clip's own."""
    pieces = [clip[..., y : y + side, x : x + side] for clip, (y, x) in zip(clips, corners, strict=True)]
    return torch.stack(pieces)


def _moved(pictures: Tensor, phase: tuple[int, int]) -> Tensor:
    """Pictures [n 3 h w] down and right by some pixels: else the grid of who looks is painted into the pictures."""
    (down, right), room = phase, PHASE
    return functional.pad(pictures, (right, room - right, down, room - down), mode="replicate")


def to_tensor(frames: UInt8, device: torch.device | str = "cpu") -> Tensor:
    """uint8 [..., H, W, 3] to float [..., 3, H, W] in [-1, 1]; it travels to the device as bytes."""
    return rearrange(torch.from_numpy(np.array(frames)).to(device), "... h w c -> ... c h w").float() / 127.5 - 1.0


def to_uint8(pictures: Tensor) -> UInt8:
    """float [..., 3, H, W] in [-1, 1] to uint8 [..., H, W, 3]."""
    rounded = (pictures.float().clamp(-1.0, 1.0) * 127.5 + 127.5).round().to(torch.uint8)
    result: UInt8 = rearrange(rounded, "... c h w -> ... h w c").cpu().numpy()
    return result
