"""The weights that come with the package are never confident of nonsense, and are as small as was promised."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from wow import assembly, weights
from wow.act.inverse import InverseDynamics
from wow.sim.foresight import foresee
from wow.sim.job import RecordingOptions
from wow.sim.metaworld import MetaWorld
from wow.types import UInt8, Video, WowError

Frames = Callable[[UInt8, UInt8], UInt8]
"""Makes frames of nonsense from two real clips."""


@pytest.fixture(scope="module")
def inverse() -> InverseDynamics:
    return assembly.load_inverse(weights.shipped("wow-mini"), device="cpu")


@pytest.fixture(scope="module")
def clips() -> tuple[UInt8, UInt8]:
    """What the experts of two tasks do, 17 frames each, at 20 a second."""
    found = []
    for task in ("drawer-open", "hammer"):
        environment = MetaWorld(task, cameras=(), size=128)
        environment.reset(seed=100_000)
        found.append(foresee(environment, RecordingOptions(size=128, max_steps=72)).video.frames[:17])
        environment.close()
    return found[0], found[1]


def moved(picture: UInt8, by: int) -> UInt8:
    """A photo that is moved to the right by more and more pixels; what comes in repeats the edge."""
    wide = np.pad(picture, ((0, 0), (17 * by, 0), (0, 0)), mode="edge")
    last = 17 * by
    return np.stack([wide[:, last - by * step : last - by * step + picture.shape[1]] for step in range(17)])


def noise(one: UInt8, other: UInt8) -> UInt8:
    return np.random.default_rng(0).integers(0, 256, one.shape, dtype=np.uint8)


NONSENSE: dict[str, Frames] = {
    "a scene in which nothing moves": lambda one, other: np.repeat(one[:1], 17, axis=0),
    "a scene with the noise of a camera": lambda one, other: np.clip(
        one[:1] + np.random.default_rng(0).normal(0, 2, one.shape), 0, 255
    ).astype(np.uint8),
    "black": lambda one, other: np.zeros_like(one),
    "grey": lambda one, other: np.full_like(one, 128),
    "one frame": lambda one, other: one[:1],
    "noise": noise,
    "a photo moved by 1 pixel a frame": lambda one, other: moved(one[0], 1),
    "a photo moved by 3 pixels a frame": lambda one, other: moved(one[0], 3),
    "what an expert does, mirrored": lambda one, other: one[:, :, ::-1],
    "what an expert does, upside down": lambda one, other: one[:, ::-1],
    "what an expert does, blue for red": lambda one, other: one[..., ::-1],
    "what an expert does, in the dark": lambda one, other: one // 3,
    "a cut between two scenes": lambda one, other: np.concatenate([one[:8], other[8:]]),
    "a cut to the first frame of another scene": lambda one, other: np.concatenate([one[:16], other[:1]]),
}


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_or_of_low_confidence(
    inverse: InverseDynamics, clips: tuple[UInt8, UInt8], name: str, paced: bool
) -> None:
    try:
        reading = inverse.read(Video(np.ascontiguousarray(NONSENSE[name](*clips)), 20.0), paced=paced)
    except WowError:
        return
    assert reading.confidence.low and reading.confidence.reasons, (reading.confidence, name)


@pytest.mark.parametrize("paced", [True, False])
def test_what_the_experts_really_do_is_read_with_confidence(
    inverse: InverseDynamics, clips: tuple[UInt8, UInt8], paced: bool
) -> None:
    for frames in clips:
        assert not inverse.read(Video(frames, 20.0), paced=paced).confidence.low


def test_the_weights_are_as_small_as_was_promised() -> None:
    sizes = {path: path.stat().st_size for path in weights.SHIPPED.rglob("*") if path.is_file()}
    assert sum(sizes.values()) <= 64e6 and max(sizes.values()) < 16e6
    part = weights.read_manifest(weights.shipped("wow-mini")).parts["idm"]
    assert sum(sizes[weights.shipped("wow-mini") / file.name] for file in part.files) <= 16e6
