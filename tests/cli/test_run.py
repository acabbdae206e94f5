"""`wow run` and `wow replay` in the real simulator: what they write, that a kill loses nothing, and how they say no."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wow.act.confidence import Confidence
from wow.act.gripper import GripperEvent
from wow.act.reading import Reading
from wow.cli.episode import EpisodeRunner, EpisodeSettings
from wow.cli.main import main
from wow.data.action_file import read_actions
from wow.data.video_file import read_video
from wow.sim.foresight import foresee
from wow.sim.job import RecordingOptions
from wow.sim.record import sawyer_card
from wow.types import Actions, UInt8, Video

SIZE = 32


class StandIn:
    """In place of a trained model: it "imagines" that nothing moves, and reads whatever it was given off any video."""

    size = SIZE
    name = "stand-in"
    capabilities = frozenset({"image2video", "inverse_dynamics"})

    def __init__(self) -> None:
        self.says: Actions | None = None
        self.sure, self.notes = Confidence(1.0), ("the video was padded",)
        self.asked: list[Any] = []
        self.shown: list[tuple[Video, bool, Any]] = []
        self.imitated: list[tuple[UInt8, str, float | None]] = []

    def imagine_all(self, requests: list[Any], *, num_frames: int, options: object) -> list[Video]:
        self.asked += requests
        return [Video(np.repeat(request.context, num_frames, axis=0), 5.0) for request in requests]

    def fit(self, picture: UInt8) -> tuple[UInt8, str]:
        return picture[None, :SIZE, :SIZE], "cut"

    def reconstruct(self, frames: UInt8) -> UInt8:
        return np.full_like(frames, 7)

    def read(self, video: Video, *, paced: bool, start: Any) -> Reading:
        self.shown.append((video, paced, start))
        assert self.says is not None
        actions = self.says if paced else replace(self.says, seconds=None)
        nowhere, closing = np.zeros((len(actions) + 1, 3)), GripperEvent(3, "close", 0.75)
        return Reading(actions, nowhere, nowhere, nowhere[:, 0], (closing,), 0.0, self.sure, self.notes)

    def imitate(self, picture: UInt8, prompt: str, *, fps: float | None) -> Actions:
        self.imitated.append((picture, prompt, fps))
        assert self.says is not None
        return self.says


@pytest.fixture(scope="module")
def standing_in() -> StandIn:
    return StandIn()


def runner(agent: StandIn, **changes: Any) -> EpisodeRunner:
    return EpisodeRunner(replace(EpisodeSettings(open_loop=True), **changes), agent)  # type: ignore[arg-type]


def test_what_was_read_off_the_imagined_video_is_executed(standing_in: StandIn) -> None:
    """A reader that happens to say what the expert would do makes the robot do it."""
    running = runner(standing_in, candidates=2)
    arm = running.reset("door-close", 100_000)
    start, scene = arm.target, arm.look()
    standing_in.says = foresee(arm.environment, RecordingOptions(size=SIZE), pictures=False).actions
    outcome = running.run("door-close", 100_000)
    assert outcome.success and len(outcome.legs) == 1
    assert [request.prompt for request in standing_in.asked] == ["close the door"] * 2
    assert [request.seed for request in standing_in.asked] == [100_000, 100_001]
    assert np.array_equal(standing_in.asked[0].context[0], scene)
    video, paced, target = standing_in.shown[0]
    assert len(video) == 17 and not paced and np.allclose(target, start)
    running.settings = replace(running.settings, fps=20.0)
    assert running.run("door-close", 100_000, "shut it").success
    assert standing_in.asked[-1].seconds == 0.05 and standing_in.asked[-1].prompt == "shut it"
    running.close()


def test_the_truth_takes_the_place_of_earlier_stages(standing_in: StandIn) -> None:
    running = runner(standing_in, plan_from="video")
    arm = running.reset("door-close", 100_000)
    standing_in.says = foresee(arm.environment, RecordingOptions(size=SIZE), pictures=False).actions
    standing_in.shown.clear()
    outcome = running.run("door-close", 100_000)
    assert outcome.success and outcome.legs[0].plan.truth_succeeds
    running.settings = replace(running.settings, plan_from="codec", unknown_pace=True)
    running.run("door-close", 100_000)
    (true, true_pace, _), (coded, coded_pace, _) = standing_in.shown
    assert len(true) == len(coded) == 17 and true_pace and not coded_pace
    assert (coded.frames == 7).all() and not (true.frames == true.frames[0]).all()
    running.close()


def test_a_policy_is_executed_without_a_world_model(standing_in: StandIn) -> None:
    running = runner(standing_in, plan_from="clone", fps=20.0, replan_every=10, open_loop=False)
    arm = running.reset("door-close", 100_000)
    scene, asked = arm.look(), len(standing_in.asked)
    standing_in.says = foresee(arm.environment, RecordingOptions(size=SIZE), pictures=False).actions
    outcome = running.run("door-close", 100_000, "shut it")
    assert len(outcome.legs) > 1 and outcome.legs[0].plan.video is None and outcome.legs[0].num_steps == 40
    pictures, prompts, paces = zip(*standing_in.imitated, strict=True)
    assert len(pictures) == len(outcome.legs) and set(prompts) == {"shut it"} and set(paces) == {20.0}
    assert np.array_equal(pictures[0], scene) and not np.array_equal(pictures[1], scene)
    assert len(standing_in.asked) == asked
    running.close()


def test_an_episode_leaves_its_film_its_plans_and_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--task", "door-close-v3", "--plan-from", "actions", "--seed", "100000", "--json"]
    for name in ("one", "two"):
        assert main([*words, "--out", str(tmp_path / name)]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    out = tmp_path / "one"
    assert {path.name for path in out.iterdir()} == {
        "executed.mp4", "filmstrip.png", "actions.png", "run.json", "plans",
    }  # fmt: skip
    told = json.loads((out / "run.json").read_text())
    assert told["success"] and told["success_step"] == summary["success_step"], "the same seed, the same success"
    assert told["steps"] == sum(leg["steps"] for leg in told["legs"]) and len(told["legs"]) == summary["plans"]
    assert told["settings"]["plan_from"] == "actions" and told["legs"][0]["demonstration_succeeds"]
    film = read_video(out / "executed.mp4")
    assert film.fps == 20.0 and len(film) == 1 + told["steps"] // 4
    replayed = tmp_path / "replayed"
    plan = str(out / "plans/00.json")
    assert main(["replay", plan, "--task", "door-close", "--seed", "100000", "--out", str(replayed)]) == 0
    outcome = json.loads((replayed / "outcome.json").read_text())
    assert outcome["success"] and outcome["seconds_per_action"] == 0.05 and outcome["hand_error_m"] < 0.1
    assert {path.name for path in replayed.iterdir()} == {
        "executed.mp4", "filmstrip.png", "actions.png", "outcome.json",
    }  # fmt: skip


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_and_equals_an_undisturbed_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["run", "--suite", "door-close,reach", "--plan-from", "actions", "--workers", "1", "--open-loop"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    words = [*common, "--episodes", "3"]
    child = subprocess.Popen([sys.executable, "-m", "wow.cli.main", *words, "--out", str(killed)])
    ledger = killed / "episodes.jsonl"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and not (ledger.exists() and ledger.read_text().count("\n") >= 2):
        time.sleep(0.02)
    workers = children(child.pid)
    assert workers
    child.send_signal(signal.SIGKILL)
    child.wait()
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "its workers end with it"
        time.sleep(0.02)
    finished = ledger.read_text().count("\n")
    assert 2 <= finished < 6
    ledger.write_text(ledger.read_text() + '{"batch": 5, "rec')  # what a kill in the middle of a line leaves
    assert main([*words, "--out", str(killed), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run_now"] == 6 - finished
    assert main([*words, "--out", str(whole)]) == 0
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (killed, whole))
    for key in ("mean_success", "tasks", "bins", "seeds", "n"):
        assert first[key] == second[key]
    assert first["n"] == 6 and first["seeds"] == [100_000, 100_001, 100_002]
    assert {row["task"]: row["difficulty"] for row in first["tasks"]} == {"door-close": "easy", "reach": "easy"}
    assert {"results.md", "results.png"} <= {path.name for path in killed.iterdir()}
    assert main([*common, "--episodes", "3", "--budget", "9", "--out", str(whole)]) == 2
    assert "budget" in capsys.readouterr().err, "another protocol is another evaluation"


@pytest.mark.slow
def test_the_same_seed_has_the_same_success_however_many_processes_there_are(tmp_path: Path) -> None:
    common = ["run", "--suite", "door-close,reach", "--plan-from", "actions", "--episodes", "2", "--open-loop"]
    for workers in ("1", "2"):
        assert main([*common, "--workers", workers, "--out", str(tmp_path / workers)]) == 0
    one, two = (
        {
            (record["task"], record["seed"]): (record["success"], record["success_step"], record["hand_error"])
            for line in (tmp_path / workers / "episodes.jsonl").read_text().splitlines()
            for record in json.loads(line)["records"]
        }
        for workers in ("1", "2")
    )
    assert len(one) == 4 and one == two


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--task drawer-open"),
        (["--task", "drawer-opne"], "drawer-open"),
        (["--suite", "drawer-open,puhs"], "push"),
        (["--task", "push", "--suite", "avdc-11"], "--task drawer-open"),
        (["--suite", "metaworld50"], "did you mean metaworld-50?"),
        (["--task", "push", "--seed", "-1"], "--seed"),
        (["--task", "push", "--candidates", "0"], "--candidates"),
        (["--task", "push", "--budget", "0"], "--budget"),
        (["--task", "push", "--replan-every", "0"], "--replan-every"),
        (["--task", "push", "--replan-every", "8", "--open-loop"], "leave --replan-every out"),
        (["--task", "push", "--plan-from", "hope"], "actions"),
        (["--image", "scene.png", "open the drawer"], "--no-execute"),
        (["open it", "--suite", "avdc-11"], "instruction"),
        (["--task", "push", "--no-execute", "--plan-from", "video"], "--plan-from"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["run", *words, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "out").exists()


def test_a_plan_for_a_picture_is_written_and_not_executed(
    tmp_path: Path, standing_in: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wow.assembly.load", lambda name, device=None: standing_in)
    card = sawyer_card(RecordingOptions())
    standing_in.says = Actions(np.full((16, 7), 0.01, np.float32), card, None, np.full((16, 7), 0.002, np.float32))
    monkeypatch.setattr(standing_in, "sure", Confidence(0.25, ("nothing fits",)))
    monkeypatch.setattr(standing_in, "notes", ("nothing fits",))
    Image.new("RGB", (90, 60), "grey").save(tmp_path / "scene.png")
    out = tmp_path / "out"
    assert main(["run", "--image", str(tmp_path / "scene.png"), "push", "--no-execute", "--out", str(out)]) == 0
    assert {str(path.relative_to(out)) for path in out.rglob("*.*")} == {
        "filmstrip.png", "actions.png", "run.json", "plans/00.json", "plans/00.mp4",
    }  # fmt: skip
    assert np.array_equal(read_actions(out / "plans/00.json", card).values, standing_in.says.values)
    run, plan = (json.loads((out / name).read_text()) for name in ("run.json", "plans/00.json"))
    assert run["uncertainty"] > 0 and run["confidence"] == plan["confidence"] == 0.25
    assert plan["events"] == [{"transition": 3, "gripper": "close", "probability": 0.75}]
    assert plan["notes"] == ["nothing fits"] and run["notes"] == ["plan 1: nothing fits"]
    assert "note: plan 1: nothing fits" in capsys.readouterr().out, "nobody is to find out by reading JSON"
    assert standing_in.shown[-1][2] is None, "nobody knows where the hand is in a picture"


def test_a_model_that_cannot_act_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dreamer = SimpleNamespace(name="dreamer", capabilities=frozenset({"image2video"}))
    monkeypatch.setattr("wow.assembly.load", lambda name, device=None: dreamer)
    assert main(["run", "--task", "push", "--out", str(tmp_path / "one")]) == 2
    assert "dreamer" in (error := capsys.readouterr().err) and "no inverse dynamics" in error
    assert main(["run", "--suite", "push", "--out", str(tmp_path / "two")]) == 2
    assert "no inverse dynamics" in capsys.readouterr().err and not (tmp_path / "two").exists()


def test_actions_that_cannot_be_executed_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.zeros((3, 7))
    values[1, 2] = np.nan
    np.save(tmp_path / "a.npy", values)
    replay = ["replay", str(tmp_path / "a.npy"), "--task", "push", "--out", str(tmp_path / "out")]
    assert main(replay) == 2
    assert "delta_z of row 1" in capsys.readouterr().err
    values[1, 2] = 0.2
    np.save(tmp_path / "a.npy", values)
    assert main([*replay, "--seconds", "0.05"]) == 2
    assert "delta_z of row 1" in capsys.readouterr().err
    assert main([*replay, "--seconds", "-1"]) == 2
    assert main(["replay", str(tmp_path / "a.npy"), "--task", "psuh", "--out", str(tmp_path / "out")]) == 2
