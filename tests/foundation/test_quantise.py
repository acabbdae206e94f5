"""8 bits: the layers that shall be quantised are, nothing else is touched, and what comes out is nearly the same."""

from __future__ import annotations

import importlib.util
import json
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

from PIL import Image
from safetensors.torch import save_file

from wow.cli.main import main
from wow.data.video_file import read_video
from wow.foundation.cards import CARDS
from wow.foundation.checkpoint_network import empty_network, fill
from wow.foundation.families import WAYS
from wow.foundation.loading import transformer
from wow.foundation.memory import GB, IN_BLOCKS, Machine, Setting, cost, job_of, weights
from wow.foundation.miniature import small, small_pipeline
from wow.foundation.plan import Wish, choose
from wow.foundation.quantise import layers, quantise, quantiser
from wow.foundation.shot import Shot
from wow.foundation.source import find
from wow.types import WowError

NAMES = ["wow-1-wan-1.3b-2m", "cosmos-predict2-2b"]
NEAR = {"int8": 0.02, "fp8": 0.08}
"""How far a network's answer may be from the exact one, as a share of its size. Rounding to 8 bits is 0.4 % and 3 %."""


@pytest.fixture(scope="module")
def torchao() -> Any:
    return pytest.importorskip("torchao", reason="needs torchao")


