"""Read the formats that are video and text only: jsonl lists of clips, and folders of N.mp4 + N.txt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wow.data.dataset import Clip, Contents, EpisodeRecord, Item, NoColumns, Problem, bad_episode, without_file
from wow.data.embodiment import infer_embodiment
from wow.data.video_file import probe_video
from wow.types import Camera, WowError

CAMERA = "main"
FILM_FACTS = ("original_lang", "index")


def is_jsonl(path: Path) -> bool:
    """A jsonl whose lines name a `video_path`, or a folder with one."""
    file = _jsonl_in(path)
    if file is None:
        return False
    with file.open(errors="replace") as lines:
        return '"video_path"' in next((line for line in lines if line.strip()), "")


def _jsonl_in(path: Path) -> Path | None:
    if path.is_file():
        return path if path.suffix == ".jsonl" else None
    return next(iter(sorted(path.glob("*.jsonl"))), None)


def read_jsonl(path: Path, *, skip_bad: bool = False) -> Contents:
    """WoW's and Cosmos' training lists: `video_path` (relative to the list), `index`, `dense_lang` on each line."""
    file = _jsonl_in(path)
    if file is None:
        raise WowError(f"{path}: holds no .jsonl file")
    found: list[_Film] = []
    problems: list[Problem] = []
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), start=1):
        if line.strip():
            place = len(found) + len(problems)
            try:
                found.append(_film_on_line(file, number, line, place))
            except WowError as problem:
                problems.append(Problem(file, f"on line {number}", str(problem), left_out=True, number=place))
    if problems and not skip_bad:
        raise bad_episode(problems[0])
    return _contents(found, problems, skip_bad)


def is_film_folder(path: Path) -> bool:
    """A folder in which some N.mp4 has an N.txt."""
    return path.is_dir() and any(film.with_suffix(".txt").is_file() for film in path.glob("*.mp4"))


def read_film_folder(path: Path, *, skip_bad: bool = False) -> Contents:
    """A folder of N.mp4, each with its instruction in N.txt (first line; further lines are further captions)."""
    names = sorted({file.stem for file in path.iterdir() if file.suffix in (".mp4", ".txt")}, key=_natural)
    found = [
        _Film(name, path / f"{name}.mp4", _lines(path / f"{name}.txt"), {}, place) for place, name in enumerate(names)
    ]
    return _contents(found, [], skip_bad)


def _natural(name: str) -> tuple[int, str]:
    """2 before 10."""
    return (int(name), "") if name.isdigit() else (1 << 62, name)


class _Film:
    """One clip that a format names: its file, what is said of it (the instruction first), its number as in `Item`."""

    def __init__(
        self, name: int | str, file: Path, texts: Sequence[str], facts: Mapping[str, object], number: int
    ) -> None:
        self.name, self.file, self.texts, self.facts, self.number = name, file, texts, facts, number


def _film_on_line(file: Path, number: int, line: str, place: int) -> _Film:
    try:
        values: dict[str, Any] = json.loads(line)
    except ValueError as problem:
        raise WowError(f"not JSON ({problem})") from problem
    for key in ("video_path", "dense_lang"):
        if not isinstance(values, dict) or not values.get(key):
            raise WowError(f"has no {key}")
    dense = values["dense_lang"]
    texts = [str(text).strip() for text in (dense if isinstance(dense, list) else [dense])]
    short = str(values.get("original_lang") or "").strip()
    facts = {key: values[key] for key in FILM_FACTS if isinstance(values.get(key), str | int)}
    video = Path(values["video_path"])
    return _Film(values.get("index", number), file.parent / video, [short, *texts] if short else texts, facts, place)


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        return []
    return [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]


def _contents(films: Sequence[_Film], problems: list[Problem], skip_bad: bool) -> Contents:
    """The usable films; the first of them sets size and rate, which one dataset has one of."""
    items: list[Item] = []
    form: tuple[int, int, float] | None = None
    for film in films:
        try:
            if not film.texts:
                raise WowError(f"{film.file.with_suffix('.txt')}: the text is missing or empty")
            length, *rest = probe_video(film.file)
            height, width, fps = int(rest[0]), int(rest[1]), float(rest[2])
            form = form or (height, width, fps)
            if (height, width, fps) != form:
                raise WowError(f"{film.file}: is {_said(height, width, fps)}, not {_said(*form)} like the first")
        except WowError as problem:
            file = film.file
            for candidate in (film.file, film.file.with_suffix(".txt")):
                file = candidate if str(problem).startswith(str(candidate)) else file
            problems.append(Problem(file, film.name, without_file(problem, file), True, film.number))
            if not skip_bad:
                raise bad_episode(problems[-1]) from problem
            continue
        record = EpisodeRecord(len(items), length, film.texts[0], tuple(film.texts[1:]), facts=film.facts)
        items.append(Item(record, {CAMERA: Clip(film.file)}, NoColumns(film.file), film.name, film.number))
    height, width, fps = form or (0, 0, 1.0)
    embodiment = infer_embodiment(
        robot="unknown",
        rate=fps or 1.0,
        action_names=(),
        cameras=[Camera(CAMERA, height, width)],
        unknown=["the robot is not named", "the rate is that of the videos"],
    )
    return Contents(embodiment, fps or 1.0, tuple(items), tuple(problems))


def _said(height: int, width: int, fps: float) -> str:
    return f"{width}x{height} at {fps:g} frames per second"
