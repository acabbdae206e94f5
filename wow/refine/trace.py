"""Everything about a search on disk: `trace.jsonl`, a line for each round, and every video without loss beside it.

The first line says what is searched for and by whom; a round counts from the instant at which its line ends. A process
that is killed repeats the round in flight, with the same seeds, and nothing else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from wow.refine.contract import Attempt, Round
from wow.refine.loop import Search
from wow.refine.rules import attempts_of
from wow.types import Float32, UInt8, Verdict, Video, WowError

FILE = "trace.jsonl"
VIDEOS = "videos"


@dataclass(frozen=True)
class Trace:
    """The record of one search. identity: what tells it from others; of JSON's types, without keys or passwords."""

    folder: Path
    identity: Mapping[str, object]

    def claim(self) -> list[Round]:
        """The rounds of an earlier call; none where the folder is new, which is then marked as this search's.

        Raises WowError where it holds another search, or is damaged.
        """
        wanted = json.loads(json.dumps(self.identity))
        lines = self._lines()
        if not lines:
            self._write({"event": "start", "identity": wanted})
            return []
        found = lines[0].get("identity")
        if lines[0].get("event") != "start" or not isinstance(found, dict):
            raise WowError(f"{self._file} does not begin as a trace does: name another --out")
        for key in {**found, **wanted}:
            if found.get(key) != wanted.get(key):
                said = f"{self.folder} holds a search with {key} {found.get(key)!r}, not {wanted.get(key)!r}"
                raise WowError(f"{said}: name another --out")
        return [self._round(number, line) for number, line in enumerate(line for line in lines if _is_round(line))]

    def append(self, done: Round) -> None:
        """Adds a round; when this returns it survives a crash."""
        (self.folder / VIDEOS).mkdir(exist_ok=True)
        attempts = []
        for place, attempt in enumerate(done.attempts):
            write_sheet(self.sheet(done.number, place), attempt.video.frames)
            shown = {"frames": len(attempt.video), "fps": attempt.video.fps}
            said = {name: asdict(verdict) for name, verdict in attempt.verdicts.items()}
            asked = None if attempt.actions is None else attempt.actions.tolist()
            told = {"verdict": asdict(attempt.verdict), "verdicts": said, "actions": asked}
            attempts.append({"seed": attempt.seed, **shown, **told})
        facts = {name: getattr(done, name) for name in ("number", "prompt", "note", "tokens", "cost")}
        costs = {"problems": dict(done.problems), "seconds": dict(done.seconds)}
        self._write({"event": "round", **facts, **costs, "attempts": attempts})

    def finish(self, search: Search) -> None:
        """Says why it is over, and which attempt is the best."""
        best = search.best
        outcome = {"stopped": search.stopped, "round": best.round, "seed": best.seed, "prompt": best.prompt}
        self._write({"event": "end", **outcome, "videos": len(attempts_of(search.rounds))})

    def sheet(self, number: int, place: int) -> Path:
        """The file with all frames of a video, one below the other."""
        return self.folder / VIDEOS / f"{number:02d}-{place}.png"

    @property
    def _file(self) -> Path:
        return self.folder / FILE

    def _lines(self) -> list[dict[str, Any]]:
        """What is wholly written; a line that a crash cut off does not count."""
        lines = []
        for line in self._file.read_text().split("\n")[:-1] if self._file.exists() else []:
            try:
                content = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(content, dict):
                lines.append(content)
        return lines

    def _write(self, content: Mapping[str, object]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # A cut-off last line gets its newline first, so that it cannot swallow this one.
        is_whole = not self._file.exists() or self._file.read_bytes()[-1:] in (b"", b"\n")
        with self._file.open("a") as file:
            file.write(("" if is_whole else "\n") + json.dumps(content, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _round(self, number: int, line: Mapping[str, Any]) -> Round:
        try:
            if line["number"] != number:
                raise ValueError(f"round {number} is missing")
            attempts = tuple(
                Attempt(
                    round=number,
                    prompt=line["prompt"],
                    seed=int(told["seed"]),
                    video=Video(read_sheet(self.sheet(number, place), int(told["frames"])), float(told["fps"])),
                    verdict=_verdict(told["verdict"]),
                    verdicts={name: _verdict(said) for name, said in told["verdicts"].items()},
                    actions=_actions(told["actions"], int(told["frames"])),
                )
                for place, told in enumerate(line["attempts"])
            )
            if not attempts:
                raise ValueError("it has no videos")
            costs = {name: line[name] for name in ("problems", "seconds", "tokens")}
            return Round(number, line["prompt"], attempts, line["note"], **costs, cost=float(line.get("cost", 0.0)))
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            said = f"{type(problem).__name__}: {problem}"
            raise WowError(f"{self._file} is damaged at round {number} ({said}): name another --out") from None


def _is_round(line: Mapping[str, Any]) -> bool:
    return line.get("event") == "round"


def _verdict(told: Mapping[str, Any]) -> Verdict:
    span = told["span"]
    return Verdict(**{**told, "span": None if span is None else (int(span[0]), int(span[1]))})


def _actions(told: object, num_frames: int) -> Float32 | None:
    """The actions [num_frames - 1, D] of a line. Raises ValueError for what are none."""
    if told is None:
        return None
    actions = np.asarray(told, np.float32)
    if actions.ndim != 2 or len(actions) != num_frames - 1 or not np.isfinite(actions).all():
        raise ValueError(f"actions {list(actions.shape)} between {num_frames} frames")
    return actions


def write_sheet(path: Path, frames: UInt8) -> None:
    """Writes frames [T, H, W, 3] as one picture, one below the other, without loss; whole or not at all."""
    count, height, width, _ = frames.shape
    part = path.with_name(path.name + ".part")
    Image.fromarray(frames.reshape(count * height, width, 3)).save(part, format="png")
    part.replace(path)


def read_sheet(path: Path, num_frames: int) -> UInt8:
    """The frames [T, H, W, 3] of a sheet. Raises WowError where it is missing or not one of so many frames."""
    try:
        with Image.open(path, formats=["png"]) as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as problem:
        raise WowError(f"{path} cannot be read ({problem}): name another --out") from None
    if num_frames < 1 or len(pixels) % num_frames:
        raise WowError(f"{path} does not hold {num_frames} frames: name another --out")
    return pixels.reshape(num_frames, -1, *pixels.shape[1:])