def answer(name: str, how: str | None) -> torch.Tensor:
    """A clip that a tiny random model draws in two steps."""
    card = small(CARDS[name])
    pipeline, words = small_pipeline(card)
    pipeline.set_progress_bar_config(disable=True)
    if how is not None:
        quantise(pipeline.transformer, how, "cpu")
    frames = np.random.default_rng(0).integers(0, 255, (1, card.height, card.width, 3), dtype=np.uint8)
    prompt, negative = words.embed(["push the square", "blurry"])
    shot = Shot(frames, prompt, negative, card.frames.step + 1, 2, 5.0, card.sampler.shift, card.fps, 3)
    with torch.no_grad():
        return WAYS[card.family].sample(pipeline, card, shot, lambda done, total: None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", NEAR)
def test_a_quantised_model_draws_nearly_the_same(torchao: Any, name: str, how: str) -> None:
    exact, drawn = answer(name, None), answer(name, how)
    away = float((drawn - exact).norm() / exact.norm())
    assert 0.0 < away < NEAR[how]


@dataclass
class Given:
    """Random weights of a network, one at a time, counting how many of its layers are there in full."""

    network: torch.nn.Module
    dtype: torch.dtype
    most: int = 0

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        generator = torch.Generator().manual_seed(0)
        for name, tensor in self.network.state_dict().items():
            yield name, torch.randn(tensor.shape, generator=generator, dtype=self.dtype) * 0.1
            full = [layer for layer in layers(self.network).values() if type(layer.weight.data) is torch.Tensor]
            self.most = max(self.most, sum(not layer.weight.is_meta for layer in full))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", NEAR)
def test_layers_are_quantised_one_by_one_and_nothing_else_is(torchao: Any, name: str, how: str) -> None:
    part = small(CARDS[name]).transformer
    exact, packed = (empty_network(part.library, part.kind, dict(part.config)) for _ in range(2))
    fill(exact, Given(exact, torch.bfloat16), dtype=torch.bfloat16)
    given = Given(packed, torch.bfloat16)
    fill(packed, given, dtype=torch.bfloat16, settle=quantiser(packed, how, "cpu"))
    assert given.most == 0, "a layer was quantised before the next tensor came"
    inside = {f"{layer}.weight" for layer in layers(packed)}
    assert len(inside) > 20
    for (key, before), (_, after) in zip(exact.named_parameters(), packed.named_parameters(), strict=True):
        if key in inside:
            assert after.qdata.element_size() == 1 and after.dtype == torch.bfloat16
            assert after.numel() < held(after) <= after.numel() + 5 * len(after), "a scale and a zero for each row"
            gone = after.dequantize().float() - before.float()
            assert 0 < float(gone.norm() / before.float().norm()) < NEAR[how]
        else:
            assert type(after.data) is torch.Tensor and torch.equal(before, after)


def held(tensor: Any) -> int:
    """Bytes of the tensors that a quantised one is made of."""
    inner, _ = tensor.__tensor_flatten__()
    return sum(getattr(tensor, name).numel() * getattr(tensor, name).element_size() for name in inner)


@pytest.mark.parametrize("name", ["wow-1-wan-1.3b-2m", "cosmos-predict2.5-2b", "wow-1-dit-7b-600k"])
def test_what_the_plan_takes_to_be_quantised_is_counted(name: str) -> None:
    """Over the network of full size, without memory: its layers, a byte for each number and five for each row."""
    card = CARDS[name]
    part = card.transformer
    network = empty_network(part.library, part.kind, dict(part.config))
    inside = [layer.weight for layer in layers(network).values()]
    count, rows = sum(weight.numel() for weight in inside), sum(len(weight) for weight in inside)
    assert IN_BLOCKS[card.family] == pytest.approx(count / part.parameters, abs=0.002)
    counted = count + 5 * rows + 2 * (part.parameters - count)
    assert weights(card, "transformer", Setting(quantisation="int8")) == pytest.approx(counted, rel=0.005)


def test_when_memory_is_short_the_plan_says_what_8_bits_would_do() -> None:
    card = CARDS["wow-1-wan-14b-2m"]
    short = Machine("a small GPU", 30 * GB, 30 * GB, 165e12)
    plan = choose(card, job_of(card), short, quantisers=("int8", "fp8"))
    assert plan.setting.quantisation == "int8" and "transformer in int8" in str(plan)
    roomy = cost(card, job_of(card), Setting(offload=plan.setting.offload), short)
    assert plan.cost.gpu < roomy.gpu and plan.cost.ram < roomy.ram
    with pytest.raises(WowError, match="pip install torchao, in 8 bits it fits") as refusal:
        choose(card, job_of(card), short)
    assert "\n" not in str(refusal.value)
    with pytest.raises(WowError, match="or take a smaller model"):
        choose(card, job_of(card), replace(short, vram=8 * GB, ram=8 * GB))


def test_what_does_not_go_together_is_said() -> None:
    card, gpu = CARDS["wow-1-wan-14b-2m"], Machine("a GPU", 80 * GB, 512 * GB, 989e12)
    for wish, said in (
        (
            Wish(quantisation="int8", offload="blocks"),
            "--offload blocks and --quantize int8 do not go together on a GPU",
        ),
        (Wish(dtype="float32", offload="blocks"), "--dtype float32 and --offload blocks do not go together on a GPU"),
        (Wish(quantisation="fp4"), "fp4 needs torchao"),  # type: ignore[arg-type]
    ):
        with pytest.raises(WowError, match=said):
            choose(card, job_of(card), gpu, wish, ("int8",))
    with pytest.raises(WowError, match="svd-xt is not quantised"):
        choose(CARDS["svd-xt"], job_of(CARDS["svd-xt"]), gpu, Wish(quantisation="int8"), ("int8",))
    small_gpu = choose(CARDS["svd-xt"], job_of(CARDS["svd-xt"]), replace(gpu, vram=24 * GB), quantisers=("int8",))
    assert small_gpu.lower and all(setting.quantisation == "none" for setting in small_gpu.lower)
    with pytest.raises(WowError, match="--tiling on away"):
        choose(card, job_of(card), replace(gpu, vram=8 * GB, ram=8 * GB), Wish(tiling=True))


def tiny_folder(folder: Path) -> Path:
    spec = importlib.util.spec_from_file_location("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.save(CARDS["wow-1-wan-1.3b-2m"], folder)
    return folder


@pytest.fixture()
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save("scene.png")
    fast = ["--num-frames", "5", "--num-inference-steps", "2", "--resolution", "32x32", "--dtype", "bfloat16"]
    return ["imagine", "scene.png", "open the drawer", "--model", str(tiny_folder(tmp_path / "tiny")), *fast, "--json"]


def test_a_lora_is_merged_before_its_layer_is_quantised(torchao: Any, words: list[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    name = "blocks.1.attn1.to_v"
    halves = {"A": torch.randn(4, 24, generator=generator), "B": torch.randn(24, 4, generator=generator)}
    save_file({f"transformer.{name}.lora_{half}.weight": tensor for half, tensor in halves.items()}, "lora.safetensors")
    source = find("tiny")
    loras = [(Path("lora.safetensors"), 0.5)]
    before, exact, packed = (
        transformer(source, setting, "cpu", how).get_submodule(name).weight
        for setting, how in ((Setting(), ()), (Setting(), loras), (Setting(quantisation="int8"), loras))
    )
    assert torch.allclose(exact.float(), before.float() + 0.5 * halves["B"] @ halves["A"], rtol=0.01, atol=1e-3)
    assert float((packed.dequantize().float() - exact.float()).norm() / exact.float().norm()) < NEAR["int8"]


def test_the_command_draws_in_8_bits(torchao: Any, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    clips = {}
    for way in ("none", "int8"):
        assert main([*words, "--quantize", way, "--out", way]) == 0
        plan = json.loads(capsys.readouterr().out.splitlines()[-1])["plan"]
        assert ("transformer in int8" in plan) == (way == "int8")
        clips[way] = read_video(Path(way) / "vision.mp4").frames.astype(float)
    assert 0 < float(np.abs(clips["none"] - clips["int8"]).mean()) < 3


def test_without_torchao_the_command_says_what_to_install(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    assert main([*words, "--quantize", "int8", "--out", "out"]) == 2
    assert capsys.readouterr().err == "wow: int8 needs torchao, which is not installed: pip install torchao\n"
