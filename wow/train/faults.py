"""The fault network's objective: which fault was put into a clip, in which frames, and how good it looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wow.data.faults import ALTERED, FAULTS, SHORTEST, apply, is_visible
from wow.data.things import MOTION, Bool, apart
from wow.models.faults import FaultConfig, FaultNetwork, Seen
from wow.models.fit import fit_frames
from wow.models.judge import as_pictures
from wow.train.disturb import Disturbance, draw_tint, tinted
from wow.train.loop import TrainConfig, fresh
from wow.train.store import Clips, open_clips
from wow.types import UInt8, WowError

Floats = NDArray[np.float32]
TOUCHED = 0.04
"""The share of a cell's pixels that is altered where the fault lies in it."""


@dataclass(frozen=True)
class FaultRun:
    """A fault network and how it is trained.

    faulty: share of clips with a fault, of at least the strength `weakest`. blurred: share that is blurred, which is
    no fault. painted: share of clips from imagined videos, where there are any. cutting: side of the part of a picture
    that is learned from, around the fault [pixels]; whole: share of batches that show all of it. frame_weight,
    cell_weight: of the faults frame by frame and place by place beside those of the whole clip. hold_out: every so
    many'th episode is kept from training; on `measured` clips of those the alarm is set.
    """

    model: FaultConfig = field(default_factory=FaultConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    faulty: float = 0.6
    weakest: float = 0.25
    blurred: float = 0.2
    painted: float = 0.2
    tint: float = 0.05
    cutting: int = 64
    whole: float = 0.15
    frame_weight: float = 1.0
    cell_weight: float = 30.0
    hold_out: int = 15
    measured: int = 300

    def __post_init__(self) -> None:
        if not all(
            0.0 <= share <= 1.0 for share in (self.faulty, self.weakest, self.blurred, self.painted, self.whole)
        ):
            raise WowError("shares of the training data lie between 0 and 1")
        if self.hold_out < 2 or self.measured < 1 or self.tint < 0:
            raise WowError("--config.hold-out is at least 2, --config.measured at least 1, and tint not negative")
        if self.cutting < 1 or self.cutting % (2 * self.model.cell):
            raise WowError(f"--config.cutting is a multiple of {2 * self.model.cell}, four patches")


@dataclass(frozen=True)
class Example:
    """A clip uint8 [T, H, W, 3], which faults it has [K], in which frames [T, K], and how good it looks, 0 to 1.

    altered: bool [T, H, W], where the fault is seen.
    """

    frames: UInt8
    faults: Floats
    fault_frames: Floats
    altered: Bool
    quality: float


@dataclass(frozen=True)
class FaultBatch:
    """frames: uint8 [b t h w 3]; gain, offset [b 3] of their colours. The truth as in `Example`, altered by cells."""

    frames: Tensor
    gain: Tensor
    offset: Tensor
    faults: Tensor
    fault_frames: Tensor
    altered: Tensor
    quality: Tensor

    def to(self, device: torch.device) -> FaultBatch:
        """The same on another device."""
        return FaultBatch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


class FaultObjective:
    """Finds the faults that were put into recorded and imagined clips."""

    def __init__(self, run: FaultRun, recorded: Sequence[Clips], imagined: Sequence[Clips] = ()) -> None:
        self.run = replace(run, model=replace(run.model, faults=tuple(FAULTS)))
        self.recorded, self.imagined = tuple(recorded), tuple(imagined)
        network: nn.Module = fresh(lambda: FaultNetwork(self.run.model), run.train)
        # On a CPU convolutions run up to twice as fast in this layout.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._learned = [[e for e in episodes_of(clips) if not self.holds_out(clips, e)] for clips in self._all]
        if not any(self._learned[: len(self.recorded)]):
            raise WowError(f"no episode of --data has the {SHORTEST} frames that a fault needs")

    def holds_out(self, clips: Clips, episode: int) -> bool:
        """Whether an episode is kept from training; more often in a small dataset."""
        every = min(self.run.hold_out, max(len(clips) // 2, 2))
        return episode % every == every - 1

    def batch(self, batch_size: int, generator: torch.Generator) -> FaultBatch:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        model, side = self.run.model, self.run.cutting
        side = model.size if random.random() < self.run.whole else min(side, model.size)
        examples = [cutting(self.draw(random), side, random) for _ in range(batch_size)]
        gain, offset = draw_tint(batch_size, Disturbance(tint=self.run.tint), random)
        altered = np.stack([example.altered for example in examples])
        return FaultBatch(
            frames=torch.from_numpy(np.stack([example.frames for example in examples])),
            gain=torch.from_numpy(gain),
            offset=torch.from_numpy(offset),
            faults=torch.from_numpy(np.stack([example.faults for example in examples])),
            fault_frames=torch.from_numpy(np.stack([example.fault_frames for example in examples])),
            altered=torch.from_numpy(by_cell(altered, model.cell)),
            quality=torch.tensor([example.quality for example in examples], dtype=torch.float32),
        )

    def loss(self, network: nn.Module, batch: FaultBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        frames = tinted(batch.frames, batch.gain, batch.offset)
        seen: Seen = network(frames)
        whole = _error(seen.faults, batch.faults)
        each = _error(seen.fault_frames, batch.fault_frames)
        cells = _error(seen.fault_cells, batch.fault_frames[..., None, None] * batch.altered[:, :, None])
        quality = functional.binary_cross_entropy_with_logits(seen.quality.float(), batch.quality)
        run = self.run
        loss = 2.0 * whole + run.frame_weight * each + run.cell_weight * cells + 0.3 * quality
        parts = {"fault": whole, "fault_frame": each, "fault_cell": cells, "quality": quality}
        return loss, {name: part.detach() for name, part in parts.items()}

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        return {"model": asdict(self.run.model)}

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """Six clips; in each frame a red bar as high as the likeliest fault, and a white line where there is one."""
        network.eval()
        random = np.random.default_rng(0)
        examples = [self.draw(random) for _ in range(6)]
        clips = np.stack([example.frames for example in examples])
        device = next(network.parameters()).device
        seen: Seen = network(as_pictures(torch.from_numpy(clips).to(device), half=False))
        network.train()
        height = clips.shape[2]
        for place, shares in enumerate(seen.fault_frames.amax(dim=-1).sigmoid().cpu().numpy()):
            for number, share in enumerate(shares):
                clips[place, number, height - round(share * height) :, :4] = (220, 30, 30)
                if examples[place].fault_frames[number].any():
                    clips[place, number, :3] = 255
        return np.concatenate([np.concatenate(list(clip[::2]), axis=1) for clip in clips], axis=0)

    def draw(self, random: np.random.Generator) -> Example:
        """A clip that is not held out, some with a fault."""
        clips, episodes = self._source(random)
        run, episode = self.run, episodes[int(random.integers(len(episodes)))]
        length = clips.length(episode)
        last = length - 1 if random.random() < 0.5 else int(random.integers(max(length // 2, SHORTEST - 1), length))
        rows = np.round(np.linspace(0, last, run.model.num_frames)).astype(np.int64)
        frames = fit_frames(np.array(clips.frames[int(clips.start[episode]) + rows]), run.model.size)[0]
        if random.random() < 0.5:
            frames = frames[:, :, ::-1]  # no fault knows left from right
        example = sound(np.ascontiguousarray(frames))
        if random.random() < run.faulty:
            kind = tuple(FAULTS)[int(random.integers(len(FAULTS)))]
            example = with_fault(example, kind, float(random.uniform(run.weakest, 1.0)), random) or example
        return blurred(example, float(random.uniform(0.2, 1.0))) if random.random() < run.blurred else example

    # ---- inside ----

    @property
    def _all(self) -> tuple[Clips, ...]:
        return (*self.recorded, *self.imagined)

    def _source(self, random: np.random.Generator) -> tuple[Clips, list[int]]:
        """A dataset, by its episodes, and those that are learned from."""
        first = len(self.recorded)
        dreams = any(self._learned[first:]) and random.random() < self.run.painted
        places = range(first, len(self._all)) if dreams else range(first)
        sizes = np.array([len(self._learned[place]) for place in places], np.float64)
        place = places[int(random.choice(len(places), p=sizes / sizes.sum()))]
        return self._all[place], self._learned[place]


def episodes_of(clips: Clips) -> list[int]:
    """The episodes that are long enough to have a fault."""
    return [episode for episode in range(len(clips)) if clips.length(episode) >= SHORTEST]


def sound(frames: UInt8) -> Example:
    """A clip as somebody recorded it."""
    kinds, nowhere = len(FAULTS), np.zeros(frames.shape[:3], np.bool_)
    return Example(frames, np.zeros(kinds, np.float32), np.zeros((len(frames), kinds), np.float32), nowhere, 1.0)


def with_fault(example: Example, kind: str, strength: float, random: np.random.Generator) -> Example | None:
    """The clip with a fault; None where that cannot be seen."""
    faulty = apply(kind, example.frames, strength, random)
    if not is_visible(example.frames, faulty.frames):
        return None
    (first, last), which = faulty.span, tuple(FAULTS).index(kind)
    faults, frames = example.faults.copy(), example.fault_frames.copy()
    faults[which], frames[first : last + 1, which] = 1.0, 1.0
    altered = np.zeros_like(example.altered)
    altered[first : last + 1] = apart(faulty.frames[first : last + 1], example.frames[first : last + 1]) > ALTERED
    for frame in range(last - 1, first - 1, -1):
        if not altered[frame].any():  # the one before a jump
            altered[frame] = altered[frame + 1]
    return replace(example, frames=faulty.frames, faults=faults, fault_frames=frames, altered=altered)


def cutting(example: Example, side: int, random: np.random.Generator) -> Example:
    """A square of the clip in which the fault is seen; without one, rather where something moves."""
    size = example.frames.shape[1]
    where = example.altered
    if side >= size:
        return example
    if not where.any():
        frame = example.frames[int(random.integers(1, len(example.frames)))]
        where = apart(frame, example.frames[0])[None] > MOTION
    places = np.argwhere(where)
    _, row, column = places[int(random.integers(len(places)))] if len(places) else random.integers(size, size=3)
    top, left = (int(np.clip(place - random.integers(side), 0, size - side)) for place in (row, column))
    kept = np.s_[:, top : top + side, left : left + side]
    return replace(example, frames=example.frames[kept], altered=example.altered[kept])


def by_cell(altered: Bool, cell: int) -> Floats:
    """1 where a cell of that many pixels a side has been altered: [..., H, W] to [..., H / cell, W / cell]."""
    *front, height, width = altered.shape
    cells = altered.reshape(*front, height // cell, cell, width // cell, cell).mean(axis=(-3, -1))
    touched: Floats = (cells > TOUCHED).astype(np.float32)
    return touched


def blurred(example: Example, strength: float) -> Example:
    """The clip, mixed with what is left of it at a quarter of its size."""
    pictures = torch.from_numpy(example.frames).movedim(-1, 1).float()
    coarse = functional.interpolate(functional.avg_pool2d(pictures, 4), scale_factor=4, mode="bilinear")
    mixed = torch.lerp(pictures, coarse, strength).round().to(torch.uint8).movedim(1, -1)
    return replace(example, frames=mixed.contiguous().numpy(), quality=1.0 - strength)


def prepare_faults(
    run: FaultRun,
    data: Sequence[Path],
    imagined: Sequence[Path] = (),
    camera: str | None = None,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> FaultObjective:
    """The objective, every dataset decoded. Raises WowError where no episode is long enough."""
    if not data:
        raise WowError("no data named: say --data DIR")
    recorded, painted = ([open_clips([folder], camera, on_done) for folder in group] for group in (data, imagined))
    return FaultObjective(run, recorded, painted)


def _error(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy; what is there counts four times what is not, since it is rare."""
    return functional.binary_cross_entropy_with_logits(logits.float(), truth, weight=1.0 + 3.0 * truth)
