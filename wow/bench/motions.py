"""What was done in the samples of a suite, as a world model can be told it: actions between the frames it imagines."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wow.bench.samples import clip_rows, merged_actions
from wow.bench.suite import TRAJECTORY, Sample
from wow.data.video_file import probe_video
from wow.types import Embodiment, Float32, WowError


@dataclass(frozen=True, eq=False)
class Motion:
    """actions: float32 [N-1, D] between N frames, `seconds` of robot time apart [s]."""

    actions: Float32
    seconds: float


def motion_pairs(
    samples: Sequence[Sample], num_frames: int, embodiment: Embodiment
) -> dict[str, tuple[Motion, Motion]]:
    """By sample, what was really done there, and what was done in the next sample that differs.

    Only of samples that say what was done (`TRAJECTORY`), in actions of that embodiment.
    """
    found = {s.key: motion for s in samples if (motion := _motion(s, num_frames, embodiment)) is not None}
    keys = list(found)
    pairs: dict[str, tuple[Motion, Motion]] = {}
    for place, key in enumerate(keys):
        rest = (found[other] for other in (*keys[place + 1 :], *keys[:place]))
        other = next((one for one in rest if not np.array_equal(one.actions, found[key].actions)), None)
        if other is not None:
            pairs[key] = (found[key], other)
    return pairs


def _motion(sample: Sample, num_frames: int, embodiment: Embodiment) -> Motion | None:
    """None where a sample does not say it, or says it in other actions."""
    if sample.truth is None or not (sample.folder / TRAJECTORY).is_file():
        return None
    try:
        with np.load(sample.folder / TRAJECTORY) as stored:
            actions = np.asarray(stored["actions"], np.float32)
        fps = probe_video(sample.truth)[3]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, WowError):
        return None
    if actions.ndim != 2 or len(actions) == 0 or actions.shape[1] != len(embodiment.adds_up):
        return None
    rows, stride = clip_rows(len(actions) + 1, num_frames)
    return Motion(merged_actions(actions, rows, embodiment), float(stride) / (fps or 5.0))
