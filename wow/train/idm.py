"""The inverse dynamics model's objective: the actions of clips at any pace, from frames as bad as imagined ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from wow.act.flow import flow_between
from wow.data.embodiment import embodiment_to_json
from wow.models.baseline import FrozenEye
from wow.models.codec import Codec
from wow.models.idm import PLACES, IdmConfig, InverseDynamicsModel, Prediction, Scale
from wow.train.codec import to_tensor
from wow.train.disturb import disturb, draw_tint, paint_again, tinted
from wow.train.idm_data import (
    Source,
    Truth,
    card_of,
    check_reversible,
    check_same,
    facing_of,
    moves_of,
    scale_of_truths,
    truth_of,
    with_facing,
)
from wow.train.idm_run import IdmRun, IdmWindow, Loss, draw_window, layout_of
from wow.train.loop import fresh
from wow.types import UInt8, WowError


@dataclass(frozen=True)
class IdmBatch:
    """Clips to learn from.

    frames: uint8 [b t+1 h w 3]. flow [b t 2 h w]. gain, offset [b 3]: what the colours are multiplied by and moved.
    actions [b t a], events [b t], places [b t+1 p] with NaN where unknown. labelled: uint8 [n h w 3], pictures whose
    robot is known, as uint8 [n h/4 w/4]; n may be 0.
    """

    frames: Tensor
    flow: Tensor
    gain: Tensor
    offset: Tensor
    seconds: Tensor
    is_paced: Tensor
    actions: Tensor
    events: Tensor
    places: Tensor
    labelled: Tensor
    robot: Tensor

    def to(self, device: torch.device) -> IdmBatch:
        """The same on another device."""
        return IdmBatch(**{name: value.to(device, non_blocking=True) for name, value in vars(self).items()})


class IdmObjective:
    """Finds the actions, places and gripper events of clips, with their errors, and the robot in labelled pictures."""

    def __init__(self, run: IdmRun, sources: Sequence[Source], codec: Codec | None = None) -> None:
        self.run, self.sources, self.codec = run, tuple(sources), codec
        network: nn.Module = fresh(lambda: InverseDynamicsModel(run.model), run.train)
        # On a CPU convolutions run up to twice as fast in this layout.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        sizes = np.array([len(source.clips.frames) for source in self.sources], np.float64)
        imagined = np.array([source.imagined for source in self.sources])
        share = run.imagined if imagined.any() and not imagined.all() else float(imagined.all())
        weight = sizes / np.maximum(np.where(imagined, sizes[imagined].sum(), sizes[~imagined].sum()), 1.0)
        self._chance = weight * np.where(imagined, share, 1.0 - share)
        self._outlined = [source for source in self.sources if source.robot is not None]

    def batch(self, batch_size: int, generator: torch.Generator) -> IdmBatch:
        run = self.run
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        drawn = random.choice(len(self.sources), size=batch_size, p=self._chance)
        windows = [draw_window(self.sources[which], run, random) for which in drawn]
        truths = [shown_truth(window) for window in windows]
        shown = [self._show(window, random) for window in windows]
        places = np.stack([truth.places for truth in truths])
        places[[moved for _, moved in shown]] = np.nan
        labelled, robot = self._labelled(random)
        gain, offset = draw_tint(batch_size, run.disturbance, random)
        return IdmBatch(
            frames=torch.from_numpy(np.stack([frames for frames, _ in shown])),
            flow=torch.from_numpy(np.stack([flow_between(frames) for frames, _ in shown])),
            gain=torch.from_numpy(gain),
            offset=torch.from_numpy(offset),
            seconds=torch.tensor([window.seconds for window in windows], dtype=torch.float32),
            is_paced=torch.tensor([window.is_paced for window in windows]),
            actions=torch.from_numpy(np.stack([truth.actions for truth in truths])),
            events=torch.from_numpy(np.stack([truth.events for truth in truths])),
            places=torch.from_numpy(places),
            labelled=labelled,
            robot=robot,
        )

    def loss(self, network: nn.Module, batch: IdmBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        run, device = self.run, batch.frames.device
        pictures = tinted(batch.frames, batch.gain, batch.offset)
        said: Prediction = network(pictures, batch.flow, batch.seconds, batch.is_paced, None, _labelled(batch))
        action, place = (
            expected_error(value, scale, truth, torch.tensor(spread, device=device), run.evenness, run.loss)
            for value, scale, truth, spread in (
                (said.action, said.action_scale, batch.actions, run.model.action.spread),
                (said.place, said.place_scale, batch.places, run.model.place.spread),
            )
        )
        count = (batch.events >= 0).sum().clamp_min(1)
        event = functional.cross_entropy(said.events.flatten(0, 1), batch.events.flatten(), reduction="sum") / count
        numbers = {"action": action.detach(), "event": event.detach(), **self._errors(said, batch)}
        loss = action + run.event_loss * event
        if run.model.absolute:
            loss = loss + run.place_loss * place
        if said.robot is not None:
            mask = functional.binary_cross_entropy_with_logits(said.robot[:, 0], batch.robot.float() / 255.0)
            loss = loss + run.mask_loss * mask
            numbers["mask"] = mask.detach()
        return loss, numbers

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        return {
            "model": asdict(self.run.model),
            "embodiment": embodiment_to_json(card_of(self.sources)),
            "layout": asdict(layout_of(self.run, self.sources[0])),
        }

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """For four clips: their frames, dark where no robot is found."""
        assert isinstance(network, InverseDynamicsModel)
        network.eval()
        random, device = np.random.default_rng(0), next(network.parameters()).device
        rows = []
        for which in np.linspace(0, len(self.sources) - 1, 4).round().astype(int):
            frames = self._show(draw_window(self.sources[which], self.run, random), random)[0][:8]
            share = network.find_robot(to_tensor(frames, device)[None])[0, :, 0].float().cpu().numpy()
            light = 0.25 + 0.75 * np.kron(share, np.ones((1, 4, 4)))[..., None]
            rows.append(np.concatenate([*(light * frames)], axis=1))
        network.train()
        return np.concatenate(rows, axis=0).astype(np.uint8)

    def has_codec(self, source: Source) -> bool:
        """Whether clips of a source can be seen through the codec."""
        return self.codec is not None and source.latents is not None

    def through_codec(self, window: IdmWindow, random: np.random.Generator) -> UInt8:
        """The frames of a clip as an imagined one is painted, from its own first frame or from an earlier one."""
        stored, latents = window.source.clips.frames, window.source.latents
        assert self.codec is not None and latents is not None
        begins = random.random() < 0.5
        context = stored[window.rows[0] if begins else random.integers(window.first, window.rows[0] + 1)]
        noise = float(random.uniform(0.0, self.run.disturbance.codec_noise))
        frames = paint_again(self.codec, latents[window.rows], context, noise, random)
        if begins:
            frames[0] = context  # what was seen is not imagined
        return frames

    # ---- inside ----

    def _show(self, window: IdmWindow, random: np.random.Generator) -> tuple[UInt8, bool]:
        """The frames of a clip as a camera or a codec may show them, and whether they were moved."""
        disturbance = self.run.disturbance
        if self.has_codec(window.source) and random.random() < disturbance.through_codec:
            frames = self.through_codec(window, random)
        else:
            frames = window.source.show(window.rows, self.run.model.size)
        return disturb(frames[::-1] if window.backwards else frames, disturbance, random)

    def _labelled(self, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Pictures with known outlines, and those."""
        pictures, robots = [], []
        for _ in range(self.run.labelled if self._outlined else 0):
            source = self._outlined[int(random.integers(len(self._outlined)))]
            row = int(random.integers(len(source.clips.frames)))
            assert source.robot is not None
            pictures.append(np.asarray(source.clips.frames[row]))
            robots.append(np.asarray(source.robot[row]))
        if not pictures:
            return torch.zeros(0, 1, 1, 3, dtype=torch.uint8), torch.zeros(0, 1, 1, dtype=torch.uint8)
        return torch.from_numpy(np.stack(pictures)), torch.from_numpy(np.stack(robots))

    @torch.no_grad()
    def _errors(self, said: Prediction, batch: IdmBatch) -> dict[str, Tensor]:
        """Mean errors a person can read: of steps and places [mm], and of the gripper's command."""
        card = self.sources[0].clips.embodiment
        off = (said.action - batch.actions).abs()  # NaN where unknown
        numbers: dict[str, Tensor] = {}
        if moves := moves_of(card):
            numbers["step_mm"] = 1000 * off[..., list(moves)].nanmean()
        if (grip := card.gripper_place) is not None:
            numbers["gripper"] = off[..., grip].nanmean()
        if self.run.model.absolute:
            apart = (said.place - batch.places).abs()
            numbers["place_mm"] = 1000 * apart[..., :3].nanmean()
            if self.run.model.facing:
                numbers["facing_degrees"] = apart[..., PLACES:].nanmean().rad2deg()
        return numbers


