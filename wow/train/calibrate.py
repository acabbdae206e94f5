"""What a trained inverse dynamics model is worth on held-out episodes: its errors, and how to read its deviations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wow import rotation
from wow.act.calibration import ELSEWHERE, Calibration, Look, Ranges, temperature
from wow.act.confidence import Signs, look_of, unlike
from wow.act.inverse import InverseDynamics
from wow.act.reading import Raw, Reading, conclude
from wow.models.idm import PLACES, InverseDynamicsModel
from wow.train.checkpoint import load_average
from wow.train.idm import IdmObjective
from wow.train.idm_data import Source, Truth, truth_of
from wow.train.idm_run import IdmWindow, draw_window, layout_of, window_of
from wow.types import Embodiment, Float32, UInt8, WowError

OnDone = Callable[[int, int], None]
Array = NDArray[np.float64]

FRAMES = 17
"""Frames of a clip, as many as a world model imagines."""
MARGIN = 1.25
"""How much further than seen a measurement may lie before it speaks against a video."""
LEAST_ELSEWHERE = 0.01
"""The least share of the picture that has to change away from the robot to speak against a video: noise may."""
LOOKS = 512
"""Pictures of training that tell what pictures look like."""
LEAST_LOOK = 3.5
"""How far from the usual a picture has to look, at least, to speak against a video: few scenes are no range."""

DOUBTS = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
"""How many times less than they say places may be worth."""


@dataclass(frozen=True)
class Measured:
    """A held-out clip, what it shows and what the network says of it.

    kind: "real", "codec" (seen through one) or "imagined". seconds: None where the clip did not say.
    """

    kind: str
    frames: UInt8
    truth: Truth
    raw: Raw
    seconds: float | None


def calibrate(
    inverse: InverseDynamics,
    objective: IdmObjective,
    *,
    seed: int = 0,
    on_done: OnDone = lambda done, total: None,
) -> tuple[Calibration, dict[str, float]]:
    """The calibration of a model on held-out clips of every kind there is, and its errors there (see `errors_of`).

    Errors on clips seen through the codec and on imagined ones are called codec_… and imagined_….
    """
    random, count = np.random.default_rng(seed), objective.run.measured
    measured = []
    for number, (kind, window) in enumerate(_held_out(objective, random)):
        seen = objective.through_codec(window, random) if kind == "codec" else None
        frames = window.source.show(window.rows, inverse.network.config.size) if seen is None else seen
        seconds = window.seconds if window.is_paced else None
        truth = truth_of(window.source, window.rows, window.first)
        measured.append(Measured(kind, frames, truth, inverse.predict(frames, seconds), seconds))
        on_done(number + 1, count)
    calibration = _temperatures(inverse, measured)
    calibrated = replace(inverse, calibration=calibration)
    readings = [_read(calibrated, clip) for clip in measured]
    signs = [calibrated.signs(clip.frames, clip.raw, read) for clip, read in zip(measured, readings, strict=True)]
    ranges = _ranges(signs, (inverse.layout.shortest, inverse.layout.longest))
    looks = _looks(objective, random, inverse.network.config.size)
    ranges = replace(ranges, look=_look(looks, [sign.look for sign in signs if sign.look is not None]))
    errors: dict[str, float] = {}
    for kind in dict.fromkeys(clip.kind for clip in measured):
        own = [pair for pair in zip(measured, readings, strict=True) if pair[0].kind == kind]
        found = errors_of(inverse, [clip for clip, _ in own], [reading for _, reading in own])
        errors |= {name if kind == "real" else f"{kind}_{name}": value for name, value in found.items()}
    return replace(calibration, ranges=ranges), errors


def trained(objective: IdmObjective, run: Path) -> InverseDynamics:
    """The model with the averaged weights of a run's newest checkpoint, not yet calibrated."""
    network = copy.deepcopy(objective.network).cpu()
    assert isinstance(network, InverseDynamicsModel)
    network.load_state_dict(load_average(run))
    source = objective.sources[0]
    return InverseDynamics(network.eval(), source.clips.embodiment, layout_of(objective.run, source), name=run.name)


