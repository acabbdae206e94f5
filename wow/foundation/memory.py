"""What a clip will cost: bytes on the GPU and in the computer, and seconds. Pure functions of a card's sizes.

The bytes that are alive during a pass were counted, tensor by tensor, over networks of full size without memory
(`tests/foundation/test_memory_counted.py` counts again). Seconds follow from the arithmetic, and from 9.77 s that
a step of Wan2.1-I2V-14B takes on one H100 with diffusers (81 frames of 480x832, guided): 0.40 of what the card can do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wow.foundation.card import Card

GB = 1e9
DType = Literal["bfloat16", "float32"]
Offload = Literal["none", "model", "blocks"]
Quantisation = Literal["none", "int8", "fp8"]
QUANTISATIONS: tuple[Quantisation, ...] = ("int8", "fp8")

EFFICIENCY = 0.40
"""Share of a device's arithmetic that a pass reaches."""
OVERHEAD = 1.0 * GB
"""What a CUDA process takes before the first tensor, and what libraries and fragments take later."""
DISK, BUS = 1.5e9, 20e9
"""Bytes a second from a disk, and between a computer and its GPU."""

BYTES = {"bfloat16": 2, "float32": 4}
IN_BLOCKS = {
    "wan2.1": 0.981,
    "wan2.2": 0.981,
    "cosmos1": 0.990,
    "cosmos2": 0.990,
    "cosmos2.5": 0.941,
    "cogvideox": 0.998,
}
"""Share of a transformer's numbers that are in the linear layers of its blocks: those that are quantised."""
QUANTISED_BYTES = 1.003
"""Bytes for each of them: one, and a scale for each row."""

_LIVE = {"wan2.1": 18.0, "wan2.2": 37.0, "cosmos1": 16.5, "cosmos2": 20.0, "cosmos2.5": 21.0, "cogvideox": 30.0,
         "svd": 270.0}  # fmt: skip
"""Numbers alive at once during a pass, for each token and unit of width."""
_DECODED = {"wan2.1": 4900, "wan2.2": 5400, "cosmos1": 6300, "cosmos2": 4900, "cosmos2.5": 4900, "cogvideox": 22_800,
            "svd": 8200}  # fmt: skip
"""Numbers alive at once while the VAE decodes, for each pixel of a frame; the finished video not counted.

All decode some frames at a time, except that of cosmos1: it decodes all at once, 121 in what was counted.
"""
TILES = {
    "wan2.1": 256 * 256,
    "wan2.2": 256 * 256,
    "cosmos2": 256 * 256,
    "cosmos2.5": 256 * 256,
    "cogvideox": 240 * 360,
}
"""Pixels of a tile of the VAE, where it can work in tiles. Those of cosmos1 and svd see whole frames alone."""


@dataclass(frozen=True)
class Job:
    """A clip: its size and length, how many steps, and whether each is guided (two passes)."""

    height: int
    width: int
    num_frames: int
    num_inference_steps: int
    guided: bool = True


@dataclass(frozen=True)
class Machine:
    """vram: of its GPU, 0 where it has none; ram: its memory; both in bytes. speed: operations a second at best."""

    name: str
    vram: float
    ram: float
    speed: float

    def shared(self, processes: int) -> Machine:
        """What each of several processes has of it: a GPU of its own or a part of the cores, a part of the memory."""
        if processes == 1:
            return self
        name = f"one of {processes} processes on {self.name}"
        return Machine(name, self.vram, self.ram / processes, self.speed if self.vram else self.speed / processes)


@dataclass(frozen=True)
class Setting:
    """How a model is run. offload: "model" keeps one network on the GPU at a time, "blocks" one block of the
    transformer. tiling: the VAE works on overlapping tiles (see `TILES`), one after the other, and blends them.
    """

    dtype: DType = "bfloat16"
    offload: Offload = "none"
    tiling: bool = False
    quantisation: Quantisation = "none"


@dataclass(frozen=True)
class Cost:
    """Peak bytes on the GPU and in the computer, and seconds for the first clip, loading included."""

    gpu: float
    ram: float
    seconds: float
    seconds_per_step: float


def job_of(
    card: Card, num_frames: int | None = None, steps: int | None = None, size: tuple[int, int] | None = None
) -> Job:
    """The clip that a card's defaults ask for, or what is asked instead. size: height and width."""
    sampler = card.sampler
    return Job(
        *(size or (card.height, card.width)),
        num_frames or card.frames.default,
        (steps or sampler.num_inference_steps) + (sampler.method == "edm-ab2"),
    )


