"""What every command has in common, enforced here and in `main`, so that a command file holds only its own idea.

A command is a frozen dataclass of options with a `run` method. tyro builds its parser: the class docstring is the
help text, the string below a field is that option's help, `tyro.conf.Positional[...]` marks a positional one (and all
are keywords to Python, so that fields with and without defaults mix).

    @dataclass(frozen=True, kw_only=True)
    class Import(MakesFolder, Seeded):
        \"\"\"Convert a dataset of any known format to LeRobot v3.\"\"\"

        source: tyro.conf.Positional[Path]
        \"\"\"Folder to read.\"\"\"

        def run(self) -> Summary:
            from wow.data.convert import convert   # heavy imports live inside run: `--help` stays fast

            with Progress("import", total=10, unit="episodes") as progress:
                episodes = convert(self.source, self.out, on_episode=progress.advance)
            return {"out": self.out, "episodes": episodes}

Then it gets a function and a row in `verbs.py`. The conventions:

- What `run` returns is the summary: JSON-able values, also paths and numpy scalars. `main` prints it for people
  (override `describe` to say it better) and, with `--json`, once more as one line of JSON, the last line of stdout.
  `run` itself prints nothing to stdout; progress goes to stderr through `wow.cli.progress`.
- A command that makes something inherits `MakesFolder` or `MakesFile`: `--out` is created before `run`, and a folder
  with something in it, or an existing file, is refused. A command that can take up an earlier run overrides
  `continues` to recognise it. For a default, redeclare `out: Path = field(default_factory=fresh_folder("imagine"))`.
- A random one inherits `Seeded`: `--seed`, default 0.
- What a person can fix is a `WowError`: one line on stderr, exit code 2, no traceback.
- Ctrl-C arrives as `KeyboardInterrupt`: a long command saves, then raises
  `KeyboardInterrupt("saved 12 of 50 episodes; the same command continues")`. `main` prints that line, exit code 130.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar

from wow.types import WowError

_FRAME = re.compile(r"─{3}|-{3}")
_NO_NUMBER = re.compile(r"Error parsing (\S+): .*(?:literal for int\(\)|string to float).*'([^']*)'$")

Summary = dict[str, object]
LARGEST_SEED = 2**31 - 1
"""What every random generator takes, with room for the seeds that are counted up from it."""
Options = TypeVar("Options")


@dataclass(frozen=True, kw_only=True)
class Command:
    """What every command has: a parser, a summary and `--json`."""

    json: bool = False
    """Print a machine-readable summary as the last line of stdout."""

    @classmethod
    def parse(cls, arguments: Sequence[str], verb: str) -> Self:
        """The options on a command line. Override it where defaults depend on other options (a named recipe)."""
        return parse_with_tyro(cls, arguments, verb)

    def prepare(self) -> list[Path]:
        """Called before `run`: refuse what cannot work, make room for the output. Returns the folders made.

        They are in order from the inside. Where `run` then refuses, `main` takes away again those that are still empty.
        """
        return []

    def run(self) -> Summary:
        """Do it. Returns the summary."""
        raise NotImplementedError

    def describe(self, summary: Mapping[str, object]) -> str:
        """The summary for people: one line per fact, and every note on a line of its own."""
        facts = {key: value for key, value in summary.items() if key != "notes"}
        width = max((len(key) for key in facts), default=0)
        lines = [f"{key.replace('_', ' '):<{width}}  {_readable(value)}" for key, value in facts.items()]
        notes = summary.get("notes", ())
        return "\n".join([*lines, *(f"note: {note}" for note in notes)] if isinstance(notes, list) else lines)


@dataclass(frozen=True, kw_only=True)
class Seeded(Command):
    """A command with randomness in it: the same seed gives the same bytes on the same machine."""

    seed: int = 0
    """Seed of everything random, 0 or above."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= LARGEST_SEED:
            raise WowError(f"--seed is a number from 0 to {LARGEST_SEED}, not {self.seed}")


@dataclass(frozen=True, kw_only=True)
class MakesFolder(Command):
    """A command that writes a folder."""

    out: Path
    """Folder to write; created, and refused when it already holds something."""

    def continues(self) -> bool:
        """Whether what `out` already holds is an earlier run of this command that `run` can take up."""
        return False

    def prepare(self) -> list[Path]:
        if exists(self.out) and self.out.is_dir() and any(self.out.iterdir()) and not self.continues():
            raise WowError(f"--out {self.out} already holds files, which are never overwritten: name a new folder")
        return _make_folder(self.out)


@dataclass(frozen=True, kw_only=True)
class MakesFile(Command):
    """A command that writes one file."""

    out: Path
    """File to write; refused when it already exists."""

    def prepare(self) -> list[Path]:
        if exists(self.out):
            raise WowError(f"--out {self.out} already exists and is never overwritten: name a new file")
        return _make_folder(self.out.parent)


def fresh_folder(name: str) -> Callable[[], Path]:
    """A default for `--out`: runs/<name>-<time>, which nobody has used yet."""
    return lambda: Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def exists(path: Path) -> bool:
    """Whether there is such a file or folder. Raises WowError for a name that none can have, such as a too long one."""
    try:
        return path.exists()
    except OSError as problem:
        raise WowError(f"there cannot be a file {shortened(str(path))}: {problem.strerror}; name another") from None


def shortened(text: str, most: int = 80) -> str:
    """The text, or its beginning where it is long."""
    return text if len(text) <= most else f"{text[:most]}…"


def numbers(words: str) -> list[int]:
    """The numbers in "0-9,12", in their order. Raises WowError for anything else."""
    found: list[int] = []
    for word in words.split(","):
        match = re.fullmatch(r"(\d{1,7})(?:-(\d{1,7}))?", word.strip())
        if match is None:
            raise WowError(f"{words!r} is no list of numbers: write numbers and ranges with commas, such as 0-9,12")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def parse_with_tyro(
    options: type[Options], arguments: Sequence[str], verb: str, default: Options | None = None
) -> Options:
    """The options on a command line, over `default` where one is given.

    A mistake is a `WowError` of one line (tyro draws a box around it, which `main` would print inside another).
    """
    import tyro

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                options,
                args=list(arguments),
                prog=f"wow {verb}",
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise WowError(f"{_without_box(complaint.getvalue())}; see wow {verb} --help") from None
    finally:
        if not isinstance(sys.exception(), WowError | SystemExit):
            sys.stderr.write(complaint.getvalue())


def _make_folder(folder: Path) -> list[Path]:
    """Makes a folder and what it lies in; returns those that were not there, the inner ones first."""
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise WowError(f"cannot create the folder {folder}: {problem.strerror}; name another --out") from None
    return made


def _without_box(text: str) -> str:
    """The sentences in a framed message, without its title, up to its pointer to `--help`."""
    lines = [line.strip("│| \t") for line in text.splitlines() if line.strip()]
    message = " ".join(line for line in lines[1:] if not _FRAME.search(line))
    for tail in (" For full helptext", " Argument helptext"):
        message = message.split(tail)[0]
    if found := _NO_NUMBER.match(message):
        kind = "whole number" if "int()" in message else "number"
        return f"{found[1]} takes a {kind}, not {found[2]!r}"
    return message.rstrip(". ") or "the command line could not be read"


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_readable(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_readable(item) for item in value)
    return str(value)
