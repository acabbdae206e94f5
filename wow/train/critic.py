"""The critic's objective: is the goal reached, since when, and what is wrong with the video, in which frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from wow.data.faults import FAULTS
from wow.models.codec import Codec
from wow.models.critic import CriticConfig, CriticNetwork, Judgement, plan_width
from wow.models.judge import as_pictures
from wow.models.policy import Policy
from wow.models.text import TextConditioner
from wow.train.critic_data import (
    CriticSource,
    Example,
    Floats,
    Goals,
    Ints,
    clean_faults,
    draw_rows,
    put_fault,
    show,
    tinted,
    truth_of,
    wordings,
    wrong_goal,
)
from wow.train.disturb import Disturbance, draw_tint
from wow.train.latents import TextTable, encode_texts
from wow.train.loop import TrainConfig, fresh
from wow.train.precision import half_where_fast, has_fast_half
from wow.types import UInt8, WowError

KINDS = ("reached", "failed", "imitated")
GOALS = 2
"""Goals that a clip is asked about: its own, and one that it does not reach."""


@dataclass(frozen=True)
class CriticRun:
    """A critic and how it is trained.

    shares: of recorded episodes that reach their goal, fail, and do something for another scene's task. early: share of
    the first that are cut before the goal. faulty: share of clips with a fault. imagined: share of clips from imagined
    videos, where there are any. looked: frames in which the goal is looked for. wrong_weight: of goals that are another
    task's. fault_weight: of the fault losses. hold_out: every so many'th episode is kept from training, more often in a
    small dataset; `measured` clips of those are calibrated on.
    """

    model: CriticConfig = field(default_factory=CriticConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    disturbance: Disturbance = field(default_factory=lambda: Disturbance(through_codec=0.08, tint=0.05))
    shares: tuple[float, float, float] = (0.65, 0.27, 0.08)
    early: float = 0.3
    faulty: float = 0.25
    imagined: float = 0.35
    looked: int = 5
    wrong_weight: float = 0.5
    fault_weight: float = 1.0
    hold_out: int = 15
    measured: int = 300

    def __post_init__(self) -> None:
        if not all(0.0 <= share <= 1.0 for share in (*self.shares, self.early, self.faulty, self.imagined)):
            raise WowError("shares of the training data lie between 0 and 1")
        if self.hold_out < 2 or not 1 <= self.looked <= self.model.num_frames or self.measured < 1:
            raise WowError("not every episode is held out, and the goal is looked for in at least one frame")

    def holds_out(self, episode: int, count: int) -> bool:
        """Whether an episode of `count` is kept from training."""
        every = min(self.hold_out, max(count // 2, 2))
        return episode % every == every - 1


@dataclass(frozen=True)
class CriticBatch:
    """Clips and what is true of them, NaN where unknown. frames: uint8 [b t h w 3]. words [b g l e], mask [b g l].

    chosen [b f]: frames in which the goal is looked for, the last one last. The rest as in critic_data.Example.
    """

    frames: Tensor
    words: Tensor
    mask: Tensor
    chosen: Tensor
    completed: Tensor
    done: Tensor
    progress: Tensor
    faults: Tensor
    fault_frames: Tensor
    merits: Tensor

    def to(self, device: torch.device) -> CriticBatch:
        """The same on another device."""
        return CriticBatch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


class CriticObjective:
    """Judges clips of which the outcome is known, for their own goal and for another."""

    def __init__(
        self,
        run: CriticRun,
        sources: Sequence[CriticSource],
        goals: Goals,
        text: TextTable,
        codec: Codec | None = None,
        policy: Policy | None = None,
    ) -> None:
        self.run, self.sources, self.goals, self.text, self.codec = run, tuple(sources), goals, text, codec
        network: nn.Module = fresh(lambda: CriticNetwork(run.model, policy), run.train)
        # On a CPU convolutions run up to twice as fast in this layout.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.texts = wordings(sources)
        self._groups = [self._group(source) for source in self.sources]
        self._chance = self._chances()

    def batch(self, batch_size: int, generator: torch.Generator) -> CriticBatch:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        gain, offset = draw_tint(batch_size, self.run.disturbance, random)
        examples = []
        for number in range(batch_size):
            example = self.draw(random)
            examples.append(replace(example, frames=tinted(example.frames, gain[number], offset[number])))
        return self.together(examples, random)

    def loss(self, network: nn.Module, batch: CriticBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        run = self.run
        with half_where_fast(batch.frames.device):
            said: Judgement = network(
                as_pictures(batch.frames, has_fast_half(batch.frames.device)), batch.words, batch.mask, batch.chosen
            )
        importance = torch.tensor([1.0] + [run.wrong_weight] * (batch.completed.shape[1] - 1), device=said.done.device)
        completed = _error(said.completed, batch.completed, importance)
        done = _error(said.done, batch.done, importance[:, None])
        fault = _error(said.faults, batch.faults, 1.0 + 3.0 * batch.faults.nan_to_num())
        frame = _error(said.fault_frames, batch.fault_frames, 1.0 + 3.0 * batch.fault_frames.nan_to_num())
        more = _error(said.progress, batch.progress, importance) + _error(said.merits, batch.merits)
        loss = completed + done + run.fault_weight * (2.0 * fault + frame) + 0.3 * more
        right = ((said.completed > 0) == (batch.completed > 0.5)).float()[batch.completed.isfinite()].mean()
        numbers = {"completed": completed, "done": done, "fault": fault, "fault_frame": frame, "right": right}
        return loss, {name: value.detach() for name, value in numbers.items()}

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        return {"model": asdict(self.run.model)}

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """Six clips: a green bar as high as the goal looks done in each frame, a red one as high as a fault."""
        network.eval()
        random = np.random.default_rng(0)
        batch = self.together([self.draw(random) for _ in range(6)], random).to(next(network.parameters()).device)
        with half_where_fast(batch.frames.device):
            said: Judgement = network(
                as_pictures(batch.frames, has_fast_half(batch.frames.device)), batch.words, batch.mask, None
            )
        network.train()
        bars = torch.stack([said.done[:, 0], said.fault_frames.amax(dim=-1)]).sigmoid().float().cpu().numpy()
        clips = batch.frames.cpu().numpy().copy()
        height, width = clips.shape[2:4]
        for (kind, clip, number), share in np.ndenumerate(bars):
            top, side = height - round(share * height), kind * (width - 4)
            clips[clip, number, top:, side : side + 4] = (220, 30, 30) if kind else (30, 200, 60)
        rows = [np.concatenate(list(clip[::2]), axis=1) for clip in clips]
        return np.concatenate(rows, axis=0)

    def draw(self, random: np.random.Generator) -> Example:
        """A clip that is not held out."""
        which = int(random.choice(len(self.sources), p=self._chance))
        source, groups = self.sources[which], self._groups[which]
        shares = np.array([share if len(group) else 0.0 for share, group in zip(self.run.shares, groups, strict=True)])
        group = groups[int(random.choice(len(groups), p=shares / shares.sum()))]
        return self.example(source, int(group[int(random.integers(len(group)))]), random)

    def example(
        self, source: CriticSource, episode: int, random: np.random.Generator, rows: Ints | None = None
    ) -> Example:
        """A clip of an episode as training sees it; with given rows, as it was recorded and without faults."""
        run, story, length = self.run, source.stories[episode], source.clips.length(episode)
        is_whole = rows is not None
        rows = draw_rows(story, length, run.model.num_frames, run.early, random) if rows is None else rows
        reached, done, progress = truth_of(story, rows, length)
        disturbance = replace(run.disturbance, through_codec=0.0, blurred=0.0, shifted=0.0)
        frames, quality = show(
            source,
            int(source.clips.start[episode]) + rows,
            run.model.size,
            self.codec,
            disturbance if is_whole else run.disturbance,
            random,
        )
        own = source.clips.texts[episode]
        wrong = wrong_goal(story, reached == 1.0 or story.imitates, self.goals, self.texts, random)
        faults, fault_frames = clean_faults(source, len(rows))
        nothing = np.nan if wrong is None else 0.0
        sound = np.nan if source.imagined else 1.0
        example = Example(
            frames=frames,
            goals=(own[0 if is_whole or random.random() < 0.3 else int(random.integers(len(own)))], wrong or own[0]),
            completed=np.array([reached, nothing], np.float32),
            done=np.stack([done, np.full(len(rows), nothing, np.float32)]),
            progress=np.array([progress, nothing], np.float32),
            faults=faults,
            fault_frames=fault_frames,
            merits=np.array([sound, sound, quality], np.float32),
        )
        return put_fault(example, random) if not is_whole and random.random() < run.faulty else example

    def together(self, examples: Sequence[Example], random: np.random.Generator) -> CriticBatch:
        """The examples as a batch."""
        frames = self.run.model.num_frames
        chosen = np.stack([_looked_at(example.done[0], self.run.looked, random) for example in examples])
        words, mask = self.text.gather([goal for example in examples for goal in example.goals])
        done = np.stack([example.done[:, looked] for example, looked in zip(examples, chosen, strict=True)])
        stacked: dict[str, Floats] = {
            name: np.stack([getattr(example, name) for example in examples])
            for name in ("completed", "progress", "faults", "fault_frames", "merits")
        }
        assert all(len(example.frames) == frames for example in examples)
        return CriticBatch(
            frames=torch.from_numpy(np.stack([example.frames for example in examples])),
            words=rearrange(words, "(b g) l e -> b g l e", g=GOALS),
            mask=rearrange(mask, "(b g) l -> b g l", g=GOALS),
            chosen=torch.from_numpy(chosen),
            done=torch.from_numpy(done),
            **{name: torch.from_numpy(values) for name, values in stacked.items()},
        )

    # ---- inside ----

    def _group(self, source: CriticSource) -> list[Ints]:
        """The source's episodes that are trained on, of each kind."""
        kept = [e for e in range(len(source.stories)) if not self.run.holds_out(e, len(source.stories))]
        kind = {e: _kind(source, e) for e in kept}
        return [np.array([e for e in kept if kind[e] == name], np.int64) for name in KINDS]

    def _chances(self) -> Floats:
        """How often each source is drawn: by its episodes, imagined ones together by their share."""
        sizes = np.array([sum(map(len, groups)) for groups in self._groups], np.float64)
        imagined = np.array([source.imagined for source in self.sources]) & (sizes > 0)
        recorded = ~imagined & (sizes > 0)
        if not sizes.sum():
            raise WowError("no episode says whether it succeeded: a critic needs some that did and some that did not")
        share = self.run.imagined if imagined.any() and recorded.any() else float(imagined.any())
        of_kind = np.where(imagined, sizes[imagined].sum(), sizes[recorded].sum())
        chances: Floats = sizes / np.maximum(of_kind, 1.0) * np.where(imagined, share, 1.0 - share)
        return chances


