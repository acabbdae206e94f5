"""The best and the worst videos of a run, each beside its truth, as something that a page can hold."""

from __future__ import annotations

import base64
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from wow.bench.align import resized, spread
from wow.bench.cases import read_film
from wow.bench.scores_v2 import GROUPS, SCALES
from wow.bench.sources import located
from wow.bench.suite import Suite, open_suite
from wow.bench.suite_results import Results
from wow.data.picture import read_picture
from wow.data.video_file import Encoding, write_video
from wow.types import UInt8, Video, WowError

HEIGHT = 160
MOST_FRAMES = 48
PAGE = Encoding(crf=26)
SECONDS, SLOWEST = 4, 4.0
"""How long a video is made to last [s], and how slow it may become [frames per second]."""


@dataclass(frozen=True)
class Shown:
    """One sample on a page. score: by which it was chosen. film: an mp4 as a data URL, the video beside its truth.
    poster: its first picture, which a browser shows before anybody plays it."""

    key: str
    prompt: str
    score: float
    values: dict[str, float]
    film: str
    poster: str


def sample_score(values: dict[str, float]) -> float | None:
    """How good one sample is: its metrics on the second scale, meaned in their groups, then over these."""
    groups: list[float] = []
    for group in GROUPS:
        found = [SCALES[n].score(v) for n, v in values.items() if n in SCALES and SCALES[n].group == group]
        if found:
            groups.append(sum(found) / len(found))
    return sum(groups) / len(groups) if groups else None


def best_and_worst(run: Results, count: int) -> tuple[list[Shown], list[Shown], str]:
    """The `count` best samples, the worst ones, and why some could not be shown ("" where all could)."""
    scored = [(sample_score(told["values"]), key) for key, told in run.content["samples"].items()]
    order = [key for score, key in sorted((s, key) for s, key in scored if s is not None)]
    worst = order[: min(count, len(order) // 2)]
    best = order[::-1][: min(count, len(order) - len(worst))]
    try:
        suite = open_suite(Path(run.content["suite_path"]))
    except WowError as problem:
        return [], [], str(problem)
    if suite.digest != run.digest:
        return [], [], f"the suite at {suite.path} has changed since"
    why: list[str] = []
    shown: list[list[Shown]] = []
    for keys in (best, worst):
        shown.append([])
        for key in keys:
            try:
                shown[-1].append(_shown(run, suite, key))
            except WowError as problem:
                why.append(str(problem))
    return shown[0], shown[1], "; ".join(why)


def _shown(run: Results, suite: Suite, key: str) -> Shown:
    sample = next(sample for sample in suite.samples if sample.key == key)
    path = located(Path(run.content["videos_path"]), key)
    if path is None:
        raise WowError(f"the video of {key} is no longer in {run.content['videos_path']}")
    sides = [_small(read_film(path).frames)]
    if sample.truth is not None:
        sides.append(_small(read_film(sample.truth).frames))
    else:
        sides.append(_small(read_picture(sample.first_frame)[None]))
    told = run.content["samples"][key]
    values = {name: float(value) for name, value in told["values"].items()}
    joined = beside(*sides)
    film = _url(joined, max(SLOWEST, len(joined) / SECONDS))
    return Shown(key, str(told["prompt"]), sample_score(values) or 0.0, values, film, poster_url(joined[0]))


def beside(left: UInt8, right: UInt8) -> UInt8:
    """Two videos side by side, as long as the longer one, and of an even width."""
    length = max(len(left), len(right))
    frames = [video[spread(len(video), length)] for video in (left, right)]
    gap = np.full((length, frames[0].shape[1], 4, 3), 255, np.uint8)
    joined = np.concatenate([frames[0], gap, frames[1]], axis=2)
    return np.asarray(joined[:, :, : joined.shape[2] // 2 * 2])


def poster_url(picture: UInt8) -> str:
    """A picture [H, W, 3] as a data URL."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="jpeg", quality=70)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def alone_url(frames: UInt8) -> str:
    """One video of 4 s as a data URL of an mp4."""
    return _url(_small(frames), len(frames) / SECONDS)


def _url(frames: UInt8, fps: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_video(path, Video(frames, fps), PAGE)
        return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()


def _small(frames: UInt8) -> UInt8:
    picked = frames[spread(len(frames), min(len(frames), MOST_FRAMES))]
    width = max(2, round(frames.shape[2] * HEIGHT / frames.shape[1]) // 2 * 2)
    return resized(picked, (HEIGHT, width))
