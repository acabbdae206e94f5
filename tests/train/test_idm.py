"""What the inverse dynamics model learns from, and that it learns: on a toy robot whose truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wow import assembly, weights
from wow.act.inverse import InverseDynamics
from wow.cli.main import main
from wow.cli.train import TrainIdm, sources_of
from wow.data import DatasetWriter
from wow.models.codec import Codec
from wow.models.idm import InverseDynamicsModel
from wow.train.calibrate import calibrate
from wow.train.checkpoint import start_from
from wow.train.disturb import Disturbance, disturb, paint_again
from wow.train.idm import Beginning, IdmObjective, expected_error, prepare_idm, shown_truth
from wow.train.idm_data import Source, check_same, moves_of, open_source, truth_of
from wow.train.idm_run import IdmRun, draw_window, layout_of
from wow.train.latents import encode_frames
from wow.train.recipes import CODEC_RECIPES, IDM_RECIPES
from wow.types import Episode, WowError

SMOKE = IDM_RECIPES["smoke"]()
CALM = replace(SMOKE, disturbance=Disturbance(0.0, 0.0, 0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def source(toy_data: Path) -> Source:
    return open_source(toy_data, None)


@pytest.fixture(scope="module")
def objective(source: Source) -> IdmObjective:
    torch.manual_seed(0)
    return prepare_idm(SMOKE, [source])


def test_a_source_knows_where_the_hand_and_the_robot_are(source: Source, toy_episode: Callable[..., Episode]) -> None:
    episode = toy_episode(0)
    assert np.allclose(source.places[: len(episode), :3], episode.signals["sim.hand"], atol=1e-5)
    assert np.allclose(source.places[: len(episode), 3], episode.states[:, 3], atol=1e-6)
    assert source.robot is not None and source.robot.shape[1:] == (16, 16)
    seen = episode.signals["sim.segmentation"].mean()
    assert source.robot[: len(episode)].mean() / 255 == pytest.approx(seen, abs=0.01)
    assert moves_of(episode.embodiment) == (0, 1, 2) and episode.embodiment.gripper_place == 6


def test_an_imagined_video_has_no_measured_state_whatever_its_robot_s_card_says(
    tmp_path: Path, toy_episode: Callable[..., Episode]
) -> None:
    """Dreams keep the robot's card: where nobody measured, the places are unknown, and the actions are still there."""
    dreams = [replace(toy_episode(seed), states=None, signals={}) for seed in range(2)]
    with DatasetWriter(tmp_path, dreams[0].embodiment, fps=20.0) as writer:
        for dream in dreams:
            writer.add(dream)
    source = open_source(tmp_path, None, imagined=True)
    assert dreams[0].embodiment.state and np.isnan(source.places).all()
    truth = truth_of(source, np.arange(0, 9, 2), 0)
    assert np.allclose(truth.actions[:, 0], dreams[0].actions[:8, 0].reshape(4, 2).sum(axis=1), atol=1e-6)


def test_the_second_opening_reads_what_the_first_one_kept(toy_data: Path, source: Source) -> None:
    kept = toy_data / ".cache" / "places" / "rows.npy"
    before = kept.stat().st_mtime_ns
    assert np.array_equal(open_source(toy_data, None).places, source.places) and kept.stat().st_mtime_ns == before


def test_a_clip_s_actions_lead_from_place_to_place(source: Source) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        window = draw_window(source, SMOKE, random)
        truth = truth_of(source, window.rows, window.first)
        assert np.allclose(truth.actions[:, :3], np.diff(truth.places[:, :3], axis=0), atol=1e-5)
        stays = np.diff(window.rows) == 0
        assert (truth.actions[stays, :3] == 0).all() and (truth.events[stays] == 0).all()


