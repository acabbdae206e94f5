"""The families of models: how the pipeline of each is put together, and how it is sampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wow.foundation import cosmos, cosmos_predict2, others, wan
from wow.foundation.card import Card
from wow.foundation.shot import OnStep, Shot

Build = Callable[[Card, Mapping[str, Any]], Any]
Sample = Callable[[Any, Card, Shot, OnStep], Tensor]


@dataclass(frozen=True)
class Way:
    """build: networks by role to a pipeline. sample: a pipeline and a shot to frames [T, 3, H, W] from 0 to 1.

    negative_prompt: where the card leaves it to the family.
    """

    build: Build
    sample: Sample
    negative_prompt: str = ""


WAYS: Mapping[str, Way] = {
    "wan2.1": Way(wan.build, wan.sample),
    "wan2.2": Way(wan.build, wan.sample),
    "cosmos1": Way(cosmos.build, cosmos.sample_first, cosmos.NEGATIVE_PROMPT),
    "cosmos2": Way(cosmos.build, cosmos_predict2.sample, cosmos.NEGATIVE_PROMPT),
    "cosmos2.5": Way(cosmos.build, cosmos.sample_later, cosmos.NEGATIVE_PROMPT),
    "cogvideox": Way(others.build_cogvideox, others.sample_cogvideox),
    "svd": Way(others.build_svd, others.sample_svd),
}


def negative_prompt(card: Card) -> str:
    """What the model is told to keep away from, unless its caller says otherwise."""
    stated = card.sampler.negative_prompt
    return WAYS[card.family].negative_prompt if stated is None else stated
