"""How far to trust what was read from a video: each reason is a measurement beside what held-out episodes showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.act.calibration import LOOK_GRID, Look, Ranges
from wow.types import Float32, UInt8, WowError

DARKEST = 4.0
"""The least deviation of brightness [of 255] in a picture of anything."""
NOTICED = 16
"""A cell of 4x4 pixels has changed when its brightness has by more than this [of 255]."""
STILL = 0.001
"""A video in which no more than this share of the picture ever changes shows nothing that moves."""
NEAR = 0.125
"""What changes within this share of the picture's width from the robot may be what it moves or shades."""
SHARE = 0.3
"""A cell is the robot's from this share of it on."""
LAG = 8
"""Transitions over which a picture is watched for changes away from the robot: slow ones add up."""
LEAST_DEVIATION = 5.0
"""What is added to the deviation of a cell's colour [of 255]: the light may change a little where it never did."""
LOW = 0.5
"""Confidence below this is called low."""
NOTABLE = 0.9
"""Confidence from here on is not worth a word: a measurement is a hair outside what was seen."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Confidence:
    """value: 0 not at all to 1 as much as in any held-out episode. reasons: why it is not 1, the worst first.

    still: whether nothing moves at all. That much is sure of any video, whatever the actions are worth.
    """

    value: float
    reasons: tuple[str, ...] = ()
    still: bool = False

    @property
    def low(self) -> bool:
        return self.value < LOW


@dataclass(frozen=True)
class Signs:
    """What is measured of a video of T+1 frames.

    seconds: between frames, None where unknown. changed: the share of the picture that changes in each transition [T].
    robot: the share that the robot fills in each frame [T+1]; None where nobody looked for it. spread: the mean
    deviation of each step [T] in spreads of the actions. disagreement: as in `Ranges`. elsewhere: the largest share of
    the picture that changes away from the robot, None where nobody knows where it is. look: see `look_of`; None where
    nobody looked.
    """

    seconds: float | None
    changed: Array
    robot: Array | None
    spread: Array
    disagreement: float
    elsewhere: float | None = None
    look: Array | None = None


def refuse_blank(frames: UInt8) -> None:
    """Raises WowError where a video [T, H, W, 3] has no transition, or shows nothing."""
    if len(frames) < 2:
        raise WowError("the video has one frame: actions lie between frames, give a video of at least two")
    contrast = frames.mean(axis=-1).std(axis=(1, 2))
    if contrast.max() < DARKEST:
        kind = "black" if frames.mean() < 30 else "blank"
        raise WowError(
            f"the video is {kind} (its brightness deviates by {contrast.max():.1f} of 255 at most): give one of a robot"
        )


def look_of(frames: UInt8) -> Array:
    """The colours of the cells of a grid, the mean of all frames [T, H, W, 3]: [LOOK_GRID * LOOK_GRID * 3]."""
    height, width = (side // LOOK_GRID for side in frames.shape[1:3])
    picture = frames[:, : height * LOOK_GRID, : width * LOOK_GRID].mean(axis=0)
    cells: Array = picture.reshape(LOOK_GRID, height, LOOK_GRID, width, 3).mean(axis=(1, 3))
    return cells.reshape(-1)


def unlike(look: Array, usual: Look) -> float:
    """How far a picture is from what pictures looked like: the mean square of its colours in their deviations."""
    off = (look - np.array(usual.mean)) / (np.array(usual.deviation) + LEAST_DEVIATION)
    return float(np.square(off).mean())


def changed_share(frames: UInt8) -> Array:
    """The share of cells of 4x4 pixels whose brightness changes noticeably in each transition [T]."""
    share: Array = (np.abs(np.diff(_cells(frames), axis=0)) > NOTICED).mean(axis=(1, 2))
    return share


def changed_elsewhere(frames: UInt8, robot: Float32) -> float:
    """The largest share of the picture that changes away from the robot within `LAG` transitions.

    robot [T+1, h/4, w/4]: its share of each cell. A robot moves what it is near to: where much else changes, the camera
    moves, the scene is another one, or it is no robot.
    """
    cells, last = _cells(frames), len(frames) - 1
    lag = min(LAG, last)
    is_near = _grown(robot > SHARE)
    shares = []
    for first in range(last + 1 - lag):
        changed = np.abs(cells[first + lag] - cells[first]) > NOTICED
        shares.append(float((changed & ~is_near[first : first + lag + 1].any(axis=0)).mean()))
    return max(shares)


def _cells(frames: UInt8) -> Array:
    """The brightness of cells of 4x4 pixels [T, h/4, w/4]."""
    count, height, width = frames.shape[:3]
    cut = frames[:, : height // 4 * 4, : width // 4 * 4].mean(axis=-1)
    cells: Array = cut.reshape(count, height // 4, 4, width // 4, 4).mean(axis=(2, 4))
    return cells


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask [T, h, w] and all cells within `NEAR` of it, diagonally too."""
    near = max(round(NEAR * mask.shape[2]), 1)
    for axis in (1, 2):
        padded = np.pad(mask, [(near, near) if place == axis else (0, 0) for place in range(3)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * near + 1, axis=axis)
        mask = np.asarray(windows.any(axis=-1))
    return mask


def judge(signs: Signs, ranges: Ranges | None) -> Confidence:
    """How far to trust the actions: 1 where every measurement is inside its range, less the further one is outside."""
    found: list[tuple[float, str]] = []
    still = bool(signs.changed.max() <= STILL)
    if still:
        found.append((0.0, "nothing moves in this video"))
    if ranges is None:
        found.append((LOW, "this model was never measured on held-out episodes: train it to the end"))
    else:
        found += _outside(signs, ranges)
    found.sort()
    return Confidence(min((score for score, _ in found), default=1.0), tuple(reason for _, reason in found), still)


def _outside(signs: Signs, ranges: Ranges) -> list[tuple[float, str]]:
    found = []
    if signs.seconds is not None:
        low, high = ranges.seconds
        said = f"frames are {signs.seconds:.3g} s apart, in training {low:.2g} to {high:.2g} s"
        found.append((_score(signs.seconds, low, high), said))
    worst = int(signs.changed.argmax())
    said = (
        f"{signs.changed[worst]:.0%} of the picture changes between frames {worst} and {worst + 1}, in training "
        f"{ranges.changed:.0%} at most: a cut?"
    )
    found.append((_score(float(signs.changed[worst]), 0.0, ranges.changed), said))
    if signs.robot is not None:
        low, high = ranges.robot
        share = float(np.median(signs.robot))
        said = f"what looks like the robot fills {share:.1%} of the picture, in training {low:.1%} to {high:.1%}"
        found.append((_score(share, low, high), said))
    if signs.elsewhere is not None:
        said = (
            f"{signs.elsewhere:.1%} of the picture changes away from the robot, in training {ranges.elsewhere:.1%} at "
            "most: a moving camera, or another scene?"
        )
        found.append((_score(signs.elsewhere, 0.0, ranges.elsewhere), said))
    if signs.look is not None and ranges.look is not None:
        found.append(_seen(signs.look, ranges.look))
    spread = float(np.median(signs.spread))
    said = (
        f"the model is unsure: its deviations are {spread / ranges.spread:.1f} times the largest on held-out episodes"
    )
    found.append((_score(spread, 0.0, ranges.spread), said))
    said = (
        f"steps and places contradict each other: they disagree by {signs.disagreement:.1f} deviations, on held-out "
        f"episodes by {ranges.disagreement:.1f} at most"
    )
    found.append((_score(signs.disagreement, 0.0, ranges.disagreement), said))
    return [(score, said) for score, said in found if score < 1.0]


def unfamiliar(frames: UInt8, ranges: Ranges | None) -> tuple[str, ...]:
    """What there is to say of pictures [T, H, W, 3] that look unlike those of training; nothing where they do not."""
    score, said = (1.0, "") if ranges is None or ranges.look is None else _seen(look_of(frames), ranges.look)
    return () if score >= NOTABLE else (said,)


def _seen(look: Array, usual: Look) -> tuple[float, str]:
    off = unlike(look, usual)
    said = (
        f"the scene looks {off / usual.most:.1f} times as far from those of training as any of them: another scene, "
        "camera or light, or a picture that is mirrored or upside down?"
    )
    return _score(off, 0.0, usual.most), said


def _score(value: float, low: float, high: float) -> float:
    """1 inside the range; outside, the square of the ratio to the nearer bound."""
    if value > high:
        return (high / value) ** 2
    return (value / low) ** 2 if value < low else 1.0


def worth_saying(confidence: Confidence) -> Sequence[str]:
    """Sentences for a person: nothing where all is well, or as good as well."""
    if confidence.value >= NOTABLE:
        return ()
    level = "low" if confidence.low else "reduced"
    return (f"{level} confidence ({confidence.value:.2f}): {'; '.join(confidence.reasons)}",)
