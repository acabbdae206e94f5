"""The command line as a person meets it: what is printed where, and which exit code follows."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tyro

from wow import __version__
from wow.cli.main import main, plain
from wow.cli.options import Command, MakesFile, MakesFolder, Seeded, Summary, numbers
from wow.cli.verbs import VERBS
from wow.types import WowError


@dataclass(frozen=True, kw_only=True)
class Draw(MakesFolder, Seeded):
    """Draw numbers into a folder."""

    label: tyro.conf.Positional[str]
    """What to call them."""
    count: int = 3
    """How many numbers."""

    def continues(self) -> bool:
        return (self.out / "numbers.txt").exists()

    def run(self) -> Summary:
        if self.label == "broken":
            raise WowError("the label is broken: choose another one")
        if self.label == "long":
            raise KeyboardInterrupt("saved 2 of 3 numbers; the same command continues")
        if self.label == "large":
            raise OSError(errno.ENOSPC, "No space left on device", "numbers.txt")
        if self.label == "simulated":
            raise ModuleNotFoundError("No module named 'mujoco'", name="mujoco")
        numbers = np.random.default_rng(self.seed).random(self.count)
        (self.out / "numbers.txt").write_text(str(numbers.tolist()))
        return {"out": self.out, "largest": numbers.max(), "mean_of_none": float("nan")}


@dataclass(frozen=True, kw_only=True)
class Note(MakesFile):
    """Write a note."""

    out: Path = field(default_factory=lambda: Path("note.txt"))

    def run(self) -> Summary:
        self.out.write_text("seen")
        return {"out": self.out}


def numbers_draw() -> type[Command]:
    """Draw numbers."""
    return Draw


def note() -> type[Command]:
    """Write a note."""
    return Note


@pytest.fixture(autouse=True)
def _verbs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(VERBS, "numbers draw", numbers_draw)
    monkeypatch.setitem(VERBS, "note", note)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr, which is one line."""
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("wow: ") and said.err.count("\n") == 1, said.err
    return said.err


def test_the_summary_is_for_people_and_its_last_line_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numbers", "draw", "some", "--out", "new/folder", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    assert summary["out"] == "new/folder" and 0 < summary["largest"] < 1 and summary["mean_of_none"] is None
    assert any(line.startswith("out") and "new/folder" in line for line in lines[:-1])


def test_without_json_no_machine_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numbers", "draw", "some", "--out", "a"]) == 0
    assert "{" not in capsys.readouterr().out


def test_the_same_seed_gives_the_same_bytes() -> None:
    for seed, folder in ((7, "a"), (7, "b"), (8, "c")):
        assert main(["numbers", "draw", "some", "--seed", str(seed), "--out", folder]) == 0
    written = [Path(folder, "numbers.txt").read_bytes() for folder in "abc"]
    assert written[0] == written[1] != written[2]


def test_a_folder_with_something_in_it_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a").mkdir()
    Path("a/precious.txt").write_text("mine")
    assert main(["numbers", "draw", "some", "--out", "a"]) == 2
    assert "--out a already holds files" in error_line(capsys)
    assert [path.name for path in Path("a").iterdir()] == ["precious.txt"]


def test_who_is_refused_finds_no_empty_folders_made_for_it() -> None:
    Path("mine").mkdir()
    assert main(["numbers", "draw", "broken", "--out", "a/b/c"]) == 2
    assert main(["numbers", "draw", "broken", "--out", "mine"]) == 2
    assert main(["numbers", "draw", "large", "--out", "full"]) == 2
    assert sorted(path.name for path in Path().iterdir() if path.is_dir()) == ["full", "mine"]


def test_a_command_takes_up_its_own_earlier_run() -> None:
    assert [main(["numbers", "draw", "some", "--out", "a"]) for _ in range(2)] == [0, 0]


def test_an_existing_file_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    Path("note.txt").write_text("mine")
    assert main(["note"]) == 2
    assert "note.txt already exists" in error_line(capsys)
    assert Path("note.txt").read_text() == "mine"


def test_a_folder_below_a_file_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert main(["numbers", "draw", "some", "--out", "file/below"]) == 2
    assert "cannot create the folder file/below" in error_line(capsys)


