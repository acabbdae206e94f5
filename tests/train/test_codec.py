"""The codec's objective: what it learns from, by which looks, and from what a transformer paints."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.train.squares import CLIPS, learned
from wow.assembly import load_text
from wow.bench.lpips import Lpips
from wow.models.codec import Codec
from wow.models.dit import DiT
from wow.train.codec import CodecObjective, PaintedClips, cut, to_tensor, to_uint8, where_moving
from wow.train.painted import paint_clips
from wow.train.recipes import CODEC_RECIPES, WORLD_RECIPES, find_recipe
from wow.train.world import prepare_world
from wow.types import WowError


def test_pieces_are_cut_where_something_moved() -> None:
    frames = torch.zeros(64, 2, 3, 128, 128)
    frames[:, 1, :, 96:112, 96:112] = 1.0
    corners = where_moving(frames, 64, torch.Generator().manual_seed(0))
    pieces = cut(frames, [(16 * y, 16 * x) for y, x in corners], 64)
    assert pieces.shape == (64, 2, 3, 64, 64)
    assert (pieces[:, 1].amax(dim=(1, 2, 3)) == 1.0).float().mean() > 0.7


def test_pictures_survive_the_way_to_tensors_and_back() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 3), dtype=np.uint8)
    assert np.array_equal(to_uint8(to_tensor(frames)), frames)


def test_the_codec_objective_gives_a_finite_loss_and_a_preview() -> None:
    objective = CodecObjective(CODEC_RECIPES["smoke"](), CLIPS)
    batch = objective.batch(2, torch.Generator().manual_seed(0))
    loss, numbers = objective.loss(objective.network, batch)
    assert bool(loss.isfinite()) and "crop_psnr" in numbers
    assert objective.preview(objective.network).shape == (6 * 32, 5 * 32, 3)


def test_a_codec_with_frozen_latents_learns_the_way_back_by_looks_and_keeps_its_latents(lpips: Lpips) -> None:
    run = replace(find_recipe(CODEC_RECIPES, "smoke"), frozen_latents=True, perceptual_weight=0.5)
    objective = CodecObjective(run, CLIPS, lpips.distance)
    codec = objective.network
    began = {name: value.clone() for name, value in codec.state_dict().items()}
    before, after = learned(objective, 120, 8)
    assert after["perceptual"] < 0.8 * before["perceptual"]
    changed = {name.split(".")[0] for name, value in codec.state_dict().items() if not torch.equal(value, began[name])}
    assert changed == {"decoder", "context_encoder"}
    with pytest.raises(WowError, match="perceptual-weight"):
        CodecObjective(run, CLIPS)


def test_a_codec_is_looked_at_from_every_place_on_the_grid_of_the_network_that_looks() -> None:
    places = set()

    def place(painted: Tensor, true: Tensor) -> Tensor:
        assert painted.shape == true.shape
        corner = (true[0, 0] != true[0, 0, 0, 0]).nonzero()[0]  # the picture is one grey but for a mark
        places.add(tuple((corner % 4).tolist()))
        return painted.new_zeros(len(painted))

    run = replace(find_recipe(CODEC_RECIPES, "smoke"), perceptual_weight=0.5)
    objective = CodecObjective(run, CLIPS, place)
    batch = objective.batch(1, torch.Generator().manual_seed(0))
    marked = torch.zeros_like(batch.pictures)
    marked[..., 8, 8] = 1.0
    for phase in product(range(4), range(4)):
        objective.loss(objective.network, replace(batch, pictures=marked, phase=phase))
    assert len(places) == 16


def test_a_texture_that_is_not_there_costs_more_than_a_shade() -> None:
    run = replace(find_recipe(CODEC_RECIPES, "smoke"), gradient_weight=0.5)
    objective = CodecObjective(run, CLIPS)
    batch = objective.batch(2, torch.Generator().manual_seed(0))
    checks = 0.2 * (torch.arange(batch.pictures.shape[-1]) % 2 * 2.0 - 1.0)

    def cost(wrong: Tensor, weight: float) -> float:
        objective.run = replace(run, gradient_weight=weight)
        return float(objective.loss(lambda pictures, *_: (pictures + wrong, None), batch)[0])  # type: ignore[arg-type]

    shade = torch.full_like(checks, 0.2)
    assert cost(checks, 0.0) == pytest.approx(cost(shade, 0.0))
    assert cost(checks, 0.5) > 1.5 * cost(shade, 0.5)


def test_a_codec_shows_what_is_painted_as_what_was_recorded() -> None:
    # A painter who is always wrong alike, on one channel, by much: the way back learns not to mind.
    run = replace(find_recipe(CODEC_RECIPES, "smoke"), frozen_latents=True, painted=0.5)
    channels = run.model.latent_channels
    rows = np.stack([CLIPS.start[i] + np.minimum(np.arange(5), CLIPS.length(i) - 1) for i in range(len(CLIPS))])
    errors = np.zeros((len(rows), 5, channels, 2, 2), np.float16)
    errors[:, 1:, 0] = 4.0
    objective = CodecObjective(run, CLIPS, painted=PaintedClips(rows, errors))

    def shown(wrong: float) -> float:
        codec = objective.network.eval()
        assert isinstance(codec, Codec)
        with torch.no_grad():
            pictures = to_tensor(CLIPS.frames[rows.reshape(-1)]).unflatten(0, rows.shape)
            latents = torch.stack([codec.encode(clip) for clip in pictures])
            latents[:, 1:, 0] += wrong
            found = float((codec.decode(latents, pictures[:, 0]) - pictures)[:, 1:].square().mean())
        codec.train()
        return found

    before = shown(4.0)
    learned(objective, 150, 8)
    assert shown(4.0) < 0.7 * before
    with pytest.raises(WowError, match="--painter"):
        CodecObjective(run, CLIPS)
    with pytest.raises(WowError, match="frozen-latents"):
        replace(run, frozen_latents=False)
    with pytest.raises(WowError, match="latent-noise"):
        replace(run, model=replace(run.model, latent_noise=0.0))


def test_a_painted_piece_has_the_error_of_its_own_place_and_frame() -> None:
    run = replace(find_recipe(CODEC_RECIPES, "smoke"), frozen_latents=True, painted=0.5, crop=16)
    rows = np.stack([CLIPS.start[i] + np.minimum(np.arange(5), CLIPS.length(i) - 1) for i in range(len(CLIPS))])
    errors = np.arange(len(rows) * 5 * 4, dtype=np.float16).reshape(len(rows), 5, 1, 2, 2)
    errors = np.repeat(errors, run.model.latent_channels, 2)
    batch = CodecObjective(run, CLIPS, painted=PaintedClips(rows, errors)).batch(6, torch.Generator().manual_seed(3))
    for piece, noise in zip(batch.pictures[3:], batch.noise[3:], strict=True):
        for picture, error in zip(piece, noise[:, 0, 0, 0] * run.model.latent_noise, strict=True):
            clip, frame, y, x = np.unravel_index(round(float(error)), (len(rows), 5, 2, 2))
            full = to_tensor(CLIPS.frames[rows[clip, frame]])
            assert torch.equal(picture, full[:, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16])


def test_clips_are_painted_for_the_motion_recorded_and_held_against_its_frames(tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = Codec(CODEC_RECIPES["smoke"]().model).eval()
    run = WORLD_RECIPES["smoke"]()
    world = prepare_world(run, CLIPS, codec, load_text(), tmp_path, lambda what, done, total: None)

    class Lazy(DiT):
        """Paints nothing but the first frame."""

        def forward(self, noisy: Tensor, time: Tensor, conditions: object, draft: object = None) -> Tensor:
            return noisy[:, :1].expand_as(noisy)

    reports: list[int] = []
    painter = Lazy(world.plain.config)
    found = paint_clips(world.told, painter, codec, 10, 1, lambda done, total: reports.append(done))
    assert reports == [8, 10] and len(found.rows) == 10
    with torch.no_grad():
        for rows, error in zip(found.rows, found.errors, strict=True):
            clean = codec.encode(to_tensor(CLIPS.frames[rows]))
            assert np.allclose(error, (clean[:1] - clean).numpy(), atol=5e-3)
    again = paint_clips(world.told, painter, codec, 10, 1, lambda done, total: None)
    assert np.array_equal(found.rows, again.rows) and np.array_equal(found.errors, again.errors)
