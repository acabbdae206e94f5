"""The codec: a picture to a small latent and back. The decoder also sees a clean context picture of the same scene.

Fixed cameras mean that most of a robot video is its first picture again. The decoder therefore only paints what the
latent says has changed, and blends it over the context, so that background texture need not pass through the latent.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class CodecConfig:
    """channels: width at 1/4, 1/8 and 1/16 of the picture's size. …_blocks: residual blocks at each of them."""

    latent_channels: int = 32
    channels: tuple[int, int, int] = (48, 96, 192)
    encoder_blocks: tuple[int, int, int] = (1, 1, 2)
    decoder_blocks: tuple[int, int, int] = (1, 2, 2)
    latent_noise: float = 0.15

    def __post_init__(self) -> None:
        if self.latent_channels < 1 or min(self.channels) < 1 or self.latent_noise < 0:
            raise ValueError(f"impossible codec {self}")

    @property
    def downsampling(self) -> int:
        """Pixels along one side of a latent cell."""
        return 16


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))), starting as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.scale = nn.Parameter(torch.full((1, channels, 1, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(nn.functional.silu(x))
        changed: Tensor = x + self.scale * self.second(nn.functional.silu(hidden))
        return changed


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


class _Down(nn.Sequential):
    """Half the size: four neighbours become channels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.PixelUnshuffle(2), nn.Conv2d(4 * before, after, 1))


class _Up(nn.Sequential):
    """Twice the size."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.Conv2d(before, 4 * after, 1), nn.PixelShuffle(2))


class Encoder(nn.Module):
    """A picture to its latent, before normalisation."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.channels
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, fine, 3, padding=1))
        self.fine = _blocks(fine, config.encoder_blocks[0])
        self.to_middle = _Down(fine, middle)
        self.middle = _blocks(middle, config.encoder_blocks[1])
        self.to_coarse = _Down(middle, coarse)
        self.coarse = _blocks(coarse, config.encoder_blocks[2])
        self.head = nn.Conv2d(coarse, config.latent_channels, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        x = self.to_middle(self.fine(self.stem(picture)))
        latent: Tensor = self.head(self.coarse(self.to_coarse(self.middle(x))))
        return latent


class ContextEncoder(nn.Module):
    """What the decoder sees of the context picture: features at 1/4 and 1/8 of its size."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        fine, middle, _ = config.channels
        self.stem = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, fine, 3, padding=1))
        self.fine = _blocks(fine, 1)
        self.to_middle = _Down(fine, middle)
        self.middle = _blocks(middle, 1)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(self.stem(picture))
        return fine, self.middle(self.to_middle(fine))


class Decoder(nn.Module):
    """A latent, the context's latent and features to what is painted [b 3 h w] and how opaque it is [b 1 h w]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        fine, middle, coarse = config.channels
        self.stem = nn.Conv2d(2 * config.latent_channels, coarse, 3, padding=1)
        self.coarse = _blocks(coarse, config.decoder_blocks[2])
        self.to_middle = _Up(coarse, middle)
        self.see_middle = nn.Conv2d(middle, middle, 1)
        self.middle = _blocks(middle, config.decoder_blocks[1])
        self.to_fine = _Up(middle, fine)
        self.see_fine = nn.Conv2d(fine, fine, 1)
        self.fine = _blocks(fine, config.decoder_blocks[0])
        self.head = nn.Sequential(nn.SiLU(), nn.Conv2d(fine, 64, 3, padding=1), nn.PixelShuffle(4))

    def forward(self, latent: Tensor, context_latent: Tensor, seen: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x = self.coarse(self.stem(torch.cat([latent, context_latent], dim=1)))
        x = self.middle(self.to_middle(x) + self.see_middle(seen[1]))
        x = self.fine(self.to_fine(x) + self.see_fine(seen[0]))
        painted = self.head(x)
        return painted[:, :3], torch.sigmoid(painted[:, 3:] - 1.0)


class Codec(nn.Module):
    """Pictures in [-1, 1] to latents of zero mean and unit variance per channel, and back.

    Height and width are multiples of 16. The latent of a picture does not depend on the context: only decoding does.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.context_encoder = ContextEncoder(config)
        self.decoder = Decoder(config)
        # Running statistics of training make the latents unit-variance without an affine map to undo it.
        self.normalise = nn.BatchNorm2d(config.latent_channels, affine=False, momentum=0.02)

    def encode(self, picture: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h16 w16"]:
        """The normalised latent."""
        latent: Tensor = self.normalise(self.encoder(picture))
        return latent

    def decode(
        self, latent: Float[Tensor, "b t c h16 w16"], context: Float[Tensor, "b 3 h w"]
    ) -> Float[Tensor, "b t 3 h w"]:
        """The pictures of `latent`, each painted over the clip's context picture."""
        frames = latent.shape[1]
        seen = self.context_encoder(context)
        context_latent = self.encode(context)
        spread = [x.repeat_interleave(frames, dim=0) for x in (context_latent, *seen, context)]
        painted, opacity = self.decoder(
            rearrange(latent, "b t c h w -> (b t) c h w"), spread[0], (spread[1], spread[2])
        )
        pictures = opacity * painted + (1.0 - opacity) * spread[3]
        clips: Tensor = rearrange(pictures, "(b t) c h w -> b t c h w", t=frames)
        return clips

    def forward(
        self, pictures: Float[Tensor, "b t 3 h w"], context: Float[Tensor, "b 3 h w"], noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Reconstructions and latents. noise: standard normal, of the latents' shape, scaled by the config's level."""
        latent = self.encode(rearrange(pictures, "b t c h w -> (b t) c h w"))
        latent = rearrange(latent, "(b t) c h w -> b t c h w", t=pictures.shape[1])
        noisy = latent if noise is None else latent + self.config.latent_noise * noise
        return self.decode(noisy, context), latent
