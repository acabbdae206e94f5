"""The eye for faults: from a video to what in it cannot be in a world like ours, and in which frames.

It knows no goal. Every frame is seen beside the first one and its neighbours, neighbouring frames exchange channels
(Lin et al. 2019, TSM), every cell of every frame says whether something is wrong in it, and a small transformer
remembers what happened in each frame. Pictures may be of any size of whole cells, so that it can learn from cuttings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

IMPLAUSIBLE = ("teleport", "vanish", "duplicate", "morph", "reverse")
"""Faults after which nothing that a video shows can be believed."""
UNSEEN_BY_MOTION = ("teleport", "vanish", "duplicate", "morph")
"""Those of things: a robot's motion that is read from the video does not tell of them, as it does of a reversed one."""
UNSMOOTH = ("teleport", "freeze", "reverse", "jitter")
"""Faults of motion."""
MAGNIFIED = 2.0
"""From one frame to the next little changes."""
RARE = -4.0
"""The logit that something is wrong in a cell, before anything is learned."""


@dataclass(frozen=True)
class FaultConfig:
    """faults: names of those that it knows. patch: pixels along the side of what is taken together first. channels:
    widths at one, two and four patches a cell. width, depth, num_heads: of what it remembers of a frame.
    """

    faults: tuple[str, ...] = ()
    size: int = 128
    num_frames: int = 17
    patch: int = 4
    channels: tuple[int, int, int] = (32, 64, 96)
    width: int = 96
    depth: int = 2
    num_heads: int = 4

    def __post_init__(self) -> None:
        if self.size % (4 * self.patch) or self.num_frames < 3 or min(self.channels) < 8 or self.width % self.num_heads:
            raise ValueError(f"impossible network {self}: a size of whole cells, a width of whole heads")

    @property
    def cell(self) -> int:
        """Pixels along the side of a cell that says whether something is wrong in it."""
        return 2 * self.patch


@dataclass(frozen=True)
class Seen:
    """Logits. Of each kind of fault: in the video, in each frame, in each cell of it. quality: that it looks good."""

    faults: Float[Tensor, "b k"]
    fault_frames: Float[Tensor, "b t k"]
    fault_cells: Float[Tensor, "b t k h w"]
    quality: Float[Tensor, " b"]


def shift_in_time(x: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
    """An eighth of the channels is taken from the frame before, an eighth from the one after."""
    part = x.shape[2] // 8
    before, after, now = x[:, :, :part], x[:, :, part : 2 * part], x[:, :, 2 * part :]
    before = torch.cat([torch.zeros_like(before[:, :1]), before[:, :-1]], dim=1)
    after = torch.cat([after[:, 1:], torch.zeros_like(after[:, :1])], dim=1)
    return torch.cat([before, after, now], dim=2)


class _Residual(nn.Module):
    """x + conv(act(conv(shifted in time(act(x))))), beginning close to the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"], frames: int) -> Tensor:
        seen = functional.silu(x)
        shifted = shift_in_time(seen.reshape(-1, frames, *seen.shape[1:])).flatten(0, 1)
        changed: Tensor = x + self.second(functional.silu(self.first(shifted)))
        return changed


class FaultNetwork(nn.Module):
    """Videos of `num_frames` frames in [-1, 1] to what is `Seen`.

    A frame is at least as wrong as its worst cell, and a video as its worst frame: those logits are added to what the
    memory says.
    """

    def __init__(self, config: FaultConfig) -> None:
        super().__init__()
        self.config = config
        fine, middle, coarse = config.channels
        width, kinds = config.width, len(config.faults)
        self.stem = nn.Conv2d(4 * 3 * config.patch**2, fine, 1)
        self.fine = nn.ModuleList(_Residual(fine) for _ in range(2))
        self.to_middle = nn.Conv2d(fine, middle, 2, stride=2)
        self.middle = nn.ModuleList(_Residual(middle) for _ in range(2))
        self.to_coarse = nn.Conv2d(middle, coarse, 2, stride=2)
        self.coarse = _Residual(coarse)
        self.cells = nn.Conv2d(middle + coarse, kinds, 1)
        self.into = nn.Linear(2 * (middle + coarse) + kinds, width)
        self.norm = nn.LayerNorm(width)
        self.place = nn.Parameter(0.02 * torch.randn(config.num_frames, width))
        block = nn.TransformerEncoderLayer(
            width, config.num_heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.memory = nn.TransformerEncoder(block, config.depth, enable_nested_tensor=False)
        self.each = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, kinds))
        self.whole = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, kinds + 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # There is no normalisation: what goes in with a variance has to come out with about the same.
                nn.init.normal_(module.weight, std=1.1 / math.sqrt(module.weight[0].numel()))
            if isinstance(module, _Residual):
                module.second.weight.data *= 0.2
        nn.init.zeros_(self.cells.weight)
        nn.init.constant_(self.cells.bias, RARE)  # type: ignore[arg-type]

    def forward(self, frames: Float[Tensor, "b t 3 h w"]) -> Seen:
        count = frames.shape[1]
        x = self.stem(self._planes(frames).flatten(0, 1).contiguous(memory_format=torch.channels_last))
        for block in self.fine:
            x = block(x, count)
        x = self.to_middle(functional.silu(x))
        for block in self.middle:
            x = block(x, count)
        near = functional.silu(x)
        far = functional.silu(self.coarse(self.to_coarse(near), count))
        around = functional.interpolate(far, scale_factor=2.0, mode="bilinear")
        cells = self.cells(torch.cat([near, around], dim=1))
        worst = cells.amax(dim=(2, 3))
        pooled = [part for x in (near, far) for part in (x.mean(dim=(2, 3)), x.amax(dim=(2, 3)))]
        frames_seen = self.norm(self.into(torch.cat([*pooled, worst], dim=1))).reshape(len(frames), count, -1)
        memory = self.memory(frames_seen + self.place)
        each = self.each(memory) + worst.reshape(len(frames), count, -1)
        whole = self.whole(torch.cat([memory.mean(dim=1), memory.amax(dim=1)], dim=-1))
        by_cell = cells.reshape(len(frames), count, *cells.shape[1:])
        return Seen(whole[:, :-1] + each.amax(dim=1), each, by_cell, whole[:, -1])

    def _planes(self, frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t c h2 w2"]:
        """Every frame as it is, and less the first one, the one before and the one after."""
        patches = functional.pixel_unshuffle(frames, self.config.patch)
        before = torch.cat([patches[:, :1], patches[:, :-1]], dim=1)
        after = torch.cat([patches[:, 1:], patches[:, -1:]], dim=1)
        changes = (MAGNIFIED * (patches - before), MAGNIFIED * (patches - after))
        return torch.cat([patches, patches - patches[:, :1], *changes], dim=2)
