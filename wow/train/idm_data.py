"""What the inverse dynamics model learns from: frames, actions, where the hand was, where the robot is.

Frames and actions come from the store; the hand's places and the robot's outline from further signals, where a dataset
has them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wow import rotation
from wow.data import Dataset, open_dataset
from wow.data.dataset import as_vectors
from wow.data.transitions import between_frames
from wow.models.codec import Codec
from wow.models.fit import fit_frames
from wow.models.idm import PATCH, PLACES, TURNS, Scale
from wow.train.latents import encode_frames
from wow.train.rows import Rows
from wow.train.store import Clips, open_clips
from wow.types import LOCAL_FRAMES, Embodiment, Float32, UInt8, WowError

OnDone = Callable[[int, int], None]

HAND, SEGMENTATION, STATE = "sim.hand", "sim.segmentation", "observation.state"
ROBOT_SEGMENTS = ("arm", "gripper")
DEFAULT_SEGMENTS = ("background", "arm", "gripper", "object", "fixture")
POSE = ("x", "y", "z", "qw", "qx", "qy", "qz", "w", "roll", "pitch", "yaw")
"""How names of the parts of a place or an orientation end."""
UNKNOWN_EVENT = -100
"""What torch's cross entropy leaves out."""
EVENT_STEP = 0.25
"""A change of more than this share of the gripper's range is an opening or a closing."""


@dataclass(frozen=True)
class Source:
    """Episodes to learn from. places: float32 [N, P], x y z of the hand's target [m] and the gripper's opening; then,
    where orientations are learned, how the hand is turned, as a rotation vector [rad] from `IdmConfig.facing`.

    Places are NaN where unknown. facing: float32 [N, 4], the hand's orientation as a quaternion w x y z, NaN where
    unknown; None where actions do not turn the hand or no state tells. robot: uint8 [N, h/4, w/4], the robot's share of
    each patch, 255 for all of it; None where nobody knows. latents: float16 [N, c, h, w] of a codec. imagined: made by
    a world model, at no certain pace.
    """

    clips: Clips
    places: Float32
    robot: UInt8 | None = None
    latents: Rows | None = None
    imagined: bool = False
    facing: Float32 | None = None

    def show(self, rows: NDArray[np.int64], size: int) -> UInt8:
        """The frames of those rows, fitted to a size."""
        return fit_frames(np.array(self.clips.frames[rows]), size)[0]


@dataclass(frozen=True)
class Truth:
    """What a clip of T+1 frames shows: actions [T, D], events [T] as in models.idm.EVENTS, places [T+1, P].

    Unknown are actions and places that are NaN, and events that are `UNKNOWN_EVENT`.
    """

    actions: Float32
    events: NDArray[np.int64]
    places: Float32

    def backwards(self, card: Embodiment) -> Truth:
        """The same clip, its last frame first. What was commanded cannot be told, what changed is the opposite."""
        actions = np.where(card.adds_up, -self.actions, np.nan)[::-1].astype(np.float32)
        return Truth(actions, np.full_like(self.events, UNKNOWN_EVENT), self.places[::-1])


def moves_of(card: Embodiment) -> tuple[int, ...]:
    """The three dimensions that move the hand; none where the card has no three changes in metres."""
    summed = card.adds_up
    found = tuple(place for place, dim in enumerate(card.action) if summed[place] and dim.unit == "m")[:3]
    return found if len(found) == 3 else ()


def opening_of(card: Embodiment) -> int | None:
    """Which number of the state says how open the gripper is; None where none does.

    One that is called an opening; else one of the gripper's that is neither part of a place nor of an orientation.
    """
    names = [dim.name.lower().replace(".", "_").split("_") for dim in card.state]
    said = next((place for place, name in enumerate(names) if name[-1] == "opening"), None)
    if said is not None:
        return said
    return next((i for i, name in enumerate(names) if name[0].startswith("grip") and name[-1] not in POSE), None)


def quaternion_of(card: Embodiment) -> tuple[int, ...]:
    """Which four numbers of the state are the hand's orientation, w x y z; none where its turns are not to be learned.

    They are called qw, qx, qy, qz at the end of a name, the hand's before those of things.
    """
    names = [dim.name.lower().replace(".", "_").split("_")[-1] for dim in card.state]
    found = tuple(names.index(part) for part in ("qw", "qx", "qy", "qz") if part in names)
    return found if card.turns and len(found) == 4 else ()


def facing_of(sources: Sequence[Source]) -> tuple[float, ...]:
    """The mean orientation, a quaternion w x y z; () where no source tells any."""
    known = [np.asarray(source.facing, np.float64) for source in sources if source.facing is not None]
    rows = np.concatenate([row[np.isfinite(row).all(axis=1)] for row in known]) if known else np.zeros((0, 4))
    return tuple(float(x) for x in rotation.to_wxyz(rotation.from_wxyz(rows).mean())) if len(rows) else ()


