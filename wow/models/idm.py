"""The inverse dynamics model: frames of a video and the flow between them to the robot actions that lead from each to
the next, each with its scale of error.

FM-IDM of WoW (Chi et al. 2025, equations 6 and 7): one branch sees frames in which all but the robot is blanked out,
one sees dense optical flow. Beyond it: a branch for the whole picture, a window of neighbouring transitions, the time
between frames as an input, errors that are predicted too, gripper events, and where the hand's target is in each frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from wow.models.baseline import FrozenEye, Tracks

FRAME_BRANCHES = ("mask", "features", "frozen")
PAIR_BRANCHES = ("flow", "two_frames", "tracks")
PLACES = 4
"""Numbers of the absolute head: x, y, z of the hand's target and the gripper's opening."""
TURNS = 3
"""Numbers more where orientations are read: how the hand is turned, as a rotation vector [rad] from a reference."""
SHARPNESS = 3.0
"""How much attention prefers what is unlike the rest of the picture."""
PATCH = 4
"""Pixels along one side of a patch."""
EVENTS = ("stays", "rises", "falls")
"""What the gripper's command can do in a transition, compared with the one before; the order of the event logits."""
STILL_DEVIATION = 1e-3
"""The deviation of a dimension that never moved in training, in its unit."""


@dataclass(frozen=True)
class Scale:
    """value = centre + spread * number, per dimension. A spread of 0 marks a dimension that never moves."""

    centre: tuple[float, ...]
    spread: tuple[float, ...]

    def __post_init__(self) -> None:
        finite = all(math.isfinite(x) for x in (*self.centre, *self.spread))
        if len(self.centre) != len(self.spread) or not finite or min(self.spread, default=0.0) < 0:
            raise ValueError(f"a scale has as many spreads as centres, none negative, not {self}")


@dataclass(frozen=True)
class IdmConfig:
    """What an inverse dynamics model sees and says.

    branches: "mask" (frames cut to the robot), "features" (whole frames), "flow" (optical flow between two frames),
    "two_frames" (two whole frames at once, the baseline), "frozen" (features of a frozen network, averaged over the
    picture), "tracks" (where points of a grid get to). window: whether neighbouring transitions are seen too.
    uncertain: whether the scale of each error is predicted. absolute: whether places are.
    channels: of the branches "mask" and "flow" at 1/4, 1/8 and 1/16 of the picture; "features" has half as many.
    masks: whether there is a head that finds the robot; without it, and without a given mask, "mask" sees whole frames.
    action, place: scales of the outputs. facing: the orientation from which the hand's turns are counted, a quaternion
    w x y z; () where places tell no orientation.
    """

    branches: tuple[str, ...] = ("mask", "flow", "features")
    window: bool = True
    uncertain: bool = True
    absolute: bool = True
    masks: bool = True
    size: int = 128
    channels: tuple[int, int, int] = (32, 64, 128)
    width: int = 256
    hidden: int = 512
    action: Scale = Scale((0.0,) * 7, (1.0,) * 7)
    place: Scale = Scale((0.0,) * PLACES, (1.0,) * PLACES)
    facing: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        known = {*FRAME_BRANCHES, *PAIR_BRANCHES}
        if not self.branches or not set(self.branches) <= known or len(set(self.branches)) != len(self.branches):
            raise ValueError(f"branches are some of {', '.join(sorted(known))}, not {self.branches}")
        if self.size % 16 or min(*self.channels, self.width, self.hidden) < 2 or not self._fits():
            raise ValueError(f"impossible inverse dynamics model {self}: the size is a multiple of 16")

    def _fits(self) -> bool:
        """Whether there are as many places as the absolute head says."""
        return len(self.place.spread) == PLACES + (TURNS if self.facing else 0) and len(self.facing) in (0, 4)

    @property
    def action_width(self) -> int:
        """Numbers of an action."""
        return len(self.action.spread)


@dataclass(frozen=True)
class Prediction:
    """What clips of t+1 frames say: actions of the t transitions, places in the t+1 frames, each with its scale.

    A scale is that of a smooth-L1 error, in the unit of its value; it is no calibrated deviation yet.
    """

    action: Float[Tensor, "b t a"]
    action_scale: Float[Tensor, "b t a"]
    events: Float[Tensor, "b t 3"]
    place: Float[Tensor, "b t1 p"]
    place_scale: Float[Tensor, "b t1 p"]
    robot: Float[Tensor, "n 1 h4 w4"] | None = None