def shown_truth(window: IdmWindow) -> Truth:
    """What a clip shows, in the order in which it is shown."""
    truth = truth_of(window.source, window.rows, window.first)
    return truth.backwards(window.source.clips.embodiment) if window.backwards else truth


def expected_error(
    value: Float[Tensor, "b t d"],
    scale: Float[Tensor, "b t d"],
    truth: Float[Tensor, "b t d"],
    spread: Float[Tensor, " d"],
    evenness: float,
    loss: Loss = "smooth_l1",
) -> Tensor:
    """The error in units of its predicted scale, plus the scale's logarithm: what uncertainty costs.

    Weighted by the scale to the power `evenness`, without gradient, so that what is still uncertain is learned too
    (beta-NLL, Seitzer et al. 2022). Dimensions without spread and unknown truths count nothing.
    """
    counts = (spread > 0) & truth.isfinite()
    wide = torch.where(spread > 0, spread, torch.ones_like(spread))
    relative = torch.where(counts, scale / wide, torch.ones_like(scale))
    off = torch.where(counts, (value - truth.nan_to_num()) / wide, torch.zeros_like(value))
    apart = functional.smooth_l1_loss if loss == "smooth_l1" else functional.mse_loss
    cost = apart(off / relative, torch.zeros_like(off), reduction="none") + relative.log()
    return (cost * relative.detach() ** evenness * counts).sum() / counts.sum().clamp_min(1)