def with_facing(source: Source, reference: tuple[float, ...]) -> Source:
    """The source with orientations among its places, counted from a reference quaternion."""
    turns = np.full((len(source.places), TURNS), np.nan, np.float32)
    if source.facing is not None:
        known = np.isfinite(source.facing).all(axis=1)
        faced, local = rotation.from_wxyz(source.facing[known]), source.clips.embodiment.turns_locally
        turns[known] = rotation.between(rotation.from_wxyz(reference), faced, local).as_rotvec()
    return replace(source, places=np.concatenate([source.places[:, :PLACES], turns], axis=1))


def open_source(
    folder: Path, camera: str | None, *, imagined: bool = False, on_done: OnDone = lambda done, total: None
) -> Source:
    """One dataset, decoded once, with what else it knows. Raises WowError where it cannot be read."""
    clips = open_clips([folder], camera, on_done)
    dataset = open_dataset(folder)
    cache = folder / ".cache"
    places = _cached(cache / "places", clips, lambda: _places(dataset, clips))
    quaternion = quaternion_of(dataset.embodiment) if _has(dataset, STATE) else ()
    facing = _cached(cache / "facing", clips, lambda: _facing(dataset, clips, quaternion)) if quaternion else None
    robot = None
    if camera in (None, dataset.cameras[0]) and _has(dataset, SEGMENTATION):
        robot = _cached(cache / f"robot-{dataset.cameras[0]}", clips, lambda: _robot_shares(dataset, clips))
    return Source(clips, places, robot, None, imagined, facing)


def open_sources(
    data: Sequence[Path],
    imagined: Sequence[Path],
    cameras: str | None,
    codec: Codec | None,
    on_done: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Source]:
    """Every dataset as seen by every camera (names with commas; each dataset's first where none is named).

    With a codec, recorded frames get their latents. on_done: what is prepared ("episodes" or "latents"), how many are
    done, and of how many.
    """
    views = [None] if cameras is None else cameras.split(",")
    sources = []
    for folder, view in product((*data, *imagined), views):
        source = open_source(
            folder, view, imagined=folder in imagined, on_done=lambda done, total: on_done("episodes", done, total)
        )
        if codec is not None and not source.imagined:
            cache = folder / ".cache"
            latents = encode_frames(codec, source.clips, cache, lambda done, total: on_done("latents", done, total))
            source = replace(source, latents=latents)
        sources.append(source)
    return sources


def check_same(sources: Sequence[Source]) -> None:
    """Raises WowError where sources have other actions than the first one; their pictures may be of other sizes."""
    first, *others = [[(dim.name, dim.unit) for dim in source.clips.embodiment.action] for source in sources]
    for source, actions in zip(sources[1:], others, strict=True):
        if actions != first:
            said, other = (", ".join(f"{name} [{unit}]" for name, unit in row) for row in (first, actions))
            raise WowError(
                f"datasets have different actions: {said} and, of {source.clips.embodiment.robot}, {other}: "
                "train on robots with the same ones"
            )


def check_reversible(card: Embodiment) -> None:
    """Raises WowError where an action run backwards is not its opposite: one of no change, or in a frame that turns."""
    changes = [dim for dim, adds in zip(card.action, card.adds_up, strict=True) if adds]
    turning = next((dim for dim in changes if dim.frame in LOCAL_FRAMES), None)
    if changes and turning is None:
        return
    why = (
        "its actions are no changes"
        if turning is None
        else f"{turning.name} is a change in the {turning.frame}'s frame"
    )
    raise WowError(f"clips of {card.robot} cannot be run backwards, {why}: leave out --config.backwards")


def card_of(sources: Sequence[Source]) -> Embodiment:
    """What the actions of sources with the same ones are; robots are named one after the other."""
    cards = [source.clips.embodiment for source in sources]
    return replace(cards[0], robot=", ".join(dict.fromkeys(card.robot for card in cards)))


def truth_of(source: Source, rows: NDArray[np.int64], first: int) -> Truth:
    """What the clip of frames `rows` shows. first: the row at which its episode begins."""
    card = source.clips.embodiment
    actions = between_frames(source.clips.actions, rows, card)
    events = np.zeros(len(actions), np.int64)
    if (grip := card.gripper_place) is not None:
        before = source.clips.actions[max(int(rows[0]) - 1, first), grip]
        change = np.diff(actions[:, grip], prepend=before)
        low, high = card.action[grip].low, card.action[grip].high
        least = EVENT_STEP * ((1.0 if high is None else high) - (0.0 if low is None else low))
        events[change > least], events[change < -least] = 1, 2
    return Truth(actions, events, source.places[rows])