@pytest.mark.parametrize(
    "words",
    [
        ["numbers", "draw", "some", "--out", "x" * 300],
        ["numbers", "draw", "some", "--out", "/proc/x"],
        ["note", "--out", "x" * 300],
        ["data", "info", "a caption in the place of a path, " * 10],
        ["numbers", "draw", "some", "--out", "a", "--seed", "-1"],
        ["numbers", "draw", "some", "--out", "a", "--seed", "99999999999999999999999"],
    ],
)
def test_names_and_seeds_that_cannot_be_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert len(error_line(capsys)) < 250


def test_notes_are_lines_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    said = Command().describe({"out": "a", "notes": ["the picture was cut", "low confidence"]})
    assert said.splitlines() == ["out  a", "note: the picture was cut", "note: low confidence"]


def test_what_a_person_can_fix_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numbers", "draw", "broken", "--out", "a"]) == 2
    assert error_line(capsys) == "wow: the label is broken: choose another one\n"


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numbers", "draw", "large", "--out", "a"]) == 2
    assert error_line(capsys) == "wow: No space left on device: numbers.txt; make room, or write to another disk\n"


def test_a_missing_extra_names_the_command_that_installs_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numbers", "draw", "simulated", "--out", "a"]) == 2
    line = error_line(capsys)
    assert "needs mujoco" in line and "pip install" in line and "[sim]" in line


def test_an_interruption_says_what_was_saved_and_exits_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numbers", "draw", "long", "--out", "a"]) == 130
    assert "interrupted; saved 2 of 3 numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["imagin"], "did you mean wow imagine?"),
        (["data", "imprt"], "wow data import"),
        (["note", "--ouch", "3"], "--ouch"),
        (
            ["numbers", "draw", "some", "--out", "a", "--count", "many"],
            "--count takes a whole number, not 'many'",
        ),
        (["numbers", "draw", "some", "--out", "a", "--ouch", "3"], "wow: Unrecognized options: --ouch"),
        (["numbers", "draw", "--out", "a"], "What to call them"),
        (["numbers", "draw", "some"], "--out"),
        (["xyzzy"], "there are imagine, refine, judge, demo"),
        (["--nonsense"], "unknown option --nonsense"),
    ],
)
def test_a_mistyped_command_line_is_answered_in_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert expected in error_line(capsys)


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["data"], ["data", "--help"]])
def test_help_lists_the_commands(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "wow data import" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"wow {__version__}\n"


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*verb.split(), "--help"])
    assert stop.value.code in (0, None)
    text = capsys.readouterr().out
    assert f"usage: wow {verb}" in text and "--json" in text


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_command_keeps_the_conventions(verb: str) -> None:
    """What has an `--out` gets its protection, what has a `--seed` gets the same one, and every option is explained."""
    command = VERBS[verb]()
    options = command.__dataclass_fields__
    assert issubclass(command, Command) and command.run is not Command.run
    if verb not in ("data import", "convert"):  # they name their folder by position, and look after it themselves
        assert ("out" in options) == issubclass(command, MakesFolder | MakesFile)
    assert ("seed" in options) == issubclass(command, Seeded)
    assert (command.__doc__ or "").strip(), "the docstring is the help text"
    assert (VERBS[verb].__doc__ or "").strip(), "its first line is shown by wow --help"


def test_a_closed_pipe_is_no_traceback() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m wow.cli.main --help | true"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("processes", "said"), [("1", "wow {} wound up"), ("2", "wow {}")])
def test_one_process_of_several_ends_without_winding_up(processes: str, said: str) -> None:
    """What threads of gloo do while the interpreter winds up would abort a process whose work is done."""
    code = "import atexit, sys; from wow.cli.main import main; atexit.register(print, 'wound up'); sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"],
        capture_output=True,
        text=True,
        env=os.environ | {"WORLD_SIZE": processes},
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0 and " ".join(done.stdout.split()) == said.format(__version__)


def test_plain_keeps_what_json_knows() -> None:
    value: Mapping[str, object] = {"a": np.float32(0.5), "b": [np.int64(2), Path("x")], "c": None, "d": True}
    assert plain(value) == {"a": 0.5, "b": [2, "x"], "c": None, "d": True}
    assert plain(np.array([1.0, np.inf])) == [1.0, None]


def test_numbers_and_ranges_are_read_and_anything_else_is_refused() -> None:
    assert numbers("0-3,7, 9") == [0, 1, 2, 3, 7, 9]
    for words in ("", "1-", "a", "3;4", "-2", "1-2-3"):
        with pytest.raises(WowError, match="no list of numbers"):
            numbers(words)
