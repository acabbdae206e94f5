"""What an inverse dynamics model is worth on held-out episodes: millimetres, degrees, gripper commands.

Beside two baselines that see nothing: no motion at all, and the mean motion of the training data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wow.bench.samples import clip_rows, merged_actions
from wow.data import Dataset
from wow.types import Actions, Embodiment, Episode, Float32, Video

Array = NDArray[np.float64]

ZERO, MEAN = "no motion", "mean motion"
TRUE_ACTIONS = "recorded actions"
ALL_VIEWS = "all cameras"
RECORDED, WHOLE = "recorded frames", "whole episode"
MATCH = 2
"""Transitions that a gripper event may be off and still count as found."""
WIDTHS = tuple(0.25 * step for step in range(1, 13))
"""How many deviations to each side of a value the curve of covered errors is taken at."""


class Scenes(Protocol):
    """The scenes that episodes were recorded in."""

    def start(self, episode: Episode) -> Float32:
        """Where the hand's target is as the episode begins [3, m]: a robot knows it."""

    def execute(self, episode: Episode, actions: Actions) -> bool:
        """Executes actions in the scene of the episode; whether its task is done."""


class Reads(Protocol):
    """An inverse dynamics model."""

    def __call__(self, video: Video, paced: bool, start: Float32 | None = None, /) -> Actions:
        """The actions [T, D] of T+1 frames. paced: whether the video's rate is robot time. start: see `Scenes`."""


@dataclass(frozen=True)
class Clip:
    """One clip of an episode, from every camera: T+1 frames each, and the true actions [T, D] between them.

    spans [T, 1]: recorded frames that each transition leads on.
    """

    videos: dict[str, Video]
    actions: Float32
    paced: bool
    spans: NDArray[np.int64]


@dataclass(frozen=True)
class InverseRecord:
    """The mean errors of one system on one episode.

    view: a camera, or `ALL_VIEWS`. clips: `RECORDED` or `WHOLE`. translation [mm] and rotation [deg]: length of the
    error of a transition. gripper: share of commands on the right side of the middle. events, found: how many true
    gripper events there are, and how many are said at most `MATCH` transitions off; offset: by how many, summed.
    covered: share of numbers within each of `WIDTHS` of their deviations; of dimensions that the arm uses. task: what
    was done; difficulty: its bin, "" where there is none; robot: whose arm. replayed: whether the task is done when
    what was read is executed. What a robot lacks, or was not measured, is None.
    """

    system: str
    view: str
    clips: str
    episode: str
    translation: float | None
    rotation: float | None
    gripper: float | None
    events: int
    found: int
    offset: int
    covered: tuple[float, ...] | None
    task: str = ""
    difficulty: str = ""
    robot: str = ""
    replayed: bool | None = None


def record_from_json(**values: Any) -> InverseRecord:
    """A record as JSON keeps it, where tuples are lists."""
    covered = values["covered"]
    return InverseRecord(**{**values, "covered": None if covered is None else tuple(covered)})


@dataclass(frozen=True)
class Typical:
    """What is known of a robot without looking. action [D]: its mean motion. moves [D]: the dimensions it ever uses."""

    action: Float32
    moves: NDArray[np.bool_]


def consecutive_clips(episode: Episode, num_frames: int) -> Iterator[Clip]:
    """The episode in pieces of `num_frames` frames as they were recorded; the last one is shorter."""
    for first in range(0, len(episode) - 1, num_frames - 1):
        rows = np.arange(first, min(first + num_frames, len(episode)))
        yield Clip(_views(episode, rows, 1.0), episode.actions[rows[:-1]], True, np.diff(rows)[:, None])


def whole_clip(episode: Episode, num_frames: int) -> Iterator[Clip]:
    """The whole episode in `num_frames` frames at a pace that nobody is told, as a world model imagines it."""
    rows, every = clip_rows(len(episode), num_frames)
    rows = np.unique(rows)
    if len(rows) > 1:
        actions = merged_actions(episode.actions, rows, episode.embodiment)
        yield Clip(_views(episode, rows, every), actions, False, np.diff(rows)[:, None])


