"""The codec's objective: paint what changed since the context picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from wow.models.codec import Codec, CodecConfig
from wow.train.loop import TrainConfig, fresh
from wow.train.store import Clips
from wow.types import UInt8, WowError

Perceive = Callable[[Tensor, Tensor], Tensor]
"""How different pictures [n 3 h w] in [-1, 1] look, one number for each pair."""


@dataclass(frozen=True)
class CodecRun:
    """A codec and how it is trained.

    crop: side of the square pieces trained on [pixels, a multiple of 16]; they are drawn where something moved.
    targets: frames per context picture. squared_weight: weight of the squared error beside the absolute one;
    perceptual_weight: that of a perceptual distance, 0 to leave it out. frozen_latents: train the way back alone; so
    what was trained on the latents stays valid.
    """

    model: CodecConfig = field(default_factory=CodecConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    crop: int = 64
    targets: int = 4
    squared_weight: float = 4.0
    perceptual_weight: float = 0.0
    frozen_latents: bool = False

    def __post_init__(self) -> None:
        if self.crop % 16 or self.crop < 16 or self.targets < 1:
            raise WowError("the crop is a multiple of 16 pixels and there is at least one target frame")


@dataclass(frozen=True)
class CodecBatch:
    """Pictures [b t 3 crop crop] and their context [b 3 crop crop]; the noise is drawn where it is used."""

    pictures: Tensor
    context: Tensor
    noise_seed: int

    def to(self, device: torch.device) -> CodecBatch:
        """The same on another device."""
        return replace(self, pictures=self.pictures.to(device), context=self.context.to(device))


class CodecObjective:
    """Reconstructs frames of an episode from their latents and one other frame of it, on pieces where things move."""

    def __init__(self, run: CodecRun, clips: Clips, perceive: Perceive | None = None) -> None:
        """perceive: how different pictures look; needed where the run has a weight for it. Raises WowError without."""
        if run.perceptual_weight > 0 and perceive is None:
            raise WowError("a perceptual loss needs a network that sees: leave --config.perceptual-weight at 0 without")
        self.run = run
        self.clips = clips
        self.perceive = perceive
        codec = fresh(lambda: Codec(run.model), run.train)
        # On a CPU convolutions run up to twice as fast in this layout.
        self.network: nn.Module = codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._latents = (codec.encoder, codec.normalise) if run.frozen_latents else ()
        for module in self._latents:
            module.requires_grad_(False)

    def batch(self, batch_size: int, generator: torch.Generator) -> CodecBatch:
        clips, wanted = [], self.run.targets + 1
        for episode in torch.randint(len(self.clips), (batch_size,), generator=generator).tolist():
            # With repetition: an episode may be shorter than the number of frames asked for.
            chosen = torch.randint(self.clips.length(episode), (wanted,), generator=generator).numpy()
            chosen[0] = 0 if chosen[0] % 2 else chosen[0]
            clips.append(self.clips.frames[self.clips.start[episode] + chosen])
        pictures, context = cut_where_moving(to_tensor(np.stack(clips)), self.run.crop, generator)
        return CodecBatch(pictures, context, int(torch.randint(2**62, (1,), generator=generator)))

    def loss(self, network: nn.Module, batch: CodecBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        for module in self._latents:
            module.eval()  # running statistics would go on moving
        pictures, grid = batch.pictures, self.run.crop // 16
        generator = torch.Generator(pictures.device).manual_seed(batch.noise_seed)
        shape = (*pictures.shape[:2], self.run.model.latent_channels, grid, grid)
        noise = torch.randn(shape, generator=generator, device=pictures.device)
        painted, _ = network(pictures, batch.context.contiguous(memory_format=torch.channels_last), noise)
        error = painted.float() - pictures
        squared = error.square().mean()
        loss = error.abs().mean() + self.run.squared_weight * squared
        decibel = 10.0 * torch.log10(4.0 / squared.detach().clamp_min(1e-9))
        if self.perceive is None or not self.run.perceptual_weight:
            return loss, {"crop_psnr": decibel}
        looks = self.perceive(painted.float().flatten(0, 1), pictures.flatten(0, 1)).mean()
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


def cut_where_moving(frames: Tensor, crop: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One piece of each clip [b 1+t 3 h w], drawn with a chance that grows with how much it differs from the context.

    Returns pictures [b t 3 crop crop] and context [b 3 crop crop], cut at multiples of 16 pixels.
    """
    change = (frames[:, 1:] - frames[:, :1]).abs().mean(dim=(1, 2))
    cells = functional.avg_pool2d(change[:, None], 16)
    energy = functional.avg_pool2d(cells, crop // 16, stride=1)[:, 0]
    chance = energy.flatten(1) + 0.05 * energy.flatten(1).mean(dim=1, keepdim=True) + 1e-4
    place = torch.multinomial(chance.cpu(), 1, generator=generator)[:, 0]
    top, left = 16 * (place // energy.shape[-1]), 16 * (place % energy.shape[-1])
    pieces = torch.stack(
        [clip[..., y : y + crop, x : x + crop] for clip, y, x in zip(frames, top.tolist(), left.tolist(), strict=True)]
    )
    return pieces[:, 1:], pieces[:, 0]


def to_tensor(frames: UInt8, device: torch.device | str = "cpu") -> Tensor:
    """uint8 [..., H, W, 3] to float [..., 3, H, W] in [-1, 1]; it travels to the device as bytes."""
    return rearrange(torch.from_numpy(np.array(frames)).to(device), "... h w c -> ... c h w").float() / 127.5 - 1.0


def to_uint8(pictures: Tensor) -> UInt8:
    """float [..., 3, H, W] in [-1, 1] to uint8 [..., H, W, 3]."""
    rounded = (pictures.float().clamp(-1.0, 1.0) * 127.5 + 127.5).round().to(torch.uint8)
    result: UInt8 = rearrange(rounded, "... c h w -> ... h w c").cpu().numpy()
    return result
