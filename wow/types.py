"""The shared nouns: what rooms hand to one another. Imports nothing of ours and no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

LOCAL_FRAMES = ("gripper", "tool", "hand")
"""Coordinate frames that turn with the tool: a turn in them comes before those that were made already."""


class WowError(Exception):
    """Something a person can fix. The command line prints it as one line and exits with code 2.

    The message says what was wrong, what is accepted and what to type next.
    """


@dataclass(frozen=True)
class Video:
    """Frames of one camera.

    frames: uint8 [T, H, W, 3], RGB, T >= 1.
    fps: frames per second of robot time, > 0.
    """

    frames: UInt8
    fps: float

    def __post_init__(self) -> None:
        if self.frames.dtype != np.uint8 or self.frames.ndim != 4 or self.frames.shape[-1] != 3:
            raise ValueError(f"a video is uint8 [T, H, W, 3], not {self.frames.dtype} {self.frames.shape}")
        if len(self.frames) == 0 or self.fps <= 0:
            raise ValueError(f"a video has at least one frame and a positive fps, not {len(self.frames)} at {self.fps}")

    def __len__(self) -> int:
        return len(self.frames)


@dataclass(frozen=True)
class Dimension:
    """One number of an action or state vector.

    name: e.g. "delta_x". unit: "m", "rad", "1" (dimensionless) or "unknown". frame: the coordinate frame it is
    expressed in, e.g. "world". low, high: the accepted limits in that unit; None where nothing is known.
    """

    name: str
    unit: str
    frame: str = "unknown"
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Camera:
    """One camera of a robot's scene. name: the `<camera>` of `observation.images.<camera>`; size in pixels."""

    name: str
    height: int
    width: int


