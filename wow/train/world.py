"""The world model's objective: flow matching on the latents of a clip that covers what is left of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wow.data.embodiment import embodiment_to_json
from wow.imagine.actions import ActionScale, between_frames, scale_of
from wow.imagine.flow import interpolate
from wow.imagine.sampler import SamplingOptions, sample
from wow.models.codec import Codec
from wow.models.dit import Conditions, DiT, DiTConfig
from wow.models.text import TextConditioner
from wow.train.codec import to_tensor, to_uint8
from wow.train.latents import TextTable, encode_frames, encode_texts
from wow.train.loop import TrainConfig
from wow.train.relations import FrameEncoder, ObservedDiT, clip_features, encode_teacher, relation_loss
from wow.train.store import Clips
from wow.types import UInt8, WowError

OnDone = Callable[[str, int, int], None]

LONGEST_SHORT_TEXT = 16
"""Words in the longest short instruction; dense captions have more."""


@dataclass(frozen=True)
class WorldRun:
    """A video transformer and how it is trained.

    from_start: share of clips that begin with their episode. short_texts: share of texts that are a short instruction
    rather than a dense caption (WoW mixes 1 to 4). no_text, no_actions, no_pace: share of clips that go without.
    free_pace: share of clips with a random pace that need not cover what is left. more_context: share that is given
    three frames instead of one. time_mean, time_std: the noise level's logit-normal. time_power: the loss of a clip is
    divided by its noise level to this power; 2 is the velocity's squared error, which listens to the last touches
    first, 0 the clean latent's, which listens to what happens at all. relation_weight: weight of the token relation
    loss on the tokens after block `relation_block`; 0 leaves it out.
    """

    model: DiTConfig = field(default_factory=DiTConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    from_start: float = 0.4
    short_texts: float = 0.2
    no_text: float = 0.1
    no_actions: float = 0.5
    no_pace: float = 0.5
    free_pace: float = 0.25
    more_context: float = 0.1
    time_mean: float = 0.8
    time_std: float = 1.2
    time_power: float = 0.0
    motion_weight: float = 1.0
    relation_weight: float = 0.0
    relation_block: int = 5

    def __post_init__(self) -> None:
        shares = (self.from_start, self.short_texts, self.no_text, self.no_actions, self.no_pace, self.free_pace)
        if not all(0.0 <= share <= 1.0 for share in (*shares, self.more_context)):
            raise WowError("shares of the training data lie between 0 and 1")


@dataclass(frozen=True)
class Window:
    """Which frames of an episode a clip shows: rows of the store, and the robot time between them [s]."""

    episode: int
    rows: NDArray[np.int64]
    seconds: float
    covers_the_rest: bool


def draw_window(clips: Clips, run: WorldRun, random: np.random.Generator) -> Window:
    """A clip that starts anywhere and reaches the end of its episode, or runs at a pace of its own.

    Past the end the last frame stays: a finished task looks finished.
    """
    episode = int(random.integers(len(clips)))
    last = clips.length(episode) - 1
    start = 0 if random.random() < run.from_start else int(random.integers(max(last, 1)))
    steps = run.model.num_frames - 1
    to_end = max(1.0, (last - start) / steps)
    covers = random.random() >= run.free_pace
    stride = to_end if covers else float(random.uniform(1.0, max(to_end, 3.0)))
    frames = np.minimum(np.round(start + stride * np.arange(steps + 1)), last).astype(np.int64)
    return Window(episode, clips.start[episode] + frames, stride / clips.fps, covers)


class WorldObjective:
    """Predicts clean latents of clips from noisy ones; the loss is heavier where the scene changes."""

    def __init__(
        self,
        run: WorldRun,
        clips: Clips,
        latents: NDArray[np.float16],
        texts: TextTable,
        scale: ActionScale,
        codec: Codec,
        teacher: NDArray[np.float16] | None = None,
    ) -> None:
        self.run, self.clips, self.latents = run, clips, latents
        self.texts, self.scale, self.codec = texts, scale, codec
        self.teacher = teacher
        dit = DiT(run.model)
        self.network: nn.Module = dit if teacher is None else ObservedDiT(dit, run.relation_block)
        self._short = [[t for t in options if len(t.split()) <= LONGEST_SHORT_TEXT] for options in clips.texts]
        self._dense = [[t for t in options if len(t.split()) > LONGEST_SHORT_TEXT] for options in clips.texts]

    def loss(
        self, network: nn.Module, batch_size: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        device = next(network.parameters()).device
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        windows = [draw_window(self.clips, self.run, random) for _ in range(batch_size)]
        clean = torch.from_numpy(self.latents[np.stack([w.rows for w in windows])]).float()
        conditions = self._conditions(windows, random)
        kept = torch.where(torch.rand(batch_size, generator=generator) < self.run.more_context, 3, 1)
        level = torch.sigmoid(self.run.time_mean + self.run.time_std * torch.randn(batch_size, generator=generator))
        predicted = torch.arange(clean.shape[1]) >= kept[:, None]
        time = level[:, None] * predicted
        noisy = interpolate(clean, torch.randn(clean.shape, generator=generator), time)
        clean, noisy, time, predicted, level = (x.to(device) for x in (clean, noisy, time, predicted, level))
        answer = network(noisy, time, conditions.map(lambda x: x.to(device)))
        guess, tokens = answer if isinstance(answer, tuple) else (answer, None)
        error = (guess.float() - clean).square().mean(dim=2)
        weight = predicted[..., None, None] * _motion_weight(clean, self.run.motion_weight)
        per_clip = (error * weight).sum(dim=(1, 2, 3)) / weight.sum(dim=(1, 2, 3))
        loss = (per_clip / level.clamp_min(0.3) ** self.run.time_power).mean()
        numbers = {"latent_error": per_clip.detach().mean()}
        if tokens is None or self.teacher is None:
            return loss, numbers
        taught = clip_features(self.teacher, np.stack([w.rows for w in windows])).to(device)
        relation = relation_loss(tokens.float(), taught)
        return loss + self.run.relation_weight * relation, {**numbers, "relation": relation.detach()}

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        random = np.random.default_rng(0)
        whole = replace(self.run, free_pace=0.0)
        pace = float(np.mean([draw_window(self.clips, whole, random).seconds for _ in range(2000)]))
        return {
            "model": asdict(self.run.model),
            "action_scale": asdict(self.scale),
            "embodiment": embodiment_to_json(self.clips.embodiment),
            "typical_seconds": pace,
            "size": int(self.clips.frames.shape[1]),
        }

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """For six episodes: the imagined film strip above the true one."""
        network.eval()
        device = next(network.parameters()).device
        denoiser = network.dit if isinstance(network, ObservedDiT) else network
        picked = [int(i) for i in np.linspace(0, len(self.clips) - 1, 6)]
        still = WorldRun(model=self.run.model, from_start=1.0, free_pace=0.0)
        windows = [_window_of(self.clips, episode, still) for episode in picked]
        clean = torch.from_numpy(self.latents[np.stack([w.rows for w in windows])]).float()
        conditions = self._conditions(windows, np.random.default_rng(0), short_only=True)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        drawn = sample(
            denoiser,
            noise.to(device),
            clean[:, :1].to(device),
            conditions.map(lambda x: x.to(device)),
            SamplingOptions(),
        )
        truth = [self.clips.frames[w.rows] for w in windows]
        context = to_tensor(np.stack([video[0] for video in truth]))
        imagined = to_uint8(self.codec.decode(drawn.float(), context.to(device)))
        network.train()
        shown = np.linspace(0, clean.shape[1] - 1, 9).round().astype(int)
        rows = [np.concatenate([*video[shown]], axis=1) for pair in zip(imagined, truth, strict=True) for video in pair]
        return np.concatenate(rows, axis=0)

    def _conditions(self, windows: list[Window], random: np.random.Generator, short_only: bool = False) -> Conditions:
        given = [self._given(window, random) if not short_only else (True, False, False) for window in windows]
        texts = [self._text(window.episode, random, short_only) for window in windows]
        tokens, mask = self.texts.gather(texts)
        actions = [between_frames(self.clips.actions, window.rows, self.clips.embodiment) for window in windows]
        has_text, has_actions, has_seconds = (torch.tensor(column) for column in zip(*given, strict=True))
        return Conditions(
            text=tokens,
            text_mask=mask,
            has_text=has_text,
            actions=torch.from_numpy(self.scale.normalise(np.stack(actions))),
            has_actions=has_actions,
            seconds=torch.tensor([window.seconds for window in windows], dtype=torch.float32),
            has_seconds=has_seconds,
        )

    def _given(self, window: Window, random: np.random.Generator) -> tuple[bool, bool, bool]:
        """Whether a clip comes with its text, actions and pace. A clip that ignores its text goes without it."""
        obeys = bool(self.clips.obeys[window.episode])
        has_text = obeys and random.random() >= self.run.no_text
        has_actions = not obeys or random.random() >= self.run.no_actions
        has_seconds = not window.covers_the_rest or random.random() >= self.run.no_pace
        return has_text, has_actions, has_seconds

    def _text(self, episode: int, random: np.random.Generator, short_only: bool) -> str:
        if short_only:
            return self.clips.texts[episode][0]
        short, dense = self._short[episode], self._dense[episode]
        options = short if short and (not dense or random.random() < self.run.short_texts) else dense
        return options[int(random.integers(len(options)))]


def prepare_world(
    run: WorldRun,
    clips: Clips,
    codec: Codec,
    conditioner: TextConditioner,
    cache: Path,
    on_done: OnDone,
    encoder: FrameEncoder | None = None,
) -> WorldObjective:
    """The objective with its latents and texts computed or found in `cache`; the model takes its sizes from the data.

    on_done: what is being prepared ("latents", "texts", "relations"), how many are done, and of how many. encoder: the
    teacher of the relation loss; needed where the run has one. Raises WowError where it is missing.
    """
    latents = encode_frames(codec, clips, cache, lambda done, total: on_done("latents", done, total))
    every_text = [text for texts in clips.texts for text in texts]
    texts = encode_texts(conditioner, every_text, cache, lambda done, total: on_done("texts", done, total))
    model = replace(
        run.model, grid=latents.shape[2], latent_channels=latents.shape[1], action_width=clips.actions.shape[1]
    )
    scale = scale_of(clips.actions, clips.embodiment)
    teacher = None
    if run.relation_weight > 0:
        if encoder is None:
            raise WowError("the relation loss needs a teacher: leave --config.relation-weight at 0 to train without")
        side = model.grid // model.patch
        teacher = encode_teacher(encoder, clips, side, cache, lambda done, total: on_done("relations", done, total))
    return WorldObjective(replace(run, model=model), clips, latents, texts, scale, codec, teacher)


def _window_of(clips: Clips, episode: int, run: WorldRun) -> Window:
    """The clip that shows a whole episode."""
    last = clips.length(episode) - 1
    stride = max(1.0, last / (run.model.num_frames - 1))
    frames = np.minimum(np.round(stride * np.arange(run.model.num_frames)), last).astype(np.int64)
    return Window(episode, clips.start[episode] + frames, stride / clips.fps, True)


def _motion_weight(clean: Tensor, strength: float) -> Tensor:
    """Weights [b t h w] of mean about 1, larger where a latent differs from the first frame's."""
    change = (clean - clean[:, :1]).abs().mean(dim=2)
    relative = change / change.mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
    return (1.0 + strength * relative.clamp_max(5.0)) / (1.0 + strength)
