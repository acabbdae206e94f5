"""How clips are drawn: the options that commands which imagine have in common, and their defaults, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from wow.cli.options import parse_with_tyro
from wow.types import WowError

if TYPE_CHECKING:
    from wow.assembly import SamplingOptions


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How one clip is drawn from noise."""

    num_frames: int = 17
    """Frames of the video, the given one included."""
    num_inference_steps: int = 2
    """Steps from noise to video: more is slower and sharper."""
    num_planning_steps: int = 1
    """Steps from noise to the motion that the video shows: 1 is the mean of all that may follow, more draw one."""
    guidance_scale: float = 1.0
    """How much the instruction is exaggerated, in plans of two steps and more; 1 is not at all."""
    corrections: int = 2
    """How often a clip is painted anew, its motion moved by what is read from it less than was meant."""

    @classmethod
    def parse(cls, arguments: Sequence[str], verb: str) -> Self:
        """The options on a command line, over the defaults of the model that it names."""
        from wow.cli.imagine_foundation import defaults_of

        return parse_with_tyro(cls, arguments, verb, defaults_of(cls, arguments))

    def options(self) -> SamplingOptions:
        """The sampler's part of it. Raises WowError for numbers that cannot work."""
        from wow.assembly import SamplingOptions

        for name in ("num_inference_steps", "num_planning_steps"):
            if not 1 <= getattr(self, name) <= 1000:
                raise WowError(f"--{name.replace('_', '-')} is 1 to 1000, not {getattr(self, name)}")
        if not 0 <= self.corrections <= 100:
            raise WowError(f"--corrections is 0 to 100, not {self.corrections}: 2 is the default, 0 paints once")
        if not 0 <= self.guidance_scale <= 50:
            raise WowError(f"--guidance-scale is 0 to 50, not {self.guidance_scale:g}: 1 is the default")
        return SamplingOptions(
            self.num_inference_steps, self.num_planning_steps, self.guidance_scale, corrections=self.corrections
        )


@dataclass(frozen=True, kw_only=True)
class Sampling(Drawing):
    """How one clip is drawn, and at which pace."""

    fps: float | None = None
    """Frames per second of robot time; the model chooses when none is given."""

    def options(self) -> SamplingOptions:
        if self.fps is not None and not 1 <= self.fps <= 1000:
            raise WowError(f"--fps is 1 to 1000 frames per second, not {self.fps:g}")
        return super().options()

    def sampling(self) -> dict[str, Any]:
        """What was chosen, by name."""
        return {each.name: getattr(self, each.name) for each in fields(Sampling)}
