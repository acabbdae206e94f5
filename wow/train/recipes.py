"""Named runs. A run is a function, a sentence and a difference from another run; the command line overrides fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from wow.models.codec import CodecConfig
from wow.models.dit import DiTConfig
from wow.train.codec import CodecRun
from wow.train.loop import TrainConfig
from wow.train.world import WorldRun
from wow.types import WowError

Run = TypeVar("Run")


def codec_mini() -> CodecRun:
    """The codec of wow-mini: 128 px, 3.9M parameters, an hour on two CPU cores."""
    return CodecRun(
        model=CodecConfig(),
        train=TrainConfig(steps=16_000, batch_size=16, learning_rate=1e-3, weight_decay=1e-4, preview_every=500),
    )


def codec_gpu() -> CodecRun:
    """A wider codec for one data-centre GPU: whole pictures, ten minutes."""
    mini = codec_mini()
    return replace(
        mini,
        model=replace(mini.model, channels=(64, 128, 256), decoder_blocks=(2, 2, 2)),
        train=replace(mini.train, steps=20_000, batch_size=128),
        crop=96,
    )


def codec_smoke() -> CodecRun:
    """A codec of a few thousand parameters, for tests."""
    return CodecRun(
        model=CodecConfig(latent_channels=8, channels=(8, 8, 16)),
        train=TrainConfig(steps=20, batch_size=2, preview_every=10, log_every=5),
        crop=32,
        targets=2,
    )


def world_mini() -> WorldRun:
    """The world model of wow-mini: 17 frames, 12M parameters, some hours on two CPU cores."""
    return WorldRun(
        model=DiTConfig(width=256, depth=10, num_heads=4),
        train=TrainConfig(steps=40_000, batch_size=16, learning_rate=6e-4, preview_every=1_000),
    )


def world_gpu() -> WorldRun:
    """A larger transformer for one data-centre GPU, twenty minutes."""
    mini = world_mini()
    return replace(
        mini,
        model=replace(mini.model, width=320, depth=10, num_heads=5),
        train=replace(mini.train, steps=60_000, batch_size=256, learning_rate=1e-3, warmup_steps=1_000),
    )


def world_smoke() -> WorldRun:
    """A transformer of a few thousand parameters, for tests."""
    return WorldRun(
        model=DiTConfig(latent_channels=8, width=32, depth=2, num_heads=2, num_frames=5),
        train=TrainConfig(steps=20, batch_size=2, preview_every=10, log_every=5),
    )


CODEC_RECIPES: dict[str, Callable[[], CodecRun]] = {"mini": codec_mini, "gpu": codec_gpu, "smoke": codec_smoke}
WORLD_RECIPES: dict[str, Callable[[], WorldRun]] = {"mini": world_mini, "gpu": world_gpu, "smoke": world_smoke}


def find_recipe(recipes: dict[str, Callable[[], Run]], name: str) -> Run:
    """The recipe of that name. Raises WowError naming the ones there are."""
    if name not in recipes:
        raise WowError(f"no recipe named {name!r}: choose one of {', '.join(recipes)}")
    return recipes[name]()
