"""Many clips with one model that stays loaded: `wow imagine --batch FILE.jsonl --out DIR`, resumable.

One line a clip: `{"image": "scene.png", "instruction": "open the drawer", "seed": 3, "name": "drawer"}`; seed and name
may be left away. A picture is looked for beside the file. The field names of the WoW repository are read too
(`generated_description`, `index`). What is done is not done again; what failed is tried again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wow.cli.options import Summary
from wow.cli.output import write_json, write_strip, write_videos
from wow.cli.progress import Progress
from wow.types import Video, WowError

DONE = "sample_outputs.json"
FAILED = "failed.json"
MOST = 1_000_000


Outcome = tuple["Clip", str]
"""A clip, and why it could not be made; "" where it was."""


@dataclass(frozen=True)
class Clip:
    """One line of the file: a picture, what the robot should do, a seed, and the name of the folder it goes to."""

    name: str
    image: Path
    instruction: str
    seed: int


def read_clips(path: Path, seed: int) -> list[Clip]:
    """The clips that a file asks for. seed: of those that state none, and one more for each line.

    Raises WowError naming the line that is wrong.
    """
    if not path.is_file():
        raise WowError(f"there is no file {path}: name one with one clip in JSON a line")
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


def left_of(clips: Sequence[Clip], out: Path) -> list[Clip]:
    """Those that are not there yet."""
    return [clip for clip in clips if not (out / clip.name / DONE).exists()]


def run_batch(clips: Sequence[Clip], out: Path, outcomes: Callable[[Sequence[Clip]], Iterable[Outcome]]) -> Summary:
    """Makes every clip that is not there yet. One that fails does not stop the rest.

    outcomes: makes clips, each into its own folder, and tells of each why it could not be made ("" where it was).
    """
    left = left_of(clips, out)
    made, failed = 0, dict[str, str]()
    with Progress("imagine", total=len(clips), unit="clips", start=len(clips) - len(left)) as progress:
        try:
            for clip, why in outcomes(left) if left else ():
                made += not why
                failed |= {clip.name: why} if why else {}
                progress.advance(note=f"{len(failed)} failed" if failed else "")
        except KeyboardInterrupt:
            there = len(clips) - len(left) + made
            raise KeyboardInterrupt(f"saved {there} of {len(clips)} clips; the same command continues") from None
    write_json(out / FAILED, failed)
    if len(failed) == len(clips):
        raise WowError(f"none of {len(clips)} clips could be made; the first: {next(iter(failed.values()))}")
    return {"out": out, "clips": len(clips), "made_now": made, "failed": failed}


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


def write_clip(folder: Path, clip: Clip, video: Video, fitting: str) -> None:
    """Writes a clip; what says that it is done comes last. fitting: what was done to its picture, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    write_videos(folder, [video])
    write_strip(folder / "filmstrip.png", {clip.instruction[:60]: video.frames})
    about = {"image": clip.image, "instruction": clip.instruction, "seed": clip.seed, "fps": video.fps}
    write_json(folder / DONE, {**about, "image_fitting": fitting or "taken as it is"})