def tokens(card: Card, job: Job) -> int:
    """How many tokens the transformer sees at once: patches of 2x2 latents in every latent frame."""
    time, space = strides(card)
    return ((job.num_frames - 1) // time + 1) * (job.height // space // 2) * (job.width // space // 2)


def strides(card: Card) -> tuple[int, int]:
    """Frames and pixels for one latent."""
    return {"cosmos1": (8, 8), "wan2.2": (4, 16), "svd": (1, 8)}.get(card.family, (4, 8))


def width_and_depth(card: Card) -> tuple[int, int]:
    """Numbers for each token, and how many blocks."""
    if card.family == "svd":
        return 320, 16  # a U-Net: its outermost width and its blocks
    config = card.transformer.config
    return int(config["num_attention_heads"]) * int(config["attention_head_dim"]), int(config["num_layers"])


def weights(card: Card, role: str, setting: Setting) -> float:
    """Bytes of a network's weights, as it is run. Of what is quantised, only the transformer's blocks are."""
    if not any(part.role == role for part in card.parts):
        return 0.0
    count = next(part.parameters for part in card.parts if part.role == role)
    if role == "transformer" and setting.quantisation != "none":
        share = IN_BLOCKS.get(card.family, 0.0)
        return count * (share * QUANTISED_BYTES + (1.0 - share) * BYTES[setting.dtype])
    return float(count * BYTES["float32" if role == "vae" and card.family.startswith("wan") else setting.dtype])


def activations(card: Card, job: Job, setting: Setting) -> float:
    """Bytes alive at once during one pass of the transformer, its weights not counted."""
    width, _ = width_and_depth(card)
    return tokens(card, job) * width * _LIVE[card.family] * BYTES[setting.dtype]


def decoding(card: Card, job: Job, setting: Setting) -> float:
    """Bytes alive at once while the VAE makes frames of latents, its weights not counted."""
    size = 4 if card.family.startswith("wan") else BYTES[setting.dtype]
    pixels = job.height * job.width
    at_work = min(pixels, TILES.get(card.family, pixels)) if setting.tiling else pixels
    numbers = _DECODED[card.family] * (job.num_frames / 121 if card.family == "cosmos1" else 1.0)
    return at_work * numbers * size + 2 * 3.0 * pixels * job.num_frames * 4


def cost(card: Card, job: Job, setting: Setting, machine: Machine) -> Cost:
    """What a clip takes in that setting on that machine."""
    transformer = weights(card, "transformer", setting)
    vae, text, image = (weights(card, role, setting) for role in ("vae", "text_encoder", "image_encoder"))
    denoise, decode = activations(card, job, setting), decoding(card, job, setting)
    resident = transformer + vae + image
    if machine.vram == 0:
        return _timed(card, job, setting, machine, 0.0, max(text, resident + max(denoise, decode)))
    if setting.offload == "none":
        gpu = max(text, resident + max(denoise, decode))
        ram = max(text, transformer) * 0.3  # shards on their way
    else:
        _, depth = width_and_depth(card)
        on_gpu = transformer if setting.offload == "model" else 3 * transformer / depth
        gpu = max(text, image, on_gpu + denoise, vae + decode)
        ram = max(text, resident)
    return _timed(card, job, setting, machine, gpu + OVERHEAD, ram + 2 * GB)


def _timed(card: Card, job: Job, setting: Setting, machine: Machine, gpu: float, ram: float) -> Cost:
    step = operations(card, job) * (2 if job.guided else 1) / (EFFICIENCY * machine.speed)
    transformer = weights(card, "transformer", setting)
    if setting.offload == "blocks" and machine.vram:
        step = max(step, transformer * (2 if job.guided else 1) / BUS)
    moved = sum(weights(card, part.role, setting) for part in card.parts)
    decode = job.height * job.width * job.num_frames * 2.0e6 / (EFFICIENCY * machine.speed)
    slower = 1.6 if setting.tiling else 1.0
    once = moved / DISK + (moved / BUS if setting.offload == "model" and machine.vram else 0.0) + decode * slower
    return Cost(gpu, ram, once + step * job.num_inference_steps, step)


def operations(card: Card, job: Job) -> float:
    """Operations of one pass of the transformer: every weight on every token, and every token with every other."""
    count, (width, depth) = tokens(card, job), width_and_depth(card)
    if card.family == "svd":
        # Frames attend to themselves only; a U-Net's weights see ever fewer places further in.
        places = count / job.num_frames
        return 2.0 * card.transformer.parameters * count / 8 + 4.0 * job.num_frames * places**2 * width * depth / 8
    return 2.0 * card.transformer.parameters * count + 4.0 * float(count) ** 2 * width * depth
