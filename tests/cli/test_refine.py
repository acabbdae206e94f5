"""`wow refine` with the trained model: what it writes, that it goes on where it was, and how it says no."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.critics import Away
from wow import assembly, weights
from wow.cli.main import main
from wow.cli.refine import critics_for, team_of
from wow.data.video_file import read_video
from wow.types import UInt8, Verdict, Video

PICTURE = str(Path(__file__).parents[2] / "docs/images/drawer.png")


@dataclass(frozen=True)
class Stir:
    """A critic by rule of thumb: the more moves, the better."""

    name: str = "stir"

    def __call__(self, video: Video, goal: str) -> Verdict:
        change = float(np.abs(np.diff(video.frames.astype(float), axis=0)).mean())
        liked = change / (1 + change)
        scores = {"action_success": 1 + 4 * liked, "visual_quality": 3.0}
        return Verdict(scores, liked > 0.5, max(liked, 1 - liked), "<b>little</b> is touched & moved", (1, 3), 0.01, 5)


@pytest.fixture(autouse=True)
def critics(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(assembly.CRITICS, "stir", lambda agent: Stir())
    monkeypatch.setitem(assembly.CRITICS, "away", lambda agent: Away())
    yield


def refine(out: Path, *words: str, goal: str = "open the drawer") -> int:
    fast = ["--num-frames", "5", "--num-inference-steps", "1", "--num-planning-steps", "2", "--confident", "2"]
    return main(["refine", PICTURE, goal, "--out", str(out), *fast, *words])


def test_who_judges_follows_from_what_the_model_has(tmp_path: Path) -> None:
    parts = weights.read_manifest(weights.shipped()).parts
    assert {"policy", "idm", "outcome"} <= set(parts) and critics_for("wow-mini") == "learned,checks"
    whole = tmp_path / "whole"
    whole.mkdir()
    moving = ("policy", "idm")
    known = ((("outcome", *moving), "learned,checks"), (moving, "motion,checks"), (("policy",), "checks"))
    for others, expected in (*known, ((), "checks")):
        found = SimpleNamespace(parts=("codec", "dit", *others))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weights, "read_manifest", lambda folder, found=found: found)
            assert critics_for(whole) == expected
    assert critics_for(None) == "checks", "somebody else's model"


def test_a_search_is_told_apart_by_whom_it_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another model behind the endpoint, or another local one, judges otherwise: its verdicts are not mixed."""
    monkeypatch.setenv("WOW_ENDPOINT", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("WOW_ENDPOINT_MODEL", "one")
    monkeypatch.setenv("WOW_API_KEY", "sk-secret")
    (tmp_path / "weights").write_bytes(b"12")
    monkeypatch.setenv("WOW_LOCAL_VLM", str(tmp_path))
    asked = assembly.outsiders("checks,vlm", "grammar")
    assert asked == {"endpoint": "http://127.0.0.1:9/v1", "endpoint_model": "one"}
    assert assembly.outsiders("checks", "llm") == asked and assembly.outsiders("checks", "grammar") == {}
    before = assembly.outsiders("local-vlm", "grammar")
    (tmp_path / "weights").write_bytes(b"123")
    assert set(before) == {"local_vlm"} and assembly.outsiders("local-vlm", "grammar") != before


def test_a_critic_that_needs_the_pace_is_told_it() -> None:
    @dataclass(frozen=True)
    class Watch(Stir):
        fps: float | None = None

        def at_pace(self, fps: float) -> Watch:
            return replace(self, fps=fps)

    agent = assembly.load("wow-mini")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(assembly.CRITICS, "watch", lambda agent: Watch())
        told = [team_of(agent, "watch,stir", "grammar", no_video, fps).critics for fps in (None, 4.0)]
    assert [critics[0].fps for critics in told] == [None, 4.0]  # type: ignore[attr-defined]


def no_video(picture: UInt8, prompt: str, seeds: Sequence[int]) -> list[Video]:
    return []


def test_nothing_has_to_be_installed_or_named_for_it(tmp_path: Path) -> None:
    assert refine(tmp_path / "out", "--max-samples", "2") == 0
    assert (tmp_path / "out/vision.mp4").is_file()


def test_it_writes_the_best_video_the_trace_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["--critic", "stir,away", "--max-samples", "5", "--candidates", "2", "--motion-corrections", "0"]
    assert refine(out, *words, "--json") == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["videos"] == 5 and summary["rounds"] == 3 and summary["tokens"] == 25
    assert summary["probability"] >= summary["probability_of_the_first"]
    clips = {f"videos/{name}.{kind}" for name in ("00-0", "00-1", "01-0", "01-1", "02-0") for kind in ("png", "mp4")}
    written = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    assert written == {"vision.mp4", "filmstrip.png", "trace.jsonl", "report.html", *clips}
    assert len(read_video(out / "vision.mp4")) == 5
    lines = [json.loads(line) for line in (out / "trace.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "round", "round", "round", "end"]
    assert lines[0]["identity"]["goal"] == "open the drawer" and len(lines[0]["identity"]["model_hash"]) == 64
    assert lines[1]["prompt"] == "open the drawer" and lines[2]["prompt"].startswith("The drawer handle is")
    assert all("no endpoint" in line["problems"]["away"] for line in lines[1:4])
    page = (out / "report.html").read_text()
    assert "<b>little</b>" not in page and "&lt;b&gt;little&lt;/b&gt; is touched &amp; moved" in page
    assert page.count("data:image/jpeg;base64,") == 6 and not re.search(r"<script|src=\"http|href=\"[^#]", page)


def test_the_same_command_continues_and_a_larger_budget_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = ["--critic", "stir", "--candidates", "2"]
    assert refine(whole, *common, "--max-samples", "4") == 0
    assert refine(parts, *common, "--max-samples", "2") == 0
    assert refine(parts, *common, "--max-samples", "4") == 0
    capsys.readouterr()

    def told(folder: Path) -> list[object]:
        lines = [json.loads(line) for line in (folder / "trace.jsonl").read_text().splitlines()]
        return [(line["prompt"], line["attempts"]) for line in lines if line["event"] == "round"]

    assert told(parts) == told(whole) and len(told(whole)) == 2
    for name in ("vision.mp4", "videos/01-1.png", "filmstrip.png"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    assert refine(parts, *common, "--max-samples", "4", "--seed", "9") == 2
    assert "seed 0, not 9" in capsys.readouterr().err


def test_motions_are_corrected_and_the_trace_says_for_which_actions(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert refine(out, "--max-samples", "4", "--candidates", "1", "--motion-corrections", "1") == 0
    first, second, third, *_ = [json.loads(line) for line in (out / "trace.jsonl").read_text().splitlines()][1:]
    assert first["prompt"] == second["prompt"] == "open the drawer" != third["prompt"]
    assert first["attempts"][0]["actions"] is None and first["attempts"][0]["seed"] == second["attempts"][0]["seed"]
    assert np.asarray(second["attempts"][0]["actions"]).shape == (4, 7)
    assert "the same words; the motion is moved" in (out / "report.html").read_text()
    assert refine(out, "--max-samples", "4", "--candidates", "1", "--motion-corrections", "2") == 2, "another search"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--critic", "stern"], "stir"),
        (["--critic", ""], "away"),
        (["--critic", "stir", "--refiner", "poet"], "grammar"),
        (["--critic", "stir", "--max-samples", "0"], "--max-samples"),
        (["--critic", "stir", "--candidates", "0"], "--candidates"),
        (["--critic", "stir", "--max-seconds", "-1"], "above 0"),
        (["--critic", "stir", "--motion-corrections", "-1"], "--motion-corrections"),
        (["--critic", "stir", "--max-cost", "1"], "WOW_ENDPOINT_PRICES"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert refine(tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "out").exists()


def test_nobody_to_judge_is_one_line_and_the_trace_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert refine(out, "--critic", "away") == 2
    assert "no critic could judge (away: no endpoint" in capsys.readouterr().err
    assert json.loads((out / "trace.jsonl").read_text())["event"] == "start"


def test_an_empty_goal_and_a_missing_picture_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refine(tmp_path / "out", "--critic", "stir", goal=" ") == 2
    assert "instruction is empty" in capsys.readouterr().err
    assert main(["refine", str(tmp_path / "none.png"), "push", "--critic", "stir"]) == 2
    assert "no picture" in capsys.readouterr().err


def test_run_refines_with_options_of_its_own(tmp_path: Path) -> None:
    """The search has four planning steps unless told otherwise, and one page for each plan of a single scene."""
    from wow.cli.run import Run

    out = tmp_path / "out"
    run = Run(task="door-close", out=out, refine=True, refiner="llm", max_seconds=9.0, confident=0.7, max_samples=3)
    search = run.settings.refine
    assert search is not None and (search.refiner, search.seconds, search.confident) == ("llm", 9.0, 0.7)
    assert search.folder == str(out / "refine") and run.settings.num_planning_steps == 4
    assert run.options().num_planning_steps == 4
    rules = search.rules(5)
    assert (rules.seed, rules.budget.samples, rules.budget.seconds, rules.confident) == (15, 3, 9.0, 0.7)
    assert Run(task="door-close", out=out).settings.num_planning_steps == 1
    assert Run(task="door-close", out=out, refine=True, num_planning_steps=2).settings.num_planning_steps == 2
    suite = Run(suite="avdc-11", out=out, refine=True).settings.refine
    assert suite is not None and suite.folder is None


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--refiner", "poet"], "poet"), (["--max-seconds", "-1"], "above 0"), (["--confident", "0"], "--confident")],
)
def test_mistakes_in_refining_a_run_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    run = ["run", "--task", "door-close", "--out", str(tmp_path / "out"), "--refine"]
    assert main([*run, *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1, error


def test_a_plan_can_be_searched_for(tmp_path: Path) -> None:
    """`wow run --refine` executes the video that the critics like best, and every plan has seeds of its own."""
    from wow.act.reading import Reading
    from wow.cli.episode import EpisodeSettings, imagining_planner
    from wow.cli.refine import SearchSettings
    from wow.types import Actions

    asked: list[tuple[str, int]] = []

    class Model:
        """Video k is k times as bright and moves k times as much."""

        embodiment = assembly.load("wow-mini").embodiment

        def imagine_all(self, requests: list[assembly.Request], **_: object) -> list[Video]:
            asked.extend((request.prompt or "", request.seed) for request in requests)
            ramps = [np.arange(5).reshape(5, 1, 1, 1) * (request.seed % 4) for request in requests]
            return [Video(np.broadcast_to(ramp, (5, 8, 8, 3)).astype(np.uint8), 5.0) for ramp in ramps]

        def read(self, video: Video, **_: object) -> Reading:
            actions = Actions(np.full((4, 7), video.frames[-1, 0, 0, 0], np.float32), self.embodiment)
            return Reading(actions, np.zeros((5, 3)), np.zeros((5, 3)), np.zeros(5), (), 0.0)

    search = SearchSettings("stir", samples=4, confident=2.0, folder=str(tmp_path / "refine"))
    settings = EpisodeSettings(num_frames=5, refine=search)
    planner = imagining_planner(Model(), settings, "open the drawer", 10)  # type: ignore[arg-type]
    plans = [planner.plan(np.zeros((8, 8, 3), np.uint8), None, number) for number in range(2)]
    assert [plan.actions.values[0, 0] for plan in plans] == [12.0, 12.0], "the video that moves most"
    assert len({seed for _, seed in asked}) == 8 and asked[0] == ("open the drawer", 40)
    assert len({prompt for prompt, _ in asked}) == 4
    for number in ("00", "01"):
        lines = [json.loads(line) for line in (tmp_path / "refine" / number / "trace.jsonl").read_text().splitlines()]
        assert [line["event"] for line in lines] == ["start", *["round"] * 4, "end"]
        assert lines[0]["identity"]["critics"] == "stir"
        assert "open the drawer" in (tmp_path / "refine" / number / "report.html").read_text()
