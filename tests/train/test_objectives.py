"""What is trained on: pieces where things move, windows that reach the end, texts and latents that fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.squares import CLIPS, learned
from wow.assembly import load_text
from wow.data.faults import FAULTS
from wow.models.codec import Codec
from wow.models.dit import DiT
from wow.models.faults import FaultNetwork
from wow.models.idm import InverseDynamicsModel
from wow.models.outcome import OutcomeNetwork
from wow.models.policy import Policy
from wow.train.checkpoint import start_from
from wow.train.codec import to_tensor
from wow.train.draft import DraftObjective
from wow.train.instructed import Window, draw_window
from wow.train.latents import encode_frames, encode_texts
from wow.train.recipes import (
    CODEC_RECIPES,
    DRAFT_RECIPES,
    FAULT_RECIPES,
    IDM_RECIPES,
    OUTCOME_RECIPES,
    POLICY_RECIPES,
    WORLD_RECIPES,
    find_recipe,
)
from wow.train.relations import ObservedDiT, clip_features, relation_loss
from wow.train.store import first_demonstrations
from wow.train.world import WorldNetwork, WorldRun, prepare_world
from wow.types import UInt8, WowError
from wow.weights import read_manifest, shipped


def windows(run: WorldRun, count: int = 300) -> list[Window]:
    random = np.random.default_rng(0)
    return [draw_window(CLIPS, run, 17, random) for _ in range(count)]


def test_windows_stay_inside_their_episode_and_never_run_backwards() -> None:
    for window in windows(WorldRun()):
        low, high = CLIPS.start[window.episode], CLIPS.start[window.episode + 1]
        assert len(window.rows) == 17 and window.rows.min() >= low and window.rows.max() < high
        assert (np.diff(window.rows) >= 0).all()


def test_windows_that_cover_the_rest_end_with_the_episode() -> None:
    found = windows(WorldRun(free_pace=0.0))
    assert all(window.rows[-1] == CLIPS.start[window.episode + 1] - 1 for window in found)
    starts = {int(window.rows[0] - CLIPS.start[window.episode]) for window in found}
    assert 0 in starts and len(starts) > 10


def test_the_pace_says_how_far_apart_frames_are() -> None:
    for window in windows(WorldRun(free_pace=0.0)):
        span = window.rows[-1] - window.rows[0]
        if span >= 16:
            assert window.seconds * 16 == pytest.approx(span / CLIPS.fps)


def test_the_same_generator_draws_the_same_windows() -> None:
    first, second = windows(WorldRun()), windows(WorldRun())
    assert all(np.array_equal(a.rows, b.rows) and a.seconds == b.seconds for a, b in zip(first, second, strict=True))


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    return Codec(CODEC_RECIPES["smoke"]().model).eval()


def test_latents_are_the_codecs_and_come_from_the_cache_the_second_time(codec: Codec, tmp_path: Path) -> None:
    reports: list[int] = []
    first = encode_frames(codec, CLIPS, tmp_path, lambda done, total: reports.append(done))
    assert first.shape == (59, 8, 2, 2) and reports[-1] == 59
    with torch.no_grad():
        expected = codec.encode(to_tensor(CLIPS.frames[7:8]))
    assert np.allclose(first[7:8], expected.numpy(), atol=2e-3)
    reports.clear()
    assert np.array_equal(first, encode_frames(codec, CLIPS, tmp_path, lambda done, total: reports.append(done)))
    fewer = first_demonstrations(CLIPS, 1)
    assert len(encode_frames(codec, fewer, tmp_path, lambda done, total: reports.append(done))) == len(fewer.frames)
    assert not reports, "no episode is encoded twice"


def test_latents_stay_when_their_making_is_interrupted(
    codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wow.train.latents.PORTION", 1)
    totals: list[int] = []

    def impatient(done: int, total: int) -> None:
        if len(totals) == 2:
            raise KeyboardInterrupt
        totals.append(total)

    with pytest.raises(KeyboardInterrupt):
        encode_frames(codec, CLIPS, tmp_path, impatient)
    left: list[int] = []
    again = encode_frames(codec, CLIPS, tmp_path, lambda done, total: left.append(total))
    kept = CLIPS.start[2]
    assert left[0] == totals[0] - kept
    assert np.array_equal(again, encode_frames(codec, CLIPS, tmp_path / "at once", lambda done, total: None))


def test_the_text_table_gives_back_what_the_encoder_says(tmp_path: Path) -> None:
    conditioner = load_text()
    texts = [text for options in CLIPS.texts for text in options]
    table = encode_texts(conditioner, texts, tmp_path, lambda done, total: None)
    tokens, mask = table.gather([texts[3], texts[0]])
    expected, expected_mask = conditioner.encode([texts[3], texts[0]])
    assert torch.equal(mask, expected_mask.cpu())
    assert torch.allclose(tokens, expected.cpu(), atol=2e-3)
    encoded: list[int] = []
    more = encode_texts(conditioner, [*texts, "wave"], tmp_path, lambda done, total: encoded.append(total))
    assert encoded == [1] and torch.equal(more.gather([texts[3], texts[0]])[0], tokens)
    (tmp_path / "texts.npz").write_bytes(b"cut off")
    again = encode_texts(conditioner, texts, tmp_path, lambda done, total: None)
    assert torch.allclose(again.gather([texts[3], texts[0]])[0], tokens, atol=2e-3)


def steps(run: WorldRun, codec: Codec, cache: Path, encoder: object = None) -> list[float]:
    objective = prepare_world(
        run, CLIPS, codec, load_text(), cache, lambda *_: None, encoder  # type: ignore[arg-type]
    )  # fmt: skip
    optimizer = torch.optim.Adam(objective.network.parameters(), lr=3e-3)
    losses = []
    for step in range(30):
        batch = objective.batch(8, torch.Generator().manual_seed(step % 3))
        loss, _ = objective.loss(objective.network, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    preview: UInt8 = objective.preview(objective.network)
    assert preview.dtype == np.uint8 and preview.shape[-1] == 3
    return losses


def test_the_world_objective_can_be_learned(codec: Codec, tmp_path: Path) -> None:
    losses = steps(WORLD_RECIPES["smoke"](), codec, tmp_path)
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


class Edges:
    """A teacher that needs no weights: how bright each cell is, and its row and column."""

    name = "edges"

    def features(self, frames: UInt8, side: int) -> torch.Tensor:
        pictures = to_tensor(frames)
        bright = torch.nn.functional.adaptive_avg_pool2d(pictures, side)
        place = torch.linspace(-1, 1, side).expand(len(frames), 1, side, side)
        return torch.cat([bright, place, place.transpose(2, 3)], dim=1)


def test_a_drafter_is_learned_by_itself_and_a_world_model_begins_with_it(codec: Codec, tmp_path: Path) -> None:
    run = find_recipe(DRAFT_RECIPES, "smoke")
    world = prepare_world(run, CLIPS, codec, load_text(), tmp_path, lambda what, done, total: None)
    objective = DraftObjective(world)
    before, after = learned(objective, 60, 64)
    assert after["draft_error"] < 0.8 * before["draft_error"]
    assert objective.preview(objective.network).ndim == 3
    torch.manual_seed(1)
    fresh = prepare_world(run, CLIPS, codec, load_text(), tmp_path, lambda what, done, total: None)
    given = objective.network.state_dict()
    assert start_from(fresh.plain, given) == len(given)
    own = fresh.plain.state_dict()
    assert all(torch.equal(own[name], value) for name, value in given.items())


def test_a_drafter_learns_where_links_are_from_the_episodes_that_tell(codec: Codec, tmp_path: Path) -> None:
    """The square is the first of the links; of the last episode nobody tells."""
    columns = np.arange(len(CLIPS.actions)) % (CLIPS.frames.shape[1] - 8)
    links = np.full((len(columns), 10), 0.5, np.float32)
    links[:, 0] = (columns + 4.0) / CLIPS.frames.shape[1]
    links[CLIPS.start[-2] :] = np.nan
    # Each step right is told as an action of its size.
    actions = np.zeros_like(CLIPS.actions)
    actions[:, 0] = 0.01
    told = replace(CLIPS, links=links, actions=actions)
    run = find_recipe(DRAFT_RECIPES, "smoke")
    objective = DraftObjective(prepare_world(run, told, codec, load_text(), tmp_path, lambda what, done, total: None))
    held = objective.batch(64, torch.Generator().manual_seed(99))
    assert held.links.isnan().any() and held.links.isfinite().any()
    assert (held.links[..., 1:, :].nan_to_num() == 0.0).all(), "all but the first are in the middle of the picture"
    before, after = learned(objective, 60, 64)
    assert after["link_error"] < 0.3 * before["link_error"]
    with pytest.raises(WowError, match="mark 4 links"):
        other = replace(CLIPS, links=links[:, :8])
        prepare_world(run, other, codec, load_text(), tmp_path, lambda what, done, total: None)


def test_a_model_without_a_drafter_has_none_to_train(codec: Codec, tmp_path: Path) -> None:
    run = find_recipe(WORLD_RECIPES, "smoke")
    bare = replace(run, model=replace(run.model, draft_width=0))
    world = prepare_world(bare, CLIPS, codec, load_text(), tmp_path, lambda what, done, total: None)
    assert world.batch(2, torch.Generator().manual_seed(0)).drafts is None
    with pytest.raises(WowError, match="draft-width"):
        DraftObjective(world)


@pytest.mark.parametrize("recipe", ["mini", "gpu"])
def test_the_models_of_a_recipe_fit_into_the_package(recipe: str) -> None:
    policy = Policy(find_recipe(POLICY_RECIPES, recipe).model)
    networks = [
        Codec(find_recipe(CODEC_RECIPES, recipe).model),
        DiT(find_recipe(WORLD_RECIPES, recipe).model),
        policy,
        InverseDynamicsModel(find_recipe(IDM_RECIPES, recipe).model),
        OutcomeNetwork(find_recipe(OUTCOME_RECIPES, "mini").model, policy),
        FaultNetwork(replace(find_recipe(FAULT_RECIPES, recipe).model, faults=tuple(FAULTS))),
    ]
    trained = sum(2 * parameter.numel() for network in networks for parameter in network.parameters())
    text = sum(file.bytes for file in read_manifest(shipped("wow-mini")).parts["text"].files)
    assert trained + text < 63.9e6  # and a hundred kilobytes of manifest


def test_the_relation_loss_trains_and_leaves_no_trace_in_the_model(codec: Codec, tmp_path: Path) -> None:
    run = replace(WORLD_RECIPES["smoke"](), relation_weight=0.5, relation_block=1)
    losses = steps(run, codec, tmp_path, Edges())
    assert losses[-1] < losses[0]
    with pytest.raises(WowError, match="teacher"):
        steps(run, codec, tmp_path)
    observed = prepare_world(run, CLIPS, codec, load_text(), tmp_path, lambda *_: None, Edges()).network
    assert isinstance(observed, WorldNetwork) and isinstance(observed.dit, ObservedDiT)


def test_texts_are_mixed_one_short_to_four_dense(codec: Codec, tmp_path: Path) -> None:
    run = WORLD_RECIPES["smoke"]()
    objective = prepare_world(run, CLIPS, codec, load_text(), tmp_path, lambda *_: None)
    random = np.random.default_rng(0)
    short = [len(objective.told._text(1, random, short_only=False).split()) < 10 for _ in range(2000)]
    assert np.mean(short) == pytest.approx(0.2, abs=0.03)


def test_relations_do_not_care_about_scale_or_rotation_of_features() -> None:
    tokens = torch.randn(2, 6, 4)
    rotation, _ = torch.linalg.qr(torch.randn(4, 4))
    assert float(relation_loss(tokens, 3.0 * tokens @ rotation)) < 1e-6
    assert float(relation_loss(tokens, torch.randn(2, 6, 4))) > 0.05


def test_a_group_sees_the_mean_of_its_two_frames() -> None:
    features = np.arange(10, dtype=np.float16)[:, None, None] * np.ones((10, 4, 3), dtype=np.float16)
    clip = clip_features(features, np.array([[0, 1, 2, 3, 5]]))
    assert clip[0, ::4, 0].tolist() == [0.0, 1.5, 4.0]


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(WowError, match="mini, gpu, smoke"):
        find_recipe(WORLD_RECIPES, "huge")


def test_behaviour_cloning_has_as_many_parameters_as_all_that_is_trained_together() -> None:
    ours = [
        Codec(find_recipe(CODEC_RECIPES, "mini").model),
        DiT(find_recipe(WORLD_RECIPES, "mini").model),
        Policy(find_recipe(POLICY_RECIPES, "mini").model),
        InverseDynamicsModel(find_recipe(IDM_RECIPES, "mini").model),
    ]
    together = sum(parameter.numel() for network in ours for parameter in network.parameters())
    clone = sum(parameter.numel() for parameter in Policy(find_recipe(POLICY_RECIPES, "clone").model).parameters())
    assert clone == pytest.approx(together, rel=0.05)
