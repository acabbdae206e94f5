"""What the scripted expert would do from here: tried out in the scene, which is then put back as it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.sim.experts import expert
from wow.sim.job import RecordingOptions
from wow.sim.metaworld import MetaWorld
from wow.sim.record import sawyer_card, transitions
from wow.types import Actions, Video

Array = NDArray[np.float64]

_HOLD = 10  # control steps after the first success, as in recordings


@dataclass(frozen=True)
class Foresight:
    """The expert's video of T+1 frames from now on, its actions [T, 7] by the card, and whether it succeeds.

    video: one frame that is repeated where no pictures were asked for.
    """

    video: Video
    actions: Actions
    success: bool


def foresee(environment: MetaWorld, options: RecordingOptions, pictures: bool = True) -> Foresight:
    """What the expert would do in the scene as it stands, for as long as a recording is; the scene stays as it is."""
    before = environment.save()
    scripted = expert(environment.task.name)
    camera = options.cameras[0]
    frames = [environment.picture(camera)]
    targets, raw = [environment.target], []
    success_step = -1
    for step in range(options.max_steps):
        action = np.clip(np.asarray(scripted.get_action(environment.state), dtype=np.float64), -1.0, 1.0)
        raw.append(action)
        if environment.advance(action)["success"] and success_step < 0:
            success_step = step
        if (step + 1) % options.stride == 0:
            frames.append(environment.picture(camera) if pictures else frames[0])
            targets.append(environment.target)
            if success_step >= 0 and step - success_step >= _HOLD:
                break
    environment.restore(before)
    values = transitions(np.array(targets), np.array(raw), options.stride)
    return Foresight(
        video=Video(np.stack(frames), options.fps),
        actions=Actions(values, sawyer_card(options), seconds=1.0 / options.fps),
        success=success_step >= 0,
    )
