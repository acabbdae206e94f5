"""The video diffusion transformer: from noisy latents of a clip, a text and a motion to the clean latents.

Peebles & Xie 2023 (DiT) with the shared modulation of Chen et al. 2023 (PixArt-alpha). Tokens of all frames attend to
one another; every group of frames has its own noise level, so that clean context frames are just frames at time 0.

The same blocks also draw the robot's motion (compare Zhu et al. 2025, "Unified World Models"): `plan` sees the context
frames, the text and a noisy motion, and says the clean one; the video is then painted for a motion that is known. Where
the hand goes is a few numbers, cheap to draw, and knowing them makes what the frames look like easy to learn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from wow.models.convolution import NORM_GROUPS, ConvolutionBlock, begin_at_zero
from wow.models.draft import Draft, Drafter, place_code


@dataclass(frozen=True)
class DiTConfig:
    """The first frame is a group of its own, then every two frames share their tokens: clips have 1 + 2k frames.

    grid: height and width of a latent [cells]. patch: cells along one side of a token. num_frames: the longest clip.
    head_width, head_blocks: the convolutions that turn tokens into the latent's cells. draft_width,
    draft_blocks, draft_points, draft_memory, draft_links: of the draft that is made first; a width of 0 leaves it out.
    """

    latent_channels: int = 32
    grid: int = 8
    patch: int = 2
    num_frames: int = 17
    width: int = 192
    depth: int = 8
    num_heads: int = 3
    head_width: int = 128
    head_blocks: int = 2
    text_width: int = 384
    action_width: int = 7
    draft_width: int = 0
    draft_blocks: int = 3
    draft_points: int = 6
    draft_memory: int = 0
    draft_links: int = 0

    def __post_init__(self) -> None:
        if self.grid % self.patch or self.width % self.num_heads or self.num_frames % 2 == 0:
            raise ValueError(f"impossible transformer {self}: patch divides grid, heads divide width, frames are odd")
        if self.head_width % NORM_GROUPS:
            raise ValueError(f"impossible transformer {self}: the head's width is a multiple of {NORM_GROUPS}")

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

    text [b l d] with mask [b l]. motion [b t-1 a]: where the robot has got to since the first frame, normalised, with
    noise of level motion_time [b] in it: 0 for a motion that is given, 1 where nothing is known of it, and anything
    between while it is being planned. seconds [b]: robot time between frames.
    """

    text: Float[Tensor, "b l d"]
    text_mask: Bool[Tensor, "b l"]
    has_text: Bool[Tensor, " b"]
    motion: Float[Tensor, "b t1 a"]
    motion_time: Float[Tensor, " b"]
    seconds: Float[Tensor, " b"]
    has_seconds: Bool[Tensor, " b"]

    def map(self, function: Callable[[Tensor], Tensor]) -> Conditions:
        """The same with `function` applied to every tensor."""
        return Conditions(**{name: function(value) for name, value in vars(self).items()})