def test_a_clip_run_backwards_leads_back_and_tells_no_command(source: Source) -> None:
    random = np.random.default_rng(0)
    back = [draw_window(source, replace(SMOKE, backwards=1.0), random) for _ in range(20)]
    assert all(window.backwards for window in back) and not draw_window(source, SMOKE, random).backwards
    for window in back:
        truth = shown_truth(window)
        assert np.allclose(truth.actions[:, :3], np.diff(truth.places[:, :3], axis=0), atol=1e-5)
        assert np.isnan(truth.actions[:, 6]).all() and (truth.events < 0).all()
        assert np.array_equal(truth.places, source.places[window.rows[::-1]], equal_nan=True)


@pytest.mark.parametrize(
    ("change", "why"),
    [({"frame": "tool"}, "is a change in the tool's frame"), ({"unit": "1"}, "its actions are no changes")],
)
def test_clips_whose_actions_have_no_opposite_are_not_run_backwards(
    source: Source, change: dict[str, str], why: str
) -> None:
    card = source.clips.embodiment
    other = replace(card, action=tuple(replace(dim, **change) for dim in card.action))
    odd = replace(source, clips=replace(source.clips, embodiment=other))
    with pytest.raises(WowError, match=f"{why}: leave out --config.backwards"):
        prepare_idm(replace(SMOKE, backwards=0.1), [odd])


def test_frames_run_backwards_where_the_clip_does_and_nothing_unknown_is_learned(source: Source) -> None:
    forth, back = (prepare_idm(replace(CALM, backwards=share), [source]) for share in (0.0, 1.0))
    assert forth.run.model.action == back.run.model.action
    random = np.random.default_rng(0)
    window = draw_window(source, SMOKE, random)
    shown = [
        objective._show(replace(window, backwards=way), random)[0] for objective, way in ((forth, False), (back, True))
    ]
    assert np.array_equal(shown[0], shown[1][::-1])
    batch = back.batch(4, torch.Generator().manual_seed(0))
    loss, numbers = back.loss(back.network, batch)
    assert loss.isfinite() and numbers["step_mm"].isfinite() and numbers["event"] == 0.0
    loss.backward()
    grip = back.network.action_head[-1].weight.grad
    assert grip is not None and grip[6].abs().sum() == 0.0 and grip[0].abs().sum() > 0.0


def test_events_are_where_the_command_changes(source: Source) -> None:
    rows = np.arange(int(source.clips.start[1]))
    truth = truth_of(source, rows, 0)
    commands = source.clips.actions[rows[:-1], 6]
    closing = int(np.flatnonzero(np.diff(commands) < 0)[0]) + 1
    assert truth.events[closing] == 2 and truth.events.sum() == 2


def test_held_out_episodes_are_never_drawn_and_clips_stay_in_theirs(source: Source) -> None:
    random, strides = np.random.default_rng(0), []
    for _ in range(300):
        window = draw_window(source, replace(SMOKE, hold_out=4), random)
        episode = int(np.searchsorted(source.clips.start, window.first))
        assert episode % 4 != 3 and (np.diff(window.rows) >= 0).all()
        assert window.first <= window.rows[0] and window.rows[-1] < source.clips.start[episode + 1]
        strides.append(window.seconds * source.clips.fps)
    assert 1.0 <= min(strides) < 1.2 and max(strides) > 8


def test_a_small_dataset_holds_out_too() -> None:
    assert [episode for episode in range(10) if IdmRun().holds_out(episode, 10)] == [4, 9]
    assert sum(IdmRun().holds_out(episode, 1000) for episode in range(1000)) == 50