@dataclass(frozen=True)
class Statistics:
    """Per-dimension statistics of a vector over a dataset, each a tuple of D numbers."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    min: tuple[float, ...]
    max: tuple[float, ...]
    q01: tuple[float, ...]
    q99: tuple[float, ...]
    count: int


@dataclass(frozen=True)
class Embodiment:
    """A robot as data: what each number of its actions and states means. Stored as JSON beside a dataset or checkpoint.

    rate: actions (and frames) per second of robot time [Hz]. rotation: how the rotation dimensions are written,
    e.g. "roll-pitch-yaw", "none" or "unknown". gripper: the sign convention in words, e.g. "0 closed, 1 open".
    action_kind: "delta" (change over one step), "absolute" or "unknown". statistics: by key, "action" and
    "observation.state". unknown: sentences saying what could not be known.
    """

    robot: str
    rate: float
    action: tuple[Dimension, ...]
    state: tuple[Dimension, ...] = ()
    action_kind: str = "unknown"
    rotation: str = "unknown"
    gripper: str = "unknown"
    cameras: tuple[Camera, ...] = ()
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def adds_up(self) -> NDArray[np.bool_]:
        """Which dimensions of the action add up over time [D]: the changes of a delta card, in metres or radians."""
        return np.array([self.action_kind == "delta" and dimension.unit in ("m", "rad") for dimension in self.action])

    @property
    def turns(self) -> tuple[int, ...]:
        """The three dimensions of a delta card that are a rotation vector; none where turns are written otherwise."""
        summed = self.adds_up
        found = tuple(place for place, dim in enumerate(self.action) if summed[place] and dim.unit == "rad")
        return found if self.rotation == "rotation-vector" and len(found) == 3 else ()

    @property
    def turns_locally(self) -> bool:
        """Whether its turns are in a frame that turns with the tool: they come before those made already."""
        return bool(self.turns) and self.action[self.turns[0]].frame in LOCAL_FRAMES

    def difference(self, other: Embodiment) -> str:
        """What another card means otherwise by the numbers of an action, in words; "" where it is the same.

        What either calls unknown may be anything. Both have as many dimensions.
        """
        for place, (ours, theirs) in enumerate(zip(self.action, other.action, strict=True)):
            for key in ("name", "unit", "frame"):
                wanted, found = getattr(ours, key), getattr(theirs, key)
                if found != wanted and "unknown" not in (found, wanted):
                    return (
                        f"column {place} is {theirs.name} with {key} {found!r}; "
                        f"{self.robot} takes {ours.name} with {key} {wanted!r}"
                    )
        for key in ("action_kind", "rotation", "gripper"):
            wanted, found = getattr(self, key), getattr(other, key)
            if found != wanted and "unknown" not in (found, wanted):
                return f"its {key} is {found!r}, that of {self.robot} {wanted!r}"
        return ""

    @property
    def gripper_place(self) -> int | None:
        """Which dimension of the action commands the gripper; None where none does."""
        return next((place for place, dimension in enumerate(self.action) if "grip" in dimension.name), None)


@dataclass(frozen=True)
class Actions:
    """A sequence of robot actions with their meaning: float32 [T, D] for the T transitions between T+1 frames.

    seconds: robot time of each transition [s]; None where nobody knows it, as in a video imagined at its own pace.
    deviations: one standard deviation of every value [T, D], in its unit; None where they were not estimated.
    """

    values: Float32
    embodiment: Embodiment
    seconds: float | None = None
    deviations: Float32 | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.embodiment.action):
            raise ValueError(f"actions are [T, {len(self.embodiment.action)}], not {self.values.shape}")
        if self.deviations is not None and self.deviations.shape != self.values.shape:
            raise ValueError(f"deviations are {self.values.shape} like the values, not {self.deviations.shape}")

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Episode:
    """One recorded episode: T frames of every camera, with the robot's states and actions at those frames.

    videos: camera name -> Video of T frames. actions: float32 [T, D]; row i leads from frame i to frame i+1, the last
    row leads out of the recording (a no-op where nothing was recorded). states: float32 [T, S] or None.
    task: the short instruction. captions: further texts for the same episode (paraphrases, dense captions).
    source: who acted: "expert", "recovery" (an expert, from where a policy left the scene), "near_success", "random",
    "policy:<id>", "human" or "unknown".
    success: None where unknown. signals: further per-frame arrays [T, ...] by dotted key, e.g. "sim.qpos".
    facts: further facts about the whole episode that JSON can hold, e.g. {"seed": 7}.
    """

    videos: Mapping[str, Video]
    actions: Float32
    embodiment: Embodiment
    task: str
    states: Float32 | None = None
    captions: tuple[str, ...] = ()
    source: str = "unknown"
    success: bool | None = None
    signals: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.actions)


SCORES = ("task_completion", "action_success", "physical_plausibility", "kinematic_smoothness", "visual_quality")
"""What a verdict scores, each from 1 (worst) to 5 (best); arXiv 2509.22642, the critic of SOPHIA."""


@dataclass(frozen=True)
class Verdict:
    """What a critic makes of a video.

    scores: some or all of `SCORES`, each from 1 to 5; what a critic cannot judge is missing. completed: whether the
    goal is reached; confidence: the probability, 0 to 1, that this is so. reason: one or two sentences for a person.
    span: the first and last frame that the reason speaks of; None for the whole video. seconds, tokens, cost: what it
    took; the cost in whatever currency the model's prices are given.
    """

    scores: Mapping[str, float]
    completed: bool
    confidence: float
    reason: str
    span: tuple[int, int] | None = None
    seconds: float = 0.0
    tokens: int = 0
    cost: float = 0.0

    def __post_init__(self) -> None:
        if unknown := set(self.scores) - set(SCORES):
            raise ValueError(f"unknown scores {sorted(unknown)}: a verdict has {', '.join(SCORES)}")
        if not all(1.0 <= score <= 5.0 for score in self.scores.values()) or not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"scores lie from 1 to 5 and confidence from 0 to 1, not {self.scores}, {self.confidence}")

    @property
    def success_probability(self) -> float:
        """The probability that the goal is reached."""
        return self.confidence if self.completed else 1.0 - self.confidence
