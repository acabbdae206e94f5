"""What `wow bench run` hands to the metrics: an executor that does what a video shows, and a judge at an endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.bench.suites import crossing, make_suite, write_film
from wow import weights
from wow.bench.dimensions import contract as c
from wow.bench.dimensions.contract import NotMeasurable
from wow.bench.dimensions.registry import METRICS, measure
from wow.bench.suite import TRAJECTORY, Sample, open_suite
from wow.cli.bench_build import film_one
from wow.cli.bench_tools import ExecutorMaker, SceneExecutor, in_another_order
from wow.cli.main import main
from wow.sim.briefs import brief
from wow.sim.job import RecordingOptions
from wow.sim.record import sawyer_card
from wow.types import Actions, Video, WowError

OPTIONS = RecordingOptions(size=32)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with one sample from the simulator: something is to be pushed past another thing."""
    folder = tmp_path_factory.mktemp("filmed")
    film_one(brief("spatial", 0, 0), folder, OPTIONS)
    return folder


def true_actions(sample: Sample) -> Actions:
    with np.load(sample.folder / TRAJECTORY) as paths:
        return Actions(paths["actions"], sawyer_card(OPTIONS), seconds=1 / OPTIONS.fps)


def test_what_the_expert_did_succeeds_in_the_same_scene_and_shuffled_it_does_not(filmed: Path) -> None:
    (sample,) = open_suite(filmed).samples
    actions = true_actions(sample)
    video = Video(np.zeros((len(actions) + 1, 32, 32, 3), np.uint8), 20.0)
    executor = SceneExecutor("truth", lambda video, start, paced: actions, {})
    assert [executor(video, sample), executor(video, sample, shuffled=True), executor(video, sample)] == [1.0, 0.0, 1.0]
    still = Actions(np.zeros_like(actions.values), actions.embodiment, actions.seconds)
    assert SceneExecutor("still", lambda video, start, paced: still, {})(video, sample) == 0.0


def test_an_executor_is_called_by_the_part_that_reads_alone(tmp_path: Path) -> None:
    names = []
    for part, value in (("idm", 1.0), ("policy", 1.0), ("idm", 2.0)):
        weights.save_part(tmp_path, part, {"x": torch.full((3,), value)}, {})
        names.append(ExecutorMaker(str(tmp_path)).name())
    assert names[0] == names[1] != names[2]


def test_the_reader_is_told_where_the_hand_is_and_not_the_pace(filmed: Path) -> None:
    (sample,) = open_suite(filmed).samples
    told: list[Any] = []

    def act(video: Video, start: Any, paced: bool) -> Actions:
        told.append((start.copy(), paced))
        return true_actions(sample)

    SceneExecutor("x", act, {})(Video(np.zeros((2, 32, 32, 3), np.uint8), 20.0), sample)
    ((start, paced),) = told
    assert not paced and start.shape == (3,) and 0.3 < start[1] < 0.9


def test_a_sample_without_a_scene_is_not_measurable(tmp_path: Path) -> None:
    (sample,) = open_suite(make_suite(tmp_path, count=1)).samples
    with pytest.raises(NotMeasurable, match="no simulated scene"):
        SceneExecutor("x", None, {})(Video(np.zeros((2, 32, 32, 3), np.uint8), 20.0), sample)


def test_a_video_that_shows_nothing_is_a_failure_and_a_truth_that_does_says_nothing(
    filmed: Path, tmp_path: Path
) -> None:
    """By the very check of inverse dynamics: a black video does not get away with N/A."""
    from wow.act.confidence import refuse_blank

    (sample,) = open_suite(filmed).samples

    def act(video: Video, start: Any, paced: bool) -> Actions:
        refuse_blank(video.frames)
        return true_actions(sample)

    tools = c.Tools(executor=SceneExecutor("truth", act, {}))
    good = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    black = np.zeros_like(good)
    names = ("executed_success", "executed_shuffled", "executed_truth")
    found = {name: measure(METRICS[name], c.Case(sample, black, 8.0, good), tools).value for name in names}
    assert found == {"executed_success": 0.0, "executed_shuffled": 0.0, "executed_truth": 1.0}
    ceiling = measure(METRICS["executed_truth"], c.Case(sample, good, 8.0, black), tools)
    assert ceiling.value is None and "black" in ceiling.why
    (nowhere,) = open_suite(make_suite(tmp_path, count=1)).samples
    assert "no simulated scene" in measure(METRICS["executed_success"], c.Case(nowhere, black, 8.0), tools).why
    with pytest.raises(WowError, match="black"):
        SceneExecutor("x", act, {})(Video(black, 8.0), sample)


