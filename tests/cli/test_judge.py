"""`wow judge`: the better video is told first, everybody's words are there, and how it says no."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.critics import Away
from wow import assembly, judges
from wow.cli.main import main
from wow.data.video_file import read_video, write_video
from wow.types import Verdict, Video


@dataclass(frozen=True)
class Bright:
    """A critic by rule of thumb: the brighter at the end, the better."""

    name: str = "bright"

    def __call__(self, video: Video, goal: str) -> Verdict:
        share = float(video.frames[-1].mean()) / 255
        return Verdict({"visual_quality": 1 + 4 * share}, share > 0.5, max(share, 1 - share), f"for {goal}", (0, 1))


@pytest.fixture(autouse=True)
def critics(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(assembly.CRITICS, "bright", lambda agent: Bright())
    monkeypatch.setitem(assembly.CRITICS, "away", lambda agent: Away())
    yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("videos")
    for name, last, count in (("dark", 40, 6), ("light", 220, 6), ("one", 100, 1)):
        levels = np.linspace(30, last, count).astype(np.uint8)
        write_video(root / f"{name}.mp4", Video(np.broadcast_to(levels[:, None, None, None], (count, 64, 64, 3)), 10.0))
    return root


def test_the_best_is_told_first_with_every_critics_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = [str(folder / "dark.mp4"), str(folder / "light.mp4")]
    assert main(["judge", *videos, "--goal", "light up", "--critic", "bright,away", "--json"]) == 0
    *people, last = capsys.readouterr().out.splitlines()
    summary = json.loads(last)
    assert [Path(one["video"]).stem for one in summary["videos"]] == ["light", "dark"]
    light, dark = summary["videos"]
    assert light["completed"] and not dark["completed"] and light["frames"] == 6
    assert light["by_critic"]["bright"]["reason"] == "for light up" and light["by_critic"]["bright"]["span"] == [0, 1]
    assert len(summary["problems"]) == 2 and all("no endpoint" in why for why in summary["problems"].values())
    text = "\n".join(people)
    assert "light.mp4: completed" in text and "dark.mp4: failed" in text and "not judged:" in text


def test_the_shipped_critics_tell_a_still_video_from_a_success(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(Path(__file__).parents[2] / "docs/images/drawer.png")
    assert main(["imagine", picture, "open the drawer", "--out", str(tmp_path / "drawer")]) == 0
    imagined = tmp_path / "drawer" / "vision.mp4"
    still = tmp_path / "still.mp4"
    first = read_video(imagined).frames[:1]
    write_video(still, Video(np.repeat(first, 17, axis=0), 15.0))
    capsys.readouterr()
    assert main(["judge", str(still), str(imagined), "--goal", "open the drawer", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [Path(one["video"]).stem for one in summary["videos"]] == ["vision", "still"]
    assert summary["critics"] == "learned,checks" and not summary["videos"][1]["completed"]


def test_a_scene_that_nobody_knows_is_judged_as_a_filmed_one() -> None:
    """Another model's checks, and these on a video from elsewhere, allow shadows and people; a known scene does not."""
    low = SimpleNamespace(low=True, still=False)
    reads = [SimpleNamespace(read=lambda video, paced, c=c: SimpleNamespace(confidence=c)) for c in
             (low, SimpleNamespace(low=False, still=False), SimpleNamespace(low=True, still=True))]  # fmt: skip
    video = Video(np.zeros((4, 8, 8, 3), np.uint8), 5.0)
    card = SimpleNamespace(robot="Sawyer (Meta-World v3)")
    agents = [SimpleNamespace(inverse=one, embodiment=card, folder=Path("here")) for one in reads]
    filmed, simulated = (judges.shipped_thresholds(filmed=value) for value in (True, False))
    made = [judges.CRITICS["checks"](agent) for agent in agents]
    assert all(one.thresholds == simulated for one in made)
    fitted = [judges.fit_for([one, Bright()], agent, video) for one, agent in zip(made, agents, strict=True)]
    assert [one[0].thresholds == filmed for one in fitted] == [True, False, False]
    assert all(one[1] == Bright() for one in fitted)
    foundation = SimpleNamespace(inverse=None, embodiment=card, folder=None)
    assert judges.CRITICS["checks"](foundation).thresholds == filmed


def test_who_cannot_read_a_video_does_not_judge_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A panning camera over a street of boxes is none of the scenes that the critic's inverse dynamics knows."""
    random = np.random.default_rng(0)
    street = np.kron(random.integers(0, 255, (16, 40, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    pan = np.stack([street[:, 8 * step : 8 * step + 128] for step in range(17)])
    write_video(tmp_path / "street.mp4", Video(pan, 10.0))
    assert main(["judge", str(tmp_path / "street.mp4"), "--goal", "open the drawer", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(summary["videos"][0]["by_critic"]) == {"checks"}
    (problem,) = summary["problems"].values()
    assert "unlike those that wow-mini learned to read" in problem and "judge it with" in problem


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.mp4", "--goal", "open"], "there is no video at nowhere.mp4"),
        (["{folder}/one.mp4", "--goal", "open", "--critic", "checks"], "single frame"),
        (["{folder}/dark.mp4", "--goal", " "], "the goal is empty"),
        (["{folder}/dark.mp4", "--goal", "open", "--critic", "poet"], "there is no critic 'poet'"),
        (["{folder}/dark.mp4", "--goal", "open", "--critic", "away"], "nobody could judge"),
        (["--goal", "open"], "no video was named"),
    ],
)
def test_it_says_no_in_one_line(words: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", *(word.format(folder=folder) for word in words)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("wow:")]
    assert len(lines) == 1 and said in lines[0]
