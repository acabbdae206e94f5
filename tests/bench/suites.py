"""A suite small enough to know everything about: a bright square crosses a patterned floor, 8 frames of 32 pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wow.bench.suite import Meta, write_card
from wow.bench.suite_import import NewSample, write_sample
from wow.cli.main import main
from wow.data.video_file import Encoding, write_video
from wow.types import UInt8, Video

SIDE, FRAMES, SQUARE = 32, 8, 6
LOSSLESS = Encoding(crf=0)


def floor(seed: int) -> UInt8:
    """A pattern with corners everywhere, another for each seed."""
    noise = np.random.default_rng(seed).integers(20, 90, (SIDE // 2, SIDE // 2, 3), dtype=np.uint8)
    return noise.repeat(2, axis=0).repeat(2, axis=1)


def crossing(seed: int, speed: float = 2.0, row: int = 12) -> tuple[UInt8, UInt8]:
    """The video [8, 32, 32, 3] of the square going right, and where it is, as indices into `REGIONS`: the object."""
    frames = np.repeat(floor(seed)[None], FRAMES, axis=0)
    masks = np.zeros(frames.shape[:3], np.uint8)
    for index in range(FRAMES):
        column = round(4 + speed * index)
        frames[index, row : row + SQUARE, column : column + SQUARE] = (250, 200, 40)
        masks[index, row : row + SQUARE, column : column + SQUARE] = 2
    return frames, masks


def make_suite(folder: Path, count: int = 3) -> Path:
    """Samples a/0, a/1, … of two difficulties and two abilities, with exact masks."""
    for number in range(count):
        frames, masks = crossing(number)
        meta = Meta(
            ability=("perception", "prediction")[number % 2],
            sub_task=("spatial", "collision-rigid")[number % 2],
            difficulty=("easy", "hard")[number % 2],
            plan=("move: square", "stop: square"),
        )
        write_sample(folder, NewSample(f"a/{number}", Video(frames, 8.0), f"push square {number}", meta, masks=masks))
    write_card(folder, "squares")
    return folder


def write_film(path: Path, frames: UInt8, fps: float = 8.0) -> Path:
    """The frames as an mp4 that loses little."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, Video(frames, fps), LOSSLESS)
    return path


def scored_runs(folder: Path, suite: Path, speeds: Mapping[str, float], metrics: Sequence[str]) -> dict[str, Path]:
    """For each name the run in which a world whose square has that speed is scored on the four samples of a suite."""
    runs = {}
    for name, speed in speeds.items():
        for number in range(4):
            write_film(folder / name / "a" / f"{number}.mp4", crossing(number, speed)[0])
        runs[name] = folder / f"{name}-run"
        words = ["bench", "run", "--suite", str(suite), "--videos", str(folder / name), "--out", str(runs[name])]
        assert main([*words, "--executor", "none", "--metrics", *metrics]) == 0
    return runs