def typical_of(training: Sequence[Dataset]) -> Typical:
    """The mean action of datasets with the same actions; the gripper's command is the more frequent one."""
    actions = np.concatenate(
        [dataset.episode(number).actions[:-1] for dataset in training for number in range(len(dataset))]
    )
    typical, card = actions.mean(axis=0), training[0].embodiment
    grip = card.gripper_place
    if grip is not None:
        middle = _middle(card, grip)
        side = actions[:, grip] > middle
        typical[grip] = np.median(actions[side == (side.mean() > 0.5), grip])
    return Typical(np.asarray(typical, np.float32), np.ptp(actions, axis=0) > 1e-6)


def measure_episode(
    name: str,
    episode: Episode,
    systems: Mapping[str, Reads],
    typical: Typical,
    num_frames: int,
    difficulty: Mapping[str, str] | None = None,
    scenes: Scenes | None = None,
) -> list[InverseRecord]:
    """Records of every system, camera and kind of clip; then of the two baselines, which have no camera.

    difficulty: the bin of each task. scenes: the film of an expert that succeeds is also read in one piece, by who is
    told where the hand begins, and executed; so are its true actions, as one more system.
    """
    card = episode.embodiment
    records: list[InverseRecord] = []
    films: dict[str, dict[str, Actions]] = {}
    if scenes is not None and episode.source == "expert" and episode.success:
        film, start = list(consecutive_clips(episode, len(episode))), scenes.start(episode)
        films = {system: _by_view(reads, film, card, start) for system, reads in systems.items()}
        films[TRUE_ACTIONS] = {"none": Actions(film[0].actions, card)}

    def add(system: str, view: str, kind: str, said: Actions, truth: Float32) -> None:
        found = errors(system, view, kind, name, said, truth, typical.moves)
        if scenes is not None and kind == RECORDED and view in films.get(system, {}):
            actions = replace(films[system][view], seconds=1.0 / card.rate)
            found = replace(found, replayed=scenes.execute(episode, actions))
        records.append(found)

    kinds = {RECORDED: list(consecutive_clips(episode, num_frames)), WHOLE: list(whole_clip(episode, num_frames))}
    for kind, clips in kinds.items():
        truth = np.concatenate([clip.actions for clip in clips])
        for system, reads in systems.items():
            for view, said in _by_view(reads, clips, card).items():
                add(system, view, kind, said, truth)
        spans = np.concatenate([clip.spans for clip in clips])
        for system, one in ((ZERO, _still(typical.action, card)), (MEAN, typical.action)):
            values = np.where(card.adds_up, one * spans, one).astype(np.float32)
            add(system, "none", kind, Actions(values, card), truth)
        if films and kind == RECORDED:
            add(TRUE_ACTIONS, "none", kind, Actions(truth, card), truth)
    task = str(episode.facts.get("task_name", episode.task))
    known = (difficulty or {}).get(task, "")
    return [replace(record, task=task, difficulty=known, robot=card.robot) for record in records]


def errors(
    system: str,
    view: str,
    clips: str,
    episode: str,
    said: Actions,
    truth: Float32,
    used: NDArray[np.bool_] | None = None,
) -> InverseRecord:
    """How far actions [T, D] are from the truth. used: the dimensions that the arm ever uses, all where not said."""
    card = said.embodiment
    off = said.values.astype(np.float64) - truth
    moves, turns = (_columns(card, unit) for unit in ("m", "rad"))
    grip = card.gripper_place
    events, found, offset = (0, 0, 0) if grip is None else _events(said.values[:, grip], truth[:, grip], card, grip)
    return InverseRecord(
        system=system,
        view=view,
        clips=clips,
        episode=episode,
        translation=1000.0 * float(np.linalg.norm(off[:, moves], axis=1).mean()) if moves else None,
        rotation=float(np.rad2deg(np.linalg.norm(off[:, turns], axis=1).mean())) if turns else None,
        gripper=None if grip is None else _same_side(said.values[:, grip], truth[:, grip], _middle(card, grip)),
        events=events,
        found=found,
        offset=offset,
        covered=_covered(off, said.deviations, used),
    )