def prepare_critic(
    run: CriticRun,
    sources: Sequence[CriticSource],
    goals: Goals,
    conditioner: TextConditioner,
    cache: Path,
    codec: Codec | None = None,
    on_done: Callable[[str, int, int], None] = lambda what, done, total: None,
    policy: Policy | None = None,
) -> CriticObjective:
    """The objective, with every text encoded once. policy: who stands beside the critic. Raises WowError where no
    outcome is known."""
    if not sources:
        raise WowError("no data named: say --data DIR")
    texts = [text for source in sources for episode in source.clips.texts for text in episode]
    table = encode_texts(conditioner, texts, cache, lambda done, total: on_done("texts", done, total))
    model = replace(run.model, faults=tuple(FAULTS), text_width=int(table.tokens.shape[1]), plan=plan_width(policy))
    return CriticObjective(replace(run, model=model), sources, goals, table, codec, policy)


def _kind(source: CriticSource, episode: int) -> str | None:
    story = source.stories[episode]
    if source.clips.length(episode) < 3 or (story.success is None and not story.imitates):
        return None
    return "imitated" if story.success is None else "reached" if story.success else "failed"


def _looked_at(done: Floats, count: int, random: np.random.Generator) -> Ints:
    """The frames in which the goal is looked for: some of which the truth is known, in order, and the last."""
    last = len(done) - 1
    known = np.flatnonzero(np.isfinite(done[:last]))
    pool = known if len(known) >= count - 1 else np.arange(last)
    return np.append(np.sort(random.choice(pool, size=count - 1, replace=False)), last)


def _error(logits: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    """The mean cross-entropy where the truth is known; 0 where it never is."""
    known = truth.isfinite()
    each = functional.binary_cross_entropy_with_logits(logits.float(), truth.nan_to_num(), reduction="none")
    counts = known.float() if weight is None else known * weight.expand_as(each)
    return (each * counts).sum() / counts.sum().clamp_min(1.0)
