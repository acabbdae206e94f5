"""`wow bench refine`: strategies get what they are due, nothing is done twice, and it works in the real simulator."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from wow import assembly
from wow.assembly import Attempt
from wow.bench.refinement import Choice, Scene, gains, measure
from wow.cli.main import main
from wow.cli.strategies import STRATEGIES, Workplace
from wow.types import Float32, UInt8, Verdict, Video

PICTURE = np.zeros((4, 4, 3), np.uint8)
SCENE = Scene("push", 7, "push the puck to the target", PICTURE)


@dataclass
class Dreamer:
    """Every video is a shade of its own."""

    asked: list[tuple[str, int]]

    def __call__(self, picture: UInt8, prompt: str, seeds: Sequence[int]) -> list[Video]:
        self.asked += [(prompt, seed) for seed in seeds]
        first = len(self.asked) - len(seeds)
        return [Video(np.full((3, 4, 4, 3), first + place, np.uint8), 5.0) for place in range(len(seeds))]


def shade(picture: UInt8, goal: str, attempts: Sequence[Attempt]) -> list[tuple[Video, Float32]]:
    """Every video once more, a shade lighter."""
    return [
        (Video(one.video.frames + np.uint8(1), 5.0), np.float32(one.video.frames[0, :1, :1, 0])) for one in attempts
    ]


@dataclass(frozen=True)
class Dark:
    """Likes what came first least."""

    name: str = "dark"

    def __call__(self, video: Video, goal: str) -> Verdict:
        shade = video.frames[0, 0, 0, 0] / 255
        return Verdict({}, False, 1.0 - shade, f"shade {shade:.2f}", None, 0.1)


@pytest.fixture
def place() -> Workplace:
    grammar = assembly.grammar_refiner()
    critics = [Dark()]
    team = assembly.Team(Dreamer([]), critics, assembly.ensemble(critics), grammar, shade)
    tried: list[tuple[str, int, str]] = []

    def execute(choice: Choice, scene: Scene) -> bool:
        key = choice.prompt, choice.seed, choice.painted
        assert key not in tried, "nothing is executed twice"
        tried.append(key)
        return choice.seed == 102

    return Workplace(SCENE, team, grammar, execute, 1, 100, lambda corrections: Dreamer([]))


def test_all_strategies_imagine_equal_numbers_of_videos_and_nothing_twice(place: Workplace) -> None:
    records = measure(SCENE, place.strategies(STRATEGIES), (2, 4), place.outcome)
    assert {(r.strategy, r.samples): r.videos for r in records if not r.strategy.endswith("truth")} == {
        ("single", 1): 1, ("dense", 1): 1, ("best-of", 2): 2, ("best-of", 4): 4, ("random", 2): 2, ("random", 4): 4,
        ("corrected", 2): 2, ("corrected", 4): 4, ("sophia", 2): 2, ("sophia", 4): 4,
        ("sophia-words", 2): 2, ("sophia-words", 4): 4,
    }  # fmt: skip
    asked = place.team.imagine.asked  # type: ignore[attr-defined]
    assert len(asked) == len(set(asked)) == len([key for key in place.videos if not key[2]])
    by_name = {(r.strategy, r.samples): r for r in records}
    assert by_name["single", 1].prompt == SCENE.goal and by_name["dense", 1].prompt.startswith("The red puck is")
    assert by_name["best-of", 4].prompt == SCENE.goal and by_name["best-of", 4].video_seed == 103
    assert by_name["sophia-words", 4].prompt != by_name["random", 4].prompt != SCENE.goal


def test_only_the_search_that_is_named_for_words_leaves_the_motion_alone(place: Workplace) -> None:
    (words,) = measure(SCENE, place.strategies(["sophia-words"]), (4,), place.outcome)
    assert not place.moved and len(place.videos) == words.videos == 4
    (both,) = measure(SCENE, place.strategies(["sophia"]), (4,), place.outcome)
    assert place.moved and both.videos == 4 and any(key[2] for key in place.videos)


def test_one_video_is_corrected_one_time_less_than_the_budget(place: Workplace) -> None:
    asked: list[int] = []

    def corrected(corrections: int) -> Dreamer:
        asked.append(corrections)
        return Dreamer([])

    place = replace(place, corrected=corrected)
    records = measure(SCENE, place.strategies(["single", "corrected"]), (2, 4), place.outcome)
    assert asked == [1, 3] and {r.video_seed for r in records} == {100} and {r.prompt for r in records} == {SCENE.goal}
    told = {(gain.of, gain.over) for gain in gains(records)}
    assert told == {("corrected 2", "single"), ("corrected 4", "single")}


def test_with_the_truth_a_success_is_never_missed(place: Workplace) -> None:
    place.team = replace(place.team, correct=None)
    records = measure(SCENE, place.strategies(["best-of-truth", "sophia-truth"]), (2, 4), place.outcome)
    assert [r.success for r in records] == [False, True, False, True], "seed 102 is the third"


@dataclass(frozen=True)
class Stir:
    name: str = "stir"

    def __call__(self, video: Video, goal: str) -> Verdict:
        change = float(np.abs(np.diff(video.frames.astype(float), axis=0)).mean())
        return Verdict({}, True, 0.5 + 0.5 * change / (1 + change), "much moves")


@pytest.mark.slow
def test_it_compares_in_the_simulator_and_goes_on_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(assembly.CRITICS, "stir", lambda agent: Stir())
    words = ["bench", "refine", "--tasks", "door-close", "--budget", "2", "--critic", "stir", "--plan-from", "policy"]
    words += ["--strategies", "single,best-of,sophia,sophia-truth", "--num-inference-steps", "1", "--num-frames", "9"]
    words += ["--out", str(tmp_path / "out"), "--json"]
    assert main([*words, "--seeds", "1"]) == 0
    first = (tmp_path / "out/scenes.jsonl").read_text()
    assert main([*words, "--seeds", "2"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["run_now"] == 1 and summary["scenes"] == 2
    assert (tmp_path / "out/scenes.jsonl").read_text().startswith(first)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "run.json", "scenes.jsonl", "results.json", "results.md", "results.png",
    }  # fmt: skip
    records = [record for line in first.splitlines() for record in json.loads(line)["records"]]
    assert [record["videos"] for record in records if record["strategy"] != "sophia-truth"] == [1, 2, 2]
    assert main([*words, "--seeds", "2", "--seed", "5"]) == 2
    assert "seed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tasks", "psuh"], "push"),
        (["--tasks", "push", "--strategies", "sophia,hope"], "best-of"),
        (["--tasks", "push", "--budget", "2,x"], "--budget"),
        (["--tasks", "push", "--critic", "nobody"], "nobody"),
        (["--tasks", "push", "--seeds", "0"], "--seeds"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["bench", "refine", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1, error
