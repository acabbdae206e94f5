"""A mode that a model lacks is answered with the models that have it, and the answer is true."""

from __future__ import annotations

import pytest

from wow import assembly
from wow.cli.own_model import MODES
from wow.foundation.cards import CARDS
from wow.imagine.contract import CAPABILITIES, WHO_CAN, demand
from wow.types import WowError

DRIVEN = {"image2video", "video2video"}
"""What is driven of what the cards' models can do (see `FoundationWorldModel.capabilities`)."""


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_those_are_named_who_can_do_it_and_nobody_else(capability: str) -> None:
    able = {name for name, card in CARDS.items() if capability in DRIVEN & set(card.modes)}
    able |= {"wow-mini"} if capability in MODES else set()
    said = WHO_CAN.get(capability, "")
    cosmos = {name for name in CARDS if name.startswith("cosmos-predict") and "cosmos-predict models" in said}
    named = {name for name in ("wow-mini", *CARDS) if name in said} | cosmos
    assert (named | set(CARDS) if "every model" in said else named) == able


def test_what_is_said_of_wow_mini_is_what_it_can_do() -> None:
    assert set(MODES) == assembly.load("wow-mini", "cpu").capabilities


def test_the_answer_names_them() -> None:
    demand("policy", "painter", frozenset({"policy"}))
    with pytest.raises(WowError, match=r"painter cannot do policy, it can do image2video: wow-mini can$"):
        demand("policy", "painter", frozenset({"image2video"}))
    with pytest.raises(WowError, match=r"cannot do text2video, .*: no model that wow knows can$"):
        demand("text2video", "painter", frozenset({"image2video"}))