def together(readings: Sequence[Actions]) -> Actions:
    """What several cameras say of the same transitions: the mean, weighted by how certain each is."""
    values = np.stack([reading.values for reading in readings]).astype(np.float64)
    stated = [reading.deviations for reading in readings if reading.deviations is not None]
    if len(stated) < len(readings):
        return Actions(values.mean(axis=0).astype(np.float32), readings[0].embodiment, readings[0].seconds)
    weights = 1.0 / np.maximum(np.stack(stated).astype(np.float64), 1e-9) ** 2
    mixed = (weights * values).sum(axis=0) / weights.sum(axis=0)
    # The cameras see the same motion through the same weights: their errors are not independent, so the deviation is
    # the one of a typical camera, not the smaller one of independent witnesses.
    deviations = np.sqrt(len(readings) / weights.sum(axis=0))
    return Actions(mixed.astype(np.float32), readings[0].embodiment, readings[0].seconds, deviations.astype(np.float32))


# ---- inside ----


def _by_view(reads: Reads, clips: Sequence[Clip], card: Embodiment, start: Float32 | None = None) -> dict[str, Actions]:
    """What is read of all clips from each camera, and from all of them together where there are several."""
    views = tuple(clips[0].videos)
    said = {view: [reads(clip.videos[view], clip.paced, start) for clip in clips] for view in views}
    if len(views) > 1:
        said[ALL_VIEWS] = [together(found) for found in zip(*(said[view] for view in views), strict=True)]
    return {view: _joined(found, card) for view, found in said.items()}


def _covered(off: Array, deviations: Float32 | None, used: NDArray[np.bool_] | None) -> tuple[float, ...] | None:
    """The shares of errors within `WIDTHS` of their deviations; a dimension that never moves has no error to cover."""
    if deviations is None:
        return None
    known = (deviations > 0) & (True if used is None else used)
    if not known.any():
        return None
    relative = np.abs(off)[known] / deviations[known]
    return tuple(float((relative <= width).mean()) for width in WIDTHS)


def _joined(found: Sequence[Actions], card: Embodiment) -> Actions:
    deviations = [one.deviations for one in found if one.deviations is not None]
    return Actions(
        np.concatenate([one.values for one in found]),
        card,
        deviations=np.concatenate(deviations) if len(deviations) == len(found) else None,
    )


def _views(episode: Episode, rows: NDArray[np.int64], every: float) -> dict[str, Video]:
    return {name: Video(video.frames[rows], video.fps / every) for name, video in episode.videos.items()}


def _still(typical: Float32, card: Embodiment) -> Float32:
    return np.where(card.adds_up, 0.0, typical).astype(np.float32)


def _columns(card: Embodiment, unit: str) -> list[int]:
    return [place for place, dimension in enumerate(card.action) if dimension.unit == unit]


def _middle(card: Embodiment, place: int) -> float:
    low, high = card.action[place].low, card.action[place].high
    return 0.5 * ((0.0 if low is None else low) + (1.0 if high is None else high))


def _same_side(said: Float32, truth: Float32, middle: float) -> float:
    return float(((said > middle) == (truth > middle)).mean())


def _events(said: Float32, truth: Float32, card: Embodiment, grip: int) -> tuple[int, int, int]:
    """How many times the command crosses its middle, how many of these are said, and how far off in all."""
    middle = _middle(card, grip)
    crossings = [np.diff((row > middle).astype(np.int8)) for row in (said, truth)]
    found, offset = 0, 0
    places = np.flatnonzero(crossings[1])
    for place in places:
        same = np.flatnonzero(crossings[0] == crossings[1][place])
        nearest = int(np.abs(same - place).min()) if len(same) else MATCH + 1
        found += nearest <= MATCH
        offset += nearest if nearest <= MATCH else 0
    return len(places), found, offset
