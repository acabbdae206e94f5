"""The video transformer: what is not given must not matter, and what is given must."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wow.models.dit import Conditions, DiT, DiTConfig, attend

CONFIG = DiTConfig(
    latent_channels=4, grid=4, num_frames=9, width=32, depth=2, num_heads=2, head_width=16, head_blocks=1, text_width=16
)


def conditions(batch: int = 2, frames: int = 9) -> Conditions:
    generator = torch.Generator().manual_seed(1)
    yes = torch.ones(batch, dtype=torch.bool)
    return Conditions(
        text=torch.randn(batch, 5, 16, generator=generator),
        text_mask=torch.ones(batch, 5, dtype=torch.bool),
        has_text=yes,
        motion=torch.randn(batch, frames - 1, 7, generator=generator),
        motion_time=torch.zeros(batch),
        seconds=torch.full((batch,), 0.05),
        has_seconds=yes,
    )


@pytest.fixture(scope="module", params=[0, 16], ids=["no_draft", "draft"])
def dit(request: pytest.FixtureRequest) -> DiT:
    torch.manual_seed(0)
    made = DiT(replace(CONFIG, draft_width=request.param)).eval()
    for parameter in made.parameters():  # the zeros it starts from would hide every dependence
        parameter.data += 0.05 * torch.randn_like(parameter)
    return made


def noisy(batch: int = 2, frames: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    time = torch.full((batch, frames), 0.7)
    time[:, 0] = 0.0
    return torch.randn(batch, frames, 4, 4, 4, generator=generator), time


@pytest.mark.parametrize("draft_width", [0, 16])
def test_an_untrained_network_repeats_the_first_frame(draft_width: int) -> None:
    latents, time = noisy()
    guess = DiT(replace(CONFIG, draft_width=draft_width))(latents, time, conditions())
    assert torch.equal(guess, latents[:, :1].expand_as(guess))


@pytest.mark.parametrize("what", ["text", "seconds"])
def test_a_condition_matters_exactly_when_it_is_given(dit: DiT, what: str) -> None:
    latents, time = noisy()
    given = conditions()
    changed = replace(given, **{what: getattr(given, what) + 0.3})
    without = torch.zeros(2, dtype=torch.bool)
    assert not torch.allclose(dit(latents, time, given), dit(latents, time, changed), atol=1e-5)
    silent, silent_changed = (replace(one, **{f"has_{what}": without}) for one in (given, changed))
    assert torch.equal(dit(latents, time, silent), dit(latents, time, silent_changed))


def test_a_motion_matters_less_the_more_noise_it_has_and_not_at_all_at_level_one(dit: DiT) -> None:
    latents, time = noisy()
    first = conditions()
    second = replace(first, motion=first.motion + 0.3)

    def video(one: Conditions) -> torch.Tensor:
        return dit(latents, time, one)

    def difference(level: float) -> float:
        levels = torch.full((2,), level)
        known = [replace(one, motion_time=levels) for one in (first, second)]
        videos, plans = (
            [answer(one) for one in known] for answer in (video, lambda one: dit.plan(latents[:, :1], one))
        )
        return float(((videos[0] - videos[1]).abs().max() + (plans[0] - plans[1]).abs().max()).detach())

    assert difference(0.0) > difference(0.9) > difference(1.0) == 0.0


@pytest.mark.parametrize("seen", [1, 3])
def test_a_plan_has_a_step_for_every_transition_and_depends_on_picture_and_text(dit: DiT, seen: int) -> None:
    latents, _ = noisy()
    unknown = replace(conditions(), motion_time=torch.ones(2))
    plan = dit.plan(latents[:, :seen], unknown)
    assert plan.shape == (2, 8, 7)
    assert not torch.allclose(plan, dit.plan(latents[:, :seen] + 0.3, unknown), atol=1e-5)
    assert not torch.allclose(plan, dit.plan(latents[:, :seen], replace(unknown, text=unknown.text + 0.3)), atol=1e-5)


def test_padding_of_a_text_does_not_matter(dit: DiT) -> None:
    latents, time = noisy()
    given = conditions()
    padded = replace(
        given,
        text=torch.cat([given.text, torch.full((2, 3, 16), 9.0)], dim=1),
        text_mask=torch.cat([given.text_mask, torch.zeros(2, 3, dtype=torch.bool)], dim=1),
    )
    assert torch.allclose(dit(latents, time, given), dit(latents, time, padded), atol=1e-5)


def test_clips_of_a_batch_do_not_see_each_other(dit: DiT) -> None:
    latents, time = noisy()
    both = dit(latents, time, conditions())
    alone = dit(latents[:1], time[:1], conditions().map(lambda value: value[:1]))
    assert torch.allclose(both[:1], alone, atol=1e-5)


def test_patches_put_every_value_back_where_it_was(dit: DiT) -> None:
    """Cutting latents into tokens and back, with the identity between, loses nothing."""
    latents, _ = noisy()
    pairs = torch.cat([latents[:, :1], latents], dim=1).unflatten(1, (-1, 2)).flatten(2, 3)
    cut = pairs.unflatten(-2, (2, 2)).unflatten(-1, (2, 2)).permute(0, 1, 3, 5, 2, 4, 6)
    tokens = cut.reshape(2, 5 * 4, -1)
    assert torch.equal(dit._untokens(tokens, 9), latents)


def test_shorter_clips_are_accepted(dit: DiT) -> None:
    latents, time = noisy(frames=5)
    assert dit(latents, time, conditions(frames=5)).shape == latents.shape


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        DiTConfig(num_frames=16)


def test_attention_that_learns_is_the_attention_that_is_used() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, 7, 8, generator=generator) for _ in range(3))
    mask = (torch.rand(2, 1, 1, 7, generator=generator) < 0.7) | (torch.arange(7) == 0)
    for given in (None, mask):
        used = attend(query, key, value, given)
        learning = attend(query.clone().requires_grad_(), key, value, given)
        assert torch.allclose(used, learning, atol=1e-6)
