"""Videos painted anew, their motion moved by what they show less than a practised hand would do.

`correct` brings a video to show the motion that its own plan meant. Here what is meant is the motion of the model's
policy for the user's goal: a plan that was drawn badly, or for other words, is corrected together with its picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from wow.imagine.correct import moved
from wow.imagine.mini import MiniWorldModel, Request
from wow.imagine.sampler import SamplingOptions
from wow.types import Float32, UInt8, Video


@runtime_checkable
class Painted(Protocol):
    """A video, and what it was painted for. actions: [T - 1, D], None where the model planned for itself."""

    @property
    def prompt(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def video(self) -> Video: ...
    @property
    def actions(self) -> Float32 | None: ...


Correct = Callable[[UInt8, str, Sequence[Painted]], list[tuple[Video, Float32]]]
"""From a first picture [H, W, 3], the goal and some videos: each painted anew, and the actions [T - 1, D] behind it."""


def motion_corrector(
    model: MiniWorldModel, num_frames: int, options: SamplingOptions, fps: float | None = None
) -> Correct | None:
    """Who corrects videos that this model painted. num_frames, options, fps: as for these.

    None where the model has no policy, or nobody reads its videos.
    """
    read = model.motion_reader()
    if model.guesser is None or read is None:
        return None
    scale, seconds = model.scale, None if fps is None else 1.0 / fps
    practised = replace(options, num_planning_steps=1)

    def plan(picture: UInt8, prompt: str, seed: int, options: SamplingOptions) -> Float32:
        return model.policy(picture, prompt, num_frames=num_frames, seed=seed, options=options, fps=fps).values

    def correct(picture: UInt8, goal: str, painted: Sequence[Painted]) -> list[tuple[Video, Float32]]:
        asked = [plan(picture, it.prompt, it.seed, options) if it.actions is None else it.actions for it in painted]
        meant = [plan(picture, goal, 0, practised)] * len(painted)
        before, wanted = (torch.from_numpy(scale.motion(np.stack(group))) for group in (asked, meant))
        seen = read(np.stack([it.video.frames for it in painted])).cpu()
        motions = moved(before, wanted, seen, torch.tensor(scale.summed)).numpy()
        actions = [scale.actions(motion) for motion in motions]
        requests = [
            Request(picture[None], it.prompt, values, it.seed, seconds)
            for it, values in zip(painted, actions, strict=True)
        ]
        videos = model.imagine_all(requests, num_frames=num_frames, options=options)
        return list(zip(videos, actions, strict=True))

    return correct