def test_shuffling_keeps_the_actions_and_is_always_the_same() -> None:
    actions = Actions(np.arange(70, dtype=np.float32).reshape(10, 7), sawyer_card(OPTIONS), 0.05)
    once, again = in_another_order(actions, 3), in_another_order(actions, 3)
    assert np.array_equal(once.values, again.values) and not np.array_equal(once.values, actions.values)
    assert sorted(once.values[:, 0]) == sorted(actions.values[:, 0])


class Polite(BaseHTTPRequestHandler):
    """A model that rates everything 3, or as close as it may, and sees no step."""

    count = 0

    def log_message(self, *_: object) -> None:
        return

    def do_POST(self) -> None:
        Polite.count += 1
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["response_format"]["json_schema"]["schema"]["properties"]
        answer = {
            name: min(3, told.get("maximum", 3)) if told.get("type") == "number" else [] for name, told in asked.items()
        }
        answer = {name: "seen" if name == "reason" else value for name, value in answer.items()}
        text = json.dumps({"choices": [{"message": {"content": json.dumps(answer)}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), Polite)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WOW_ENDPOINT", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("WOW_ENDPOINT_MODEL", "polite")
    yield
    server.shutdown()


@pytest.mark.usefixtures("endpoint")
def test_a_judge_rates_every_trial_once_and_its_agreement_is_reported(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", count=2)
    for number in range(2):
        write_film(tmp_path / "mine" / "a" / f"{number}.mp4", crossing(number, 1.0)[0])
    words = ["bench", "run", "--suite", str(suite), "--videos", str(tmp_path / "mine"), "--out", str(tmp_path / "run")]
    words += ["--judge", "endpoint", "--trials", "2", "--executor", "none", "--metrics"]
    Polite.count = 0
    assert main([*words, "caption_score", "sequence_match", "long_horizon", "executed_success"]) == 0
    asked = Polite.count
    assert asked == 3 * 2 * 2, "three questions, two samples, two trials"
    assert main([*words, "caption_score", "plan"]) == 0
    assert Polite.count == asked, "long horizon and plan have one question"
    told = json.loads((tmp_path / "run" / "results.json").read_text())["metrics"]
    assert told["caption_score"]["estimate"]["value"] == 3.0
    assert told["caption_score"]["agreement"] == {"samples": 2, "difference": 0.0, "same": 1.0, "icc": None}
    assert told["caption_score"]["tool"] == "polite, 2 trials"
    assert main(["bench", "report", str(tmp_path / "run"), "--out", str(tmp_path / "report"), "--show", "0"]) == 0
    for name in ("report.md", "report.html"):
        text = (tmp_path / "report" / name).read_text()
        assert "agrees with itself" in text and "100%" in text, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--judge", "nowhere"], "--judge nowhere is no folder"),
        (["--trials", "0"], "--trials is 1 to 100"),
        (["--executor", "no-such-model"], "no-such-model"),
        (["--judge", "endpoint"], "WOW_ENDPOINT"),
    ],
)
def test_a_tool_that_is_not_there_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WOW_ENDPOINT", raising=False)
    suite = make_suite(tmp_path / "suite", count=1)
    run = ["bench", "run", "--suite", str(suite), "--model", "first-frame", "--out", str(tmp_path / "out")]
    assert main([*run, *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_a_judge_its_rows_are_not_available(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", count=1)
    words = ["bench", "run", "--suite", str(suite), "--model", "first-frame", "--out", str(tmp_path / "out")]
    assert (
        main([*words, "--num-frames", "4", "--executor", "none", "--metrics", "caption_score", "executed_success"]) == 0
    )
    told = json.loads((tmp_path / "out" / "results.json").read_text())["metrics"]
    assert told["caption_score"]["estimate"] is None and "--judge" in told["caption_score"]["why"]
    assert "--executor none" in told["executed_success"]["why"]