def scale_of_truths(truths: Sequence[Truth], card: Embodiment) -> tuple[Scale, Scale]:
    """Scales of actions and places: changes about 0 by their root mean square, the rest by mean and deviation."""
    actions = np.concatenate([truth.actions for truth in truths]).astype(np.float64)
    summed = card.adds_up
    centre = np.where(summed, 0.0, actions.mean(axis=0))
    spread = np.sqrt(np.mean((actions - centre) ** 2, axis=0))
    spread = np.where(spread < 1e-6, 0.0, spread)
    places = np.concatenate([truth.places for truth in truths]).astype(np.float64)
    known = np.isfinite(places).any(axis=0)
    filled = np.where(known, places, 0.0)
    middle, width = np.nanmean(filled, axis=0), np.nanstd(filled, axis=0)
    return _scale(centre, spread), _scale(middle, np.where(width < 1e-6, 0.0, width))


def _scale(centre: NDArray[np.float64], spread: NDArray[np.float64]) -> Scale:
    return Scale(tuple(float(x) for x in centre), tuple(float(x) for x in spread))


def _has(dataset: Dataset, key: str) -> bool:
    try:
        dataset.signal(0, key)
    except (WowError, KeyError):
        return False
    return True


def _places(dataset: Dataset, clips: Clips) -> Float32:
    """Where the hand is sent to in every frame, and how open the gripper is; NaN where the data do not tell.

    From a simulator: where the hand began, and every change of its target since. From a robot: its measured state.
    """
    places = np.full((len(clips.frames), PLACES), np.nan, np.float32)
    card, moves = dataset.embodiment, moves_of(dataset.embodiment)
    names = [dim.name.lower().replace(".", "_").split("_") for dim in card.state]
    where = [next((i for i, name in enumerate(names) if name[-1] == axis), None) for axis in "xyz"]
    opening = opening_of(card)
    from_start, is_measured = bool(moves) and _has(dataset, HAND), bool(card.state) and _has(dataset, STATE)
    for episode in range(len(clips)):
        rows = slice(int(clips.start[episode]), int(clips.start[episode + 1]))
        states = as_vectors(dataset.signal(episode, STATE)) if is_measured else None
        if from_start:
            changes = clips.actions[rows][:-1, list(moves)]
            start = as_vectors(dataset.signal(episode, HAND))[0]
            places[rows, :3] = start + np.concatenate([np.zeros((1, 3)), np.cumsum(changes, axis=0, dtype=np.float64)])
        elif states is not None and None not in where:
            places[rows, :3] = states[:, [i for i in where if i is not None]]
        if states is not None and opening is not None:
            places[rows, 3] = states[:, opening]
    return places


def _facing(dataset: Dataset, clips: Clips, quaternion: tuple[int, ...]) -> Float32:
    """The hand's orientation in every frame [N, 4]; NaN where the state holds no quaternion."""
    facing = np.full((len(clips.frames), 4), np.nan, np.float32)
    for episode in range(len(clips)):
        states = as_vectors(dataset.signal(episode, STATE))[:, list(quaternion)].astype(np.float64)
        length = np.linalg.norm(states, axis=1, keepdims=True)
        unit = np.divide(states, length, out=np.full_like(states, np.nan), where=np.abs(length - 1.0) < 0.1)
        facing[int(clips.start[episode]) : int(clips.start[episode + 1])] = unit
    return facing


def _robot_shares(dataset: Dataset, clips: Clips) -> UInt8:
    """The robot's share of each patch in every frame [N, h/4, w/4]."""
    height, width = clips.frames.shape[1:3]
    shares = np.empty((len(clips.frames), height // PATCH, width // PATCH), np.uint8)
    for episode in range(len(clips)):
        named = dataset.records[episode].facts.get("segments")
        segments = tuple(named) if isinstance(named, list | tuple) and named else DEFAULT_SEGMENTS
        robot = [place for place, name in enumerate(segments) if name in ROBOT_SEGMENTS]
        seen = np.isin(np.asarray(dataset.signal(episode, SEGMENTATION)).reshape(-1, height, width), robot)
        cells = seen.reshape(-1, height // PATCH, PATCH, width // PATCH, PATCH).mean(axis=(2, 4))
        shares[clips.start[episode] : clips.start[episode + 1]] = np.round(255 * cells)
    return shares


def _cached(folder: Path, clips: Clips, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """What `make` makes, one row per frame; from `folder` where it was made before for these episodes."""
    starts = hashlib.sha256(clips.start.tobytes()).hexdigest()
    stamp = json.dumps({"starts": starts, "identity": clips.identity})
    if not (folder / "done.json").exists() or (folder / "done.json").read_text() != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        np.save(folder / "rows.npy", make())
        (folder / "done.json").write_text(stamp)
    found: NDArray[Any] = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
    return found
