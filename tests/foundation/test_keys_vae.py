"""The names of Wan's autoencoders mean what we take them for: clips and latents are those of the definition below.

The definition looks at a whole clip at once, and reads the authors' names itself; diffusers goes through the clip piece
by piece and remembers what it has seen. Where both agree, names and the handling of pieces are right.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.nn.functional as F  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

MEAN = [-.7571, -.7089, -.9113, .1075, -.1745, .9653, -.1517, 1.5508, .4134, -.0715, .5517, -.3632, -.1922, -.9497,
        .2503, -.2921]  # fmt: skip
DEVIATION = [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382,
             1.1253, 2.8251, 1.9160]  # fmt: skip
"""Of the latents of Wan2.1, as they were published."""


class Layers(ABC):
    """What both autoencoders are made of. Clips are [c, t, h, w]."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self.w = weights

    def has(self, name: str) -> bool:
        return any(key.startswith(name) for key in self.w)

    def conv(self, name: str, x: Any) -> Any:
        """A convolution that sees no future: what is missing before the first frame is zero."""
        weight = self.w[f"{name}.weight"]
        t, h, w = (size // 2 for size in weight.shape[2:])
        return F.conv3d(F.pad(x, (w, w, h, h, 2 * t, 0))[None], weight, self.w[f"{name}.bias"])[0]

    def flat(self, name: str, x: Any, **how: Any) -> Any:
        """A convolution of each frame."""
        frames = F.conv2d(x.transpose(0, 1), self.w[f"{name}.weight"], self.w[f"{name}.bias"], **how)
        return frames.transpose(0, 1)

    def norm(self, name: str, x: Any) -> Any:
        """Root mean square over channels, in every place of every frame."""
        return x / torch.sqrt((x * x).mean(0, keepdim=True)) * self.w[f"{name}.gamma"].reshape(-1, 1, 1, 1)

    def residual(self, name: str, x: Any) -> Any:
        inner = self.conv(f"{name}.residual.2", F.silu(self.norm(f"{name}.residual.0", x)))
        inner = self.conv(f"{name}.residual.6", F.silu(self.norm(f"{name}.residual.3", inner)))
        return inner + (self.conv(f"{name}.shortcut", x) if self.has(f"{name}.shortcut") else x)

    def middle(self, half: str, x: Any) -> Any:
        """A residual block, attention with one head among the places of each frame, a residual block."""
        x = self.residual(f"{half}.middle.0", x)
        at = f"{half}.middle.1"
        q, k, v = self.flat(f"{at}.to_qkv", self.norm(f"{at}.norm", x)).flatten(2).chunk(3)
        weight = (torch.einsum("ctn,ctm->tnm", q, k) / math.sqrt(len(q))).softmax(-1)
        seen = torch.einsum("tnm,ctm->ctn", weight, v).reshape(x.shape)
        return self.residual(f"{half}.middle.2", x + self.flat(f"{at}.proj", seen))

    def smaller(self, name: str, x: Any) -> Any:
        """Half as high and wide; where time is halved too, the first frame is kept and each further one joins three."""
        x = self.flat(f"{name}.resample.1", F.pad(x, (0, 1, 0, 1)), stride=2)
        if not self.has(f"{name}.time_conv"):
            return x
        weight, bias = self.w[f"{name}.time_conv.weight"], self.w[f"{name}.time_conv.bias"]
        later = [F.conv3d(x[None, :, n - 2 : n + 1], weight, bias)[0] for n in range(2, x.shape[1], 2)]
        return torch.cat([x[:, :1], *later], 1)

    def larger(self, name: str, x: Any) -> Any:
        """Twice as high and wide; where time doubles too, every frame but the first becomes two, blind to the first."""
        if self.has(f"{name}.time_conv") and x.shape[1] > 1:
            pairs = self.conv(f"{name}.time_conv", x[:, 1:]).unflatten(0, (2, -1))
            x = torch.cat([x[:, :1], pairs.permute(1, 2, 0, 3, 4).flatten(1, 2)], 1)
        return self.flat(f"{name}.resample.1", x.repeat_interleave(2, 2).repeat_interleave(2, 3), padding=1)

    def head(self, half: str, x: Any) -> Any:
        return self.conv(f"{half}.head.2", F.silu(self.norm(f"{half}.head.0", x)))

    @abstractmethod
    def levels(self, half: str, x: Any) -> Any:
        """The resolutions of a half, one after the other: how they are named is what tells 2.1 from 2.2."""

    def encode(self, clip: Any) -> Any:
        """The means of the latents."""
        x = self.middle("encoder", self.levels("encoder", self.conv("encoder.conv1", clip)))
        return self.conv("conv1", self.head("encoder", x)).chunk(2)[0]

    def decode(self, latents: Any) -> Any:
        x = self.middle("decoder", self.conv("decoder.conv1", self.conv("conv2", latents)))
        return self.head("decoder", self.levels("decoder", x))


class Wan21(Layers):
    """All blocks of a half in one row."""

    def levels(self, half: str, x: Any) -> Any:
        row = "encoder.downsamples" if half == "encoder" else "decoder.upsamples"
        place = 0
        while self.has(f"{row}.{place}."):
            at = f"{row}.{place}"
            if self.has(f"{at}.residual"):
                x = self.residual(at, x)
            else:
                x = self.smaller(at, x) if half == "encoder" else self.larger(at, x)
            place += 1
        return x


class Wan22(Layers):
    """Level by level, each with a way around it that has no weights; pictures in patches of 2x2."""

    def levels(self, half: str, x: Any) -> Any:
        rows, blocks = ("downsamples", 2) if half == "encoder" else ("upsamples", 3)
        for level in range(4):
            at, before = f"{half}.{rows}.{level}.{rows}", x
            for block in range(blocks):
                x = self.residual(f"{at}.{block}", x)
            change = f"{at}.{blocks}"
            space, time = 1 + self.has(f"{change}.resample"), 1 + self.has(f"{change}.time_conv")
            if half == "encoder":
                x = self.smaller(change, x) if space > 1 else x
                x = x + averaged(before, len(x), time, space)
            elif space > 1:
                x = self.larger(change, x)
                x = x + copied(before, len(x), time, space)
        return x

    def encode(self, clip: Any) -> Any:
        """Channels of a patch: colour slowest, then columns, then rows."""
        patches = clip.unflatten(3, (-1, 2)).unflatten(2, (-1, 2))
        return super().encode(patches.permute(0, 5, 3, 1, 2, 4).flatten(0, 2))

    def decode(self, latents: Any) -> Any:
        patches = super().decode(latents).unflatten(0, (3, 2, 2))
        return patches.permute(0, 3, 4, 2, 5, 1).flatten(4, 5).flatten(2, 3)


def averaged(x: Any, width: int, time: int, space: int) -> Any:
    """Frames and places become channels, of which neighbours are averaged; before the first frame there is black."""
    x = torch.cat([torch.zeros_like(x[:, :1])] * (-x.shape[1] % time) + [x], 1)
    x = x.unflatten(3, (-1, space)).unflatten(2, (-1, space)).unflatten(1, (-1, time))
    return x.permute(0, 2, 4, 6, 1, 3, 5).flatten(0, 3).unflatten(0, (width, -1)).mean(1)


def copied(x: Any, width: int, time: int, space: int) -> Any:
    """The reverse: channels, each as often as it takes, become frames and places; the first frame stays one."""
    x = x.repeat_interleave(width * time * space * space // len(x), 0).unflatten(0, (width, time, space, space))
    x = x.permute(0, 4, 1, 5, 2, 6, 3).flatten(5, 6).flatten(3, 4).flatten(1, 2)
    return x[:, time - 1 :]


def opened(weights: dict[str, Any], folder: Path) -> Any:
    from wow.foundation.checkpoint import open_checkpoint
    from wow.foundation.checkpoint_network import empty_network, fill

    save_file(weights, folder / "model.safetensors")
    checkpoint = open_checkpoint(folder / "model.safetensors")
    assert checkpoint.layout == "wan" and checkpoint.kind == "AutoencoderKLWan"
    return fill(empty_network(checkpoint.library, checkpoint.kind, checkpoint.config), checkpoint).eval()


@pytest.mark.parametrize("frames", [1, 5, 9])
@pytest.mark.parametrize(("name", "definition", "stride"), [("wan-vae", Wan21, 8), ("wan-vae-2.2", Wan22, 16)])
def test_clips_and_latents_are_those_of_the_definition(
    name: str, definition: type[Layers], stride: int, frames: int, original: Callable[[str], Any], tmp_path: Path
) -> None:
    weights = original(name)
    ours, theirs = opened(weights, tmp_path), definition(weights)
    generator = torch.Generator().manual_seed(frames)
    clip = torch.rand(3, frames, 2 * stride, 3 * stride, generator=generator) * 2 - 1
    with torch.no_grad():
        latents, expected = ours.encode(clip[None]).latent_dist.mode()[0], theirs.encode(clip)
        assert latents.shape == (2, (frames - 1) // 4 + 1, 2, 3) and expected.std() > 0.03
        assert (latents - expected).abs().max() < 1e-5 * max(1.0, float(expected.abs().max()))
        asked = torch.randn(latents.shape, generator=generator)
        drawn, expected = ours.decode(asked[None]).sample[0], theirs.decode(asked)
    # What is drawn is cut to what a picture can show, which would hide what is beyond.
    shown = expected.abs() < 1
    assert drawn.shape == clip.shape and float(shown.float().mean()) > 0.3
    assert (drawn - expected.clamp(-1, 1)).abs().max() < 1e-5


def test_latents_are_scaled_as_published(library: Any) -> None:
    from wow.foundation.cards import CARDS

    for card in CARDS.values():
        if card.family not in ("wan2.1", "cosmos2", "cosmos2.5"):
            continue
        stated = card.part("vae").config
        assert list(_default(library, stated, "latents_mean")) == MEAN, card.name
        assert list(_default(library, stated, "latents_std")) == DEVIATION, card.name


def _default(library: Any, stated: Any, name: str) -> Sequence[float]:
    import inspect

    return stated[name] if name in stated else inspect.signature(library.AutoencoderKLWan).parameters[name].default