def test_the_same_step_has_the_same_batch(objective: IdmObjective) -> None:
    first, again, other = (objective.batch(3, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(value, getattr(again, name)) for name, value in vars(first).items())
    assert not torch.equal(first.frames, other.frames)


def test_imagined_clips_come_in_their_share_and_without_a_pace(source: Source) -> None:
    imagined = replace(source, imagined=True)
    objective = prepare_idm(replace(SMOKE, imagined=0.3, no_pace=0.0), [source, imagined])
    paced = torch.cat([objective.batch(40, torch.Generator().manual_seed(seed)).is_paced for seed in range(4)])
    assert 1 - paced.float().mean().item() == pytest.approx(0.3, abs=0.12)


def test_clips_go_through_the_codec_and_begin_with_what_was_seen(source: Source, tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = Codec(CODEC_RECIPES["smoke"]().model).eval()
    latents = encode_frames(codec, source.clips, tmp_path, lambda done, total: None)
    random = np.random.default_rng(0)
    exact = paint_again(codec, latents[:3], source.clips.frames[0], 0.0, random)
    assert exact.shape == (3, 64, 64, 3)
    assert not np.array_equal(exact, paint_again(codec, latents[:3], source.clips.frames[0], 0.5, random))
    always = replace(CALM, disturbance=replace(CALM.disturbance, through_codec=1.0))
    objective = prepare_idm(always, [replace(source, latents=latents)], codec)
    batch = objective.batch(12, torch.Generator().manual_seed(0))
    stored = {frame.tobytes() for frame in source.clips.frames}
    real = np.array([[frame.numpy().tobytes() in stored for frame in clip] for clip in batch.frames])
    assert not real[:, 1:].any() and 0 < real[:, 0].sum() < 12


def test_a_clip_that_is_moved_knows_no_places(source: Source) -> None:
    moved = prepare_idm(replace(SMOKE, disturbance=Disturbance(shifted=1.0)), [source])
    assert bool(moved.batch(4, torch.Generator().manual_seed(0)).places.isnan().all())
    frames = np.array(source.clips.frames[:2])
    assert np.array_equal(disturb(frames, CALM.disturbance, np.random.default_rng(0))[0], frames)


def test_the_expected_error_is_least_at_the_true_scale() -> None:
    torch.manual_seed(0)
    error = 0.3 * torch.randn(1, 20000, 1)
    scales = torch.linspace(0.1, 1.0, 19)
    costs = [
        float(expected_error(error, torch.full_like(error, s), torch.zeros_like(error), torch.ones(1), 0.0))
        for s in scales.tolist()
    ]
    assert 0.15 < float(scales[int(np.argmin(costs))]) < 0.4


def test_the_released_baseline_is_trained_on_squared_errors() -> None:
    """An error twice as large costs four times as much, and under smooth L1 about twice as much."""
    assert IDM_RECIPES["released"]().loss == "squared" and IDM_RECIPES["mini"]().loss == "smooth_l1"
    one, ones = torch.full((1, 4, 3), 8.0), torch.ones(1, 4, 3)
    costs = {
        loss: [float(expected_error(k * one, ones, 0 * one, torch.ones(3), 0.0, loss)) for k in (1, 2)]
        for loss in ("squared", "smooth_l1")
    }
    assert costs["squared"] == pytest.approx([64.0, 256.0]) and costs["smooth_l1"] == pytest.approx([7.5, 15.5])


def test_a_run_says_what_it_was_made_from() -> None:
    words = ["--data", "a", "b", "--imagined", "dreams", "--codec", "coder", "--from", "wow-mini", "other"]
    command = TrainIdm.parse([*words, "--out", "run", "--recipe", "smoke"], "train idm")
    told = {"recipe": "smoke", "data": ["a", "b"], "imagined": ["dreams"], "codec": "coder"}
    assert sources_of(command) == {**told, "start_from": ["wow-mini", "other"]}
    alone = TrainIdm.parse(["--data", "a", "--out", "run", "--camera", "front"], "train idm")
    assert sources_of(alone) == {"recipe": "mini", "data": ["a"], "camera": "front"}


def test_unknown_truths_and_still_dimensions_cost_nothing() -> None:
    value, scale = torch.ones(1, 4, 3, requires_grad=True), torch.ones(1, 4, 3)
    truth = torch.zeros(1, 4, 3)
    truth[..., 1] = torch.nan
    expected_error(value, scale, truth, torch.tensor([0.5, 0.5, 0.0]), 1.0).backward()
    assert value.grad is not None and (value.grad[..., 0] != 0).all() and not value.grad[..., 1:].any()


@pytest.mark.parametrize("recipe", ["resnet", "mask", "flow", "certain", "released"])
def test_ablations_have_as_many_parameters_as_the_full_model(recipe: str) -> None:
    full, other = (
        sum(parameter.numel() for parameter in InverseDynamicsModel(IDM_RECIPES[name]().model).parameters())
        for name in ("mini", recipe)
    )
    assert 2 * full <= 16e6 and other == pytest.approx(full, rel=0.01)


def test_a_toy_robot_s_actions_are_learned(toy_run: Path, toy_data: Path, source: Source) -> None:
    """Better than saying that nothing moves, on episodes that were never trained on; the robot is found too."""
    about = json.loads((toy_run / "run.json").read_text())["about"]
    errors, calibration = about["held_out"], about["calibration"]
    random = np.random.default_rng(1)
    windows = [draw_window(source, replace(SMOKE, frames=17), random) for _ in range(100)]
    still = 1000 * np.mean([np.abs(truth_of(source, w.rows, w.first).actions[:, :3]).mean() for w in windows])
    assert errors["step_mm"] < 0.8 * still
    assert errors["within_one"] == pytest.approx(0.68, abs=0.05)
    assert 0.02 < calibration["ranges"]["robot"][0] < calibration["ranges"]["robot"][1] < 0.2


def test_every_kind_of_clip_is_measured(source: Source, tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = Codec(CODEC_RECIPES["smoke"]().model).eval()
    latents = encode_frames(codec, source.clips, tmp_path, lambda done, total: None)
    kinds = [replace(source, latents=latents), replace(source, imagined=True)]
    objective = prepare_idm(replace(SMOKE, measured=6), kinds, codec)
    inverse = InverseDynamics(
        objective.network.eval(), source.clips.embodiment, layout_of(objective.run, source)  # type: ignore[arg-type]
    )  # fmt: skip
    calibration, errors = calibrate(inverse, objective)
    assert {"step_mm", "codec_step_mm", "imagined_step_mm", "imagined_events_found"} <= errors.keys()
    assert all(value > 0 for value in (*calibration.action, *calibration.place, *calibration.fused))
    assert calibrate(inverse, objective) == (calibration, errors)


def test_an_exported_run_says_the_same_as_the_run(toy_run: Path, source: Source, tmp_path: Path) -> None:
    assert main(["train", "export", "--idm", str(toy_run), "--out", str(tmp_path / "model")]) == 0
    inverse = assembly.load_inverse(tmp_path / "model")
    tensors, _ = weights.load_part(tmp_path / "model", "idm")
    assert inverse.calibration is not None and set(tensors) == set(inverse.network.state_dict())
    assert inverse.layout.moves == (0, 1, 2) and inverse.layout.gripper == 6
    network = prepare_idm(SMOKE, [source]).network
    assert start_from(network, tensors) == len(tensors)
    assert torch.equal(network.state_dict()["no_pace"], tensors["no_pace"])


def test_what_no_run_is_named_for_comes_from_another_model(toy_run: Path, tmp_path: Path) -> None:
    words = ["train", "export", "--from", "wow-mini", "--idm", str(toy_run), "--out", str(tmp_path / "model")]
    assert main(words) == 0
    assert weights.verify(tmp_path / "model") == []
    own, theirs = (weights.read_manifest(folder).parts for folder in (tmp_path / "model", weights.shipped()))
    assert own.keys() == theirs.keys()
    assert {name for name in own if own[name].files != theirs[name].files} == {"idm"}


def test_weights_may_be_mixed_with_those_they_began_from(
    toy_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half way between two models of one shape; nothing is mixed with another model, or with none."""
    words = ["train", "export", "--idm", str(toy_run)]
    assert main([*words, "--out", str(tmp_path / "before")]) == 0
    before, config = weights.load_part(tmp_path / "before", "idm")
    weights.save_part(tmp_path / "before", "idm", {name: torch.zeros_like(x) for name, x in before.items()}, config)
    mixed = [*words, "--from", str(tmp_path / "before"), "--share", "0.25", "--out", str(tmp_path / "mixed")]
    assert main(mixed) == 0
    for name, value in weights.load_part(tmp_path / "mixed", "idm")[0].items():
        assert torch.allclose(value, 0.25 * before[name], atol=1e-3), name
    assert main([*words, "--from", "wow-mini", "--share", "0.5", "--out", str(tmp_path / "other")]) == 2
    assert "another model as its idm" in capsys.readouterr().err
    assert not (tmp_path / "other" / "manifest.json").exists(), "nothing is left where nothing was mixed"
    spread = {**config["model"]["action"], "spread": [2.0 * value for value in config["model"]["action"]["spread"]]}
    weights.save_part(tmp_path / "before", "idm", before, {**config, "model": {**config["model"], "action": spread}})
    assert main([*mixed[:-1], str(tmp_path / "units")]) == 2, "the same shapes, but numbers that count twice as much"
    assert "another model as its idm" in capsys.readouterr().err
    assert main([*words, "--share", "0.5", "--out", str(tmp_path / "alone")]) == 2
    assert "--from" in capsys.readouterr().err
    assert main([*words, "--share", "1.5", "--from", "wow-mini", "--out", str(tmp_path / "much")]) == 2
    assert "above 0 and up to 1" in capsys.readouterr().err


def test_weights_of_another_model_are_no_start(objective: IdmObjective) -> None:
    with pytest.raises(WowError, match="none of the weights"):
        start_from(objective.network, {"somewhere.else": torch.zeros(3)})


def test_who_goes_on_with_the_same_robot_keeps_the_meaning_of_its_numbers_and_the_eye_for_its_outline(
    source: Source,
) -> None:
    unmarked = replace(source, robot=None)
    alone = prepare_idm(SMOKE, [unmarked]).run.model
    twice = replace(alone.action, spread=tuple(2.0 * value for value in alone.action.spread))
    begun = Beginning(source.clips.embodiment.robot, replace(alone, action=twice, masks=True))
    kept = prepare_idm(SMOKE, [unmarked], None, begun).run.model
    assert kept.action == twice and kept.masks and not alone.masks
    turned = replace(twice, spread=tuple(value or 1.0 for value in twice.spread))
    for other in (replace(begun, robot="another arm"), replace(begun, model=replace(begun.model, action=turned))):
        assert prepare_idm(SMOKE, [unmarked], None, other).run.model == alone, "it has scales of its own"


def test_data_that_cannot_be_learned_from_are_refused(source: Source) -> None:
    card = source.clips.embodiment
    joints = replace(card, action=(replace(card.action[0], name="joint_1", unit="rad"), *card.action[1:]))
    with pytest.raises(WowError, match=r"joint_1 \[rad\]"):
        check_same([source, replace(source, clips=replace(source.clips, embodiment=joints))])
    with pytest.raises(WowError, match="--data"):
        prepare_idm(SMOKE, [])
    with pytest.raises(WowError, match="shares"):
        IdmRun(no_pace=1.5)


def test_who_learns_from_several_robots_names_them_all(source: Source, objective: IdmObjective) -> None:
    other = replace(source, clips=replace(source.clips, embodiment=replace(source.clips.embodiment, robot="other")))
    told = IdmObjective(objective.run, [source, other, source]).about()["embodiment"]
    assert told["robot"] == f"{source.clips.embodiment.robot}, other"
    assert objective.about()["embodiment"]["robot"] == source.clips.embodiment.robot


def test_frames_that_are_not_square_are_fitted(source: Source) -> None:
    wide = np.concatenate([source.clips.frames, source.clips.frames], axis=2)
    fitted = prepare_idm(
        replace(SMOKE, model=replace(SMOKE.model, size=48)), [replace(source, clips=replace(source.clips, frames=wide))]
    )
    batch = fitted.batch(2, torch.Generator().manual_seed(0))
    assert batch.frames.shape[2:] == (48, 48, 3) and not fitted.run.model.masks
    loss, _ = fitted.loss(fitted.network, batch)
    assert bool(loss.isfinite())
