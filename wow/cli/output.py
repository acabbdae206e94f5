"""What commands leave behind: videos, film strips and JSON, whole or not there at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from wow.types import UInt8, Video


def write_videos(folder: Path, videos: Sequence[Video]) -> list[Path]:
    """Writes `vision.mp4`, and `vision-1.mp4`, … for further candidates."""
    from wow.data.video_file import write_video

    paths = [folder / ("vision.mp4" if place == 0 else f"vision-{place}.mp4") for place in range(len(videos))]
    for path, video in zip(paths, videos, strict=True):
        part = path.with_suffix(".part.mp4")
        write_video(part, video)
        part.rename(path)
    return paths


def write_strip(path: Path, videos: Mapping[str, UInt8]) -> None:
    """Writes a film strip PNG, one row per video."""
    from wow.data.film_strip import film_strip

    film_strip(videos).save(path)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes JSON under another name first: the file is whole or not there."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(plain(content), indent=1))
    part.rename(path)


def plain(value: object) -> object:
    """The same value in what JSON knows: paths become strings, numpy scalars numbers, NaN and infinities null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
