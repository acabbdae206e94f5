"""`wow data collect` with real simulators: what it stores, and that a kill loses no finished episode."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from wow.cli.main import main
from wow.cli.recovery import RecoveryRecorder
from wow.data import open_dataset
from wow.sim import lessons
from wow.sim.briefs import TAUGHT
from wow.sim.changes import card_from_json
from wow.sim.job import Job, RecordingOptions
from wow.sim.tasks import TASKS
from wow.train.store import open_clips

SMALL = ["--size", "32", "--workers", "1"]


def test_a_killed_collection_goes_on_and_equals_an_undisturbed_one(tmp_path: Path) -> None:
    words = ["data", "collect", "--tasks", "button-press", "--episodes", "6", "--seed", "3", *SMALL]
    child = subprocess.Popen([sys.executable, "-m", "wow.cli.main", *words, "--out", str(tmp_path / "killed")])
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("killed/data/*/*.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait()
    finished = len(open_dataset(tmp_path / "killed"))
    assert 1 <= finished < 6
    assert main([*words, "--out", str(tmp_path / "killed")]) == 0
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    killed, whole = open_dataset(tmp_path / "killed"), open_dataset(tmp_path / "whole")
    assert len(killed) == len(whole) == 6
    by_seed = {record.facts["seed"]: record.index for record in killed.records}
    for record in whole.records:
        first, second = whole.episode(record.index), killed.episode(by_seed[record.facts["seed"]])
        assert np.array_equal(first.actions, second.actions)
        assert np.array_equal(first.videos["front"].frames, second.videos["front"].frames)


def test_a_recovery_begins_where_the_plan_left_the_scene_and_ends_as_its_text_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "collect", "--tasks", "drawer-open", "--seed", "300", "--workers", "1"]
    recover = [*words, "--source", "recovery", "--episodes", "3", "--out"]
    assert main([*recover, str(tmp_path / "out")]) == 0
    assert main([*words, "--episodes", "3", "--out", str(tmp_path / "experts")]) == 0
    recovered, experts = open_dataset(tmp_path / "out"), open_dataset(tmp_path / "experts")
    assert [record.source for record in recovered.records] == ["recovery"] * 3
    for number in range(3):
        late, early = recovered.episode(number), experts.episode(number)
        assert late.facts["seed"] == early.facts["seed"] and late.task == early.task
        assert late.success and early.states is not None and late.states is not None
        moved = np.linalg.norm(late.states[0, :3] - early.states[0, :3])
        assert moved > 0.02, "the hand has gone some way before the expert takes over"
        assert late.facts["success_step"] > 0, "the task is not done when the expert takes over"
    assert open_clips([tmp_path / "out"]).obeys.all(), "a policy learns from them"
    before = recovered.episode(1).actions
    assert main([*recover, str(tmp_path / "again")]) == 0
    assert np.array_equal(open_dataset(tmp_path / "again").episode(1).actions, before)
    assert main([*recover, str(tmp_path / "none"), "--model", "wow-mino"]) == 2
    assert "wow-mini" in capsys.readouterr().err.splitlines()[-1]


def test_a_plan_that_would_do_the_task_is_broken_off_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wow.cli.recovery.FAILED", 0.0)
    recorder = RecoveryRecorder("wow-mini", RecordingOptions(size=32))
    for seed in range(300, 305):
        episode = recorder.record(Job("handle-press", "handle-press", "recovery", seed))
        assert episode.success and episode.facts["success_step"] > 0, "something is left to do"


def test_altered_scenes_are_learned_from_by_their_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "collect", "--source", "altered", "--episodes", "2", *SMALL, "--stride", "8"]
    assert main([*words, "--tasks", "push", "--out", str(tmp_path / "out")]) == 0
    dataset = open_dataset(tmp_path / "out")
    assert [record.source for record in dataset.records] == ["altered"] * 2
    coloured, counted = (dataset.episode(number) for number in range(2))
    scenes = [card_from_json(episode.facts["altered_scene"]) for episode in (coloured, counted)]
    assert coloured.facts["lesson"] == "attribute-color" and f"the {scenes[0].changes.colour} cylinder" in coloured.task
    assert counted.facts["lesson"] == "attribute-number" and "single" in counted.task
    assert all(scene.seed < 100_000 for scene in scenes), "held-out scenes are above"
    assert all(scenes[0].changes.colour in text.lower() for text in coloured.captions if "the robot has to" not in text)
    assert {job.task for job in lessons.jobs(tuple(TASKS), 1, 0)} == set(TAUGHT), "of all tasks those that have some"
    assert main([*words, "--tasks", "push,door-close", "--out", str(tmp_path / "none")]) == 2
    assert "no altered scene is known for door-close" in capsys.readouterr().err


def test_sources_and_views_and_masks_are_stored(tmp_path: Path) -> None:
    common = ["data", "collect", "--out", str(tmp_path), "--episodes", "1", *SMALL, "--stride", "8"]
    views = ["--cameras", "front,wrist", "--segmentation"]
    for source in ("expert", "near_success", "random", "siblings"):
        assert main([*common, *views, "--tasks", "faucet-open-v3", "--source", source]) == 0
    dataset = open_dataset(tmp_path)
    assert [record.source for record in dataset.records] == ["expert", "near_success", "random", "expert"]
    assert dataset.records[3].task != dataset.records[0].task
    assert dataset.embodiment.action[0].unit == "m" and dataset.fps == 10.0
    episode = dataset.episode(0)
    assert set(episode.videos) == {"front", "wrist"}
    assert episode.signals["sim.segmentation"].shape == (len(episode), 32 * 32)
    assert episode.signals["sim.raw_actions"].shape == (len(episode), 8 * 4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "48"], "recorded with --size 32, not --size 48: give the same options again"),
        (["--size", "32", "--stride", "8"], "with --stride 4, not --stride 8: give"),
        (["--size", "32", "--cameras", "wrist,front"], "with --cameras front, not --cameras front,wrist: give"),
        (["--size", "48", "--segmentation"], "--size 32 and no --segmentation, not --size 48 and --segmentation: give"),
    ],
)
def test_a_dataset_of_another_form_is_refused_before_anything_is_recorded(
    collected: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    def nothing_is_recorded(*_: object) -> None:
        raise AssertionError("it is known before that this cannot be stored")

    monkeypatch.setattr("wow.cli.collect.finished", nothing_is_recorded)
    common = ["data", "collect", "--tasks", "reach", "--episodes", "2", "--workers", "1", "--out", str(collected)]
    assert main([*common, *words]) == 2
    error = capsys.readouterr().err
    assert said in error and "another folder with --out" in error and len(error.strip().splitlines()) == 1, error


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of one episode."""
    root = tmp_path_factory.mktemp("collected")
    assert main(["data", "collect", "--tasks", "reach", "--episodes", "1", *SMALL, "--out", str(root)]) == 0
    return root


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tasks", "drawer-opne"], "drawer-open"),
        (["--source", "expret"], "near_success"),
        (["--cameras", "back"], "wrist"),
        (["--episodes", "0"], "at least 1"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["data", "collect", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
