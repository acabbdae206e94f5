"""The outcome network and its judge: what they may depend on, and what their numbers mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from wow import assembly
from wow.models.judge import Chance, OutcomeJudge, chance_from_json, fit_chance, sigmoid, unhurried
from wow.models.outcome import MAGNIFIED, OutcomeConfig, OutcomeNetwork, compared
from wow.models.policy import Policy, PolicyConfig
from wow.types import Actions, Dimension, Embodiment, Float32, WowError

CONFIG = OutcomeConfig(gripper=3, width=16, blocks=2, sought=16, told=8)
CARD = Embodiment("arm", 20.0, (*(Dimension(name, "m") for name in "xyz"), Dimension("gripper", "")))
TRANSITIONS = 8


def a_policy(seed: int) -> Policy:
    torch.manual_seed(seed)
    policy = Policy(PolicyConfig((16, 16, 16), (4, 4, 4), 4, 16, 16, TRANSITIONS, 384, 4))
    torch.nn.init.normal_(policy.motion.weight, std=0.3)
    return policy.eval()


def beside(policy: Policy) -> OutcomeNetwork:
    torch.manual_seed(0)
    return OutcomeNetwork(CONFIG, policy).eval()


def as_they_are(actions: Actions) -> Float32:
    return actions.values


def motions(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, TRANSITIONS, 4, generator=torch.Generator().manual_seed(seed)).cumsum(dim=1) * 0.1


def test_the_policy_is_asked_but_neither_trained_nor_kept() -> None:
    policy = a_policy(1)
    network = beside(policy)
    assert not any("policy" in name or "decide" in name for name in network.state_dict())
    pictures, judged = torch.rand(2, 3, 32, 32), []
    for one in (network, beside(a_policy(2))):
        words, mask = assembly.load_text().encode(["open it", "close it"])
        conditions = unhurried(words, mask)
        judged.append(one(*one.practise(pictures, conditions), motions(2)))
    assert not torch.allclose(*judged, atol=1e-4), "another practised hand, another opinion"
    judged[0].sum().backward()
    assert all(parameter.grad is None for parameter in policy.parameters())


def test_a_policy_of_another_width_does_not_fit() -> None:
    with pytest.raises(ValueError, match="told 16 numbers instead of 24"):
        OutcomeNetwork(replace(CONFIG, sought=24), a_policy(1))


def test_a_motion_that_is_late_strays_from_nothing_but_has_a_gap() -> None:
    straight = torch.zeros(1, TRANSITIONS, 4)
    straight[0, :, 0] = torch.arange(1.0, TRANSITIONS + 1)
    late = straight.clone()
    late[0, 1:] = straight[0, :-1]
    moments, whole = compared(late, straight, CONFIG)
    size, astray = moments[0, :, 9] / MAGNIFIED, moments[0, :, 10] / MAGNIFIED
    assert size[1:].tolist() == pytest.approx([1.0] * (TRANSITIONS - 1)) and astray.abs().max() < 1e-3
    assert float(whole[0, 0]) == pytest.approx(MAGNIFIED * (TRANSITIONS - 1) / TRANSITIONS)
    same, nothing = compared(straight, straight, CONFIG)
    assert same[0, :, 6:12].abs().max() < 1e-2 and nothing.abs().max() < 1e-2


def test_chances_come_for_every_moment_and_the_last_is_that_of_the_whole() -> None:
    network = beside(a_policy(1))
    judge = OutcomeJudge(network, assembly.load_text(), as_they_are, 32, Chance(2.0, -0.5))
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    values = motions(1)[0].numpy()
    chances = judge(picture, "open it", Actions(values, CARD))
    assert chances.shape == (TRANSITIONS,) and ((chances > 0) & (chances < 1)).all()
    hurried = judge(picture, "open it", Actions(values, CARD), 0.2)
    assert hurried[-1] != pytest.approx(chances[-1], abs=1e-4), "in less time a practised hand gets less far"
    stopped = values.copy()
    stopped[3:] = stopped[2]
    assert judge(picture, "open it", Actions(stopped, CARD))[-1] == pytest.approx(chances[2], abs=1e-6)
    assert judge(picture, "close the window", Actions(values, CARD))[-1] != pytest.approx(chances[-1], abs=1e-4)
    with pytest.raises(WowError, match=r"90 words .* say it shorter"):
        judge(picture, "open it " * 45, Actions(values, CARD))


def test_chances_are_fitted_to_the_odds_that_made_them() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, 20_000)
    found = fit_chance(logits, random.random(20_000) < sigmoid(0.5 * logits - 1.0))
    assert found.slope == pytest.approx(0.5, abs=0.03) and found.offset == pytest.approx(-1.0, abs=0.06)
    assert fit_chance(logits, np.ones(20_000, bool)) == Chance(), "one kind of truth says nothing"


@pytest.mark.parametrize("document", [{"slope": 1.0}, {"slope": 1.0, "offset": "x"}, {"slope": 1.0, "offset": 1e999}])
def test_a_calibration_that_cannot_be_read_is_named(document: dict[str, object]) -> None:
    with pytest.raises(WowError, match="somewhere: the critic's calibration"):
        chance_from_json(document, "somewhere")
