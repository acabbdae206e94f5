"""Dimension 1 and 2: does the imagined video look like what the expert really did, and do small things survive?

The same videos are scored whole and on crops that follow gripper and object (simulator truth).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wow.bench.metrics import Perceptual, Scores, score_video
from wow.bench.samples import Clip
from wow.bench.system import Asked, Imaginer, Reconstructs
from wow.types import Float32, UInt8

OURS = "imagined"
PACED = "imagined, told the expert's pace"
CEILING = "codec reconstruction"
REGIONS = ("whole", "gripper", "object")
CROP_SHARE = 4
"""Crops have a quarter of the picture's side: 32 of 128 pixels, about three widths of the gripper."""
SMALLEST_CROP = 16


@dataclass(frozen=True)
class QualityRecord:
    """The likeness of one video to the truth, over frames 1..T-1, in one region of the picture."""

    key: str
    task: str
    system: str
    region: str
    psnr: float
    ssim: float
    lpips: float | None


def measure_quality(
    clips: Sequence[Clip], system: Imaginer, baselines: Sequence[Imaginer], perceptual: Perceptual | None, seed: int
) -> tuple[list[QualityRecord], list[UInt8]]:
    """The records of a batch in `image2video`, and the videos that were imagined."""
    videos = imagined_by_each(clips, system, baselines, seed)
    records = [
        QualityRecord(clip.key, clip.task, name, region, **vars(scores))
        for name, of_system in videos.items()
        for clip, video in zip(clips, of_system, strict=True)
        for region, scores in score_regions(clip, video, perceptual).items()
    ]
    return records, videos[OURS]


def imagined_by_each(
    clips: Sequence[Clip], system: Imaginer, baselines: Sequence[Imaginer], seed: int
) -> Mapping[str, list[UInt8]]:
    """For each system its videos; also the codec's reconstruction of the truth where the system has a codec.

    The expert's pace is known only to the system that says so: a video may be right and a moment early.
    """
    contexts, prompts = [clip.frames[0] for clip in clips], [clip.prompt for clip in clips]
    asked = Asked(contexts, prompts, len(clips[0].frames), seed)
    paced = replace(asked, seconds=[clip.seconds for clip in clips])
    videos = {OURS: system.imagine(asked), PACED: system.imagine(paced)}
    for baseline in baselines:
        videos[baseline.name] = baseline.imagine(asked)
    if isinstance(system, Reconstructs):
        videos[CEILING] = system.reconstruct([clip.frames for clip in clips])
    return videos


def score_regions(clip: Clip, video: UInt8, perceptual: Perceptual | None) -> dict[str, Scores]:
    """The scores of a video, whole and around what the data locate."""
    scores = {"whole": score_video(video, clip.frames, perceptual)}
    side = max(min(clip.frames.shape[1:3]) // CROP_SHARE, SMALLEST_CROP)
    for region, centres in (("gripper", clip.gripper), ("object", clip.object)):
        if centres is not None:
            pieces = crops(video, centres, side), crops(clip.frames, centres, side)
            scores[region] = score_video(*pieces, perceptual)
    return scores


def crops(video: UInt8, centres: Float32, side: int) -> UInt8:
    """Square pieces of each frame around (column, row), moved inside where they stick out: uint8 [T, side, side, 3]."""
    height, width = video.shape[1:3]
    left = np.clip(np.round(centres[:, 0]).astype(int) - side // 2, 0, width - side)
    top = np.clip(np.round(centres[:, 1]).astype(int) - side // 2, 0, height - side)
    return np.stack([frame[y : y + side, x : x + side] for frame, y, x in zip(video, top, left, strict=True)])