def errors_of(inverse: InverseDynamics, measured: Sequence[Measured], readings: Sequence[Reading]) -> dict[str, float]:
    """Mean errors of fused actions.

    step_mm: of the hand's target, per axis and transition. end_mm: of where a clip ends from where it began, in space.
    turn_degrees: per axis. gripper: of the command. events_found, events_true: the share of the true gripper events
    that are found at most one transition off, and the share of those found that are true. within_one, within_two: the
    share of steps that lie within one and two of their deviations.
    """
    layout, card = inverse.layout, inverse.embodiment
    values, truths, deviations = (
        np.concatenate(rows)
        for rows in (
            [reading.actions.values for reading in readings],
            [clip.truth.actions for clip in measured],
            [reading.actions.deviations for reading in readings if reading.actions.deviations is not None],
        )
    )
    off = np.abs(values - truths).astype(np.float64)
    found: dict[str, float] = {}
    if layout.moves:
        moves = list(layout.moves)
        ends = [
            (reading.actions.values - clip.truth.actions)[:, moves].sum(axis=0)
            for clip, reading in zip(measured, readings, strict=True)
        ]
        moving = [place for place in moves if inverse.network.config.action.spread[place] > 0]
        relative = off[:, moving] / deviations[:, moving]
        found["step_mm"] = 1000.0 * float(off[:, moves].mean())
        found["end_mm"] = 1000.0 * float(np.linalg.norm(ends, axis=1).mean())
        found["within_one"], found["within_two"] = float((relative < 1).mean()), float((relative < 2).mean())
    turns = [place for place, dim in enumerate(card.action) if dim.unit == "rad"]
    if turns:
        found["turn_degrees"] = float(np.rad2deg(off[:, turns].mean()))
    if layout.gripper is not None:
        found["gripper"] = float(off[:, layout.gripper].mean())
        found["events_found"], found["events_true"] = _event_shares(measured, readings)
    return found


def _held_out(objective: IdmObjective, random: np.random.Generator) -> Iterator[tuple[str, IdmWindow]]:
    """Clips of held-out episodes, their kinds taking turns.

    Of each kind every second clip covers what is left of its episode, as imagined ones do, and does not say how fast
    it runs. Raises WowError where no episode is held out.
    """
    run = objective.run
    episodes: dict[str, list[tuple[Source, int]]] = {}
    for source in objective.sources:
        count = len(source.clips)
        own = [(source, episode) for episode in range(count) if run.holds_out(episode, count)]
        if not source.imagined and objective.has_codec(source):
            episodes.setdefault("codec", []).extend(own)
        episodes.setdefault("imagined" if source.imagined else "real", []).extend(own)
    kinds = [kind for kind in ("real", "codec", "imagined") if episodes.get(kind)]
    if not kinds:
        raise WowError("no episode is held out to calibrate on: give more data")
    for number in range(run.measured):
        kind = kinds[number % len(kinds)]
        source, episode = episodes[kind][int(random.integers(len(episodes[kind])))]
        window = window_of(source, episode, run, random, FRAMES)
        yield kind, _to_the_end(window, episode, random) if number // len(kinds) % 2 else window


