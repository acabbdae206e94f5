"""A policy learns to reach for what the text names, wherever it lies, and its guess fits clips of any length."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wow.assembly import load_text
from wow.cli.main import main
from wow.imagine.guess import first_guess
from wow.models.dit import Conditions
from wow.models.policy import Policy, PolicyConfig, spatial_softmax
from wow.train.checkpoint import load_average
from wow.train.policy import PolicyObjective, PolicyRun, moved, prepare_policy
from wow.train.recipes import POLICY_RECIPES
from wow.train.rows import Rows
from wow.train.store import Clips
from wow.types import Dimension, Embodiment, WowError

CARD = Embodiment("test", 20.0, tuple(Dimension(f"a{i}", "m") for i in range(3)), action_kind="delta")
STEPS = 8


def reaching(count: int, size: int = 32) -> Clips:
    """Pictures with a red and a green square; the text says to which of them the robot goes, in even steps."""
    random = np.random.default_rng(0)
    frames = np.full((count * (STEPS + 1), size, size, 3), 90, np.uint8)
    actions = np.zeros((len(frames), 3), np.float32)
    texts = []
    for episode in range(count):
        rows = slice(episode * (STEPS + 1), (episode + 1) * (STEPS + 1))
        red, green = random.integers(4, size - 4, size=(2, 2))
        for place, colour in ((red, (250, 20, 20)), (green, (20, 250, 20))):
            frames[rows, place[1] - 3 : place[1] + 3, place[0] - 3 : place[0] + 3] = colour
        wanted = red if episode % 2 else green
        actions[rows, :2] = (wanted / size - 0.5) / STEPS
        texts.append((f"go to the {'red' if episode % 2 else 'green'} square",))
    start = np.arange(count + 1) * (STEPS + 1)
    return Clips(
        Rows([frames]),
        actions,
        start,
        tuple(texts),
        np.ones(count, bool),
        20.0,
        CARD,
        np.zeros((len(actions), 0), np.float32),
    )


def objective_of(run: PolicyRun, clips: Clips, cache: Path) -> PolicyObjective:
    return prepare_policy(run, clips, load_text(), cache, lambda *_: None)


@pytest.fixture(scope="module")
def small() -> PolicyRun:
    smoke = POLICY_RECIPES["smoke"]()
    model = replace(smoke.model, num_transitions=STEPS)
    return replace(smoke, model=model, from_start=1.0, free_pace=0.0, shift=1, tint=0.02)


def test_it_learns_to_go_where_the_text_says(small: PolicyRun, tmp_path: Path) -> None:
    objective = objective_of(small, reaching(120), tmp_path)
    optimizer = torch.optim.Adam(objective.network.parameters(), lr=3e-3)
    errors = []
    for step in range(160):
        loss, numbers = objective.loss(objective.network, objective.batch(32, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(float(numbers["motion_error"]))
    # Blind to the picture or deaf to the text, it would be left with at least half of the first error.
    assert np.mean(errors[-10:]) < 0.25 * np.mean(errors[:3])
    assert objective.preview(objective.network).shape == (64, 8 * 32, 3)


def test_nobody_learns_what_to_do_from_those_who_do_not_do_it(small: PolicyRun, tmp_path: Path) -> None:
    clips, obeys = reaching(6), np.array([True, False] * 3)
    objective = objective_of(replace(small, shift=0), replace(clips, obeys=obeys), tmp_path)
    batch = objective.batch(64, torch.Generator().manual_seed(0))
    shown = {picture.numpy().tobytes() for picture in batch.pictures}
    assert shown == {picture.tobytes() for picture in clips.frames[clips.start[:-1][obeys]]}


def test_a_spatial_softmax_finds_the_peak() -> None:
    scores = torch.zeros(1, 2, 8, 8)
    scores[0, 0, 1, 6] = scores[0, 1, 7, 0] = 50.0
    found = spatial_softmax(scores)
    assert torch.allclose(found, torch.tensor([[[13 / 8 - 1, 3 / 8 - 1], [1 / 8 - 1, 15 / 8 - 1]]]), atol=1e-4)


def test_a_picture_is_moved_by_no_more_than_was_said() -> None:
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[8, 8] = 255
    random = np.random.default_rng(0)
    places = {tuple(np.argwhere(moved(picture, 2, random)[..., 0])[0] - 8) for _ in range(300)}
    assert places == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}
    assert moved(picture, 0, random) is picture


def conditions(count: int, num_transitions: int, paced: bool) -> Conditions:
    generator = torch.Generator().manual_seed(0)
    return Conditions(
        text=torch.randn(count, 5, 384, generator=generator),
        text_mask=torch.ones(count, 5, dtype=torch.bool),
        has_text=torch.ones(count, dtype=torch.bool),
        motion=torch.zeros(count, num_transitions, 3),
        motion_time=torch.ones(count),
        seconds=torch.full((count,), 0.1),
        has_seconds=torch.full((count,), paced),
    )


@pytest.mark.parametrize("paced", [True, False])
def test_a_guess_fits_clips_of_any_length(paced: bool) -> None:
    torch.manual_seed(0)
    policy = Policy(PolicyConfig(num_transitions=16, action_width=3, channels=(8, 8, 8))).eval()
    torch.nn.init.normal_(policy.motion.weight)
    picture, summed = torch.rand(2, 3, 32, 32) * 2 - 1, torch.tensor([True, True, False])
    with torch.no_grad():
        whole, half = (first_guess(policy, picture, conditions(2, n, paced), summed) for n in (16, 8))
    assert half.shape == (2, 8, 3)
    # At a pace of its own a shorter clip sees less of the motion; at a free one it sees all of it in larger steps.
    assert torch.allclose(half, whole[:, :8] if paced else whole[:, 1::2], atol=1e-5)


def test_training_begins_with_another_policy_in_the_scale_of_the_new_data(toy_data: Path, tmp_path: Path) -> None:
    """Its first step is too small to move it: what it said in metres before, it still says."""
    words = ["train", "policy", "--data", str(toy_data), "--recipe", "smoke", "--config.train.steps", "1"]
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    short = tmp_path / "short"
    note = json.loads((tmp_path / "first" / "run.json").read_text())
    scale = note["about"]["action_scale"]
    note["about"]["action_scale"] = {**scale, "spread": [2.0 * spread for spread in scale["spread"]]}
    (tmp_path / "first" / "run.json").write_text(json.dumps(note))
    small = ["--config.train.learning-rate", "1e-9", "--from", str(tmp_path / "first")]
    assert main([*words, *small, "--out", str(short)]) == 0
    before, after = (load_average(run) for run in (tmp_path / "first", short))
    assert torch.allclose(after["motion.bias"], 2.0 * before["motion.bias"], atol=1e-6)
    assert torch.allclose(after["fine.weight"], before["fine.weight"], atol=1e-2)


def test_shares_and_sizes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(WowError, match="between 0 and 1"):
        PolicyRun(no_pace=1.5)
    with pytest.raises(ValueError, match="multiples of 8"):
        PolicyConfig(channels=(10, 16, 16))


def test_what_is_heard_of_a_text_is_less_of_it_or_more_of_what_was_said(small: PolicyRun, tmp_path: Path) -> None:
    """Words are lost but never all; a second text comes to the first; without either the text is heard as it is."""
    clips = reaching(4)
    clips = replace(clips, texts=tuple((*texts, "reach for it") for texts in clips.texts))

    def words(mixed: float, lost: float) -> torch.Tensor:
        run = replace(small, no_text=0.0, mixed_texts=mixed, lost_words=lost)
        batch = objective_of(run, clips, tmp_path).batch(64, torch.Generator().manual_seed(0))
        return batch.conditions.text_mask.sum(dim=1).float()

    plain = words(0.0, 0.0)
    assert set(plain.tolist()) <= {5.0, 7.0}  # two marks, and the words of either text
    assert bool((words(0.0, 0.99) == 1).any()) and bool((words(0.0, 0.99) >= 1).all())
    assert 0.6 < float(words(0.0, 0.3).mean() / plain.mean()) < 0.8
    assert bool((words(1.0, 0.0) >= plain + 5).all())