def sinusoid(value: Float[Tensor, "*shape"], width: int) -> Float[Tensor, "*shape width"]:
    """Cosines and sines of a value in [0, 1] at frequencies 1 to 1000, Vaswani et al. 2017."""
    frequencies = torch.exp(torch.linspace(0.0, math.log(1000.0), width // 2, device=value.device))
    angles = value[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without affine, then the condition's shift and scale."""
    return functional.layer_norm(x, x.shape[-1:]) * (1.0 + scale) + shift


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention [b h n d].

    Trained on a CPU from plain products: in bf16 torch's fused way back takes three times as long there, in float32 as
    long, and clips are short enough for their weights to be kept.
    """
    if query.device.type != "cpu" or not query.requires_grad:
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    score = query @ key.mT * query.shape[-1] ** -0.5
    if mask is not None:
        score = score.masked_fill(~mask, -math.inf)
    attended: Tensor = score.softmax(dim=-1) @ value
    return attended


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
        attended = attend(query, key, value, mask)
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
        # A gate of zero would also stop the gradient of what it gates; a small one lets both learn at once.
        nn.init.constant_(self.table.data[2], 0.2)
        nn.init.constant_(self.table.data[5], 0.2)
        nn.init.zeros_(self.cross_attention.out.weight)

    def forward(
        self,
        x: Float[Tensor, "b g n d"],
        modulation: Float[Tensor, "b g six d"],
        text: Float[Tensor, "b l d"],
        text_mask: Bool[Tensor, "b one one l"],
    ) -> Float[Tensor, "b g n d"]:
        """Every group of tokens has its modulation; all tokens attend to all."""
        shift, scale, gate, shift_ff, scale_ff, gate_ff = (modulation + self.table)[:, :, None].unbind(dim=-2)
        x = x + gate * self.attention(modulate(x, shift, scale).flatten(1, 2)).reshape(x.shape)
        x = x + self.cross_attention(self.cross_norm(x).flatten(1, 2), text, text_mask).reshape(x.shape)
        x = x + gate_ff * self.feed_forward(modulate(x, shift_ff, scale_ff))
        return x


class Painter(nn.Module):
    """Tokens to latents, frame by frame: convolutions draw the same arm wherever the motion says that it is."""

    def __init__(self, config: DiTConfig, draft_planes: int) -> None:
        super().__init__()
        channels, latents = config.head_width, config.latent_channels
        self.mix = nn.Conv2d(channels + 2 * latents, channels, 3, padding=1)
        self.cells = nn.Parameter(torch.zeros(channels, config.grid, config.grid))
        self.blocks = nn.ModuleList(ConvolutionBlock(channels, config.width) for _ in range(config.head_blocks))
        self.last = nn.Conv2d(channels, latents, 3, padding=1)
        begin_at_zero(self.last)
        self.draft = nn.Conv2d(draft_planes, channels, 3, padding=1) if draft_planes else None
        if self.draft is not None:
            begin_at_zero(self.draft)

    def forward(
        self,
        features: Float[Tensor, "b t f h w"],
        noisy: Float[Tensor, "b t c h w"],
        state: Float[Tensor, "b t d"],
        draft: Float[Tensor, "b t p h w"] | None,
    ) -> Float[Tensor, "b t c h w"]:
        """What to add to the first frame's latent."""
        seen = torch.cat([features, noisy, noisy[:, :1].expand_as(noisy)], dim=2).flatten(0, 1)
        x = self.mix(seen.contiguous(memory_format=torch.channels_last)) + self.cells
        if self.draft is not None and draft is not None:
            x = x + self.draft(draft.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        frame_state = functional.silu(state).flatten(0, 1)
        for block in self.blocks:
            x = block(x, frame_state)
        change: Tensor = self.last(functional.silu(x)).reshape(noisy.shape)
        return change


class DiT(nn.Module):
    """Predicts a clip's clean latents (as a difference to the first frame's), or its clean motion."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width, cells = config.width, config.patch**2
        code = 2 * 5 * config.action_width
        self.embed = nn.Linear(3 * cells * config.latent_channels, width)
        self.space = nn.Parameter(0.02 * torch.randn(config.tokens_per_group, width))
        self.time = nn.Parameter(0.02 * torch.randn(config.num_groups, width))
        self.noise_level = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.motion_level = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.pace = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.motion_state = nn.Sequential(nn.Linear(code, width), nn.SiLU(), nn.Linear(width, width))
        self.motion_token = nn.Sequential(nn.Linear(code, width), nn.SiLU(), nn.Linear(width, width))
        self.motion_frame = nn.Linear(5 * config.action_width, width)
        self.text = nn.Linear(config.text_width, width)
        self.text_summary = nn.Linear(config.text_width, width)
        self.no_text = nn.Parameter(0.02 * torch.randn(config.text_width))
        self.no_pace = nn.Parameter(torch.zeros(width))
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.head_modulation = nn.Linear(width, 2 * width)
        self.head = nn.Linear(width, 2 * cells * config.head_width)
        self.motion_head = nn.Linear(width, 2 * config.action_width)
        self.drafter: Drafter | None = None
        planes = 0
        if config.draft_width:
            made = Drafter(
                config.latent_channels,
                config.grid,
                config.action_width,
                config.draft_points,
                config.draft_width,
                config.draft_blocks,
                config.draft_memory,
                config.draft_links,
            )
            self.drafter, planes = made.to(memory_format=torch.channels_last), made.num_planes  # type: ignore[call-overload]
            self.embed_draft = nn.Linear(2 * cells * planes, width)
            begin_at_zero(self.embed_draft)
        self.painter = Painter(config, planes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        begin_at_zero(self.modulation, self.head_modulation, self.motion_head)

    def matrices(self) -> list[Tensor]:
        """The weights that an optimiser for matrices may treat as such: those inside the blocks."""
        return [module.weight for module in self.blocks.modules() if isinstance(module, nn.Linear)]

    def draft(self, first: Float[Tensor, "b c h w"], conditions: Conditions) -> Draft | None:
        """What the motion alone says of a clip that begins with `first`; None where the network makes no draft."""
        return None if self.drafter is None else self.sketch(first, conditions.motion, _known(conditions))

    def sketch(
        self,
        first: Float[Tensor, "b c h w"],
        motion: Float[Tensor, "b t1 a"],
        known: Float[Tensor, "b one one"] | float = 1.0,
    ) -> Draft:
        """The draft of a clip with that motion. Raises ValueError where the network makes none."""
        if self.drafter is None:
            raise ValueError("this transformer was made without a drafter: its draft_width is 0")
        made: Draft = self.drafter(first, functional.pad(motion, (0, 0, 1, 0)), known)
        return made

    def forward(
        self,
        noisy: Float[Tensor, "b t c h w"],
        time: Float[Tensor, "b t"],
        conditions: Conditions,
        draft: Draft | None = None,
    ) -> Float[Tensor, "b t c h w"]:
        """The clean latents. time: noise level of each frame, 0 clean to 1 pure noise; the first frame is at 0.

        draft: the one for the same clip, where it is at hand.
        """
        state = self._state(time[:, ::2], conditions)
        tokens = self._tokens(noisy, self.motion_token(self._motion_code(conditions)))
        draft = self.draft(noisy[:, 0], conditions) if draft is None else draft
        planes = None if draft is None else draft.planes
        if planes is not None:
            tokens = tokens + self.embed_draft(self._cut(torch.cat([planes[:, :1], planes], dim=1)))
        tokens = self._modulated(self._think(tokens, state, conditions), state)
        features = self._untokens(self.head(rearrange(tokens, "b g n d -> b (g n) d")), noisy.shape[1])
        place = place_code(functional.pad(conditions.motion, (0, 0, 1, 0))) * _known(conditions)
        frame_state = state.repeat_interleave(2, dim=1)[:, 1:] + self.motion_frame(place)
        clean: Tensor = noisy[:, :1] + self.painter(features, noisy, frame_state, planes)
        return clean

    def plan(self, context: Float[Tensor, "b k c h w"], conditions: Conditions) -> Float[Tensor, "b t1 a"]:
        """The clean motion, from the clean latents of the context frames and a motion of level motion_time."""
        steps, seen = conditions.motion.shape[1], 1 + (context.shape[1] - 1) // 2
        time = torch.ones(len(context), 1 + steps // 2, device=context.device)
        time[:, :seen] = 0.0
        state = self._state(time, conditions)
        code = self.motion_token(self._motion_code(conditions))
        blind = torch.zeros_like(code[:, :seen])
        pictured = rearrange(self._tokens(context, blind), "b g n d -> b (g n) d")
        tokens = torch.cat([pictured, code[:, 1:] + self.time[1 : 1 + steps // 2]], dim=1)
        group = torch.cat(
            [torch.arange(seen).repeat_interleave(self.config.tokens_per_group), torch.arange(1, 1 + steps // 2)]
        )
        tokens = self._think(tokens[:, :, None], state[:, group.to(context.device)], conditions)[:, -(steps // 2) :]
        answer: Tensor = self.motion_head(self._modulated(tokens, state[:, 1:])[:, :, 0])
        return rearrange(answer, "b g (two a) -> b (g two) a", two=2)

    def _think(self, tokens: Tensor, state: Tensor, conditions: Conditions) -> Tensor:
        """The blocks. Each state [b g d] modulates its group of tokens [b g n d]."""
        text, text_mask = self._read(conditions)
        modulation = rearrange(self.modulation(functional.silu(state)), "b g (k d) -> b g k d", k=6)
        for block in self.blocks:
            tokens = block(tokens, modulation, text, text_mask)
        return tokens

    def _modulated(self, tokens: Tensor, state: Tensor) -> Tensor:
        shift, scale = self.head_modulation(functional.silu(state))[:, :, None].chunk(2, dim=-1)
        return modulate(tokens, shift, scale)

    def _motion_code(self, conditions: Conditions) -> Tensor:
        """Each group's two positions [b g 2*5a], fading as noise hides them; the first group's is the start."""
        place = place_code(functional.pad(conditions.motion, (0, 0, 2, 0)))
        place = place * _known(conditions)
        return rearrange(place, "b (g two) a -> b g (two a)", two=2)

    def _tokens(self, noisy: Tensor, motion: Tensor) -> Tensor:
        """Tokens [b g n d] of each group's frames beside the first frame."""
        first = noisy[:, :1]
        pairs = torch.cat([first, noisy], dim=1)
        pairs = rearrange(pairs, "b (g two) c h w -> b g (two c) h w", two=2)
        seen = torch.cat([pairs, first.expand(-1, pairs.shape[1], -1, -1, -1)], dim=2)
        patch = self.config.patch
        tokens = rearrange(seen, "b g c (h p) (w q) -> b g (h w) (c p q)", p=patch, q=patch)
        when = self.time[: pairs.shape[1], None]
        placed: Tensor = self.embed(tokens) + self.space + when + motion[:, :, None]
        return placed

    def _cut(self, maps: Tensor) -> Tensor:
        """Maps of two frames a group [b 2g m h w] as what each of its tokens covers of them [b g n d]."""
        patch = self.config.patch
        return rearrange(maps, "b (g two) m (h p) (w q) -> b g (h w) (two m p q)", two=2, p=patch, q=patch)

    def _untokens(self, tokens: Tensor, num_frames: int) -> Tensor:
        patch, side = self.config.patch, self.config.grid // self.config.patch
        frames = rearrange(
            tokens, "b (g h w) (two c p q) -> b (g two) c (h p) (w q)", h=side, w=side, two=2, p=patch, q=patch
        )
        kept: Tensor = frames[:, 1 : num_frames + 1]
        return kept

    def _state(self, time: Tensor, conditions: Conditions) -> Tensor:
        """One vector per group of frames: its noise level, its motion, the clip's pace and what the text is about."""
        level = self.noise_level(sinusoid(time, 256)) + self.motion_state(self._motion_code(conditions))
        pace = self.pace(sinusoid(conditions.seconds.clamp(0.0, 1.0), 64))
        pace = torch.where(conditions.has_seconds[:, None], pace, self.no_pace)
        weight = conditions.text_mask.to(conditions.text.dtype)[..., None]
        mean = (conditions.text * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1.0)
        mean = torch.where(conditions.has_text[:, None], mean, self.no_text)
        clip = pace + self.text_summary(mean) + self.motion_level(sinusoid(conditions.motion_time, 256))
        state: Tensor = level + clip[:, None]
        return state

    def _read(self, conditions: Conditions) -> tuple[Tensor, Tensor]:
        given = conditions.has_text[:, None]
        text = torch.where(given[..., None], conditions.text, self.no_text)
        mask = torch.where(given, conditions.text_mask, torch.ones_like(conditions.text_mask))
        return self.text(text), mask[:, None, None, :]


def _known(conditions: Conditions) -> Float[Tensor, "b one one"]:
    """How much of the motion is no noise."""
    return (1.0 - conditions.motion_time)[:, None, None]
