"""The critic: from a video and goals in words to whether each is reached, and which faults are seen in which frame.

What the pictures show is computed once and asked about any number of goals. Faults do not depend on a goal. A policy
that stands beside it says, for the frames that are looked at, what it would still do for the goal: nothing more where
the goal is reached. The policy is not trained and not part of the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from wow.models.dit import Conditions
from wow.models.policy import Policy

IMPLAUSIBLE = ("teleport", "vanish", "duplicate", "morph", "reverse")
"""Faults after which nothing that a video shows can be believed."""
UNSMOOTH = ("teleport", "freeze", "reverse", "jitter")
"""Faults of motion."""
PATCH = 4
"""Pixels along one side of a patch."""
MERITS = ("physical_plausibility", "kinematic_smoothness", "visual_quality")
"""What is scored without knowing the goal, in the order of `Judgement.merits`."""


@dataclass(frozen=True)
class CriticConfig:
    """What a critic sees and says.

    faults: names of the faults that it knows. channels: widths at 1/4, 1/8 and 1/16 of the picture's size. width: of
    what it remembers of a frame. points: places of a frame that are looked at for a goal.
    """

    faults: tuple[str, ...] = ()
    size: int = 128
    num_frames: int = 17
    channels: tuple[int, int, int] = (32, 96, 160)
    width: int = 192
    depth: int = 2
    num_heads: int = 6
    points: int = 8
    text_width: int = 384
    plan: int = 0

    def __post_init__(self) -> None:
        if self.size % 16 or self.num_frames < 3 or min(self.channels) < 8 or self.width % self.num_heads:
            raise ValueError(f"impossible critic {self}: the size is a multiple of 16, the width one of the heads")


@dataclass(frozen=True)
class Judgement:
    """Logits. completed: of each goal, at the video's end, in a world like ours; done: that it looks done in the chosen
    frames; progress: how far it got. faults: of each kind, in the video and in each frame. merits: see `MERITS`.
    """

    completed: Float[Tensor, "b g"]
    done: Float[Tensor, "b g f"]
    progress: Float[Tensor, "b g"]
    faults: Float[Tensor, "b k"]
    fault_frames: Float[Tensor, "b t k"]
    merits: Float[Tensor, "b 3"]


def shift_in_time(x: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
    """An eighth of the channels is taken from the frame before, an eighth from the one after (Lin et al. 2019)."""
    part = x.shape[2] // 8
    before, after, now = x[:, :, :part], x[:, :, part : 2 * part], x[:, :, 2 * part :]
    before = torch.cat([torch.zeros_like(before[:, :1]), before[:, :-1]], dim=1)
    after = torch.cat([after[:, 1:], torch.zeros_like(after[:, :1])], dim=1)
    return torch.cat([before, after, now], dim=2)


class _Residual(nn.Module):
    """x + conv(act(conv(act(x)))), beginning close to the identity; in time, where `frames` says how many there are."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"], frames: int = 0) -> Tensor:
        seen = functional.silu(x)
        if frames:
            seen = shift_in_time(_clips(seen, frames)).flatten(0, 1)
        changed: Tensor = x + self.second(functional.silu(self.first(seen)))
        return changed


