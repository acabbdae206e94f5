"""The video diffusion transformer: noisy latents of a clip, a text and optional actions to the clean latents.

Peebles & Xie 2023 (DiT) with the shared modulation of Chen et al. 2023 (PixArt-alpha). Tokens of all frames attend to
one another; every group of frames has its own noise level, so that clean context frames are just frames at time 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class DiTConfig:
    """The first frame is a group of its own, then every two frames share their tokens: clips have 1 + 2k frames.

    grid: height and width of a latent [cells]. patch: cells along one side of a token. num_frames: the longest clip.
    """

    latent_channels: int = 32
    grid: int = 8
    patch: int = 2
    num_frames: int = 17
    width: int = 256
    depth: int = 8
    num_heads: int = 4
    text_width: int = 384
    action_width: int = 7

    def __post_init__(self) -> None:
        if self.grid % self.patch or self.width % self.num_heads or self.num_frames % 2 == 0:
            raise ValueError(f"impossible transformer {self}: patch divides grid, heads divide width, frames are odd")

    @property
    def num_groups(self) -> int:
        """Groups of frames in the longest clip."""
        return 1 + (self.num_frames - 1) // 2

    @property
    def tokens_per_group(self) -> int:
        """Tokens that one group of frames becomes."""
        return (self.grid // self.patch) ** 2


@dataclass(frozen=True)
class Conditions:
    """What steers a clip. Rows of `has_…` that are False are replaced by what the network learned for "not given".

    text [b l d] with mask [b l]; actions [b t-1 a], normalised; seconds [b], robot time between frames.
    """

    text: Float[Tensor, "b l d"]
    text_mask: Bool[Tensor, "b l"]
    has_text: Bool[Tensor, " b"]
    actions: Float[Tensor, "b t1 a"]
    has_actions: Bool[Tensor, " b"]
    seconds: Float[Tensor, " b"]
    has_seconds: Bool[Tensor, " b"]

    def map(self, function: object) -> Conditions:
        """The same with `function` applied to every tensor."""
        assert callable(function)
        return Conditions(**{name: function(value) for name, value in vars(self).items()})


def sinusoid(value: Float[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape width"]:
    """Cosines and sines of a value in [0, 1] at frequencies 1 to 1000, Vaswani et al. 2017."""
    frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), width // 2, device=value.device))
    angles = value[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without affine, then the condition's shift and scale."""
    return functional.layer_norm(x, x.shape[-1:]) * (1.0 + scale) + shift


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys; over `context` where one is given, else over itself."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.query_scale = nn.Parameter(torch.ones(width // num_heads))
        self.key_scale = nn.Parameter(torch.ones(width // num_heads))

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        source = x if context is None else context
        query = rearrange(self.query(x), "b n (h d) -> b h n d", h=self.num_heads)
        key, value = rearrange(self.key_value(source), "b n (k h d) -> k b h n d", k=2, h=self.num_heads)
        query = functional.rms_norm(query, query.shape[-1:]) * self.query_scale
        key = functional.rms_norm(key, key.shape[-1:]) * self.key_scale
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        mixed: Tensor = self.out(rearrange(attended, "b h n d -> b n (h d)"))
        return mixed


class Block(nn.Module):
    """Self-attention, cross-attention to the text, and a feed-forward, modulated per token."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.attention = Attention(config.width, config.num_heads)
        self.cross_norm = nn.LayerNorm(config.width)
        self.cross_attention = Attention(config.width, config.num_heads)
        self.feed_forward = nn.Sequential(
            nn.Linear(config.width, 4 * config.width), nn.GELU("tanh"), nn.Linear(4 * config.width, config.width)
        )
        self.table = nn.Parameter(torch.zeros(6, config.width))

    def forward(self, x: Tensor, modulation: Tensor, text: Tensor, text_mask: Tensor) -> Tensor:
        shift, scale, gate, shift_ff, scale_ff, gate_ff = (modulation + self.table).unbind(dim=-2)
        x = x + gate * self.attention(modulate(x, shift, scale))
        x = x + self.cross_attention(self.cross_norm(x), text, text_mask)
        x = x + gate_ff * self.feed_forward(modulate(x, shift_ff, scale_ff))
        return x


class DiT(nn.Module):
    """Predicts the clean latents of a clip from noisy ones (it learns their difference to the first frame's latent)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width, cells = config.width, config.patch**2 * config.latent_channels
        self.embed = nn.Linear(3 * cells, width)
        self.space = nn.Parameter(0.02 * torch.randn(config.tokens_per_group, width))
        self.time = nn.Parameter(0.02 * torch.randn(config.num_groups, width))
        self.noise_level = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.pace = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.action = nn.Sequential(nn.Linear(4 * config.action_width, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Linear(config.text_width, width)
        self.text_summary = nn.Linear(config.text_width, width)
        self.no_text = nn.Parameter(0.02 * torch.randn(config.text_width))
        self.no_action = nn.Parameter(torch.zeros(width))
        self.no_pace = nn.Parameter(torch.zeros(width))
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head_modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, 2 * cells)
        self._initialise()

    def _initialise(self) -> None:
        for module in (self.modulation, self.head_modulation, self.head):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        for block in self.blocks:
            assert isinstance(block, Block)
            # A gate of zero would also stop the gradient of what it gates; a small one lets both learn at once.
            nn.init.constant_(block.table[2].data, 0.2)
            nn.init.constant_(block.table[5].data, 0.2)
            nn.init.zeros_(block.cross_attention.out.weight)

    def forward(
        self, noisy: Float[Tensor, "b t c h w"], time: Float[Tensor, "b t"], conditions: Conditions
    ) -> Float[Tensor, "b t c h w"]:
        """The clean latents. time: noise level of each frame, 0 clean to 1 pure noise; the first frame is at 0."""
        groups = 1 + (noisy.shape[1] - 1) // 2
        tokens = self._tokens(noisy)
        state = self._state(time[:, ::2], conditions, groups)
        text, text_mask = self._read(conditions)
        spread = state.repeat_interleave(self.config.tokens_per_group, dim=1)
        modulation = rearrange(self.modulation(functional.silu(state)), "b g (k d) -> b g k d", k=6)
        modulation = modulation.repeat_interleave(self.config.tokens_per_group, dim=1)
        for block in self.blocks:
            tokens = block(tokens, modulation, text, text_mask)
        shift, scale = self.head_modulation(functional.silu(spread)).chunk(2, dim=-1)
        change = self._untokens(self.head(modulate(tokens, shift, scale)), noisy.shape[1])
        return noisy[:, :1] + change

    def _tokens(self, noisy: Tensor) -> Tensor:
        first = noisy[:, :1]
        pairs = torch.cat([first, noisy], dim=1)
        pairs = rearrange(pairs, "b (g two) c h w -> b g (two c) h w", two=2)
        seen = torch.cat([pairs, first.expand(-1, pairs.shape[1], -1, -1, -1)], dim=2)
        patch = self.config.patch
        tokens = rearrange(seen, "b g c (h p) (w q) -> b g (h w) (c p q)", p=patch, q=patch)
        tokens = self.embed(tokens) + self.space + self.time[: pairs.shape[1], None]
        line: Tensor = rearrange(tokens, "b g n d -> b (g n) d")
        return line

    def _untokens(self, tokens: Tensor, num_frames: int) -> Tensor:
        patch, side = self.config.patch, self.config.grid // self.config.patch
        frames = rearrange(
            tokens, "b (g h w) (two c p q) -> b (g two) c (h p) (w q)", h=side, w=side, two=2, p=patch, q=patch
        )
        kept: Tensor = frames[:, 1 : num_frames + 1]
        return kept

    def _state(self, time: Tensor, conditions: Conditions, groups: int) -> Tensor:
        """One vector per group of frames: its noise level, its actions, the clip's pace and what the text is about."""
        level = self.noise_level(sinusoid(time, 256))
        pace = self.pace(sinusoid(conditions.seconds.clamp(0.0, 1.0), 64))
        pace = torch.where(conditions.has_seconds[:, None], pace, self.no_pace)
        actions = torch.cat([conditions.actions, conditions.actions.cumsum(dim=1) / 4.0], dim=-1)
        actions = self.action(rearrange(actions, "b (g two) a -> b g (two a)", two=2))
        actions = torch.where(conditions.has_actions[:, None, None], actions, self.no_action)
        actions = functional.pad(actions, (0, 0, groups - actions.shape[1], 0))
        weight = conditions.text_mask.to(conditions.text.dtype)[..., None]
        mean = (conditions.text * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)
        mean = torch.where(conditions.has_text[:, None], mean, self.no_text)
        state: Tensor = level + actions + (pace + self.text_summary(mean))[:, None]
        return state

    def _read(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        given = conditions.has_text[:, None]
        text = torch.where(given[..., None], conditions.text, self.no_text)
        mask = torch.where(given, conditions.text_mask, torch.ones_like(conditions.text_mask))
        return self.text(text), mask[:, None, None, :]
