"""Sampling faster: what is exact is equal, what is not says how far it went."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")
pytest.importorskip("accelerate", reason="the extra [foundation] is not installed")

from safetensors.torch import save_file

from wow.foundation.cards import CARDS
from wow.foundation.checkpoint_network import fill
from wow.foundation.families import WAYS
from wow.foundation.finetune import FineTuning
from wow.foundation.keys_lora import read_lora
from wow.foundation.merge_lora import with_loras
from wow.foundation.miniature import small, small_pipeline
from wow.foundation.parallel import join
from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
from wow.foundation.shot import Shot
from wow.foundation.speed import EXACT, Passes, Speed, check_speed, sped_up
from wow.foundation.units import add_lora, lora_state_dict
from wow.types import Video, WowError

FAMILIES = ["wow-1-wan-14b-2m", "wow-1-wan-1.3b-2m", "wan2.2-ti2v-5b", "cosmos-predict1-7b", "cosmos-predict2-2b",
            "cosmos-predict2.5-2b"]  # fmt: skip
STEPS = 4


@functools.cache
def model(name: str) -> tuple[Any, Any, Any]:
    card = small(CARDS[name])
    return card, *small_pipeline(card)


def shot_of(name: str, guided: bool = True) -> Shot:
    card, _, words = model(name)
    frames = np.random.default_rng(0).integers(0, 255, (1, card.height, card.width, 3), dtype=np.uint8)
    prompt, negative = words.embed(["push the square", "blurry"])
    return Shot(frames, prompt, negative if guided else None, card.frames.step + 1, STEPS, 5.0 if guided else 1.0,
                card.sampler.shift, card.fps, 3)  # fmt: skip


def draw(name: str, speed: Speed, guided: bool = True) -> tuple[torch.Tensor, Passes]:
    card, pipeline, _ = model(name)
    pipeline.set_progress_bar_config(disable=True)
    shot = shot_of(name, guided)
    with torch.no_grad(), sped_up(pipeline, card, shot, speed) as passes:
        drawn = WAYS[card.family].sample(pipeline, card, shot, lambda done, total: None)
    return drawn, passes


@functools.cache
def exact(name: str) -> tuple[torch.Tensor, int]:
    drawn, passes = draw(name, EXACT)
    return drawn, passes.made


def steps(name: str) -> int:
    return STEPS + (name == "cosmos-predict2-2b")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_pass_for_both_branches_gives_the_same_clip_in_half_the_passes(name: str) -> None:
    if name == "cosmos-predict1-7b":
        with pytest.raises(WowError, match="noise of its own"):
            draw(name, Speed(batched_guidance=True))
        return
    drawn, passes = draw(name, Speed(batched_guidance=True))
    assert torch.allclose(drawn, exact(name)[0], atol=1e-5)
    assert passes.made == steps(name) and exact(name)[1] == 2 * steps(name)


@pytest.mark.parametrize("name", FAMILIES)
def test_guidance_rests_outside_its_interval(name: str) -> None:
    drawn, passes = draw(name, Speed(guidance_interval=(0.0, 0.5)))
    half = -(-steps(name) // 2)
    assert passes.made == steps(name) + half
    assert not torch.allclose(drawn, exact(name)[0], atol=1e-5)
    never, made = draw(name, Speed(guidance_interval=(0.999, 1.0)))
    unguided, _ = draw(name, EXACT, guided=False)
    assert made.made == steps(name)
    if name != "cosmos-predict1-7b":  # there each branch draws noise of its own, so that the streams differ
        assert torch.allclose(never, unguided, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_caching_skips_more_the_higher_its_threshold_and_none_is_exact(name: str) -> None:
    clips = {threshold: draw(name, Speed(cache_threshold=threshold)) for threshold in (0.0, 1e-9, 0.5, 10.0)}
    assert torch.equal(clips[0.0][0], exact(name)[0]) and clips[0.0][1].skipped == 0
    assert torch.allclose(clips[1e-9][0], exact(name)[0], atol=1e-5) and clips[1e-9][1].skipped == 0
    skipped = [passes.skipped for _, passes in clips.values()]
    # The first step of each branch has nothing to go by, and the last is always whole.
    assert skipped == sorted(skipped) and skipped[-1] == 2 * (steps(name) - 2)
    assert not torch.allclose(clips[10.0][0], exact(name)[0], atol=1e-5)
    assert "passes through the network" in str(clips[10.0][1])


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "cosmos-predict2-2b"])
def test_ways_go_together_and_leave_nothing_behind(name: str) -> None:
    fast = Speed(batched_guidance=True, cache_threshold=10.0, guidance_interval=(0.0, 0.8), attention="_native_math")
    drawn, passes = draw(name, fast)
    assert passes.skipped > 0 and bool(torch.isfinite(drawn).all())
    assert torch.equal(draw(name, EXACT)[0], exact(name)[0])


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "cosmos-predict2-2b"])
def test_every_attention_is_the_same_attention(name: str) -> None:
    assert torch.allclose(draw(name, Speed(attention="_native_math"))[0], exact(name)[0], atol=1e-5)
    with pytest.raises(WowError, match=r"there is no attention called 'fast': there are .*native"):
        draw(name, Speed(attention="fast"))
    with pytest.raises(WowError, match=r"'sage' cannot be used here \(.*sage.*\): try native"):
        draw(name, Speed(attention="sage"))


def test_compiled_blocks_draw_the_same_clip() -> None:
    name = "wow-1-wan-1.3b-2m"
    expected, _ = exact(name)
    model.cache_clear()
    drawn, _ = draw(name, Speed(compile=True, compiler="eager"))
    model.cache_clear()
    assert torch.allclose(drawn, expected, atol=1e-5)


def test_what_cannot_be_is_refused() -> None:
    for words in ({"cache_threshold": -0.1}, {"guidance_interval": (0.5, 0.5)}, {"guidance_interval": (0.0, 1.5)}):
        with pytest.raises(WowError):
            Speed(**words)  # type: ignore[arg-type]
    with pytest.raises(WowError, match="Wan and Cosmos"):
        check_speed(CARDS["svd-xt"], Speed(cache_threshold=0.1))
    check_speed(CARDS["svd-xt"], EXACT)


def test_a_model_tells_what_it_skipped() -> None:
    card, pipeline, words = model("wow-1-wan-1.3b-2m")
    told: list[str] = []
    world = FoundationWorldModel(card, lambda setting: pipeline, words, tell=told.append)
    picture = Video(np.zeros((1, 32, 48, 3), np.uint8), 10.0)
    options = FoundationOptions(num_inference_steps=STEPS, speed=Speed(cache_threshold=10.0))
    world.imagine(picture, "push", options=options)
    assert told == ["4 of 8 passes through the network ended after its first block"] and world.passes.skipped == 4
    world.imagine(picture, "push", options=replace(options, speed=EXACT))
    assert len(told) == 1


@dataclass
class Held:
    """A network's own weights."""

    network: torch.nn.Module

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self.network.state_dict().items()


