"""Imagined videos kept with what became of them, and the world model's own plan executed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wow.assembly import Plan
from wow.cli.episode import EpisodeRunner, EpisodeSettings
from wow.cli.imagined import Dream, DreamWriter, episode_of, stage
from wow.cli.main import main
from wow.data import open_dataset
from wow.sim.foresight import foresee
from wow.sim.job import RecordingOptions
from wow.sim.record import sawyer_card
from wow.types import Actions, Video, WowError

SIZE = 32
CARD = sawyer_card(RecordingOptions(size=SIZE))
SETTINGS = EpisodeSettings(plan_from="policy", open_loop=True)


def dream(seed: int = 7, success: bool = True) -> Dream:
    random = np.random.default_rng(seed)
    video = Video(np.full((5, SIZE, SIZE, 3), 40 * (seed % 5), np.uint8), 12.0)
    actions = Actions(random.normal(0, 0.01, (4, 7)).astype(np.float32), CARD)
    return Dream(Plan(actions, video), "reach", seed, "reach the target with the gripper", success)


def test_a_dream_is_an_episode_whose_success_is_that_of_its_execution() -> None:
    episode = episode_of(dream(success=False), SETTINGS, "abc")
    assert episode.source == "imagined" and episode.success is False and len(episode) == 5
    assert np.array_equal(episode.actions[:4], dream().plan.actions.values)
    assert (episode.actions[4, :6] == 0).all() and episode.actions[4, 6] == episode.actions[3, 6]
    assert episode.facts["task_name"] == "reach" and episode.facts["prompt"] == episode.task
    with pytest.raises(WowError, match="nothing is imagined"):
        episode_of(replace(dream(), plan=Plan(dream().plan.actions)), SETTINGS, "abc")


def test_a_dream_is_kept_once_however_often_the_same_command_is_given(tmp_path: Path) -> None:
    for _ in range(2):
        with DreamWriter(tmp_path / "dreams", CARD, 12.0, SETTINGS, "abc") as writer:
            for seed in (1, 2):
                writer.commit(stage(dream(seed), SETTINGS, "abc", writer.staging / str(seed)))
            assert writer.has("reach", 1) and not writer.has("reach", 3) and not writer.has("push", 1)
    with DreamWriter(tmp_path / "dreams", CARD, 12.0, SETTINGS, "other weights") as writer:
        assert not writer.has("reach", 1), "other weights dream otherwise"
    kept = open_dataset(tmp_path / "dreams")
    assert [record.facts["seed"] for record in kept.records] == [1, 2]
    assert {record.source for record in kept.records} == {"imagined"} and kept.fps == 12.0


class Dreamer:
    """In place of a trained model: it plans what it was told to, and "paints" a still video of it."""

    size = SIZE
    name = "dreamer"
    capabilities = frozenset({"image2video", "forward_dynamics", "policy"})

    def __init__(self) -> None:
        self.will: Actions | None = None
        self.painted: list[Any] = []

    def policy(self, picture: np.ndarray, prompt: str, **options: Any) -> Actions:
        assert self.will is not None
        return self.will

    def imagine(self, picture: np.ndarray, prompt: str, *, actions: Actions, num_frames: int, **options: Any) -> Video:
        self.painted.append((picture, prompt, actions))
        return Video(np.repeat(picture[None], num_frames, axis=0), 5.0)


def test_the_models_own_plan_is_executed_as_it_is_and_painted() -> None:
    agent = Dreamer()
    running = EpisodeRunner(SETTINGS, agent)  # type: ignore[arg-type]
    arm = running.reset("door-close", 100_000)
    scene = arm.look()
    agent.will = foresee(arm.environment, RecordingOptions(size=SIZE), pictures=False).actions
    outcome = running.run("door-close", 100_000)
    running.close()
    assert outcome.success and len(outcome.legs) == 1
    ((picture, prompt, actions),) = agent.painted
    assert prompt == "close the door" and actions is agent.will and np.array_equal(picture, scene)
    assert outcome.legs[0].plan.video is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "push"], "--suite"),
        (["--suite", "reach"], "--open-loop"),
        (["--suite", "reach", "--open-loop", "--plan-from", "actions"], "nothing is imagined"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--record", str(tmp_path / "dreams"), "--out", str(tmp_path / "out")]
    assert main(["run", *words, *where]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "dreams").exists()


@pytest.mark.slow
def test_a_suite_records_what_an_earlier_call_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--suite", "reach", "--episodes", "2", "--plan-from", "policy", "--open-loop", "--workers", "1"]
    words += ["--num-frames", "5", "--num-inference-steps", "1", "--budget", "40", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    without = json.loads(capsys.readouterr().out.splitlines()[-1])
    for run_now in (2, 0):
        assert main([*words, "--record", str(tmp_path / "dreams"), "--json"]) == 0
        recorded = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert recorded["run_now"] == run_now and recorded["mean_success"] == without["mean_success"]
    kept = open_dataset(tmp_path / "dreams")
    assert len(kept) == 2 and kept.records[0].length == 5 and len(np.unique(kept.episode(0).videos["front"].frames)) > 9