class Eye(nn.Module):
    """What is in the frames of a video, at 1/8 of their size: each beside the first one and its neighbours."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        fine, middle, _ = channels
        # Neighbouring patches are seen by what follows, at a ninth of the cost.
        self.stem = nn.Conv2d(4 * 3 * PATCH**2, fine, 1)
        self.fine = _Residual(fine)
        self.down = nn.Conv2d(fine, middle, 2, stride=2)
        self.middle = nn.ModuleList([_Residual(middle), _Residual(middle)])

    def forward(self, frames: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t c h8 w8"]:
        count = frames.shape[1]
        patches = functional.pixel_unshuffle(frames, PATCH)
        before = torch.cat([patches[:, :1], patches[:, :-1]], dim=1)
        after = torch.cat([patches[:, 1:], patches[:, -1:]], dim=1)
        planes = torch.cat([patches, patches - patches[:, :1], patches - before, patches - after], dim=2)
        flat = planes.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        x = self.down(functional.silu(self.fine(self.stem(flat), count)))
        for block in self.middle:
            x = block(x, count)
        return _clips(x, count)


class Memory(nn.Module):
    """What happens in each frame [b t d], all frames known: a transformer over time."""

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        _, middle, coarse = config.channels
        self.down = nn.Conv2d(middle, coarse, 2, stride=2)
        self.coarse = _Residual(coarse)
        self.into = nn.Linear(2 * coarse, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.place = nn.Parameter(0.02 * torch.randn(config.num_frames, config.width))
        block = nn.TransformerEncoderLayer(
            config.width, config.num_heads, 2 * config.width, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, config.depth, enable_nested_tensor=False)

    def forward(self, seen: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t d"]:
        count = seen.shape[1]
        x = functional.silu(self.coarse(self.down(functional.silu(seen.flatten(0, 1))), count))
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        frames = _clips(self.norm(self.into(pooled)), count)
        remembered: Tensor = self.blocks(frames + self.place)
        return remembered


class GoalReader(nn.Module):
    """The words of a goal to one vector: their mean, and what a learned question picks out."""

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.words = nn.Linear(text_width, width)
        self.question = nn.Linear(width, 1)
        self.out = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, tokens: Float[Tensor, "n l e"], mask: Bool[Tensor, "n l"]) -> Float[Tensor, "n d"]:
        words = functional.silu(self.words(tokens))
        weight = self.question(words)[..., 0].masked_fill(~mask, -1e4).softmax(dim=-1)[..., None]
        mean = (words * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp_min(1)
        goal: Tensor = self.out(torch.cat([mean, (words * weight).sum(dim=1)], dim=-1))
        return goal


class Look(nn.Module):
    """A frame as one with a goal sees it: what is at the places that matter for it, and where those are."""

    def __init__(self, config: CriticConfig) -> None:
        super().__init__()
        middle, width = config.channels[1], config.width
        self.tune = nn.Linear(width, 4 * middle)
        self.block = _Residual(middle)
        self.points = nn.Conv2d(middle, config.points, 1)
        self.out = nn.Linear(config.points * (middle + 2), width)
        self.norm = nn.LayerNorm(width)

    def forward(self, seen: Float[Tensor, "n c h w"], goal: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        scale, shift, after_scale, after_shift = self.tune(goal)[..., None, None].chunk(4, dim=1)
        x = self.block(seen * (1.0 + scale) + shift)
        x = functional.silu(x * (1.0 + after_scale) + after_shift)
        weight = self.points(x).float().flatten(2).softmax(dim=-1)
        what = weight.to(x.dtype) @ x.flatten(2).transpose(1, 2)
        where = weight @ _grid(x.shape[2], x.shape[3], x.device)
        vector: Tensor = self.norm(self.out(torch.cat([what.flatten(1), where.to(x.dtype).flatten(1)], dim=1)))
        return vector


class CriticNetwork(nn.Module):
    """Videos of `num_frames` frames in [-1, 1] and goals as word vectors, to a `Judgement`.

    policy: who says what is still to be done, where the configuration has `plan` numbers for it. Raises ValueError
    where there is one of the two without the other.
    """

    def __init__(self, config: CriticConfig, policy: Policy | None = None) -> None:
        super().__init__()
        self.config = config
        if config.plan != plan_width(policy):
            raise ValueError(f"a critic that is shown plans of {config.plan} numbers, beside {plan_width(policy)}")
        self._policy = (policy,)  # in a tuple it is no part of this network: neither trained nor saved nor averaged
        width, kinds = config.width, len(config.faults)
        told = width if config.plan else 0
        self.eye = Eye(config.channels)
        self.memory = Memory(config)
        self.reader = GoalReader(config.text_width, width)
        self.look = Look(config)
        self.told = _head(config.plan, width, width) if config.plan else None
        self.done = _head(2 * width + told, width, 2)
        self.completed = _head(4 * width + told, width, 1)
        self.fault_frames = _head(width, width, kinds)
        self.faults = _head(2 * width, width, kinds + len(MERITS))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # There is no normalisation: what goes in with a variance has to come out with about the same.
                nn.init.normal_(module.weight, std=1.1 / math.sqrt(module.weight[0].numel()))
            if isinstance(module, _Residual):
                module.second.weight.data *= 0.2

    def forward(
        self,
        frames: Float[Tensor, "b t 3 h w"],
        words: Float[Tensor, "b g l e"],
        mask: Bool[Tensor, "b g l"],
        chosen: Int[Tensor, "b f"] | None = None,
    ) -> Judgement:
        """chosen: the frames whose `done` is asked for, the last of them the video's last; None for every frame."""
        seen = self.eye(frames)
        memory = self.memory(seen)
        goal = _clips(self.reader(words.flatten(0, 1), mask.flatten(0, 1)), words.shape[1])
        if chosen is not None:
            of_clip = torch.arange(len(seen), device=seen.device)[:, None]
            seen, frames = seen[of_clip, chosen], frames[of_clip, chosen]
        looked = self._look(seen, goal)
        if self.told is not None:
            looked = torch.cat([looked, self.told(self._left(frames, words, mask).to(looked.dtype))], dim=-1)
        answers = self.done(torch.cat([looked, repeat(goal, "b g d -> b g f d", f=looked.shape[2])], dim=-1))
        whole = torch.cat([memory.mean(dim=1), memory.amax(dim=1)], dim=-1)
        final = torch.cat([looked[:, :, -1], goal, repeat(whole, "b d -> b g d", g=goal.shape[1])], dim=-1)
        merits_and_faults = self.faults(whole)
        return Judgement(
            completed=answers[:, :, -1, 0] + self.completed(final)[..., 0],
            done=answers[..., 0],
            progress=answers[:, :, -1, 1],
            faults=merits_and_faults[:, len(MERITS) :],
            fault_frames=self.fault_frames(memory),
            merits=merits_and_faults[:, : len(MERITS)],
        )

    @torch.no_grad()
    def _left(self, frames: Float[Tensor, "b f 3 h w"], words: Tensor, mask: Tensor) -> Float[Tensor, "b g f p"]:
        """What the policy would still do from every frame for every goal."""
        (policy,) = self._policy
        assert policy is not None
        policy.to(frames.device)
        goals, count = words.shape[1], frames.shape[1]
        pictures = repeat(frames, "b f c h w -> (b g f) c h w", g=goals).float()
        each = [repeat(x, "b g l ... -> (b g f) l ...", f=count) for x in (words, mask)]
        rows = torch.zeros(len(pictures), device=frames.device)
        motion = torch.zeros(len(pictures), 0, policy.config.action_width, device=frames.device)
        free = rows.bool()
        plan = policy(pictures, Conditions(each[0].float(), each[1], ~free, motion, rows, rows, free))
        left: Tensor = rearrange(plan, "(b g f) t a -> b g f (t a)", g=goals, f=count)
        return left

    def _look(self, seen: Float[Tensor, "b f c h w"], goal: Float[Tensor, "b g d"]) -> Float[Tensor, "b g f d"]:
        """Every frame with every goal."""
        goals, frames = goal.shape[1], seen.shape[1]
        each = repeat(seen, "b f c h w -> (b g f) c h w", g=goals).contiguous(memory_format=torch.channels_last)
        looked = self.look(each, repeat(goal, "b g d -> (b g f) d", f=frames))
        vectors: Tensor = rearrange(looked, "(b g f) d -> b g f d", g=goals, f=frames)
        return vectors


def plan_width(policy: Policy | None) -> int:
    """How many numbers a policy's motion has; 0 without one."""
    return 0 if policy is None else policy.config.num_transitions * policy.config.action_width


def _clips(frames: Float[Tensor, "n *rest"], count: int) -> Tensor:
    """`count` rows each of those that belong together."""
    return frames.reshape(-1, count, *frames.shape[1:])


def _head(before: int, hidden: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(before, hidden), nn.SiLU(), nn.Linear(hidden, after))


def _grid(height: int, width: int, device: torch.device) -> Float[Tensor, "n 2"]:
    """(x, y) in [-1, 1] of every cell, row by row."""
    y, x = (torch.linspace(-1.0, 1.0, count, device=device) for count in (height, width))
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)