def merge(network: torch.nn.Module, file: Path) -> None:
    """The network with the LoRA in its weights."""
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    fill(network, with_loras(Held(network), shapes, [(file, 1.0)]), dtype=torch.float32)


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "cosmos-predict2-2b"])
@pytest.mark.parametrize("naming", ["diffusers", "original"])
def test_a_merged_lora_answers_like_one_beside_the_network(name: str, naming: str, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="the extra [foundation] is not installed")
    card = small(CARDS[name])
    beside, merged = (FineTuning(card, *small_pipeline(card)) for _ in range(2))
    for parameter in add_lora(beside.network, card, rank=2, alpha=4):
        torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    file = tmp_path / "lora.safetensors"
    save_file(lora_state_dict(beside.network), file)
    if naming == "original":
        save_file({key: value.contiguous() for key, value in read_lora(file).diffsynth_state_dict().items()}, file)
    video = Video(np.random.default_rng(1).integers(0, 255, (9, 32, 48, 3), dtype=np.uint8), 10.0)
    example = merged.encode_clip(video, "push")

    def loss(tuning: FineTuning) -> float:
        with torch.no_grad():
            return float(tuning.loss(example, torch.Generator().manual_seed(0)))

    before = loss(merged)
    merge(merged.network, file)
    assert loss(merged) == pytest.approx(loss(beside), rel=1e-4) and abs(loss(merged) - before) > 1e-3
    other = small(CARDS["wow-1-wan-1.3b-2m" if card.family == "cosmos2" else "cosmos-predict2-2b"])
    with pytest.raises(WowError, match=r"does not fit this model: .*there is no such layer"):
        merge(small_pipeline(other)[0].transformer, file)


@pytest.mark.parametrize("script", ["share_a_clip.py", "shard_a_network.py"])
def test_several_processes_come_to_what_one_comes_to(script: str) -> None:
    """Two processes on a CPU, every family: a clip that they draw together, a network whose weights they share."""
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *words, str(Path(__file__).with_name(script))],
        capture_output=True, text=True, timeout=900, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "process 0 of 2 agrees" in done.stdout and "process 1 of 2 agrees" in done.stdout


def test_one_process_is_no_team() -> None:
    with pytest.raises(WowError, match="start it with torchrun"):
        join("cpu")
