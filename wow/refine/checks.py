"""Measured checks as a critic: faults that break what every true video keeps, each with a reason and a frame span.

They find what is impossible, and say nothing of whether the goal is reached: a verdict without a finding is a coin toss
about success. Thresholds come from true videos alone, by `calibrate`: see `shipped_thresholds`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from wow.refine import measures
from wow.refine.measures import Measure
from wow.refine.seen import Seen, look
from wow.types import Verdict, Video, WowError

FALSE_ALARMS = 0.02
"""The share of true videos that may have a finding, all checks together."""
SHORTEST = 3
"""Frames of the shortest video that is judged."""


@dataclass(frozen=True)
class Check:
    """One measure and what it means. least: its threshold is never lower. scores: those of a verdict that it lowers."""

    measure: Callable[[Seen], Measure]
    least: float
    scores: tuple[str, ...]
    reason: str


PHYSICS, MOTION, TASK = "physical_plausibility", "kinematic_smoothness", "task_completion"
CHECKS: Mapping[str, Check] = {
    "stillness": Check(measures.stillness, 0.5, (TASK, MOTION), "nothing moves in this video"),
    "standstill": Check(
        measures.standstill, 0.3, (MOTION,), "the picture freezes between frames {first} and {last}, then goes on"
    ),
    "leap": Check(
        measures.leap, 3.0, (PHYSICS, MOTION), "between frames {first} and {last} the whole scene leaps, as in a cut"
    ),
    "backwards": Check(
        measures.backwards,
        1.0,
        (PHYSICS, MOTION),
        "frames {first} to {last} seem to run backwards: turned round they fit what comes before and after",
    ),
    "untouched": Check(
        measures.untouched,
        16.0,
        (PHYSICS,),
        "something {where} moves, appears or vanishes between frames {first} and {last} though nothing touches it",
    ),
    "blink": Check(
        measures.blink,
        6.0,
        (PHYSICS,),
        "something {where} appears or vanishes from frame {first} to frame {last}, with nothing moving beside it",
    ),
    "trembling": Check(
        measures.trembling, 3.0, (MOTION,), "something {where} trembles to and fro in frames {first} to {last}"
    ),
    "drift": Check(
        measures.drift, 4.0, (PHYSICS,), "the still background drifts: by frame {last} most of it looks different"
    ),
}


@dataclass(frozen=True)
class Thresholds:
    """By check, what true videos stay below. videos: how many they come from; quantile: which of each check's."""

    values: Mapping[str, float]
    videos: int
    quantile: float

    def save(self, path: Path) -> None:
        """Writes them as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class Finding:
    """One fault. severity: the measure in thresholds, above 1. span: first and last frame. reason: for a person."""

    check: str
    severity: float
    span: tuple[int, int]
    reason: str


@cache
def shipped_thresholds(filmed: bool = False) -> Thresholds:
    """Those that come with the package: of Meta-World's videos, or of filmed ones.

    Filmed: 31 recordings by cameras that stand still, 26 of DROID and 5 of a simulated humanoid, in 17, 33 and 49
    frames. Shadows, people and cables move there though nobody touches them: only what is large or sudden counts.
    """
    name = "thresholds_filmed.json" if filmed else "thresholds.json"
    return Thresholds(**json.loads((resources.files("wow.refine") / name).read_text()))


@dataclass(frozen=True)
class Checks:
    """Judges videos by what is measured of them; see `Critic`."""

    thresholds: Thresholds = field(default_factory=shipped_thresholds)
    name: str = "checks"

    def __call__(self, video: Video, goal: str, /) -> Verdict:
        """What the checks make of the video. Raises WowError where it is too short to have a motion."""
        began = time.monotonic()
        severities, found = self._look(video)
        worst = max(found, key=lambda finding: finding.severity, default=None)
        scores = {
            score: min(_points(severities[name]) for name, check in CHECKS.items() if score in check.scores)
            for score in (PHYSICS, MOTION)
        }
        if worst is None:
            reason = "nothing impossible is seen; whether the goal is reached, these checks cannot tell"
            return Verdict(scores, False, 0.5, reason, None, time.monotonic() - began)
        if worst.check == "stillness":
            scores[TASK] = 1.0
        others = [finding.reason for finding in found if finding is not worst][:1]
        reason = "; ".join([worst.reason, *others])
        return Verdict(scores, False, _doubt(worst.severity), reason, worst.span, time.monotonic() - began)

    def find(self, video: Video) -> list[Finding]:
        """Every fault that is measured, the worst first."""
        return sorted(self._look(video)[1], key=lambda finding: -finding.severity)

    def _look(self, video: Video) -> tuple[dict[str, float], list[Finding]]:
        if len(video) < SHORTEST:
            raise WowError(
                f"the checks judge videos of {SHORTEST} frames or more, not {len(video)}: motion is compared"
            )
        measured = measure_all(video)
        severities = {name: one.value / self.thresholds.values[name] for name, one in measured.items()}
        found = [
            Finding(name, severity, measured[name].span, _in_words(name, measured[name]))
            for name, severity in severities.items()
            if severity > 1.0
        ]
        return severities, found


def measure_all(video: Video) -> dict[str, Measure]:
    """What every check measures of a video."""
    seen = look(video.frames)
    return {name: check.measure(seen) for name, check in CHECKS.items()}


def calibrate(videos: Iterable[Video]) -> Thresholds:
    """The lowest thresholds that at most `FALSE_ALARMS` of these true videos exceed in any check.

    All checks share one quantile, and each keeps a tenth above it for videos that are not among these. A few hundred
    are needed to speak of hundredths, sampled as those to be judged: motion looks faster the fewer frames there are.
    """
    measured = [{name: one.value for name, one in measure_all(video).items()} for video in videos]
    if not measured:
        raise WowError("there are no videos to calibrate the checks on: name a dataset of true ones")
    best = _at_quantile(measured, 1.0)
    for quantile in 1.0 - 0.0005 * np.arange(1, 100):
        lower = _at_quantile(measured, float(quantile))
        alarms = sum(any(row[name] > value for name, value in lower.values.items()) for row in measured)
        if alarms > FALSE_ALARMS * len(measured):
            break
        best = lower
    return best


def _at_quantile(measured: Sequence[Mapping[str, float]], quantile: float) -> Thresholds:
    values = {}
    for name, check in CHECKS.items():
        high = float(np.quantile([row[name] for row in measured], quantile, method="higher"))
        values[name] = round(max(1.1 * high, check.least), 4)
    return Thresholds(values, len(measured), round(quantile, 4))


def _points(severity: float) -> float:
    """A score: 5 up to half of the threshold, 3 at the threshold, towards 1 beyond it."""
    if severity <= 1.0:
        return 5.0 - 4.0 * max(severity - 0.5, 0.0)
    return 1.0 + 2.0 / severity


def _doubt(severity: float) -> float:
    """The probability that a video with such a fault is no success: 0.7 at the threshold, at most 0.95."""
    return 0.95 - 0.25 / severity


def _in_words(name: str, found: Measure) -> str:
    first, last = found.span
    return CHECKS[name].reason.format(first=first, last=last, where=_place(found.where))


def _place(where: tuple[float, float] | None) -> str:
    """Where in the picture a point (x, y), both from 0 to 1, is."""
    if where is None:
        return "in the picture"
    across = ("on the left", "in the middle", "on the right")[min(int(3 * where[0]), 2)]
    high = ("upper", "", "lower")[min(int(3 * where[1]), 2)]
    return f"{across} of the {high + ' half of the ' if high else ''}picture"
