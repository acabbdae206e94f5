"""What is made different in a simulated scene: colours, sizes, shapes, further things, light, camera, table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from wow.types import WowError

Colour = tuple[float, float, float]
Xyz = tuple[float, float, float]

COLOURS: Mapping[str, Colour] = {
    "red": (0.85, 0.05, 0.05),
    "green": (0.05, 0.6, 0.1),
    "blue": (0.05, 0.15, 0.9),
    "yellow": (0.95, 0.85, 0.05),
    "purple": (0.5, 0.1, 0.65),
    "orange": (1.0, 0.45, 0.0),
    "white": (0.95, 0.95, 0.95),
    "black": (0.05, 0.05, 0.05),
    "pink": (1.0, 0.45, 0.7),
    "turquoise": (0.1, 0.8, 0.8),
}
SHAPES = ("cube", "cylinder", "ball", "screen")
TABLES = ("wood", "checker", "stripes", "white", "green", "blue")


@dataclass(frozen=True)
class Thing:
    """Something that is put into a scene.

    shape: one of `SHAPES`. half: half of its width [m]; of a screen, which is thin, also half of its height. at: its
    middle in the world [m]. turned: about the vertical [degrees]. free: can be moved; else it stands like a wall.
    counts: it is one of the things that the sample is about, and shown by its masks.
    """

    shape: str
    colour: str
    half: float = 0.02
    at: Xyz = (0.0, 0.0, 0.0)
    turned: float = 0.0
    free: bool = True
    counts: bool = False

    def __post_init__(self) -> None:
        if self.shape not in SHAPES or self.colour not in COLOURS or not 0.005 <= self.half <= 0.5:
            raise WowError(f"there is no {self.colour} {self.shape} of half {self.half} m: {', '.join(SHAPES)}")


@dataclass(frozen=True)
class Changes:
    """Nothing is different unless it is said.

    colour, shape, scale: of the task's own object; shape and scale only where it is a plain cylinder or cube. light:
    times as bright; tint: its colour. table: one of `TABLES`. azimuth, elevation [degrees] and distance [m]: what is
    added to the front camera's.
    """

    colour: str | None = None
    shape: str | None = None
    scale: float = 1.0
    things: tuple[Thing, ...] = ()
    light: float = 1.0
    tint: Colour = (1.0, 1.0, 1.0)
    table: str = "wood"
    azimuth: float = 0.0
    elevation: float = 0.0
    distance: float = 0.0

    def __post_init__(self) -> None:
        if self.table not in TABLES or (self.colour or "red") not in COLOURS or (self.shape or "cube") not in SHAPES:
            raise WowError(f"a scene has no table {self.table!r}, colour {self.colour!r} or shape {self.shape!r}")


STOCK = Changes()
"""Nothing is different."""


@dataclass(frozen=True)
class SceneCard:
    """A scene that can be made again: the tasks that follow one another in it, its seed, and what is different."""

    tasks: tuple[str, ...]
    seed: int
    changes: Changes = STOCK

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)


def card_from_json(stored: object) -> SceneCard:
    """The scene of `to_json`. Raises WowError for anything else."""
    try:
        told = dict(stored)  # type: ignore[call-overload]
        changes = dict(told["changes"])
        known = {field.name for field in fields(Changes)}
        if unknown := changes.keys() - known:
            raise WowError(f"this scene has changes that nobody knows: {', '.join(sorted(unknown))}")
        things = tuple(Thing(**{**thing, "at": tuple(thing["at"])}) for thing in changes.pop("things", ()))
        tint = tuple(changes.pop("tint", (1.0, 1.0, 1.0)))
        return SceneCard(tuple(told["tasks"]), int(told["seed"]), Changes(**changes, things=things, tint=tint))
    except (KeyError, TypeError, ValueError) as problem:
        raise WowError(f"this is no card of a simulated scene ({problem})") from None
