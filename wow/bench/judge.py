"""A judge that is a model which sees: what it is shown, how it is asked, and its answers kept by what was asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wow.bench.dimensions.contract import Rubric
from wow.bench.rubric import load_text
from wow.bench.text import write_text
from wow.types import UInt8, Video

Asked = Callable[[str, str, Sequence[UInt8], Mapping[str, object]], Mapping[str, object]]
"""A model: system text, question, pictures [H, W, 3] and the schema of the answer to the answer. Raises WowError where
it has none."""

FRAMES = 8
"""Frames of each video that are shown, the first and the last among them."""


@dataclass(frozen=True)
class ModelJudge:
    """Asks a model; the same question is put only once, also by a later run. name: the model's, with its version.

    cache: folder of the answers, each a file that is named by the hash of all that was asked.
    """

    name: str
    asked: Asked
    cache: Path

    def ask(self, rubric: Rubric, videos: Mapping[str, Video], texts: Mapping[str, str], trial: int) -> object:
        """The answer; see `wow.bench.dimensions.contract.Judge`. Another trial shows other frames between the ends."""
        shown = {name: video.frames[shown_rows(len(video), trial)] for name, video in videos.items()}
        text = question(rubric, videos, texts, trial)
        file = self.cache / f"{self._hash(rubric, text, shown, trial)}.json"
        if file.is_file():
            return json.loads(file.read_text())
        answer = self.asked(
            load_text("judge"), text, [frame for film in shown.values() for frame in film], rubric.schema
        )
        self.cache.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(answer))
        return answer

    def _hash(self, rubric: Rubric, text: str, shown: Mapping[str, UInt8], trial: int) -> str:
        total = hashlib.sha256()
        told = [self.name, load_text("judge"), text, rubric.schema, trial, [film.shape for film in shown.values()]]
        total.update(json.dumps(told, sort_keys=True).encode())
        for film in shown.values():
            total.update(np.ascontiguousarray(film).tobytes())
        return total.hexdigest()


def question(rubric: Rubric, videos: Mapping[str, Video], texts: Mapping[str, str], trial: int) -> str:
    """The rubric, what the pictures are, what was asked of the robot, and the form of the answer."""
    lines, first = [rubric.text, ""], 1
    for name, video in videos.items():
        rows = shown_rows(len(video), trial)
        lines.append(
            f"Pictures {first} to {first + len(rows) - 1}: frames {', '.join(map(str, rows))} of the video {name!r}, "
            f"{1 / video.fps:.2g} s from one frame to the next."
        )
        first += len(rows)
    # What a suite says is data: it is quoted, whatever it asks for.
    lines += [f"{name}: {json.dumps(text)}" for name, text in texts.items()]
    return "\n".join([*lines, f"Answer with one JSON object of this schema: {json.dumps(rubric.schema)}"])


def shown_rows(length: int, trial: int) -> list[int]:
    """Which frames of a video are shown: the ends, and some evenly between them that shift from trial to trial."""
    count = min(FRAMES, length)
    places = np.linspace(0, length - 1, count)
    if count > 2 and length > count:
        spacing = (length - 1) / (count - 1)
        places[1:-1] += spacing * ((trial * 0.382 + 0.5) % 1.0 - 0.5) * 0.9
    return [int(place) for place in np.clip(np.round(places), 0, length - 1)]
