"""The critic's network and how it is read: what it may depend on, and what its numbers mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from wow import assembly
from wow.models.critic import CriticConfig, CriticNetwork, plan_width, shift_in_time
from wow.models.judge import Calibration, Judge, calibration_from_json, fit_chance, loudest, sigmoid
from wow.models.policy import Policy, PolicyConfig
from wow.types import WowError

FAULTS = ("teleport", "freeze")
CONFIG = CriticConfig(FAULTS, 32, 9, (8, 16, 16), 24, 1, 2, 2, 384)


@pytest.fixture(scope="module")
def network() -> CriticNetwork:
    torch.manual_seed(0)
    return CriticNetwork(CONFIG).eval()


@pytest.fixture(scope="module")
def judge(network: CriticNetwork) -> Judge:
    return Judge(network, assembly.load_text(), Calibration(2.0, -0.5, 0.1))


def asked(goals: int = 2, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.rand(2, 9, 3, 32, 32, generator=generator) * 2 - 1
    words = torch.randn(2, goals, 5, 384, generator=generator)
    mask = torch.ones(2, goals, 5, dtype=torch.bool)
    mask[:, :, 3:] = False
    return frames, words, mask


def test_the_default_ships_in_less_than_sixteen_megabytes() -> None:
    count = sum(p.numel() for p in CriticNetwork(CriticConfig(FAULTS)).parameters())
    assert count < 8_000_000 and 2 * count < 16_000_000


def a_policy(seed: int) -> Policy:
    torch.manual_seed(seed)
    policy = Policy(PolicyConfig((16, 16, 16), (4, 4, 4), 4, 16, 16, 4, 384, 3))
    torch.nn.init.normal_(policy.motion.weight)
    return policy.eval()


def beside(policy: Policy) -> CriticNetwork:
    torch.manual_seed(0)
    return CriticNetwork(replace(CONFIG, plan=plan_width(policy)), policy).eval()


def test_what_a_policy_would_still_do_counts_and_the_policy_stays_as_it_is() -> None:
    policy = a_policy(1)
    network, other = beside(policy), beside(a_policy(2))
    frames, words, mask = asked()
    one, two = network(frames, words, mask), other(frames, words, mask)
    assert not torch.allclose(one.done, two.done, atol=1e-3) and not torch.allclose(one.completed, two.completed)
    assert torch.equal(one.faults, two.faults), "faults know no goal, and so no plan"
    assert network.state_dict().keys() == other.state_dict().keys()
    assert not any(name.startswith("_policy") or "decide" in name for name in network.state_dict())
    one.completed.sum().backward()
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_chosen_frames_and_goals_get_their_own_plans() -> None:
    network = beside(a_policy(1))
    frames, words, mask = asked()
    every = network(frames, words, mask)
    some = network(frames, words[:, 1:], mask[:, 1:], torch.tensor([[1, 4, 8], [0, 7, 8]]))
    assert torch.allclose(some.done[0, 0], every.done[0, 1, [1, 4, 8]], atol=1e-4)
    assert torch.allclose(some.done[1, 0], every.done[1, 1, [0, 7, 8]], atol=1e-4)


def test_a_critic_and_its_policy_fit_together() -> None:
    with pytest.raises(ValueError, match="beside 12"):
        CriticNetwork(CONFIG, a_policy(1))
    with pytest.raises(ValueError, match="beside 0"):
        CriticNetwork(replace(CONFIG, plan=12))


def test_a_goal_is_judged_the_same_whatever_else_is_asked(network: CriticNetwork) -> None:
    frames, words, mask = asked()
    both, one = network(frames, words, mask), network(frames, words[:, :1], mask[:, :1])
    for name in ("completed", "done", "progress"):
        assert torch.allclose(getattr(both, name)[:, :1], getattr(one, name), atol=1e-4)
    assert torch.allclose(both.faults, one.faults, atol=1e-5), "faults know no goal"


def test_words_beyond_the_mask_say_nothing(network: CriticNetwork) -> None:
    frames, words, mask = asked()
    before = network(frames, words, mask).completed
    words[:, :, 3:] = 100.0
    assert torch.allclose(network(frames, words, mask).completed, before, atol=1e-4)


def test_chosen_frames_are_looked_at_as_all_are(network: CriticNetwork) -> None:
    frames, words, mask = asked()
    chosen = torch.tensor([[1, 4, 8], [0, 7, 8]])
    every, some = network(frames, words, mask), network(frames, words, mask, chosen)
    picked = torch.stack([every.done[0][:, chosen[0]], every.done[1][:, chosen[1]]])
    assert torch.allclose(some.done, picked, atol=1e-4)
    assert torch.allclose(some.completed, every.completed, atol=1e-4)


def test_order_in_time_matters(network: CriticNetwork) -> None:
    frames, words, mask = asked()
    backwards = network(frames.flip(1), words, mask)
    assert not torch.allclose(network(frames, words, mask).faults, backwards.faults, atol=1e-3)


def test_a_shift_in_time_moves_an_eighth_each_way() -> None:
    x = torch.arange(3.0).view(1, 3, 1, 1, 1).expand(1, 3, 8, 1, 1)
    moved = shift_in_time(x)[0, :, :, 0, 0]
    assert moved[:, 0].tolist() == [0, 0, 1] and moved[:, 1].tolist() == [1, 2, 0]
    assert (moved[:, 2:] == x[0, :, 2:, 0, 0]).all()


@pytest.mark.parametrize("length", [2, 9, 31])
def test_videos_of_any_length_and_size_are_judged_in_their_own_frames(judge: Judge, length: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (length, 48, 64, 3), np.uint8)
    opinion = judge(frames, ["open the drawer"])[0]
    assert len(opinion.done) == length and 0 <= opinion.span[0] <= opinion.span[1] < length
    assert opinion.success == pytest.approx(float(sigmoid(2.0 * opinion.logit - 0.5)))
    assert set(opinion.faults) == set(FAULTS) and opinion.fault == max(opinion.faults, key=opinion.faults.__getitem__)
    assert opinion.alarm == (opinion.fault_logit > 0.1)


def test_chances_are_fitted_to_the_odds_that_made_them() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, 20_000)
    truths = random.random(20_000) < sigmoid(0.5 * logits - 1.0)
    slope, offset = fit_chance(logits, truths)
    assert slope == pytest.approx(0.5, abs=0.03) and offset == pytest.approx(-1.0, abs=0.06)
    assert fit_chance(logits, np.ones(20_000, bool)) == (1.0, 0.0), "one kind of truth says nothing"


def test_the_loudest_stretch_is_around_the_peak() -> None:
    assert loudest(np.array([0.6, 0.1, 0.5, 0.9, 0.46, 0.2, 0.8])) == (2, 4)


def test_a_calibration_that_cannot_be_read_is_named() -> None:
    with pytest.raises(WowError, match="somewhere: the critic's calibration"):
        calibration_from_json({"slope": 1.0}, "somewhere")
