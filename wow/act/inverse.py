"""From a video to robot actions: the video made fit for the network, read, and its confidence measured."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from wow.act.calibration import Calibration
from wow.act.confidence import (
    Signs,
    changed_elsewhere,
    changed_share,
    judge,
    look_of,
    refuse_blank,
    unfamiliar,
    worth_saying,
)
from wow.act.flow import flow_between
from wow.act.reading import Layout, Raw, Reading, conclude
from wow.models.fit import fit_frames
from wow.models.idm import PATCH, InverseDynamicsModel, Prediction
from wow.types import Actions, Embodiment, Float32, UInt8, Video, WowError

Array = NDArray[np.float64]
Mask = Literal["auto", "none"] | UInt8
"""Where the robot is: found by the model, told from nothing else, or given as pictures that are white where it is."""

CHUNK = 64
"""Frames that the network looks at in one go."""


@dataclass(frozen=True)
class InverseDynamics:
    """A trained inverse dynamics model. calibration: None where it was never measured on held-out episodes."""

    network: InverseDynamicsModel
    embodiment: Embodiment
    layout: Layout
    calibration: Calibration | None = None
    name: str = "wow-mini"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def act(
        self,
        video: Video,
        *,
        mask: Mask = "auto",
        paced: bool = True,
        start: Float32 | None = None,
        embodiment: Embodiment | None = None,
    ) -> Actions:
        """The actions [T, D] that lead through the video's T+1 frames, with their deviations.

        Options as in `read`. A warning says what was done to the video, and why the actions deserve little trust.
        """
        reading = self.read(video, mask=mask, paced=paced, start=start, embodiment=embodiment)
        for note in reading.notes:
            warnings.warn(note, stacklevel=2)
        return reading.actions

    def read(
        self,
        video: Video,
        *,
        mask: Mask = "auto",
        paced: bool = True,
        start: Float32 | None = None,
        embodiment: Embodiment | None = None,
    ) -> Reading:
        """Everything that the video says.

        mask: where the robot is; a given one is uint8 [H, W] for all frames, or one for each [T+1, H, W]. paced:
        whether the video's rate is robot time; False where it was imagined at a pace of its own. start: the hand's
        target in the first frame [3, m], where it is known. embodiment: the card that the actions shall carry.
        Raises WowError for a video of one frame or of nothing, a mask that does not fit, another robot's card, and a
        start that is no place.
        """
        refuse_blank(video.frames)
        if start is not None and (start.shape != (3,) or not np.isfinite(start).all()):
            raise WowError(f"the hand starts at x y z in metres, and not at {np.array2string(start)}")
        if start is not None and not self.layout.moves:
            raise WowError(f"{self.name} reads no way of a hand: leave out where it starts")
        card = self._card(embodiment)
        kept, seconds, notes = self._kept(video, paced)
        frames, fitting = fit_frames(video.frames[kept], self.network.config.size)
        if fitting:
            notes.append(f"the video was {fitting}")
        robot = None if isinstance(mask, str) and mask == "auto" else self._robot(mask, len(video), kept)
        raw = self.predict(frames, seconds, robot)
        reading = conclude(raw, card, self.layout, self.calibration, seconds=seconds, start=start)
        reading = replace(reading, actions=self._certain_where_still(reading.actions))
        signs = self.signs(frames, raw, reading)
        if robot is not None:
            signs = replace(signs, robot=None)
        confidence = judge(signs, None if self.calibration is None else self.calibration.ranges)
        return replace(reading, confidence=confidence, notes=(*notes, *worth_saying(confidence)))

    def doubts(self, frames: UInt8) -> list[str]:
        """What speaks against pictures [T, H, W, 3] as a scene: that they look unlike those of training."""
        return list(unfamiliar(frames, None if self.calibration is None else self.calibration.ranges))

    @torch.no_grad()
    def predict(self, frames: UInt8, seconds: float | None, robot: Float32 | None = None) -> Raw:
        """What the network says of frames [T+1, size, size, 3]. robot: its share of each patch [T+1, h/4, w/4]."""
        network = self.network
        given = None if robot is None else torch.from_numpy(robot)[None, :, None].to(self.device)
        flow = torch.from_numpy(flow_between(frames))[None].to(self.device)
        seen, moved, shares = [], [], []
        for first in range(0, len(frames) - 1, CHUNK):
            # One frame more than pairs; it is the first of the next chunk, and counted there.
            last = min(first + CHUNK, len(frames) - 1)
            pictures = to_pictures(frames[first : last + 1], self.device)[None]
            share = network.find_robot(pictures) if given is None else given[:, first : last + 1]
            vectors, pairs = network.look(pictures, flow[:, first:last], share)
            own = slice(0, None if last == len(frames) - 1 else -1)
            seen.append(vectors[:, own])
            moved.append(pairs)
            shares.append(share[0, own, 0])
        pace = torch.tensor([seconds or 1.0], device=self.device)
        is_paced = torch.tensor([seconds is not None], device=self.device)
        said = network.conclude(torch.cat(seen, dim=1), torch.cat(moved, dim=1), pace, is_paced)
        return _raw(said, torch.cat(shares), network.config.absolute)

    def signs(self, frames: UInt8, raw: Raw, reading: Reading) -> Signs:
        """What is measured of a video to tell how far to trust it."""
        spread = np.array(self.network.config.action.spread)
        moving = spread > 0
        deviations = reading.actions.deviations
        assert deviations is not None
        return Signs(
            seconds=reading.actions.seconds,
            changed=changed_share(frames),
            robot=raw.robot if self._knows_robot else None,
            spread=(deviations[:, moving] / spread[moving]).mean(axis=1),
            disagreement=reading.disagreement,
            elsewhere=None if raw.cells is None or not self._knows_robot else changed_elsewhere(frames, raw.cells),
            look=look_of(frames),
        )

    # ---- inside ----

    @property
    def _knows_robot(self) -> bool:
        """Whether the network finds the robot in a picture."""
        return self.network.robot_mask is not None

    def _certain_where_still(self, actions: Actions) -> Actions:
        """A deviation of 0 for dimensions that never moved in training: there is nothing to be unsure of."""
        assert actions.deviations is not None
        moving = np.array(self.network.config.action.spread) > 0
        return replace(actions, deviations=actions.deviations * moving.astype(np.float32))

    def _card(self, card: Embodiment | None) -> Embodiment:
        if card is None:
            return self.embodiment
        ours, theirs = ([(dim.name, dim.unit) for dim in each.action] for each in (self.embodiment, card))
        if ours != theirs:
            said = ", ".join(f"{name} [{unit}]" for name, unit in ours)
            raise WowError(
                f"{self.name} says {said}, as {self.embodiment.robot} needs; the card of {card.robot} has other "
                "actions: train a model on its episodes with wow train idm"
            )
        if difference := self.embodiment.difference(card):
            raise WowError(
                f"the actions of {self.name} mean what the card of {self.embodiment.robot} says, not what that of "
                f"{card.robot} does: {difference}; mend the card, or train a model on its episodes with wow train idm"
            )
        return card

    def _kept(self, video: Video, paced: bool) -> tuple[NDArray[np.int64], float | None, list[str]]:
        """Which frames are looked at, and the robot time between them: of frames closer than in training, some."""
        if not paced:
            return np.arange(len(video)), None, []
        wanted = 1.0 / self.layout.shortest
        every = min(max(1, math.ceil(video.fps / wanted - 0.1)), len(video) - 1)
        kept = np.arange(0, len(video), every)
        if every == 1:
            return kept, 1.0 / video.fps, []
        said = (
            f"only every {every}th frame is used: the video has {video.fps:g} a second, training had {wanted:g} at most"
        )
        return kept, every / video.fps, [said]

    def _robot(self, mask: Mask, count: int, kept: NDArray[np.int64]) -> Float32:
        """The robot's share of each patch [K, h/4, w/4] of the frames kept, from a mask that a person gave."""
        side = self.network.config.size // PATCH
        if isinstance(mask, str):
            return np.ones((len(kept), side, side), np.float32)
        pictures = np.broadcast_to(mask, (count, *mask.shape)) if mask.ndim == 2 else mask
        if pictures.ndim != 3 or len(pictures) != count:
            raise WowError(
                f"the mask is {list(mask.shape)}, the video has {count} frames: give one picture, or as many"
            )
        fitted, _ = fit_frames(np.stack([pictures[kept]] * 3, axis=-1), side * PATCH)
        cells = fitted[..., 0].reshape(len(kept), side, PATCH, side, PATCH)
        share: Float32 = (cells.mean(axis=(2, 4)) / 255.0).astype(np.float32)
        return share


def to_pictures(frames: UInt8, device: torch.device) -> Float[Tensor, "t 3 h w"]:
    """uint8 [T, H, W, 3] to [-1, 1]; it travels to the device as bytes."""
    return torch.from_numpy(np.ascontiguousarray(frames)).to(device).movedim(-1, -3).float() / 127.5 - 1.0


def _raw(said: Prediction, robot: Tensor, knows_places: bool) -> Raw:
    columns = (said.action, said.action_scale, said.events.softmax(dim=-1), said.place, said.place_scale)
    action, scale, chances, place, place_scale = (column[0].double().cpu().numpy() for column in columns)
    if not knows_places:
        place_scale = np.full_like(place_scale, np.inf)
    cells = robot.float().cpu().numpy()
    return Raw(action, scale, chances, place, place_scale, cells.mean(axis=(1, 2), dtype=np.float64), cells)
