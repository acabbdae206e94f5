"""What training needs of foundation models: losses that the truth satisfies, examples, blocks, LoRA."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")
pytest.importorskip("accelerate", reason="the extra [foundation] is not installed")

from safetensors.torch import save_file

from wow.foundation import objectives
from wow.foundation.cards import CARDS
from wow.foundation.checkpoint_network import empty_network
from wow.foundation.finetune import FineTuning, spread
from wow.foundation.finetune_loss import LOSSES, Example
from wow.foundation.keys_lora import read_lora
from wow.foundation.miniature import small, small_pipeline
from wow.foundation.overfit import Rehearsal, overfit, psnr, train
from wow.foundation.schedules import scheduler_of
from wow.foundation.units import add_lora, blocks, lora_state_dict, lora_targets, recompute_activations
from wow.types import Embodiment, Episode, Video, WowError

TRAINABLE = [name for name, card in CARDS.items() if card.family in LOSSES]
ONE_OF_EACH = ["wow-1-wan-1.3b-2m", "wow-1-wan-14b-2m", "wan2.2-ti2v-5b", "cosmos-predict1-7b", "cosmos-predict2-2b",
               "cosmos-predict2.5-2b"]  # fmt: skip


def dice(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tuning(name: str) -> FineTuning:
    card = small(CARDS[name])
    return FineTuning(card, *small_pipeline(card))


def moving_square(count: int = 20) -> Video:
    """A bright square that goes from left to right over a quiet picture."""
    rows, columns = np.mgrid[:48, :64]
    frames = np.stack([rows * 2, columns * 2, np.full_like(rows, 90)], axis=-1)[None].repeat(count, 0).astype(np.uint8)
    for place in range(count):
        left = round(44 * place / (count - 1))
        frames[place, 16:32, left : left + 16] = (250, 240, 40)
    return Video(frames, 10.0)


def episode() -> Episode:
    videos = {"front": moving_square(), "wrist": Video(255 - moving_square().frames, 10.0)}
    return Episode(videos, np.zeros((20, 0), np.float32), Embodiment("test", 10.0, ()), "push the square")


# ---- the maths ----


def test_wans_levels_count_most_in_the_middle_and_not_at_all_at_pure_noise() -> None:
    levels = objectives.flow_levels(5.0)
    weights = objectives.flow_weights(levels)
    assert levels[0] == 1.0 and bool((levels[1:] < levels[:-1]).all()) and levels[500] == pytest.approx(5 / 6, abs=2e-3)
    assert float(weights.mean()) == pytest.approx(1.0, abs=1e-5) and float(weights[0]) == pytest.approx(0.0, abs=1e-5)
    assert float(levels[weights.argmax()]) == pytest.approx(0.5, abs=2e-3)


def test_edm_scales_are_those_of_the_sampler() -> None:
    scheduler = scheduler_of(CARDS["cosmos-predict1-7b"].sampler, None)
    sigma = torch.tensor(1.7)
    skip, out, scale, time = objectives.edm_scales(sigma)
    point, answer = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.allclose(scheduler.precondition_outputs(point, answer, sigma), skip * point + out * answer)
    assert torch.allclose(scheduler.precondition_inputs(point, sigma), scale * point)
    assert float(scheduler.precondition_noise(sigma)) == pytest.approx(float(time))
    assert float(objectives.edm_weight(sigma) * out**2) == pytest.approx(1.0), "the network's own error counts evenly"


def test_levels_are_drawn_where_they_were_published() -> None:
    draws = torch.stack([objectives.cosmos2_level(24, dice(seed)) for seed in range(2000)])
    assert float(draws.median()) == pytest.approx(24**0.5, rel=0.15)
    assert 0.03 < float((draws > 200).float().mean()) < 0.08 and float(draws.max()) < 1e5
    times = torch.stack([objectives.logit_normal_time(5.0, dice(seed)) for seed in range(1000)])
    assert float(times.median()) == pytest.approx(5 / 6, abs=0.03) and bool(((times > 0) & (times < 1)).all())
    own = torch.stack([objectives.edm_level_of_given(dice(seed)) for seed in range(1000)])
    assert float(own.log().mean()) == pytest.approx(-3.0, abs=0.2)


@pytest.mark.parametrize(("name", "frames"), [("cosmos-predict1-7b", 16), ("cosmos-predict2-2b", 24)])
def test_levels_are_those_of_the_models_clips_however_short_the_example_is(name: str, frames: int) -> None:
    """NVIDIA scales sigma by the root of `state_t`, which its configuration states: 24 latent frames, or 16."""
    for card in (CARDS[name], small(CARDS[name])):
        assert card.frames.most_latents == frames
        clean = torch.randn(1, 16, 3, 4, 4, generator=dice(5))
        oracle = Oracle(card.family, clean)
        example = Example(clean, torch.zeros(1, 4, 8), None, None, card.fps)
        for seed in range(400):
            LOSSES[card.family](oracle, card, example, dice(seed))
        sigmas = torch.tensor([level for level in oracle.levels if level < 200])
        assert float(sigmas.median()) == pytest.approx(frames**0.5, rel=0.15)


def test_cosmos_2_counts_the_velocitys_error_evenly_at_every_level() -> None:
    sigma = torch.logspace(-4, 5, 200)
    of_velocity = objectives.cosmos2_weight(sigma) * (sigma / (1 + sigma)) ** 2
    assert float(of_velocity.min()) == pytest.approx(5.0, rel=1e-2) and float(of_velocity.max()) < 10.0 + 1e-3


class Oracle(nn.Module):
    """Answers with the truth, from the point that it is shown and the level it is told, in the terms of its family."""

    def __init__(self, family: str, clean: torch.Tensor) -> None:
        super().__init__()
        self.family, self.clean, self.dtype = family, clean, torch.float32
        self.off = nn.Parameter(torch.zeros(()))
        self.given: torch.Tensor | None = None
        self.levels: list[float] = []

    def forward(self, hidden_states: torch.Tensor, timestep: torch.Tensor, **more: Any) -> tuple[torch.Tensor]:
        clean, point = self.clean, hidden_states[:, : self.clean.shape[1]]
        self.given = more.get("condition_mask")
        if self.family.startswith("wan"):
            answer = (point - clean) / (timestep.max() / 1000.0)
        elif self.family == "cosmos1":
            self.levels.append(float(torch.exp(4.0 * timestep[0])))
            skip, out, scale, _ = objectives.edm_scales(torch.exp(4.0 * timestep[0]))
            answer = (clean - skip * point / scale) / out
        else:
            self.levels.append(float(timestep.max() / (1.0 - timestep.max())))
            answer = (point - clean) / timestep
        # What it says of given frames must not matter.
        wrong = torch.zeros_like(answer) if self.given is None else 7.0 * self.given
        return (answer + wrong + self.off,)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_truth_has_no_loss_and_nothing_else_has_none(name: str) -> None:
    card = CARDS[name]
    clean = torch.randn(1, 16, 3, 4, 4, generator=dice(5))
    condition = torch.randn(1, 20, 3, 4, 4) if card.family == "wan2.1" else None
    example = Example(clean, torch.zeros(1, 4, 8), condition, None, card.fps)
    oracle = Oracle(card.family, clean)

    def loss(seed: int) -> float:
        return float(LOSSES[card.family](oracle, card, example, dice(seed)).detach())

    for seed in range(1, 6):
        oracle.off.data.fill_(0.0)
        assert loss(seed) < 1e-6
        oracle.off.data.fill_(0.3)
        assert loss(seed) > 1e-3


# ---- examples ----


@pytest.mark.parametrize("name", TRAINABLE)
def test_an_episode_becomes_an_example_and_its_loss_reaches_the_network(name: str) -> None:
    hooks = tuning(name)
    card = hooks.card
    example = hooks.encode(episode(), camera="wrist", size=(card.height, card.width))
    space = 16 if card.family == "wan2.2" else 8
    assert example.latents.shape[2:] == (3, card.height // space, card.width // space)
    assert (example.condition is None) == (card.family != "wan2.1") and (example.picture is None) != card.has(
        "image_encoder"
    )
    hooks.network.requires_grad_(True)
    losses = [hooks.loss(example, dice(seed)) for seed in (1, 1, 2)]
    assert float(losses[0].detach()) == float(losses[1].detach()) != float(losses[2].detach())
    losses[0].backward()
    untouched = [key for key, value in hooks.network.named_parameters() if value.grad is None or not value.grad.any()]
    # k of words that are all zero has no gradient; everything else has.
    assert len(untouched) <= 2, untouched


def test_frames_are_spread_over_the_whole_episode() -> None:
    frames = np.arange(20, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    assert spread(frames, 5)[:, 0, 0, 0].tolist() == [0, 5, 10, 14, 19]
    assert spread(frames[:2], 5)[:, 0, 0, 0].tolist() == [0, 0, 0, 1, 1]


def test_wans_example_shows_the_first_frame_and_its_own_latents() -> None:
    hooks = tuning("wow-1-wan-1.3b-2m")
    example, other = hooks.encode(episode()), hooks.encode(episode(), camera="wrist")
    assert example.condition is not None and example.condition.shape[1] == 4 + example.latents.shape[1]
    assert bool((example.condition[:, :4, 0] == 1).all()) and bool((example.condition[:, :4, 1:] == 0).all())
    assert torch.allclose(example.condition[:, 4:, 0], example.latents[:, :, 0], atol=1e-4)
    assert not torch.allclose(example.latents, other.latents)


def test_what_cannot_be_trained_is_refused() -> None:
    hooks = tuning("wow-1-wan-1.3b-2m")
    with pytest.raises(WowError, match="no camera 'side': it has front, wrist"):
        hooks.encode(episode(), camera="side")
    with pytest.raises(WowError, match=r"4k\+1"):
        hooks.encode(episode(), num_frames=8)
    with pytest.raises(WowError, match="instruction is empty"):
        hooks.encode(replace(episode(), task=" "))
    with pytest.raises(WowError, match="cannot be fine-tuned here"):
        FineTuning(CARDS["svd-xt"], hooks.pipeline, hooks.prompts)
    with pytest.raises(WowError, match="cannot be fine-tuned here"):
        lora_targets(CARDS["cogvideox-5b-i2v"])


# ---- blocks and LoRA ----


@pytest.mark.parametrize("name", TRAINABLE)
def test_the_released_network_comes_apart_into_its_blocks_and_has_every_lora_target(name: str) -> None:
    part = CARDS[name].transformer
    network = empty_network(part.library, part.kind, part.config)
    found = blocks(network)
    assert len(found) == part.config["num_layers"]
    inside = sum(parameter.numel() for _, block in found for parameter in block.parameters())
    assert inside > 0.9 * part.parameters
    linear = {key for key, module in found[0][1].named_modules() if isinstance(module, nn.Linear)}
    for target in lora_targets(CARDS[name]):
        assert any(key.endswith(target) for key in linear), target


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "cosmos-predict2-2b"])
def test_recomputed_activations_give_the_same_gradient(name: str) -> None:
    hooks = tuning(name)
    example = hooks.encode(episode())
    hooks.network.requires_grad_(True).train()
    gradients = []
    for on in (False, True):
        recompute_activations(hooks.network, on)
        hooks.network.zero_grad()
        hooks.loss(example, dice()).backward()
        gradients.append([p.grad.clone() for p in hooks.network.parameters() if p.grad is not None])
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(*gradients, strict=True))


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "cosmos-predict1-7b", "cosmos-predict2-2b"])
def test_a_lora_begins_with_nothing_learns_alone_and_is_read_back(name: str, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="the extra [foundation] is not installed")
    hooks = tuning(name)
    example = hooks.encode(episode())
    before = float(hooks.loss(example, dice()))
    trained = add_lora(hooks.network, hooks.card, rank=4, alpha=8)
    assert float(hooks.loss(example, dice()).detach()) == pytest.approx(before, rel=1e-5)
    targets = len(lora_targets(hooks.card))
    # q, k, v and out twice, the feed-forward's two once, in each of four blocks, and two halves each.
    assert len(trained) == 2 * 4 * (2 * (targets - 2) + 2)
    optimizer = torch.optim.Adam(trained, lr=1e-2)
    for _ in range(5):
        optimizer.zero_grad()
        hooks.loss(example, dice()).backward()
        optimizer.step()
    assert float(hooks.loss(example, dice()).detach()) < before
    save_file(lora_state_dict(hooks.network), tmp_path / "lora.safetensors")
    read = read_lora(tmp_path / "lora.safetensors")
    assert len(read.additions) == len(trained) // 2
    block = blocks(hooks.network)[0]
    layer = block[1].get_submodule("attn1.to_q")
    addition = read.additions[f"{block[0]}.attn1.to_q"]
    assert torch.allclose(layer.get_delta_weight("default"), addition.scaled_up() @ addition.down, atol=1e-6)


# ---- the proof, in small ----


def test_a_clip_can_be_learned_by_heart_and_sampled() -> None:
    """What is sampled comes nearer to what the VAE makes of the clip than its first frame: the motion is there."""
    plan = Rehearsal(vae_steps=10, steps=160, draws=2, num_inference_steps=6)
    learned = overfit(CARDS["wow-1-wan-1.3b-2m"], moving_square(), "push the square", plan)
    assert learned.loss_after < learned.loss_before / 6
    restored = learned.restored.frames
    still = np.repeat(restored[:1], len(restored), 0)
    assert psnr(learned.sampled.frames, restored) > psnr(still, restored) + 1.0


@pytest.mark.parametrize("name", ["wan2.2-ti2v-5b", "cosmos-predict1-7b", "cosmos-predict2-2b", "cosmos-predict2.5-2b"])
def test_every_family_learns_an_example(name: str) -> None:
    hooks = tuning(name)
    example = hooks.encode(episode())

    def measured() -> float:
        with torch.no_grad():
            return sum(float(hooks.loss(example, dice(seed))) for seed in range(16))

    before = measured()
    train(hooks, example, Rehearsal(steps=100, draws=2), lambda step, loss: None)
    assert measured() < before / 2