def _to_the_end(window: IdmWindow, episode: int, random: np.random.Generator) -> IdmWindow:
    clips = window.source.clips
    last = clips.length(episode) - 1
    start = int(random.integers(max(last // 2, 1)))
    stride = max((last - start) / (FRAMES - 1), 1.0)
    rows = np.minimum(np.round(start + stride * np.arange(FRAMES)), last).astype(np.int64)
    return replace(window, rows=window.first + rows, seconds=stride / clips.fps, is_paced=False)


def _read(inverse: InverseDynamics, clip: Measured) -> Reading:
    return conclude(clip.raw, inverse.embodiment, inverse.layout, inverse.calibration, seconds=clip.seconds)


def _temperatures(inverse: InverseDynamics, measured: Sequence[Measured]) -> Calibration:
    """The temperatures, first of what goes into the fusion, then of what comes out; the ranges are blank."""
    actions = np.concatenate([clip.truth.actions for clip in measured])
    errors = np.concatenate([clip.raw.action for clip in measured]) - actions
    scales = np.concatenate([clip.raw.action_scale for clip in measured])
    width = actions.shape[1]
    blank = Ranges((0.0, np.inf), (0.0, 1.0), np.inf, np.inf, np.inf, np.inf)
    before = Calibration(_row(temperature(errors, scales)), _of_places(measured), (1.0,) * width, blank)
    before = replace(before, place=_worth_of_places(inverse, measured, before))
    fused = [_read(replace(inverse, calibration=before), clip).actions for clip in measured]
    errors = np.concatenate([one.values for one in fused]) - actions
    deviations = np.concatenate([one.deviations for one in fused if one.deviations is not None])
    return replace(before, fused=_row(temperature(errors.astype(np.float64), deviations.astype(np.float64))))


def _worth_of_places(
    inverse: InverseDynamics, measured: Sequence[Measured], calibration: Calibration
) -> tuple[float, ...]:
    """The places' temperatures, each made as many times larger as brings clips closest to where they really go.

    The errors of places go together in the frames of a clip, all the more the less is known of them; to the fusion they
    are independent, and it would trust them too much.
    """
    card, moves = inverse.embodiment, list(inverse.layout.moves)
    truths = [np.cumsum(clip.truth.actions[:, moves], axis=0) for clip in measured]
    ways, turned = [], []
    for factor in DOUBTS:
        doubted = replace(calibration, place=tuple(factor * value for value in calibration.place))
        reading = [_read(replace(inverse, calibration=doubted), clip) for clip in measured]
        off = [np.abs(one.path[1:] - one.path[0] - truth) for one, truth in zip(reading, truths, strict=True) if moves]
        ways.append(np.concatenate(off).mean(axis=0) if off else np.zeros(3))
        turned.append(
            [_turned_apart(one.actions.values, clip, card) for one, clip in zip(reading, measured, strict=True)]
        )
    best = np.array(DOUBTS)[np.argmin(ways, axis=0)]
    # An orientation is one thing: its three numbers are worth the same.
    facing = DOUBTS[int(np.argmin(np.mean(turned, axis=1)))]
    place = calibration.place
    return (
        *(float(x) for x in best * np.array(place[:3])),
        *place[3:PLACES],
        *(facing * value for value in place[PLACES:]),
    )


def _turned_apart(said: Float32, clip: Measured, card: Embodiment) -> float:
    """The mean angle [rad] between how the hand is turned since the clip's beginning and how it is said to be."""
    if not card.turns:
        return 0.0
    first, second = (
        rotation.orientations(rows[:, card.turns].astype(np.float64), card.turns_locally)
        for rows in (said, clip.truth.actions)
    )
    return float((first.inv() * second).magnitude().mean())


def _of_places(measured: Sequence[Measured]) -> tuple[float, ...]:
    truth, said, scale = (
        np.concatenate(rows, dtype=np.float64)
        for rows in (
            [clip.truth.places for clip in measured],
            [clip.raw.place for clip in measured],
            [clip.raw.place_scale for clip in measured],
        )
    )
    known = np.isfinite(truth) & np.isfinite(scale)
    off = (said - truth).astype(np.float64)
    return tuple(
        float(temperature(off[known[:, i], i : i + 1], scale[known[:, i], i : i + 1])[0]) if known[:, i].any() else 1.0
        for i in range(truth.shape[1])
    )


def _ranges(signs: Sequence[Signs], seconds: tuple[float, float]) -> Ranges:
    """What was seen, with some margin."""
    robot = [float(np.median(sign.robot)) for sign in signs if sign.robot is not None]
    elsewhere = [sign.elsewhere for sign in signs if sign.elsewhere is not None]
    return Ranges(
        seconds=(seconds[0] / MARGIN, seconds[1] * MARGIN),
        robot=(min(robot, default=0.0) / MARGIN, max(robot, default=1.0) * MARGIN),
        changed=MARGIN * max(float(sign.changed.max()) for sign in signs),
        spread=MARGIN * max(float(np.median(sign.spread)) for sign in signs),
        disagreement=MARGIN * max(sign.disagreement for sign in signs),
        elsewhere=max(MARGIN * max(elsewhere), LEAST_ELSEWHERE) if elsewhere else ELSEWHERE,
    )


def _looks(objective: IdmObjective, random: np.random.Generator, size: int) -> Array:
    """What pictures that were trained on look like [LOOKS, D]."""
    sources = objective.sources
    sizes = np.array([len(source.clips.frames) for source in sources])
    drawn = [sources[place] for place in random.choice(len(sources), LOOKS, p=sizes / sizes.sum())]
    rows = [draw_window(source, objective.run, random).rows[:1] for source in drawn]
    return np.stack([look_of(source.show(row, size)) for source, row in zip(drawn, rows, strict=True)])


def _look(usual: Array, held_out: Sequence[Array]) -> Look:
    """What pictures look like, and how far held-out ones are from it at most, with some margin."""
    look = Look(_rounded(usual.mean(axis=0)), _rounded(usual.std(axis=0)), LEAST_LOOK)
    return replace(look, most=max(MARGIN * max(unlike(each, look) for each in held_out), LEAST_LOOK))


def _rounded(values: Array) -> tuple[float, ...]:
    return tuple(round(float(x), 1) for x in values)


def _event_shares(measured: Sequence[Measured], readings: Sequence[Reading]) -> tuple[float, float]:
    found, true, hits, right = 0, 0, 0, 0
    for clip, reading in zip(measured, readings, strict=True):
        # Openings and closings are told apart by the sign of the change, whatever the card calls them.
        rises = (
            "close" if any(word in reading.actions.embodiment.gripper for word in ("1 closed", "0 open")) else "open"
        )
        said = {(event.transition, 1 if event.kind == rises else 2) for event in reading.events}
        # The first transition has none before it to differ from.
        told = {(int(at), int(clip.truth.events[at])) for at in np.flatnonzero(clip.truth.events) if at > 0}
        true, found = true + len(told), found + len(said)
        hits += sum(any((at + slack, kind) in said for slack in (-1, 0, 1)) for at, kind in told)
        right += sum(any((at + slack, kind) in told for slack in (-1, 0, 1)) for at, kind in said)
    return hits / max(true, 1), right / max(found, 1)


def _row(values: Array) -> tuple[float, ...]:
    return tuple(float(x) for x in values)
