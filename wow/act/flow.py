"""Dense optical flow between neighbouring frames: how far each pixel moves (DIS, Kroeger et al. 2016, from OpenCV)."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from wow.types import Float32, UInt8

FULL_SCALE = 0.1
"""Flow is handed on in units of this share of the picture's width."""


def flow_between(frames: UInt8) -> Float32:
    """The flow of T+1 frames [T+1, H, W, 3] from each to the next: float32 [T, 2, H, W], x then y.

    In units of `FULL_SCALE` of the picture's width, so that it does not depend on the resolution.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    # Half resolution instead of the preset's quarter: a gripper at 128 pixels is only ten pixels wide.
    search.setFinestScale(1)
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    flow = np.empty((len(frames) - 1, 2, *frames.shape[1:3]), np.float32)
    for place, (before, after) in enumerate(pairwise(grey)):
        if np.array_equal(before, after):
            flow[place] = 0.0
        else:
            flow[place] = np.moveaxis(search.calc(before, after, np.zeros((*before.shape, 2), np.float32)), -1, 0)
    flow /= FULL_SCALE * frames.shape[2]
    return flow
