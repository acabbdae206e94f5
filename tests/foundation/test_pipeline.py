"""Every family from one picture to a video, on tiny random networks of the real classes, without a network."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")
pytest.importorskip("transformers", reason="the extra [foundation] is not installed")

from PIL import Image

from wow.foundation import cosmos_predict2, wan
from wow.foundation.cards import CARDS
from wow.foundation.cosmos import starting_noise
from wow.foundation.embeddings import Prompts, Shelf
from wow.foundation.families import WAYS
from wow.foundation.memory import GB, Machine, Setting, job_of
from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
from wow.foundation.plan import choose
from wow.types import Actions, Embodiment, Video, WowError

spec = importlib.util.spec_from_file_location("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
assert spec is not None and spec.loader is not None
tiny_parts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny_parts)

FEW = FoundationOptions(num_inference_steps=2)
WORDS = "open the drawer"


def tiny(name: str, shelf: Shelf | None = None) -> FoundationWorldModel:
    card, parts = tiny_parts.tiny(CARDS[name])
    encoder = parts.pop("text_encoder", None)
    pipeline = WAYS[card.family].build(card, parts)
    prompts = None if encoder is None else Prompts(pipeline, card, lambda: encoder, shelf)
    return FoundationWorldModel(card, lambda setting: pipeline, prompts)


def picture(frames: int = 1, side: int = 32) -> Video:
    random = np.random.default_rng(0)
    return Video(random.integers(0, 255, (frames, side, side, 3), dtype=np.uint8), 10.0)


@pytest.mark.parametrize("name", CARDS)
def test_one_picture_becomes_a_video(name: str) -> None:
    model = tiny(name)
    steps: list[tuple[int, int]] = []
    video = model.imagine(
        picture(side=40), prompt=WORDS, options=FEW, on_step=lambda done, total: steps.append((done, total))
    )
    card = model.card
    assert video.frames.shape == (card.frames.default, card.height, card.width, 3) and video.fps == card.fps
    assert steps[-1] == (2, 2) and video.frames.std() > 0


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "cosmos-predict2-2b"])
def test_the_same_seed_gives_the_same_clip_and_seed_words_and_picture_matter(name: str) -> None:
    model = tiny(name)
    clips = [
        model.imagine(seen, prompt=words, seed=seed, options=FEW).frames.tobytes()
        for seen, words, seed in (
            (picture(), WORDS, 3), (picture(), WORDS, 3), (picture(), WORDS, 4), (picture(), "close the door", 3),
            (Video(255 - picture().frames, 10.0), WORDS, 3),
        )
    ]  # fmt: skip
    assert clips[0] == clips[1] and len(set(clips)) == 4


def test_cosmos_continues_five_frames() -> None:
    for name in ("cosmos-predict2-2b", "cosmos-predict2.5-2b"):
        model = tiny(name)
        video = model.imagine(picture(5), prompt=WORDS, num_frames=9, options=FEW)
        assert len(video) == 9
        other = picture(5).frames.copy()
        other[:3] = 0
        differing = model.imagine(Video(other, 10.0), prompt=WORDS, num_frames=9, options=FEW)
        assert not np.array_equal(differing.frames, video.frames)


def test_the_text_encoder_is_gone_after_reading_and_comes_back_for_new_words_alone(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "tiny")
    loads: list[str] = []

    def counting(model: FoundationWorldModel) -> Prompts:
        prompts = model.prompts
        assert prompts is not None
        load = prompts.load
        prompts.load = lambda: (loads.append("loaded"), load())[1]
        return prompts

    model = tiny("wow-1-wan-1.3b-2m", shelf)
    prompts = counting(model)
    first = model.imagine(picture(), prompt=WORDS, options=FEW)
    assert loads == ["loaded"] and prompts.pipeline.text_encoder is None
    again = tiny("wow-1-wan-1.3b-2m", shelf)
    counting(again)
    assert np.array_equal(again.imagine(picture(), prompt=WORDS, options=FEW).frames, first.frames)
    assert loads == ["loaded"], "both prompts were on the shelf"
    again.imagine(picture(), prompt="close the door", options=FEW)
    assert loads == ["loaded"] * 2


def test_a_broken_file_on_the_shelf_is_read_anew(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, "tiny")
    shelf.put("a", torch.ones(1, 2, 3))
    assert shelf.take("a") is not None and shelf.take("b") is None
    shelf.path("a").write_bytes(b"broken")
    assert shelf.take("a") is None
    assert Shelf(tmp_path, "another").path("a") != shelf.path("a")


def test_padding_of_a_prompt_is_zero() -> None:
    for name in ("wow-1-wan-1.3b-2m", "cosmos-predict2-2b"):
        model = tiny(name)
        assert model.prompts is not None
        (words,) = model.prompts.embed([WORDS])
        assert words.shape[1] == model.card.num_words
        assert bool((words[0, 4:] == 0).all()) and bool((words[0, :4] != 0).any())


def test_wans_condition_marks_the_first_frame_alone() -> None:
    """Four mask channels, ones in the first latent frame; then the latents of the picture followed by black."""
    model = tiny("wow-1-wan-1.3b-2m")
    pipeline = model.load(Setting())
    pixels = torch.rand(1, 3, 32, 32)
    _, condition = pipeline.prepare_latents(
        pixels, 1, 16, 32, 32, 9, torch.float32, torch.device("cpu"), torch.Generator().manual_seed(0)
    )
    assert condition.shape == (1, 20, 3, 4, 4)
    assert bool((condition[:, :4, 0] == 1).all()) and bool((condition[:, :4, 1:] == 0).all())
    seen = torch.cat([pixels[:, :, None], torch.zeros(1, 3, 8, 32, 32)], dim=2)
    mean, std = cosmos_predict2._statistics(pipeline.vae, torch.device("cpu"))
    with torch.no_grad():
        expected = (pipeline.vae.encode(seen).latent_dist.mode() - mean) / std
    assert torch.allclose(condition[:, 4:], expected, atol=1e-5)


def test_the_1_3b_has_no_clip_branch_and_the_14b_has() -> None:
    small, large = (tiny(name).load(Setting()) for name in ("wow-1-wan-1.3b-2m", "wow-1-wan-14b-2m"))
    assert small.image_encoder is None and small.transformer.config.in_channels == 36
    assert small.transformer.config.image_dim is None and large.transformer.config.image_dim is not None
    assert large.encode_image(Image.new("RGB", (64, 32))).shape[:2] == (1, 17)


def test_clip_sees_the_whole_picture_squashed() -> None:
    """A picture twice as wide as high, its left and right ends in other colours: a centre crop would lose them."""
    wide = np.zeros((100, 200, 3), np.uint8)
    wide[:, :20, 0] = wide[:, -20:, 1] = 255
    pixels = wan.clip_pixels(Image.fromarray(wide), 224)
    assert pixels.shape == (1, 3, 224, 224)
    assert pixels[0, 0, 112, 5] > 1.5 and pixels[0, 1, 112, 218] > 1.5


def test_cosmos_noise_is_numpys() -> None:
    expected = np.random.RandomState(7).standard_normal((1, 16, 2, 4, 4)).astype(np.float32)
    assert np.array_equal(starting_noise((1, 16, 2, 4, 4), 7).numpy(), expected)


def refused(model: FoundationWorldModel, match: str, **request: Any) -> None:
    with pytest.raises(WowError, match=match) as refusal:
        model.imagine(request.pop("context", picture()), **{"prompt": WORDS, "options": FEW, **request})
    assert "\n" not in str(refusal.value)


def test_what_cannot_work_is_refused_in_one_line() -> None:
    model = tiny("wow-1-wan-14b-2m")
    refused(model, "--num-frames 9", num_frames=8)
    refused(model, "at most 81", num_frames=85)
    refused(model, "4k\\+1", num_frames=1)
    refused(model, "10000 words", prompt="open " * 10_000)
    refused(model, "instruction is empty", prompt="  ")
    refused(model, "begins with one picture", context=picture(3))
    refused(model, "crop it", context=Video(np.zeros((1, 20, 200, 3), np.uint8), 1.0))
    card = Embodiment("test", 1.0, ())
    refused(model, "follows words, not actions", actions=Actions(np.zeros((4, 0), np.float32), card))
    refused(tiny("cosmos-predict2-2b"), "1 or 5 frames", context=picture(3))


def test_running_out_of_memory_is_answered_once_with_less_and_told() -> None:
    card, parts = tiny_parts.tiny(CARDS["svd-xt"])
    pipeline = WAYS["svd"].build(card, parts)
    plan = choose(card, job_of(card), Machine("test", 80 * GB, 80 * GB, 1e15))
    settings: list[Setting] = []
    told: list[str] = []

    def load(setting: Setting, enough: int) -> Any:
        settings.append(setting)
        if len(settings) < enough:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pipeline

    model = FoundationWorldModel(card, lambda setting: load(setting, 2), None, plan, told.append)
    assert len(model.imagine(picture(side=64), options=FEW)) == 2
    assert settings[0] == plan.setting and settings[1] == plan.lower[0] and "once more with less" in told[0]
    settings.clear()
    stuck = FoundationWorldModel(card, lambda setting: load(setting, 9), None, plan)
    refused(stuck, "memory is not enough", context=picture(side=64), prompt=None)
    assert len(settings) == 2


def test_values_that_are_no_numbers_are_said() -> None:
    card, parts = tiny_parts.tiny(CARDS["wow-1-wan-1.3b-2m"])
    with torch.no_grad():
        parts["transformer"].proj_out.weight.fill_(float("nan"))
    encoder = parts.pop("text_encoder")
    pipeline = WAYS[card.family].build(card, parts)
    model = FoundationWorldModel(card, lambda setting: pipeline, Prompts(pipeline, card, lambda: encoder))
    refused(model, "not numbers")


def test_the_options_of_our_own_sampler_are_understood() -> None:
    from wow.imagine.sampler import SamplingOptions

    model = tiny("wow-1-wan-1.3b-2m")
    ours = model.imagine(
        picture(), prompt=WORDS, options=SamplingOptions(num_inference_steps=2, guidance_scale=5.0, shift=5.0)
    )
    theirs = model.imagine(picture(), prompt=WORDS, options=replace(FEW, guidance_scale=5.0, shift=5.0))
    assert np.array_equal(ours.frames, theirs.frames)
