"""Many clips with one model that stays loaded: `wow imagine --batch FILE.jsonl --out DIR`, resumable.

One line a clip: `{"image": "scene.png", "instruction": "open the drawer", "seed": 3, "name": "drawer"}`; seed and name
may be left away. A picture is looked for beside the file. The field names of the WoW repository are read too
(`generated_description`, `index`). What is done is not done again; what failed is tried again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wow.cli.options import Summary
from wow.cli.output import write_json, write_strip, write_videos
from wow.cli.progress import Progress
from wow.types import Video, WowError

DONE = "sample_outputs.json"
FAILED = "failed.json"
MOST = 1_000_000


@dataclass(frozen=True)
class Clip:
    """One line of the file: a picture, what the robot should do, a seed, and the name of the folder it goes to."""

    name: str
    image: Path
    instruction: str
    seed: int


Draw = Callable[[Clip], tuple[Video, str]]
"""From a clip to its video, and how its picture was fitted."""


def read_clips(path: Path, seed: int) -> list[Clip]:
    """The clips that a file asks for. seed: of those that state none, and one more for each line.

    Raises WowError naming the line that is wrong.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise WowError(f"{path} cannot be read ({error}): name a file with one clip in JSON a line") from None
    clips = [_clip(path, number, line, seed) for number, line in enumerate(lines[:MOST]) if line.strip()]
    names = [clip.name for clip in clips]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise WowError(f"{path} names two clips {twice!r}: give each a name of its own")
    if not clips:
        raise WowError(f"{path} asks for no clip: write one in JSON a line, with image and instruction")
    return clips


def run_batch(clips: Sequence[Clip], out: Path, draw: Draw) -> Summary:
    """Draws every clip that is not there yet, each into its own folder. One that fails does not stop the rest."""
    left = [clip for clip in clips if not (out / clip.name / DONE).exists()]
    failed: dict[str, str] = {}
    with Progress("imagine", total=len(clips), unit="clips", start=len(clips) - len(left)) as progress:
        for place, clip in enumerate(left):
            try:
                _write(out / clip.name, clip, *draw(clip))
            except WowError as error:
                failed[clip.name] = str(error)
            except KeyboardInterrupt:
                done = len(clips) - len(left) + place
                raise KeyboardInterrupt(f"saved {done} of {len(clips)} clips; the same command continues") from None
            progress.advance(note=f"{len(failed)} failed" if failed else "")
    write_json(out / FAILED, failed)
    if len(failed) == len(clips):
        raise WowError(f"none of {len(clips)} clips could be made; the first: {next(iter(failed.values()))}")
    return {"out": out, "clips": len(clips), "made_now": len(left) - len(failed), "failed": failed}


def _clip(path: Path, number: int, line: str, seed: int) -> Clip:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise WowError(f"line {number + 1} of {path} is not JSON ({error}): mend it") from None
    words = _first(content, "instruction", "prompt", "generated_description")
    image = _first(content, "image")
    if not isinstance(words, str) or not isinstance(image, str):
        raise WowError(f'line {number + 1} of {path} is not {{"image": "scene.png", "instruction": "…"}}: mend it')
    named = str(_first(content, "name", "index") or f"{number:05d}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", named):
        raise WowError(f"line {number + 1} of {path} is named {named!r}: a name is letters, digits, '.', '_' and '-'")
    stated = _first(content, "seed")
    if stated is not None and not isinstance(stated, int):
        raise WowError(f"line {number + 1} of {path} has the seed {stated!r}: a seed is a whole number")
    return Clip(named, path.parent / image, words, seed + number if stated is None else stated)


def _first(content: object, *names: str) -> object:
    if not isinstance(content, Mapping):
        return None
    return next((content[name] for name in names if content.get(name) is not None), None)


def _write(folder: Path, clip: Clip, video: Video, fitting: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_videos(folder, [video])
    write_strip(folder / "filmstrip.png", {clip.instruction[:60]: video.frames})
    about = {"image": clip.image, "instruction": clip.instruction, "seed": clip.seed, "fps": video.fps}
    write_json(folder / DONE, {**about, "image_fitting": fitting or "taken as it is"})