@dataclass(frozen=True)
class Beginning:
    """What training begins with: a model, and the robot whose actions it reads."""

    robot: str
    model: IdmConfig

    def knows(self, sources: Sequence[Source], action: Scale) -> bool:
        """Whether these are recordings of its robot, in which the same numbers move."""
        moved, moves = ([spread > 0 for spread in scale.spread] for scale in (self.model.action, action))
        return moved == moves and self._is_of(sources)

    def facing(self, sources: Sequence[Source]) -> tuple[float, ...]:
        """From where turns are counted: as before, where turns were or the robot is the same."""
        return self.model.facing if self.model.facing or self._is_of(sources) else facing_of(sources)

    def _is_of(self, sources: Sequence[Source]) -> bool:
        return all(source.clips.embodiment.robot == self.robot for source in sources)


def prepare_idm(
    run: IdmRun, sources: Sequence[Source], codec: Codec | None = None, beginning: Beginning | None = None
) -> IdmObjective:
    """The objective; the model takes its sizes and scales from the data. Raises WowError where the data do not fit.

    beginning: a model of the same robot keeps its scales, so that its answers mean what they did, and its eye for the
    robot's outline also where the data mark none.
    """
    if not sources:
        raise WowError("no data named: say --data DIR")
    check_same(sources)
    clips = sources[0].clips
    if run.backwards:
        check_reversible(clips.embodiment)
    height, width = clips.frames.shape[1:3]
    size = height if height == width and height % 16 == 0 else run.model.size
    if len(clips) < 2:
        raise WowError("one episode is too few to learn from and calibrate on: give at least two")
    random = np.random.default_rng(0)
    facing = facing_of(sources) if beginning is None else beginning.facing(sources)
    sources = [with_facing(source, facing) for source in sources] if facing else sources
    real = [source for source in sources if not source.imagined] or list(sources)
    forwards = replace(run, backwards=0.0)
    windows = [draw_window(real[i % len(real)], forwards, random) for i in range(2000)]
    action, place = scale_of_truths([shown_truth(window) for window in windows], clips.embodiment)
    sources = [_without_what_does_not_fit(source, size) for source in sources]
    masks = any(source.robot is not None for source in sources) and run.labelled > 0
    if beginning is not None and beginning.knows(sources, action):
        action, place, masks = beginning.model.action, beginning.model.place, masks or beginning.model.masks
    model = replace(run.model, size=size, action=action, place=place, masks=masks, facing=facing)
    return IdmObjective(replace(run, model=model), sources, codec)


def _without_what_does_not_fit(source: Source, size: int) -> Source:
    """Outlines and latents belong to frames as they are stored: with frames that have to be fitted they are no use."""
    is_stored_so = source.clips.frames.shape[1:3] == (size, size)
    return source if is_stored_so else replace(source, robot=None, latents=None)


def install_frozen(objective: IdmObjective, weights: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Gives the branch "frozen" its convolutions: kernel [out in k k] and bias [out] of each."""
    network = objective.network
    assert isinstance(network, InverseDynamicsModel)
    eye = network.eyes["frozen"]
    assert isinstance(eye, FrozenEye)
    eye.install(weights)


def _labelled(batch: IdmBatch) -> Tensor | None:
    """The labelled pictures [n 3 h w], tinted as if each were of a clip of its own; None where there are none."""
    if len(batch.labelled) == 0:
        return None
    which = torch.arange(len(batch.labelled), device=batch.gain.device) % len(batch.gain)
    return tinted(batch.labelled[:, None], batch.gain[which], batch.offset[which])[:, 0]
