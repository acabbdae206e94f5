"""What is known of a model that can be driven: what it samples with, which files it is made of. Data only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Mode = Literal["text2video", "image2video", "video2video"]
Family = Literal["wan2.1", "wan2.2", "cosmos1", "cosmos2", "cosmos2.5", "cogvideox", "svd"]
Role = Literal["transformer", "vae", "text_encoder", "tokenizer", "image_encoder", "image_processor"]
Fit = Literal["squash", "cover", "area"]
Config = Mapping[str, Any]


@dataclass(frozen=True)
class Frames:
    """How many frames a clip may have: `step * k + 1`, from 1 to `most`."""

    default: int
    step: int
    most: int

    def allows(self, num_frames: int) -> bool:
        """Whether a clip may be that long."""
        return 1 <= num_frames <= self.most and (num_frames - 1) % self.step == 0

    @property
    def most_latents(self) -> int:
        """Latent frames of the longest clip; for Cosmos, what its authors call `state_t`."""
        return (self.most - 1) // self.step + 1

    def nearest(self, num_frames: int) -> int:
        """The allowed length closest to the one asked for; the longer of two."""
        longest = (self.most - 1) // self.step
        return self.step * min(max((num_frames - 1 + self.step // 2) // self.step, 0), longest) + 1


@dataclass(frozen=True)
class Sampler:
    """How the model was published to sample.

    method: "flow-euler" (rectified flow, Euler), "flow-unipc", "edm-euler", "edm-ab2" (first Euler, then the two-step
    residual Adams-Bashforth, at last the clean estimate at the lowest sigma), "ddim" or "euler" (k-diffusion).
    guidance: what the scale is counted from, "unconditional" u + g (c - u), "conditional" c + g (c - u), "dynamic"
    (unconditional, the scale follows a cosine) or "per-frame" (unconditional, rising linearly from 1 over the frames).
    shift: of flow sigmas, s * shift / (1 + (shift - 1) s); None elsewhere. sigmas: highest and lowest, of EDM; rho 7.
    negative_prompt: None where diffusers' pipeline has the published one, or the model knows no text.
    """

    method: Literal["flow-euler", "flow-unipc", "edm-euler", "edm-ab2", "ddim", "euler"]
    num_inference_steps: int
    guidance_scale: float
    guidance: Literal["unconditional", "conditional", "dynamic", "per-frame"] = "unconditional"
    shift: float | None = None
    sigmas: tuple[float, float] | None = None
    negative_prompt: str | None = None


@dataclass(frozen=True)
class Part:
    """One network or table of a model.

    kind: the class that holds it, in diffusers or transformers. config: its constructor's arguments. folder: where it
    is in a diffusers folder. originals: where it is in its authors' layout, glob patterns relative to the model's
    folder; the first that is there is read. parameters: how many numbers it has.
    """

    role: Role
    library: Literal["diffusers", "transformers"]
    kind: str
    folder: str
    originals: tuple[str, ...] = ()
    config: Config = field(default_factory=dict)
    parameters: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", MappingProxyType(dict(self.config)))


@dataclass(frozen=True)
class Card:
    """One model.

    size: in words, by its transformer. height, width: of the published clips [pixels]; multiple: what both must be
    multiples of. fps: of the clips. fit: how the picture becomes that size, "squash" (aspect ratio not kept), "cover"
    (scaled to cover, then centre crop), "area" (the clip takes the picture's aspect ratio at the same area). num_words:
    tokens that a prompt is padded to; 0 where the model knows no text. pipeline: diffusers' class.
    source: where to get it, hub ids; the first is the model's own. enough: those of them that have every part
    together; all where none are named. notes: sentences for a person.
    """

    name: str
    family: Family
    backbone: str
    size: str
    modes: tuple[Mode, ...]
    height: int
    width: int
    multiple: int
    frames: Frames
    fps: int
    fit: Fit
    num_words: int
    sampler: Sampler
    parts: tuple[Part, ...]
    pipeline: str
    licence: str
    source: tuple[str, ...]
    notes: tuple[str, ...] = ()
    enough: tuple[str, ...] = ()

    def part(self, role: Role) -> Part:
        """Its part of that role. Raises KeyError where it has none."""
        for part in self.parts:
            if part.role == role:
                return part
        raise KeyError(f"{self.name} has no {role}")

    def has(self, role: Role) -> bool:
        """Whether it has a part of that role."""
        return any(part.role == role for part in self.parts)

    @property
    def repositories(self) -> tuple[str, ...]:
        """The hub ids that have every part together."""
        return self.enough or self.source

    @property
    def transformer(self) -> Part:
        """The network that denoises (a U-Net in svd-xt)."""
        return self.part("transformer")

    @property
    def parameters(self) -> int:
        """How many numbers all its networks have together."""
        return sum(part.parameters for part in self.parts)
