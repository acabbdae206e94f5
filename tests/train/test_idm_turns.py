"""Robots whose hand turns: orientations are learned beside places, counted from their mean, and read with the turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from wow import assembly
from wow.cli.main import main
from wow.data import DatasetWriter
from wow.models.idm import PLACES, TURNS, IdmConfig, Scale
from wow.train.export import as_checkpoint
from wow.train.idm import Beginning, prepare_idm, shown_truth
from wow.train.idm_data import Source, open_source, quaternion_of
from wow.train.idm_run import draw_window
from wow.train.recipes import IDM_RECIPES
from wow.types import Dimension, Embodiment, Episode

SMOKE = IDM_RECIPES["smoke"]()


def turning(episode: Episode, seed: int, frame: str = "world") -> Episode:
    """The toy with a hand that turns, about where it looks straight down, as its state tells; nobody sees it."""
    random = np.random.default_rng(seed)
    turns = (0.1 * random.normal(size=(len(episode), 3))).astype(np.float32)
    facing, rows = Rotation.from_rotvec([np.pi, 0.0, 0.0] + 0.2 * random.normal(size=3)), []
    for turn in Rotation.from_rotvec(turns):
        rows.append(np.roll(facing.as_quat(), 1))
        facing = facing * turn if frame == "tool" else turn * facing
    assert episode.states is not None
    return replace(
        episode,
        actions=np.concatenate([episode.actions[:, :3], turns, episode.actions[:, 6:]], axis=1),
        states=np.concatenate([episode.states, np.array(rows, np.float32)], axis=1),
        embodiment=card_of(episode.embodiment, frame),
    )


def card_of(card: Embodiment, frame: str) -> Embodiment:
    turns = tuple(replace(dim, frame=frame) for dim in card.action[3:6])
    return replace(
        card,
        rotation="rotation-vector",
        action=(*card.action[:3], *turns, *card.action[6:]),
        state=card.state + tuple(Dimension(f"gripper_q{part}", "1") for part in "wxyz"),
    )


def recorded(root: Path, toy_episode: Callable[..., Episode], frame: str = "world") -> Path:
    episodes = [turning(toy_episode(seed), seed, frame) for seed in range(8)]
    with DatasetWriter(root, episodes[0].embodiment, fps=20.0) as writer:
        for episode in episodes:
            writer.add(episode)
    return root


@pytest.fixture(scope="module")
def turning_data(tmp_path_factory: pytest.TempPathFactory, toy_episode: Callable[..., Episode]) -> Path:
    return recorded(tmp_path_factory.mktemp("turning") / "data", toy_episode)


@pytest.fixture(scope="module")
def source(turning_data: Path) -> Source:
    return open_source(turning_data, None)


def test_only_a_hand_that_turns_and_whose_state_says_how_is_read_so(source: Source) -> None:
    card = source.clips.embodiment
    assert quaternion_of(card) == (4, 5, 6, 7)
    assert quaternion_of(replace(card, rotation="roll-pitch-yaw")) == quaternion_of(replace(card, state=())) == ()
    thing = Dimension("object_qw", "1")
    assert quaternion_of(replace(card, state=(*card.state, thing))) == (4, 5, 6, 7)


@pytest.mark.parametrize("backwards", [0.0, 1.0])
def test_a_clip_s_turns_lead_from_orientation_to_orientation(source: Source, backwards: float) -> None:
    objective = prepare_idm(replace(SMOKE, backwards=backwards), [source])
    model = objective.run.model
    assert len(model.facing) == 4 and len(model.place.spread) == PLACES + TURNS
    random = np.random.default_rng(0)
    for _ in range(20):
        truth = shown_truth(draw_window(objective.sources[0], objective.run, random))
        facing = Rotation.from_rotvec(truth.places[:, PLACES:])
        assert facing.magnitude().max() < 3.0, "from their mean, no orientation is nearly half a turn away"
        assert np.allclose((facing[1:] * facing[:-1].inv()).as_rotvec(), truth.actions[:, 3:6], atol=1e-4)


def test_turns_in_the_tool_s_own_frame_do_too(tmp_path: Path, toy_episode: Callable[..., Episode]) -> None:
    objective = prepare_idm(SMOKE, [open_source(recorded(tmp_path, toy_episode, "tool"), None)])
    window = draw_window(objective.sources[0], objective.run, np.random.default_rng(0))
    truth = shown_truth(window)
    facing = Rotation.from_rotvec(truth.places[:, PLACES:])
    assert np.allclose((facing[:-1].inv() * facing[1:]).as_rotvec(), truth.actions[:, 3:6], atol=1e-4)


def test_a_model_that_knew_orientations_keeps_its_reference_and_one_of_the_same_robot_its_places(
    source: Source, toy_data: Path
) -> None:
    other = replace(SMOKE.model, facing=(0.0, 1.0, 0.0, 0.0), place=Scale((0.0,) * 7, (1.0,) * 7))
    kept = prepare_idm(SMOKE, [source], beginning=Beginning("another", other))
    assert kept.run.model.facing == other.facing
    same = prepare_idm(SMOKE, [source], beginning=Beginning(source.clips.embodiment.robot, IdmConfig()))
    assert same.run.model.facing == () and same.sources[0].places.shape[1] == PLACES
    without = open_source(toy_data, None)
    mixed = prepare_idm(
        SMOKE, [source, replace(without, clips=replace(without.clips, embodiment=source.clips.embodiment))]
    )
    batch = mixed.batch(8, torch.Generator().manual_seed(0))
    unknown = batch.places[..., PLACES:].isnan().flatten(1).all(dim=1)
    assert unknown.any() and not unknown.all()
    assert torch.isfinite(mixed.loss(mixed.network, batch)[0])


def test_trained_saved_and_loaded_it_reads_turns_with_orientations(tmp_path: Path, turning_data: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "idm", "--recipe", "smoke", "--data", str(turning_data), "--out", str(run)]) == 0
    inverse = assembly.load_inverse(as_checkpoint(run))
    assert inverse.calibration is not None and len(inverse.calibration.place) == PLACES + TURNS
    frames = np.array(open_source(turning_data, None).clips.frames[:9])
    raw = inverse.predict(frames, 0.05)
    assert raw.place.shape == (9, PLACES + TURNS)
