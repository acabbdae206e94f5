"""Where things go in a video: regions carried from frame to frame, and the camera's own motion. No weights needed.

Of both videos the same way, so that what the tracker gets wrong it gets wrong on either side.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from wow.types import UInt8

Path = NDArray[np.float64]
"""Points (x, y) over time, [T, 2], in shares of the picture's width and height."""

SMALLEST_SIDE = 128
"""Smaller pictures are enlarged to this before optical flow: its patches are 8 pixels wide."""
BORDER = 0.15
"""How much of each side of the picture counts as its border, where the camera's motion is read."""
FEWEST_CORNERS = 6
LONGEST_STEP = 0.1
"""A camera that seems to move further than this share of the picture between two frames has been misread: clipped."""


def follow(frames: UInt8, regions: UInt8) -> UInt8:
    """The regions [H, W] of the first frame carried through the video: [T, H, W], 0 where nothing of them came from.

    Along dense inverse search flow (Kroeger et al. 2016), each frame looking back at the one before it.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    factor = max(1, -(-SMALLEST_SIDE // min(regions.shape)))
    size = (regions.shape[1] * factor, regions.shape[0] * factor)
    grey = [cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size) for frame in frames]
    labels = [cv2.resize(regions, size, interpolation=cv2.INTER_NEAREST)]
    columns, rows = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
    for before, now in pairwise(grey):
        back = np.asarray(flow.calc(now, before, np.zeros((*now.shape, 2), np.float32)))
        x, y = columns + back[..., 0], rows + back[..., 1]
        labels.append(cv2.remap(labels[-1], x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0))
    shape = regions.shape[::-1]
    return np.stack([cv2.resize(label, shape, interpolation=cv2.INTER_NEAREST) for label in labels]).astype(np.uint8)


def centre_path(masks: NDArray[np.bool_]) -> Path:
    """The centre of a region over time; where it is empty it stays where it was last seen (the middle, if never)."""
    height, width = masks.shape[1:]
    path = np.full((len(masks), 2), 0.5)
    for index, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        if len(rows):
            path[index] = ((columns.mean() + 0.5) / width, (rows.mean() + 0.5) / height)
        elif index:
            path[index] = path[index - 1]
    return path


def camera_path(frames: UInt8) -> Path:
    """The camera's path [T, 2] from (0, 0): minus the motion of what is seen at the picture's border, summed up.

    Corners (Shi and Tomasi 1994), pyramidal Lucas-Kanade, a 2-D affine map by RANSAC; of that, the motion of the
    picture's centre. A step with fewer than six corners is no motion.
    """
    height, width = frames.shape[1:3]
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    steps = np.zeros((len(frames), 2))
    for index in range(1, len(frames)):
        steps[index] = -_centre_motion(grey[index - 1], grey[index]) / (width, height)
    limited: Path = np.clip(steps, -LONGEST_STEP, LONGEST_STEP).cumsum(axis=0)
    return limited


def _centre_motion(before: UInt8, now: UInt8) -> NDArray[np.float64]:
    """How far the border's content moved, at the picture's centre, in pixels (x, y)."""
    still = np.zeros(2)
    height, width = before.shape
    border = np.full(before.shape, 255, np.uint8)
    top, left = round(height * BORDER), round(width * BORDER)
    border[top : height - top, left : width - left] = 0
    corners = cv2.goodFeaturesToTrack(before, 200, 0.01, max(2, min(height, width) // 40), mask=border)
    if corners is None or len(corners) < FEWEST_CORNERS:
        return still
    window = (15, 15) if min(height, width) >= 64 else (7, 7)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, corners.copy(), winSize=window)
    kept = found.ravel() == 1
    if kept.sum() < FEWEST_CORNERS:
        return still
    cv2.setRNGSeed(0)
    affine, _ = cv2.estimateAffine2D(corners[kept], moved[kept], method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if affine is None:
        return still
    centre = np.array([width / 2, height / 2])
    motion: NDArray[np.float64] = affine[:, :2] @ centre + affine[:, 2] - centre
    return motion
