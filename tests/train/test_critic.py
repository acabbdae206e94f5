"""What the critic learns from, and that it learns: a ball that is to roll right or left across a floor."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wow import assembly, weights
from wow.cli.main import main
from wow.data import DatasetWriter, EpisodeRecord
from wow.data.faults import FAULTS
from wow.train.checkpoint import load_average
from wow.train.critic import CriticObjective, prepare_critic
from wow.train.critic_data import (
    CriticSource,
    Goals,
    Story,
    draw_rows,
    open_critic_sources,
    put_fault,
    rows_to,
    story_of,
    tinted,
    truth_of,
    wordings,
)
from wow.train.recipes import CRITIC_RECIPES
from wow.types import Camera, Dimension, Embodiment, Episode, Video

SMOKE = CRITIC_RECIPES["smoke"]()
GOALS = Goals({"right": ("left",), "left": ("right",)}, {"right": (), "left": ()})
SIZE, LENGTH, STRIDE = 32, 16, 4
TEXTS = {"right": "roll the ball to the right", "left": "roll the ball to the left"}
CARD = Embodiment("ball", 20.0, (Dimension("delta_x", "m"),), cameras=(Camera("front", SIZE, SIZE),))


def rolling(number: int) -> Episode:
    """Even numbers are asked to roll right, odd ones left; every third one stops halfway."""
    task, fails = ("right", "left")[number % 2], number % 3 == 2
    random = np.random.default_rng(number)
    floor = np.full((SIZE, SIZE, 3), 90, np.uint8) + random.integers(0, 20, (SIZE, SIZE, 1), np.uint8)
    frames, row = [], int(random.integers(10, 22))
    for step in range(LENGTH):
        along = min(step, 5 if fails else LENGTH) * (1 if task == "right" else -1)
        frame = floor.copy()
        frame[row - 3 : row + 3, SIZE // 2 + along - 3 : SIZE // 2 + along + 3] = (230, 30, 30)
        frames.append(frame)
    return Episode(
        videos={"front": Video(np.stack(frames)[:, :, :SIZE], 20.0)},
        actions=np.zeros((LENGTH, 1), np.float32),
        embodiment=CARD,
        task=TEXTS[task],
        captions=(TEXTS[task], f"the ball of episode {number}"),
        source="near_success" if fails else "expert",
        success=not fails,
        facts={
            "task_name": task,
            "scene": task,
            "control_steps": STRIDE * (LENGTH - 1),
            "success_step": -1 if fails else 10 * STRIDE - 1,
        },
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ball") / "data"
    with DatasetWriter(root, CARD, fps=20.0) as writer:
        for number in range(24):
            writer.add(rolling(number))
    return root


@pytest.fixture(scope="module")
def source(data: Path) -> CriticSource:
    return open_critic_sources([data], [], None, None)[0]


@pytest.fixture(scope="module")
def objective(source: CriticSource, data: Path) -> CriticObjective:
    torch.manual_seed(0)
    run = replace(SMOKE, model=replace(SMOKE.model, size=SIZE), hold_out=6)
    return prepare_critic(run, [source], GOALS, assembly.load_text(), data / ".cache")


def test_the_first_frame_that_shows_success_is_known(source: CriticSource) -> None:
    assert source.stories[0] == Story("right", True, 10) and source.stories[2] == Story("right", False, None)
    sibling = EpisodeRecord(0, 20, "close it", source="expert", facts={"task_name": "close", "scene": "open"})
    assert story_of(sibling).imitates and story_of(sibling).success is None


def test_what_stops_short_is_no_success_and_what_goes_on_is() -> None:
    story, random = Story("right", True, 10), np.random.default_rng(0)
    reached = []
    for _ in range(300):
        rows = draw_rows(story, LENGTH, 9, 0.4, random)
        completed, done, progress = truth_of(story, rows, LENGTH)
        reached.append(completed)
        assert len(rows) == 9 and rows.min() >= 0 and rows.max() < LENGTH and (np.diff(rows) >= 0).all()
        assert completed == float(rows[-1] >= 10) and (completed == 1.0) == (progress == 1.0)
        assert (done[rows >= 10] == 1).all() and not (done[rows < 9] == 1).any()
    assert 0.5 < np.mean(reached) < 0.7


def test_failures_are_failures_from_the_first_frame_on_and_the_unknown_stays_unknown() -> None:
    rows = rows_to(LENGTH - 1, 9)
    assert truth_of(Story("right", False, None), rows, LENGTH)[0] == 0.0
    assert (truth_of(Story("right", False, None), rows, LENGTH)[1] == 0).all()
    assert np.isnan(truth_of(Story("right", None, None), rows, LENGTH)[0])
    completed, done, _ = truth_of(Story("right", True, None), rows, LENGTH)
    assert completed == 1.0 and done[-1] == 1.0 and np.isnan(done[:-1]).all()
    assert np.isnan(truth_of(Story("right", True, None), rows_to(8, 9), LENGTH)[0]), "who knows when it was done"


def test_only_shared_texts_are_asked_of_other_videos(source: CriticSource) -> None:
    assert wordings([source]) == {task: (text,) for task, text in TEXTS.items()}


def test_what_a_success_undoes_is_the_wrong_goal(objective: CriticObjective) -> None:
    example = objective.example(objective.sources[0], 0, np.random.default_rng(0), rows_to(LENGTH - 1, 9))
    assert example.goals == (TEXTS["right"], TEXTS["left"])
    assert example.completed.tolist() == [1.0, 0.0] and (example.done[1] == 0).all()


def test_a_failure_is_not_asked_for_the_opposite(objective: CriticObjective) -> None:
    example = objective.example(objective.sources[0], 2, np.random.default_rng(0), rows_to(LENGTH - 1, 9))
    assert np.isnan(example.completed[1]), "nothing was done: nobody knows what was undone"


def test_a_fault_is_labelled_where_it_is_and_takes_belief_away(objective: CriticObjective) -> None:
    random, seen = np.random.default_rng(0), set()
    clean = objective.example(objective.sources[0], 0, random, rows_to(LENGTH - 1, 9))
    for _ in range(60):
        faulty = put_fault(clean, random)
        if faulty is clean:
            continue
        kind = int(faulty.faults.argmax())
        seen.add(kind)
        frames = np.flatnonzero(faulty.fault_frames[:, kind])
        assert faulty.faults.sum() == 1 and len(frames) and faulty.fault_frames.sum() == len(frames)
        assert np.isnan(faulty.done[0][(clean.done[0] == 1) & (np.arange(9) >= frames[0])]).all()
        assert faulty.completed[0] != 1.0 or tuple(FAULTS)[kind] in ("freeze", "jitter")
        assert faulty.completed[1] == 0.0, "what was not reached is not reached with a fault either"
    assert len(seen) >= 5


def test_held_out_episodes_are_never_drawn(objective: CriticObjective) -> None:
    kept = {int(episode) for group in objective._groups[0] for episode in group}
    assert kept and not any(objective.run.holds_out(episode, 24) for episode in kept)
    assert kept | {e for e in range(24) if objective.run.holds_out(e, 24)} == set(range(24))


def test_the_same_generator_gives_the_same_batch(objective: CriticObjective) -> None:
    one, other = (objective.batch(3, torch.Generator().manual_seed(5)) for _ in range(2))
    for name, value in vars(one).items():
        assert torch.equal(value.nan_to_num(-1), getattr(other, name).nan_to_num(-1)), name


def test_light_changes_colours_as_arithmetic_would() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    assert np.array_equal(tinted(frames, np.ones(3, np.float32), np.zeros(3, np.float32)), frames)
    gain, offset = np.array([1.2, 0.8, 1.0], np.float32), np.array([0.1, 0.0, -0.1], np.float32)
    expected = np.clip(((frames / 127.5 - 1) * gain + offset + 1) * 127.5, 0, 255)
    assert np.abs(tinted(frames, gain, offset) - expected).max() <= 0.51


def test_it_learns_to_tell_success_from_failure(objective: CriticObjective) -> None:
    run = replace(objective.run, faulty=0.0, model=replace(objective.run.model, width=48))
    torch.manual_seed(0)
    learner = CriticObjective(run, objective.sources, GOALS, objective.text)
    optimizer = torch.optim.AdamW(learner.network.parameters(), lr=2e-3)
    right = []
    for step in range(220):
        loss, numbers = learner.loss(learner.network, learner.batch(8, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.network.parameters(), 1.0)
        optimizer.step()
        right.append(float(numbers["right"]))
    assert np.mean(right[-15:]) > 0.9 > np.mean(right[:5])


def test_from_the_command_to_a_verdict(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trains, goes on where it was, exports, and the exported critic judges as the run's does."""
    run, folder = tmp_path / "run", tmp_path / "model"
    words = [
        "train",
        "critic",
        "--recipe",
        "smoke",
        "--data",
        str(data),
        "--out",
        str(run),
        "--policy",
        "none",
        "--json",
    ]
    sizes = [
        "--config.model.size",
        str(SIZE),
        "--config.measured",
        "6",
        "--config.hold-out",
        "4",
        "--config.train.batch-size",
        "2",
    ]
    assert main([*words, *sizes, "--config.train.steps", "3", "--max-minutes", "0"]) == 0
    stopped = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert stopped["step"] == 1 and not stopped["finished"]
    assert main([*words, *sizes, "--config.train.steps", "3"]) == 0
    finished = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert finished["finished"] and "auroc" in finished
    assert main(["train", "export", "--critic", str(run), "--out", str(folder)]) == 0
    _, config = weights.load_part(folder, "critic")
    assert set(config["calibration"]) == {"slope", "offset", "alarm"} and config["held_out"]
    still = ["--from", str(folder), "--config.train.learning-rate", "1e-9", "--config.train.steps", "1"]
    further = [word if word != str(run) else str(tmp_path / "further") for word in words]
    assert main([*further, *sizes, *still]) == 0, "training goes on from an exported critic"
    before, after = load_average(run), load_average(tmp_path / "further")
    assert all(torch.allclose(before[name], after[name], atol=2e-3) for name in before), "but for float16"
    critic = assembly.load_critic(folder)
    verdict = critic(rolling(0).videos["front"], TEXTS["right"])
    assert 0.0 <= verdict.success_probability <= 1.0 and "roll the ball" in verdict.reason and len(verdict.scores) == 5
    capsys.readouterr()
    bench = ["bench", "critic", "--data", str(data), "--model", str(folder), "--out", str(tmp_path / "bench"), "--json"]
    assert main([*bench, "--num-frames", "9"]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert first["videos"] >= 24 and (tmp_path / "bench" / "report.md").is_file()
    assert main([*bench, "--num-frames", "9"]) == 0, "the same command again finds everything done"
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == first


def test_a_critic_beside_a_policy_comes_back_with_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The policy of the model that comes with the package is asked, is not copied, and another one is noticed."""
    run, folder = tmp_path / "run", tmp_path / "model"
    words = ["train", "critic", "--recipe", "smoke", "--data", str(data), "--out", str(run)]
    sizes = ["--config.model.size", str(SIZE), "--config.measured", "2", "--config.train.batch-size", "2"]
    assert main([*words, *sizes, "--config.train.steps", "2"]) == 0
    assert main(["train", "export", "--critic", str(run), "--out", str(folder)]) == 0
    tensors, config = weights.load_part(folder, "critic")
    assert config["model"]["plan"] > 0 and sum(tensor.numel() for tensor in tensors.values()) < 200_000
    video = rolling(0).videos["front"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = assembly.load_critic(folder)(video, TEXTS["right"])
    assert 0.0 <= verdict.success_probability <= 1.0
    weights.save_part(folder, "critic", tensors, {**config, "policy": "another"})
    with pytest.warns(UserWarning, match="another policy"):
        assembly.load_critic(folder)
    capsys.readouterr()
    assert main([*words[:-1], str(tmp_path / "no"), "--policy", str(folder), *sizes]) == 2
    assert "no policy" in capsys.readouterr().err
