"""The docs say what is true: the README's commands run, its Python runs, and every link and path leads somewhere.

The commands run one after another in one folder, as a reader would run them, except that what takes long is made small
by options added at the end, and that `make` is only asked what it would do.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wow.cli.extras import EXTRAS
from wow.cli.options import Command
from wow.cli.verbs import VERBS
from wow.data.video_file import write_video
from wow.types import Video

ROOT = Path(__file__).parents[1]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
README = (ROOT / "README.md").read_text()

# What makes a command of the README quick, appended to it (the last value of an option counts).
SMALLER = {
    "imagine": ["--num-inference-steps", "1"],
    "demo": ["--num-inference-steps", "1"],
    "data collect": ["--tasks", "drawer-open", "--episodes", "2", "--workers", "1"],
    "run --task": ["--num-inference-steps", "1"],
    "run --suite": ["--suite", "button-press", "--episodes", "1", "--workers", "1", "--open-loop"],
    "train codec": ["--max-minutes", "0.05"],
    "train world": ["--max-minutes", "0.05"],
    "train idm": ["--max-minutes", "0.05", "--config.measured", "2"],
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Every command of the bash blocks, as words, comments left out."""
    lines = "\n".join(blocks(text, "bash")).replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def verb_of(words: list[str]) -> str:
    """The verb of a `wow` command line."""
    return next(verb for verb in sorted(VERBS, key=len, reverse=True) if words[1:][: len(verb.split())] == verb.split())


def parsed(words: list[str]) -> Command:
    verb = verb_of(words)
    return VERBS[verb]().parse(words[1 + len(verb.split()) :], verb)


def smaller(words: list[str]) -> list[str]:
    """What makes a `wow` command quick: the options of the longest row that the command begins with."""
    typed = " ".join(words[1:])
    return next((SMALLER[row] for row in sorted(SMALLER, key=len, reverse=True) if typed.startswith(row)), [])


def run(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder in which the README's paths exist, and in which it may write."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "docs").symlink_to(ROOT / "docs")
    return folder


def test_the_readme_has_commands() -> None:
    assert {"make demo", "make test", "wow doctor"} <= {" ".join(words) for words in commands(README)}


@pytest.mark.parametrize("words", [words for words in commands(README) if words[0] != "wow"], ids=" ".join)
def test_what_make_would_do_is_possible(words: list[str]) -> None:
    assert words[0] == "make", f"no test runs {words[0]}: teach this one, or use make or wow"
    dry = run(["make", "--dry-run", *words[1:]], ROOT)
    assert dry.returncode == 0, dry.stderr
    steps = [shlex.split(line) for line in dry.stdout.splitlines()]
    assert steps
    for step in steps:
        if step[0].endswith("/wow"):
            assert parsed(step)


def test_the_tests_install_what_they_need_and_the_demo_stays_small() -> None:
    """quantise, serve and ray are large or wait for a GPU or a cluster: their tests are skipped without them."""
    installed = {}
    for target in ("demo", "test"):
        steps = (shlex.split(line) for line in run(["make", "--dry-run", target], ROOT).stdout.splitlines())
        installed[target] = {extra for step in steps if step[0] == "tools/setup.sh" for extra in step[1].split(",")}
    assert installed["demo"] == {"sim"}
    assert installed["test"] == {"dev", *EXTRAS} - {"quantise", "serve", "ray"}


def test_the_commands_of_the_readme_run(folder: Path) -> None:
    for words in (words for words in commands(README) if words[0] == "wow"):
        assert parsed(words)
        done = run([sys.executable, "-m", "wow.cli.main", *words[1:], *smaller(words)], folder)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("code", blocks(README, "python"), ids=lambda code: code.splitlines()[0])
def test_the_python_of_the_readme_runs(code: str, folder: Path) -> None:
    done = run([sys.executable, "-c", code], folder)
    assert done.returncode == 0, done.stderr[-2000:]


def recordings(folder: Path, episodes: int = 13, length: int = 6) -> None:
    """A robot's recordings as annotation JSON with videos of three cameras, the layout of the page's example."""
    random = np.random.default_rng(0)
    for number in range(episodes):
        name = f"{number:04d}"
        videos = [f"videos/val/{name}/{camera}.mp4" for camera in range(3)]
        for path in videos:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            frames = random.integers(0, 255, (length, 8, 8, 3)).repeat(8, axis=1).repeat(8, axis=2)
            write_video(folder / path, Video(frames.astype(np.uint8), 4.0))
        annotation = {
            "texts": ["fold the towel"],
            "episode_id": name,
            "success": 1,
            "video_length": length,
            "videos": [{"video_path": path} for path in videos],
            "states": np.cumsum(random.normal(scale=0.01, size=(length, 7)), axis=0).clip(-1, 1).tolist(),
            "joints": np.zeros((length, 8)).tolist(),
        }
        path = folder / f"annotation/val/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(annotation))


def test_the_commands_for_an_own_robot_run(tmp_path: Path) -> None:
    page = (ROOT / "docs/own-robot.md").read_text()
    recordings(tmp_path / "recordings")
    (tmp_path / "card.json").write_text(blocks(page, "json")[0])
    for words in commands(page):
        assert parsed(words)
        done = run([sys.executable, "-m", "wow.cli.main", *words[1:], *smaller(words)], tmp_path)
        assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    report = (tmp_path / "runs/mine-exam/report.md").read_text()
    assert "all cameras" in report and "mean motion" in report


def test_the_commands_for_a_benchmark_are_commands() -> None:
    """They take an hour; what each does is tested in `tests/cli`."""
    page = commands((ROOT / "docs/bench.md").read_text())
    assert all(parsed(words) for words in page)
    assert len([words for words in page if "runs/v/" in " ".join(words) and "run" in words]) >= 12


def links(text: str) -> Iterator[tuple[str, str]]:
    """Relative links as (file, anchor); "" where a part is absent."""
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield file, anchor


def anchors(text: str) -> set[str]:
    """The names that headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path: Path) -> None:
    for file, anchor in links(path.read_text()):
        target = path.parent / file if file else path
        assert target.exists(), f"{path.name} links to {file}, which is not there"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{path.name} links to {file}#{anchor}: no such heading"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`((?:wow|tests|docs|tools)/[\w./-]*)`", path.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_that_is_named_exists(path: Path) -> None:
    """A `wow …` in backticks, anywhere in the docs, starts with a verb that there is."""
    groups = {verb.split()[0] for verb in VERBS}
    for text in re.findall(r"`wow ([a-z][a-z-]*(?: [a-z][a-z-]*)?)", path.read_text()):
        words = text.split()
        assert words[0] in VERBS or words[0] in groups, f"{path.name} names wow {text}"
        if words[0] not in VERBS and len(words) > 1:
            assert " ".join(words) in VERBS, f"{path.name} names wow {text}"