def attention(maps: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k h w"]:
    """Each map's softmax over the picture, after the map has been brought to a deviation of 1 times `SHARPNESS`.

    A map that has learned nothing yet so points at what is unlike the rest, instead of everywhere.
    """
    flat = maps.float().flatten(2)
    centred = flat - flat.mean(dim=-1, keepdim=True)
    unit = centred / (centred.square().mean(dim=-1, keepdim=True).sqrt() + 1e-3)
    return (SHARPNESS * unit).softmax(dim=-1).view(maps.shape)


def expected_position(weight: Float[Tensor, "n k h w"]) -> Float[Tensor, "n k 2"]:
    """The mean (x, y) in [-1, 1] under maps that each sum to 1 (Levine et al. 2016)."""
    height, width = weight.shape[-2:]
    x = weight.sum(dim=2) @ torch.linspace(-1.0, 1.0, width, device=weight.device)
    y = weight.sum(dim=3) @ torch.linspace(-1.0, 1.0, height, device=weight.device)
    return torch.stack([x, y], dim=-1)


def neighbours(rows: Float[Tensor, "b t d"], offsets: tuple[int, ...], count: int) -> Float[Tensor, "b count kd"]:
    """For each of `count` rows those at `offsets` from it, side by side; beyond the ends the last one is repeated."""
    place = torch.arange(count, device=rows.device)[:, None] + torch.tensor(offsets, device=rows.device)
    picked = rows[:, place.clamp(0, rows.shape[1] - 1)]
    return rearrange(picked, "b t k d -> b t (k d)")


def exactly(like: Tensor) -> torch.autocast:
    """Full precision where the caller has asked for half: places are told apart by a thousandth of the picture."""
    return torch.autocast(like.device.type, enabled=False)


class _Residual(nn.Module):
    """x + conv(act(conv(act(x)))), beginning close to the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.second(functional.silu(self.first(functional.silu(x))))
        return changed


class _Down(nn.Conv2d):
    """Half the size: four neighbours become one."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 2, stride=2)


class _Up(nn.ConvTranspose2d):
    """Twice the size: one becomes four neighbours."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, 2, stride=2)


class Pyramid(nn.Module):
    """Patches to features of their size, which have seen a half and a quarter of it, and to those at the quarter."""

    def __init__(self, planes: int, channels: tuple[int, int, int]) -> None:
        super().__init__()
        fine, middle, coarse = channels
        self.fine = nn.Sequential(nn.Conv2d(planes, fine, 3, padding=1), _Residual(fine))
        self.middle = nn.Sequential(_Down(fine, middle), _Residual(middle))
        self.coarse = nn.Sequential(_Down(middle, coarse), _Residual(coarse), _Residual(coarse))
        self.up_middle = _Up(coarse, middle)
        self.up_fine = nn.Sequential(nn.SiLU(), _Up(middle, fine))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # There is no normalisation: what goes in with a variance has to come out with about the same.
                fan = module.in_channels * (
                    1 if isinstance(module, nn.ConvTranspose2d) else module.weight[0, 0].numel()
                )
                nn.init.normal_(module.weight, std=1.1 / math.sqrt(fan))
            if isinstance(module, _Residual):
                module.second.weight.data *= 0.2

    def forward(self, patches: Float[Tensor, "n p h4 w4"]) -> tuple[Tensor, Tensor]:
        fine = self.fine(patches)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        return fine + self.up_fine(middle + self.up_middle(coarse)), coarse


class Eye(nn.Module):
    """Patches to a vector that knows where things are.

    It reads where `points` maps attend, what is there, and all cells at 1/16 of the picture's size.
    """

    def __init__(self, planes: int, size: int, channels: tuple[int, int, int], width: int, points: int = 16) -> None:
        super().__init__()
        self.pyramid = Pyramid(planes, channels)
        self.points = nn.Sequential(nn.SiLU(), nn.Conv2d(channels[0], 2 * points, 1))
        self.cells = nn.Sequential(nn.SiLU(), nn.Conv2d(channels[2], 16, 1), nn.Flatten(1))
        self.out = nn.Linear(3 * points + 16 * (size // 16) ** 2, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, patches: Float[Tensor, "n p h4 w4"]) -> Float[Tensor, "n d"]:
        fine, coarse = self.pyramid(patches)
        maps, values = self.points(fine).chunk(2, dim=1)
        cells = self.cells(coarse)
        with exactly(patches):
            weight = attention(maps)
            there = (weight * values.float()).sum(dim=(2, 3))
            seen = torch.cat([expected_position(weight).flatten(1), there, cells.float()], dim=1)
            vector: Tensor = self.norm(self.out(seen))
        return vector


class RobotMask(nn.Module):
    """Where the robot is: a logit for each patch."""

    def __init__(self, channels: tuple[int, int, int] = (24, 48, 64)) -> None:
        super().__init__()
        self.pyramid = Pyramid(48, channels)
        self.head = nn.Sequential(nn.SiLU(), nn.Conv2d(channels[0], 1, 3, padding=1))

    def forward(self, patches: Float[Tensor, "n 48 h4 w4"]) -> Float[Tensor, "n 1 h4 w4"]:
        logits: Tensor = self.head(self.pyramid(patches)[0])
        return logits.float()


def cut_patches(pictures: Tensor) -> Tensor:
    """Pictures [b t c h w] to patches [(b t) 16c h/4 w/4]: the sixteen pixels of a cell become channels."""
    kind = pictures.device.type
    if torch.is_autocast_enabled(kind):
        # What the convolutions would do later costs half as much before the pixels are moved about.
        pictures = pictures.to(torch.get_autocast_dtype(kind))
    flat = rearrange(pictures, "b t c (h p) (w q) -> (b t) (c p q) h w", p=PATCH, q=PATCH)
    return flat.contiguous(memory_format=torch.channels_last)


def _head(before: int, hidden: int, after: int) -> nn.Sequential:
    last = nn.Linear(hidden, after)
    # It begins near the middle of every scale; from exactly there, nothing before it would learn at first.
    nn.init.normal_(last.weight, std=0.1 / math.sqrt(hidden))
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(before, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last)


class InverseDynamicsModel(nn.Module):
    """Clips in, actions and places out. Branches look at frames or pairs one by one; the heads see a window of them."""

    def __init__(self, config: IdmConfig) -> None:
        super().__init__()
        self.config = config
        size, channels, width = config.size, config.channels, config.width
        half = (max(channels[0] // 2, 2), max(channels[1] // 2, 2), max(channels[2] // 2, 2))
        planes = {
            "mask": (49, size, channels),
            "features": (48, size, half),
            "flow": (32, size, channels),
            "two_frames": (96, size, channels),
        }
        self.eyes = nn.ModuleDict({name: Eye(*planes[name], width) for name in config.branches if name in planes})
        if "frozen" in config.branches:
            self.eyes["frozen"] = FrozenEye(width)
        if "tracks" in config.branches:
            self.eyes["tracks"] = Tracks(width)
        self.robot_mask = RobotMask() if config.masks else None
        self.pace = nn.Sequential(nn.Linear(1, 64), nn.SiLU(), nn.Linear(64, 64))
        self.no_pace = nn.Parameter(torch.zeros(64))
        frames = width * sum(name in FRAME_BRANCHES for name in config.branches)
        pairs = width * sum(name in PAIR_BRANCHES for name in config.branches)
        # Which frames, and which pairs (after a blank one), the heads see of pair 0, and of frame 0.
        self._around_pair = ((-1, 0, 1, 2), (0, 1, 2)) if config.window else ((0, 1), (1,))
        self._around_frame = ((-1, 0, 1), (0, 1)) if config.window else ((0,), (0, 1))
        sizes = [64 + frames * len(f) + pairs * len(p) for f, p in (self._around_pair, self._around_frame)]
        self.action_head = _head(sizes[0], config.hidden, 2 * config.action_width + len(EVENTS))
        self.places = len(config.place.spread)
        self.place_head = _head(sizes[1], config.hidden // 2, 2 * self.places) if config.absolute else None

    def forward(
        self,
        pictures: Float[Tensor, "b t1 3 h w"],
        flow: Float[Tensor, "b t 2 h w"],
        seconds: Float[Tensor, " b"],
        has_seconds: Bool[Tensor, " b"],
        robot: Float[Tensor, "b t1 1 h4 w4"] | None = None,
        labelled: Float[Tensor, "n 3 h w"] | None = None,
    ) -> Prediction:
        """What the clips say.

        pictures: in [-1, 1]. flow: in tenths of the picture's width. seconds: robot time from frame to frame, read
        where `has_seconds`. robot: its share of each patch; found where none is given. labelled: pictures whose robot
        is to be found too, with gradients; its logits come back as `robot`.
        """
        frames, pairs = self.look(pictures, flow, robot)
        found = None
        if labelled is not None and self.robot_mask is not None:
            found = self.robot_mask(cut_patches(labelled[None]))
        return self.conclude(frames, pairs, seconds, has_seconds, found)

    def find_robot(self, pictures: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t 1 h4 w4"]:
        """The robot's share of each patch, 0 to 1; all 1 without a mask head."""
        return rearrange(self._find_robot(cut_patches(pictures)), "(b t) c h w -> b t c h w", b=len(pictures))

    def look(
        self,
        pictures: Float[Tensor, "b t1 3 h w"],
        flow: Float[Tensor, "b t 2 h w"],
        robot: Float[Tensor, "b t1 1 h4 w4"] | None = None,
    ) -> tuple[Float[Tensor, "b t1 d"], Float[Tensor, "b t e"]]:
        """Vectors of every frame and of every pair of neighbours; either may be of width 0."""
        batch, count = pictures.shape[:2]
        whole = cut_patches(pictures)
        frames, pairs = [whole.new_zeros(batch, count, 0)], [whole.new_zeros(batch, count - 1, 0)]
        for name, eye in self.eyes.items():
            if name == "mask":
                share = self._find_robot(whole) if robot is None else rearrange(robot, "b t c h w -> (b t) c h w")
                seen = torch.cat([whole * share, share], dim=1)
            elif name == "flow":
                seen = cut_patches(flow)
            elif name == "two_frames":
                seen = cut_patches(torch.cat([pictures[:, :-1], pictures[:, 1:]], dim=2))
            elif name == "frozen":
                seen = pictures.flatten(0, 1)
            elif name == "tracks":
                seen = flow.flatten(0, 1)
            else:
                seen = whole
            vectors = rearrange(eye(seen), "(b t) d -> b t d", b=batch)
            (frames if name in FRAME_BRANCHES else pairs).append(vectors)
        return torch.cat(frames, dim=-1), torch.cat(pairs, dim=-1)

    def conclude(
        self,
        frames: Float[Tensor, "b t1 d"],
        pairs: Float[Tensor, "b t e"],
        seconds: Float[Tensor, " b"],
        has_seconds: Bool[Tensor, " b"],
        found: Float[Tensor, "n 1 h4 w4"] | None = None,
    ) -> Prediction:
        """Actions and places from the vectors of whole clips, however long they are, in full precision."""
        count = pairs.shape[1]
        # At the ends frames repeat, and between a frame and itself nothing moves: the pairs there are blank.
        edged = functional.pad(pairs, (0, 0, 1, 1))
        with exactly(frames):
            here = self._time(seconds, has_seconds)[:, None].expand(-1, count + 1, -1)
            around = [neighbours(rows, at, count) for rows, at in zip((frames, edged), self._around_pair, strict=True)]
            raw = self.action_head(torch.cat([*around, here[:, :-1]], dim=-1))
            beside = [
                neighbours(rows, at, count + 1) for rows, at in zip((frames, edged), self._around_frame, strict=True)
            ]
            seen = torch.cat([*beside, here], dim=-1)
            blank = seen.new_zeros(*seen.shape[:2], 2 * self.places)
            place = blank if self.place_head is None else self.place_head(seen)
        width = self.config.action_width
        return Prediction(
            *_in_units(raw[..., :width], raw[..., width : 2 * width], self.config.action, self.config.uncertain),
            raw[..., 2 * width :],
            *_in_units(place[..., : self.places], place[..., self.places :], self.config.place, self.config.uncertain),
            found,
        )

    def _find_robot(self, patches: Tensor) -> Tensor:
        if self.robot_mask is None:
            return torch.ones_like(patches[:, :1])
        # The mask learns from its labels alone: it is to stay a mask of the robot.
        with torch.no_grad():
            return torch.sigmoid(self.robot_mask(patches))

    def _time(self, seconds: Tensor, has_seconds: Tensor) -> Tensor:
        # Paces differ by factors: their logarithm is about -1 to 1 between 0.05 and 0.6 s.
        given = self.pace((seconds.clamp(1e-3, 1e2) / 0.17).log()[:, None])
        return torch.where(has_seconds[:, None], given, self.no_pace)


def _in_units(number: Tensor, log_scale: Tensor, scale: Scale, uncertain: bool) -> tuple[Tensor, Tensor]:
    """Values and scales of error in the unit of each dimension, from what a head says."""
    centre, spread = (torch.tensor(row, device=number.device) for row in (scale.centre, scale.spread))
    # Softly kept within e^-6 to e^6 spreads: nothing is ever certain to less, or told to be ignored by more.
    bounded = (6.0 * torch.tanh(log_scale / 6.0)).exp() if uncertain else torch.ones_like(log_scale)
    error = torch.where(spread > 0, spread * bounded, torch.full_like(bounded, STILL_DEVIATION))
    return centre + spread * number, error
