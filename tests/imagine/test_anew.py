"""Painting anew: what is painted comes nearer to what a practised hand does, and who cannot read or plan says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow import assembly
from wow.assembly import Agent, Request, SamplingOptions
from wow.imagine.anew import motion_corrector
from wow.types import Float32, UInt8, Video

OPTIONS = SamplingOptions(num_planning_steps=4, corrections=0)
GOAL = "open the drawer"


@dataclass(frozen=True)
class Clip:
    prompt: str
    seed: int
    video: Video
    actions: Float32 | None = None


@pytest.fixture(scope="module")
def agent() -> Agent:
    return assembly.load("wow-mini")


@pytest.fixture(scope="module")
def picture(agent: Agent) -> UInt8:
    with Image.open(Path(__file__).parents[2] / "docs/images/drawer.png") as image:
        frames, _ = agent.fit(np.asarray(image.convert("RGB")))
    return frames[0]


def test_every_correction_brings_the_hand_nearer_to_the_practised_one(agent: Agent, picture: UInt8) -> None:
    correct = motion_corrector(agent, 17, OPTIONS)
    assert correct is not None
    wanted = np.cumsum(agent.imitate(picture, GOAL).values[:, :3], axis=0)

    def distance(video: Video) -> float:
        seen = np.cumsum(agent.act(video, paced=False).values[:, :3], axis=0)
        return float(np.linalg.norm(seen - wanted, axis=1).mean())

    seeds = (3, 4)
    videos = agent.imagine_all([Request(picture[None], GOAL, None, seed) for seed in seeds], options=OPTIONS)
    clips = [Clip(GOAL, seed, video) for seed, video in zip(seeds, videos, strict=True)]
    found = [np.mean([distance(clip.video) for clip in clips])]
    for _ in range(2):
        anew = correct(picture, GOAL, clips)
        clips = [Clip(GOAL, one.seed, video, actions) for one, (video, actions) in zip(clips, anew, strict=True)]
        found.append(np.mean([distance(clip.video) for clip in clips]))
    assert found[1] < 0.7 * found[0] and found[2] < found[1], found
    assert all(np.array_equal(clip.video.frames[0], picture) for clip in clips)
    grip = np.stack([clip.actions[:, -1] for clip in clips if clip.actions is not None])
    limits = agent.scale.centre[-1] + agent.scale.spread[-1] * np.array([-1.001, 1.001])
    assert limits[0] <= grip.min() and grip.max() <= limits[1], "commands stay what the gripper knows"


def test_a_clip_of_another_length_and_pace_is_corrected_too(agent: Agent, picture: UInt8) -> None:
    correct = motion_corrector(agent, 9, OPTIONS, fps=5.0)
    assert correct is not None
    (video,) = agent.imagine_all([Request(picture[None], GOAL, None, 0, 0.2)], num_frames=9, options=OPTIONS)
    ((anew, actions),) = correct(picture, GOAL, [Clip(GOAL, 0, video)])
    assert anew.frames.shape == video.frames.shape and anew.fps == 5.0 and actions.shape == (8, 7)


def test_nobody_corrects_without_a_policy_or_inverse_dynamics(agent: Agent) -> None:
    assert motion_corrector(replace(agent, guesser=None), 17, OPTIONS) is None
    assert motion_corrector(replace(agent, inverse=None), 17, OPTIONS) is None
