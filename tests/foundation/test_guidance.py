"""Guidance as each family publishes it, and the words that it keeps away from, on networks that answer by rote."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")
pytest.importorskip("transformers", reason="the extra [foundation] is not installed")

from wow.foundation.cards import CARDS
from wow.foundation.families import WAYS
from wow.foundation.miniature import RandomWords
from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
from wow.types import Video

spec = importlib.util.spec_from_file_location("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
assert spec is not None and spec.loader is not None
tiny_parts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny_parts)

WORDS = "open the drawer"
PICTURE = Video(np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3), dtype=np.uint8), 10.0)
WAN = ["wow-1-wan-14b-2m", "wow-1-wan-1.3b-2m", "wan2.1-i2v-14b-480p", "wan2.2-ti2v-5b"]
COSMOS = ["wow-1-dit-7b-600k", "wow-1-dit-2b-600k", "cosmos-predict2.5-2b"]


class Sampled(Exception):
    """The sampler has come to its end; what the VAE would make of it does not matter."""


class Rote:
    """A tiny model whose network answers one number wherever it is shown the prompt, and another elsewhere."""

    def __init__(self, name: str, conditional: float = 0.0, unconditional: float = 0.0) -> None:
        card, parts = tiny_parts.tiny(CARDS[name])
        parts.pop("text_encoder")
        self.pipeline = WAYS[card.family].build(card, parts)
        self.words = RandomWords(tiny_parts.WIDTH, card.num_words)
        self.read: list[list[str]] = []
        self.shown: list[Tensor] = []
        self.latents: Tensor | None = None
        self.answers = conditional, unconditional
        self.model = FoundationWorldModel(card, lambda setting: self.pipeline, self)
        self.pipeline.transformer.forward = self.answer
        self.pipeline.vae.decode = self.stop

    def embed(self, prompts: Sequence[str]) -> list[Tensor]:
        self.read.append(list(prompts))
        return self.words.embed(prompts)

    def read_ahead(self, prompts: Sequence[str]) -> None:
        raise AssertionError("nothing is read ahead")

    def answer(self, hidden_states: Tensor, encoder_hidden_states: Tensor, **more: Any) -> tuple[Tensor]:
        self.shown.append(encoder_hidden_states)
        is_prompt = torch.equal(encoder_hidden_states, self.words.embed([WORDS])[0].to(encoder_hidden_states))
        channels = self.pipeline.transformer.config.out_channels
        value = self.answers[0] if is_prompt else self.answers[1]
        return (torch.full_like(hidden_states[:, :channels], value),)

    def stop(self, latents: Tensor, *rest: Any, **more: Any) -> None:
        self.latents = latents
        raise Sampled

    def sample(self, **options: Any) -> Tensor:
        with pytest.raises(Sampled):
            self.model.imagine(PICTURE, WORDS, seed=3, options=FoundationOptions(2, **options))
        assert self.latents is not None
        return self.latents


@pytest.mark.parametrize("name", [*WAN, *COSMOS])
def test_guidance_is_counted_from_where_the_family_counts_it(name: str) -> None:
    """Two different answers come to the same clip as one answer twice: the number that the formula makes of them."""
    with_prompt, without, scale = 0.3, -0.2, 3.0
    from_without = without + scale * (with_prompt - without)
    from_with = with_prompt + scale * (with_prompt - without)
    right, wrong = (from_without, from_with) if name in WAN else (from_with, from_without)
    guided = Rote(name, with_prompt, without).sample(guidance_scale=scale)
    assert torch.allclose(guided, Rote(name, right, right).sample(guidance_scale=scale), atol=1e-4)
    assert not torch.allclose(guided, Rote(name, wrong, wrong).sample(guidance_scale=scale), atol=1e-2)
    assert CARDS[name].sampler.guidance == ("unconditional" if name in WAN else "conditional")


@pytest.mark.parametrize("name", [*WAN, *COSMOS])
def test_the_negative_prompt_is_the_published_one_and_reaches_the_network(name: str) -> None:
    published = {
        **dict.fromkeys(WAN[:2], "low quality, distorted, ugly, bad anatomy"),
        **dict.fromkeys(WAN[2:], "色调艳丽，过曝，静态，细节模糊不清"),
        **dict.fromkeys(COSMOS, "The video captures a series of frames showing ugly scenes, static with no motion"),
    }
    rote = Rote(name)
    rote.sample(guidance_scale=3.0)
    ((prompt, negative),) = rote.read
    assert prompt == WORDS and negative.startswith(published[name])
    asked = [rote.words.embed([words])[0] for words in (WORDS, negative)]
    assert all(any(torch.equal(shown, words.to(shown)) for words in asked) for shown in rote.shown)
    assert torch.equal(rote.shown[1], asked[1].to(rote.shown[1])), "the second question is about the negative prompt"


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "wow-1-dit-7b-600k", "wow-1-dit-2b-600k"])
def test_a_caller_may_name_another_and_without_guidance_none_is_read(name: str) -> None:
    rote = Rote(name)
    rote.sample(guidance_scale=3.0, negative_prompt="blurred")
    assert rote.read == [[WORDS, "blurred"]]
    alone = Rote(name)
    alone.sample(guidance_scale=alone.model.unguided)
    assert alone.read == [[WORDS]] and len(alone.shown) == len(rote.shown) / 2
