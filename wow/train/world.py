"""The world model's objective: flow matching on motion and latents of a clip that covers what is left of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor, nn

from wow.data.embodiment import embodiment_to_json
from wow.imagine.actions import scale_of
from wow.imagine.flow import interpolate
from wow.imagine.sampler import SamplingOptions, sample, sample_motion
from wow.models.codec import Codec
from wow.models.dit import Conditions, DiT, DiTConfig
from wow.models.draft import Draft, link_error
from wow.models.text import TextConditioner
from wow.train.codec import to_tensor, to_uint8
from wow.train.instructed import Instructed
from wow.train.latents import encode_frames, encode_texts
from wow.train.loop import TrainConfig, fresh
from wow.train.relations import FrameEncoder, ObservedDiT, clip_features, encode_teacher, relation_loss
from wow.train.rows import Rows
from wow.train.store import Clips
from wow.types import UInt8, WowError

OnDone = Callable[[str, int, int], None]


@dataclass(frozen=True)
class WorldRun:
    """A video transformer and how it is trained.

    from_start: share of clips that begin with their episode. short_texts: share of texts that are a short instruction
    rather than a dense caption (WoW mixes 1 to 4). no_text, no_pace: share of clips that go without. free_pace: share
    of clips with a random pace that need not cover what is left. more_context: share that is given three frames instead
    of one. no_motion: share of videos that are painted without their motion. time_mean, time_std: the noise level's
    logit-normal; unseen: share of videos that begin as pure noise, as they do when a clip is drawn. plans: motions
    planned per video; a plan costs a tenth of a video. unplanned: share of plans that begin as pure noise: the first
    step decides where the hand goes. motion_loss: weight of the plans' error beside the latents'. drafts: further clips
    drafted per video, where the model makes drafts, at a fifth of its cost. draft_loss: weight of their error;
    link_loss: beside it, that of where an arm's links are drafted [cells squared], in recordings that tell.
    relation_weight: weight of the token relation loss on the tokens after block `relation_block`; 0 leaves it out.
    """

    model: DiTConfig = field(default_factory=DiTConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    from_start: float = 0.4
    short_texts: float = 0.2
    no_text: float = 0.1
    no_pace: float = 0.5
    free_pace: float = 0.25
    more_context: float = 0.1
    no_motion: float = 0.1
    unseen: float = 0.2
    plans: int = 3
    drafts: int = 2
    draft_loss: float = 1.0
    link_loss: float = 1.0
    unplanned: float = 0.7
    time_mean: float = 0.8
    time_std: float = 1.2
    motion_weight: float = 1.0
    motion_loss: float = 2.0
    relation_weight: float = 0.0
    relation_block: int = 5

    def __post_init__(self) -> None:
        shares = (self.from_start, self.short_texts, self.no_text, self.no_pace, self.free_pace, self.more_context)
        if not all(0.0 <= share <= 1.0 for share in (*shares, self.no_motion, self.unseen, self.unplanned)):
            raise WowError("shares of the training data lie between 0 and 1")


@dataclass(frozen=True)
class Plans:
    """Motions to plan. context: float16 [b k c h w]. conditions: the true motion, and the level it will be seen at."""

    context: Tensor
    conditions: Conditions


@dataclass(frozen=True)
class Drafts:
    """Clips to draft. latents: float16 [b t c h w]. motion [b t-1 a]: the true one. links [b t k 2]: see `Draft`."""

    latents: Tensor
    motion: Tensor
    links: Tensor

    def to(self, device: torch.device) -> Drafts:
        """The same on another device."""
        return Drafts(*(each.to(device, non_blocking=True) for each in (self.latents, self.motion, self.links)))


@dataclass(frozen=True)
class WorldBatch:
    """Clips to learn from. latents: float16 [b t c h w]. kept [b]: frames of context; level [b]: the others' noise.

    links [b t k 2]: see `Draft`. noise_seed: of the noise, drawn where it is used. rows [b t]: the frames in the store.
    """

    latents: Tensor
    conditions: Conditions
    kept: Tensor
    level: Tensor
    plans: Plans
    drafts: Drafts | None
    links: Tensor
    noise_seed: int
    rows: NDArray[np.int64]

    def to(self, device: torch.device) -> WorldBatch:
        """The same on another device."""

        def move(value: Tensor) -> Tensor:
            return value.to(device, non_blocking=True)

        return replace(
            self,
            latents=move(self.latents),
            conditions=self.conditions.map(move),
            kept=move(self.kept),
            level=move(self.level),
            links=move(self.links),
            plans=Plans(move(self.plans.context), self.plans.conditions.map(move)),
            drafts=None if self.drafts is None else self.drafts.to(device),
        )


@dataclass(frozen=True)
class WorldAnswer:
    """clean: latents of the videos [b t c h w]; motion: of the plans. tokens: what a teacher is compared with.

    drafted, sketched: drafts of the videos and of the further clips.
    """

    clean: Tensor
    motion: Tensor
    tokens: Tensor | None
    drafted: Draft | None
    sketched: Draft | None


class WorldNetwork(nn.Module):
    """Paints, plans and drafts in one call, as processes that average their gradients need it."""

    def __init__(self, dit: DiT | ObservedDiT) -> None:
        super().__init__()
        self.dit = dit

    def forward(
        self,
        noisy: Tensor,
        time: Tensor,
        conditions: Conditions,
        context: Tensor,
        planned: Conditions,
        first: Tensor | None = None,
        motion: Tensor | None = None,
    ) -> WorldAnswer:
        """first, motion: of clips that are drafted only."""
        plain = self.plain
        draft = plain.draft(noisy[:, 0], conditions)
        answer = self.dit(noisy, time, conditions, draft)
        clean, tokens = answer if isinstance(answer, tuple) else (answer, None)
        return WorldAnswer(
            clean=clean,
            motion=plain.plan(context, planned),
            tokens=tokens,
            drafted=draft,
            sketched=None if first is None or motion is None else plain.sketch(first, motion),
        )

    @property
    def plain(self) -> DiT:
        """The transformer alone."""
        return self.dit.dit if isinstance(self.dit, ObservedDiT) else self.dit

    def matrices(self) -> list[Tensor]:
        """Those of the transformer."""
        return self.plain.matrices()


class WorldObjective:
    """Predicts clean motions and latents of clips from noisy ones; the loss is heavier where the scene changes."""

    def __init__(
        self,
        run: WorldRun,
        clips: Clips,
        latents: Rows,
        told: Instructed,
        codec: Codec,
        teacher: NDArray[np.float16] | None = None,
    ) -> None:
        self.run, self.clips, self.latents = run, clips, latents
        self.told, self.codec = told, codec
        self.teacher = teacher
        self.network: nn.Module = fresh(self._build, run.train)

    def _build(self) -> WorldNetwork:
        dit = DiT(self.run.model)
        return WorldNetwork(dit if self.teacher is None else ObservedDiT(dit, self.run.relation_block))

    @property
    def plain(self) -> DiT:
        """The transformer alone."""
        assert isinstance(self.network, WorldNetwork)
        return self.network.plain

    def batch(self, batch_size: int, generator: torch.Generator) -> WorldBatch:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        run = self.run
        windows = self.told.windows(batch_size, random)
        rows = np.stack([window.rows for window in windows])
        level = torch.sigmoid(run.time_mean + run.time_std * torch.randn(batch_size, generator=generator))
        unseen = torch.rand(batch_size, generator=generator) < run.unseen
        without = torch.rand(batch_size, generator=generator) < run.no_motion
        return WorldBatch(
            latents=torch.from_numpy(self.latents[rows]),
            conditions=replace(self.told.conditions(windows, random), motion_time=without.float()),
            kept=torch.where(torch.rand(batch_size, generator=generator) < run.more_context, 3, 1),
            level=torch.where(unseen, 1.0, level),
            plans=self._plans(batch_size * run.plans, random),
            drafts=self.drafts(batch_size * run.drafts, random) if self.plain.drafter and run.drafts else None,
            links=self._links(rows),
            noise_seed=int(torch.randint(2**62, (1,), generator=generator)),
            rows=rows,
        )

    def _plans(self, count: int, random: np.random.Generator) -> Plans:
        kept = 3 if random.random() < self.run.more_context else 1
        windows = self.told.windows(count, random, self.told.plannable)
        context = self.latents[np.stack([window.rows[:kept] for window in windows])]
        level = np.where(random.random(count) < self.run.unplanned, 1.0, random.uniform(0.02, 1.0, count))
        conditions = replace(self.told.conditions(windows, random), motion_time=torch.from_numpy(level).float())
        return Plans(torch.from_numpy(context), conditions)

    def drafts(self, count: int, random: np.random.Generator) -> Drafts:
        """Clips to draft."""
        windows = self.told.windows(count, random)
        rows = np.stack([window.rows for window in windows])
        return Drafts(torch.from_numpy(self.latents[rows]), self.told.motions(windows), self._links(rows))

    def _links(self, rows: NDArray[np.int64]) -> Tensor:
        """Where the links of the arm are in frames [b t]; NaN where nobody tells."""
        grid = self.latents.shape[2]
        share = rearrange(self.clips.links[rows], "b t (k two) -> b t k two", two=2)
        return torch.from_numpy(((share - 0.5) * grid).clip(-0.5 * grid, 0.5 * grid))

    def loss(self, network: nn.Module, batch: WorldBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        clean, truth = batch.latents.float(), batch.plans.conditions.motion
        device = clean.device
        generator = torch.Generator(device).manual_seed(batch.noise_seed)
        predicted = torch.arange(clean.shape[1], device=device) >= batch.kept[:, None]
        time = batch.level[:, None] * predicted
        noisy = interpolate(clean, torch.randn(clean.shape, generator=generator, device=device), time)
        level = batch.plans.conditions.motion_time[:, None].expand(truth.shape[:2])
        noisy_motion = interpolate(truth, torch.randn(truth.shape, generator=generator, device=device), level)
        planned = replace(batch.plans.conditions, motion=noisy_motion)
        said: WorldAnswer = network(
            noisy,
            time,
            batch.conditions,
            batch.plans.context.float(),
            planned,
            None if batch.drafts is None else batch.drafts.latents[:, 0].float(),
            None if batch.drafts is None else batch.drafts.motion,
        )
        latent_error = self._error(said.clean, clean, predicted).mean()
        motion_error = (said.motion.float() - truth).square().mean()
        loss = latent_error + self.run.motion_loss * motion_error
        numbers = {"latent_error": latent_error.detach(), "motion_error": motion_error.detach()}
        if said.drafted is not None:
            draft_error = self._draft_error(said, said.drafted, batch, predicted)
            of_links = self._link_error(said, said.drafted, batch)
            loss = loss + self.run.draft_loss * draft_error + self.run.link_loss * of_links
            numbers |= {"draft_error": draft_error.detach(), "link_error": of_links.detach()}
        if said.tokens is None or self.teacher is None:
            return loss, numbers
        taught = clip_features(self.teacher, batch.rows).to(device)
        relation = relation_loss(said.tokens.float(), taught)
        return loss + self.run.relation_weight * relation, {**numbers, "relation": relation.detach()}

    def _error(self, guess: Tensor, clean: Tensor, predicted: Tensor) -> Tensor:
        """The error of each clip [b], over the frames [b t] that were predicted."""
        weight = predicted[..., None, None] * _motion_weight(clean, self.run.motion_weight)
        summed = ((guess.float() - clean).square().mean(dim=2) * weight).sum(dim=(1, 2, 3))
        return summed / weight.sum(dim=(1, 2, 3))

    def _draft_error(self, said: WorldAnswer, drafted: Draft, batch: WorldBatch, predicted: Tensor) -> Tensor:
        """The mean error of all clips that were drafted from a known motion."""
        clean, known = batch.latents.float(), batch.conditions.motion_time == 0.0
        errors = [self._error(clean[:, :1] + drafted.change, clean, predicted)[known]]
        if said.sketched is not None and batch.drafts is not None:
            errors.append(self.sketch_errors(said.sketched, batch.drafts))
        found = torch.cat(errors)
        return found.sum() / max(len(found), 1)

    def _link_error(self, said: WorldAnswer, drafted: Draft, batch: WorldBatch) -> Tensor:
        """Of the links of all clips that were drafted from a known motion."""
        unknown = batch.conditions.motion_time > 0.0
        drafts, links = [drafted], [batch.links.masked_fill(unknown[:, None, None, None], torch.nan)]
        if said.sketched is not None and batch.drafts is not None:
            drafts, links = [*drafts, said.sketched], [*links, batch.drafts.links]
        return link_error(drafts, links)

    def sketch_errors(self, drafted: Draft, drafts: Drafts) -> Tensor:
        """The error of the change of each drafted clip [b]."""
        clean = drafts.latents.float()
        after = torch.arange(clean.shape[1], device=clean.device).expand(clean.shape[:2]) > 0
        return self._error(clean[:, :1] + drafted.change, clean, after)

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        return {
            "model": asdict(self.run.model),
            "action_scale": asdict(self.told.scale),
            "embodiment": embodiment_to_json(self.clips.embodiment),
            "typical_seconds": self.told.typical_seconds(),
            "size": int(self.clips.frames.shape[1]),
        }

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """For six episodes: the imagined film strip above the true one."""
        network.eval()
        device = next(network.parameters()).device
        assert isinstance(network, WorldNetwork)
        picked = [int(i) for i in np.linspace(0, len(self.clips) - 1, 6)]
        windows = [self.told.whole(episode) for episode in picked]
        clean = torch.from_numpy(self.latents[np.stack([w.rows for w in windows])]).float().to(device)
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        conditions = self.told.conditions(windows, np.random.default_rng(0), short_only=True)
        motion = torch.randn(conditions.motion.shape, generator=generator)
        conditions = replace(conditions, motion=motion, motion_time=torch.ones(len(windows)))
        conditions = conditions.map(lambda x: x.to(device))
        options = SamplingOptions()
        conditions = sample_motion(network.plain, clean[:, :1], conditions, options)
        drawn = sample(network.plain, noise, clean[:, :1], conditions, options)
        truth = [self.clips.frames[w.rows] for w in windows]
        context = to_tensor(np.stack([video[0] for video in truth]))
        imagined = to_uint8(self.codec.decode(drawn.float(), context.to(device)))
        network.train()
        shown = np.linspace(0, clean.shape[1] - 1, 9).round().astype(int)
        rows = [np.concatenate([*video[shown]], axis=1) for pair in zip(imagined, truth, strict=True) for video in pair]
        return np.concatenate(rows, axis=0)


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
    marked = clips.links.shape[1] // 2
    if model.draft_width and marked and model.draft_links not in (0, marked):
        raise WowError(f"the recordings mark {marked} links of the arm: say --config.model.draft-links {marked}")
    told = Instructed(clips, texts, scale_of(clips.actions, clips.embodiment), run, model.num_frames)
    teacher = None
    if run.relation_weight > 0:
        if encoder is None:
            raise WowError("the relation loss needs a teacher: leave --config.relation-weight at 0 to train without")
        side = model.grid // model.patch
        teacher = encode_teacher(encoder, clips, side, cache, lambda done, total: on_done("relations", done, total))
    return WorldObjective(replace(run, model=model), clips, latents, told, codec, teacher)


def _motion_weight(clean: Tensor, strength: float) -> Tensor:
    """Weights [b t h w] of mean about 1, larger where a latent differs from the first frame's."""
    change = (clean - clean[:, :1]).abs().mean(dim=2)
    relative = change / change.mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
    return (1.0 + strength * relative.clamp_max(5.0)) / (1.0 + strength)
