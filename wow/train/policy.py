"""The policy's objective: imitation of those who do what their text says, from any moment of an episode on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wow.data.embodiment import embodiment_to_json
from wow.imagine.actions import scale_of
from wow.models.dit import Conditions
from wow.models.policy import Policy, PolicyConfig
from wow.models.text import TextConditioner
from wow.train.codec import to_tensor
from wow.train.disturb import Disturbance, draw_tint, tinted
from wow.train.instructed import Instructed, Window
from wow.train.latents import OnDone, encode_texts
from wow.train.loop import TrainConfig, fresh
from wow.train.store import Clips
from wow.types import UInt8, WowError

EDGE = 0.1
"""Errors below it count by their square, larger ones by their size, in units of the normalised motion."""


@dataclass(frozen=True)
class PolicyRun:
    """A policy and how it is trained; see `wow.train.instructed.Shares` for the shares.

    shift: pictures are moved by up to so many pixels: a motion is told from where things are beside the hand, and who
    has seen few scenes learns them by heart otherwise (Yarats et al. 2021). tint: deviation of brightness and colour.
    mixed_texts: share of texts that are heard together with another of the same episode; lost_words: share of the words
    that are not heard. Both so that what is meant counts and not how it was put.
    """

    model: PolicyConfig = field(default_factory=PolicyConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    from_start: float = 0.4
    short_texts: float = 0.5
    no_text: float = 0.05
    no_pace: float = 0.5
    free_pace: float = 0.25
    shift: int = 3
    tint: float = 0.05
    mixed_texts: float = 0.3
    lost_words: float = 0.1
    words_alone: bool = False

    def __post_init__(self) -> None:
        told = (self.short_texts, self.no_text, self.no_pace, self.free_pace, self.mixed_texts, self.lost_words)
        shares = (self.from_start, *told)
        if not all(0.0 <= share <= 1.0 for share in shares) or min(self.shift, self.tint) < 0:
            raise WowError("shares of the training data lie between 0 and 1, shift and tint are not negative")


@dataclass(frozen=True)
class PolicyBatch:
    """pictures: uint8 [b h w 3]. gain, offset [b 3]: what colours are multiplied by and moved. conditions: with the
    true motion."""

    pictures: Tensor
    gain: Tensor
    offset: Tensor
    conditions: Conditions

    def to(self, device: torch.device) -> PolicyBatch:
        """The same on another device."""

        def move(value: Tensor) -> Tensor:
            return value.to(device, non_blocking=True)

        return PolicyBatch(move(self.pictures), move(self.gain), move(self.offset), self.conditions.map(move))


class PolicyObjective:
    """Says the motion of the rest of an episode, or of its next part at a given pace, from one picture of it."""

    def __init__(self, run: PolicyRun, clips: Clips, told: Instructed) -> None:
        self.run, self.clips, self.told = run, clips, told
        network: nn.Module = fresh(lambda: Policy(run.model), run.train)
        # On a CPU convolutions run up to twice as fast in this layout.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def batch(self, batch_size: int, generator: torch.Generator) -> PolicyBatch:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        windows = self.told.windows(batch_size, random, self.told.plannable)
        pictures = [moved(self.clips.frames[window.rows[0]], self.run.shift, random) for window in windows]
        gain, offset = draw_tint(batch_size, Disturbance(tint=self.run.tint), random)
        return PolicyBatch(
            torch.from_numpy(np.stack(pictures)),
            torch.from_numpy(gain),
            torch.from_numpy(offset),
            self._heard(self.told.conditions(windows, random), windows, random),
        )

    def loss(self, network: nn.Module, batch: PolicyBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        pictures = tinted(batch.pictures[:, None], batch.gain, batch.offset)[:, 0]
        truth = batch.conditions.motion
        motion = network(pictures, batch.conditions).float()
        loss = functional.smooth_l1_loss(motion, truth, beta=EDGE)
        return loss, {"motion_error": (motion - truth).detach().square().mean()}

    def about(self) -> dict[str, Any]:
        """What the weights need to be used again, as JSON values."""
        return {
            "model": asdict(self.run.model),
            "action_scale": asdict(self.told.scale),
            "embodiment": embodiment_to_json(self.clips.embodiment),
            "size": int(self.clips.frames.shape[1]),
        }

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """For eight episodes the first picture; below it the true motion in white and the policy's in red, x against z
        on the left and y on the right, from the middle of each half on."""
        network.eval()
        device = next(network.parameters()).device
        picked = [int(i) for i in np.linspace(0, len(self.told.plannable) - 1, 8)]
        windows = [self.told.whole(int(self.told.plannable[i])) for i in picked]
        conditions = self.told.conditions(windows, np.random.default_rng(0), short_only=True)
        pictures = np.stack([self.clips.frames[window.rows[0]] for window in windows])
        said = network(to_tensor(pictures, device), conditions.map(lambda value: value.to(device))).cpu().numpy()
        network.train()
        sheets = [
            _sheet(true, own, pictures.shape[1]) for true, own in zip(conditions.motion.numpy(), said, strict=True)
        ]
        return np.concatenate([np.concatenate([*pictures], axis=1), np.concatenate(sheets, axis=1)], axis=0)

    def _heard(self, told: Conditions, windows: Sequence[Window], random: np.random.Generator) -> Conditions:
        """Part of the texts together with another of the same episode, and less some of their words."""
        others, are_words = self.told.spoken(windows, random)
        mixed = torch.from_numpy(random.random(len(windows)) < self.run.mixed_texts)
        text = torch.cat([told.text, others], dim=1)
        spoken = torch.cat([told.text_mask, are_words & mixed[:, None]], dim=1)
        heard = spoken & torch.from_numpy(random.random(spoken.shape) >= self.run.lost_words)
        return replace(told, text=text, text_mask=torch.where(heard.any(dim=1, keepdim=True), heard, spoken))


def prepare_policy(
    run: PolicyRun, clips: Clips, conditioner: TextConditioner, cache: Path, on_done: OnDone
) -> PolicyObjective:
    """The objective with its texts computed or found in `cache`; the model takes its sizes from the data."""
    texts = encode_texts(conditioner, [text for texts in clips.texts for text in texts], cache, on_done)
    model = replace(run.model, action_width=clips.actions.shape[1])
    told = Instructed(clips, texts, scale_of(clips.actions, clips.embodiment), run, model.num_transitions + 1)
    return PolicyObjective(replace(run, model=model), clips, told)


def moved(picture: UInt8, shift: int, random: np.random.Generator) -> UInt8:
    """The picture [H, W, 3] moved by up to `shift` pixels each way; what comes in repeats the edge."""
    if shift == 0:
        return picture
    x, y = random.integers(0, 2 * shift + 1, size=2)
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((shift, shift), (shift, shift), (0, 0)), mode="edge")
    return padded[y : y + height, x : x + width]


def _sheet(true: NDArray[np.float32], own: NDArray[np.float32], size: int) -> UInt8:
    """Two paths [T, A] on black, [size, size, 3]."""
    sheet = np.zeros((size, size, 3), np.uint8)
    for path, colour in ((true, (255, 255, 255)), (own, (255, 60, 60))):
        for start, column in ((size // 4, 0), (3 * size // 4, 1)):
            x = np.clip(start + path[:, column] * size / 8, 0, size - 1).astype(int)
            y = np.clip(size / 2 - path[:, 2] * size / 8, 0, size - 1).astype(int)
            sheet[y, x] = colour
    return sheet
