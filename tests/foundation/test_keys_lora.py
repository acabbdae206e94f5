"""A LoRA adds the same to the same layers, whichever program wrote it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wow.types import WowError

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402

PAIRS = {
    "blocks.0.self_attn.q": "blocks.0.attn1.to_q",
    "blocks.1.cross_attn.o": "blocks.1.attn2.to_out.0",
    "blocks.1.ffn.0": "blocks.1.ffn.net.0.proj",
}


def halves(suffix: str = "", up: str = "lora_B", down: str = "lora_A", prefix: str = "") -> dict[str, Any]:
    generator = torch.Generator().manual_seed(5)
    state = {}
    for module in PAIRS:
        rows = 40 if "ffn" in module else 24
        state[f"{prefix}{module}.{down}{suffix}.weight"] = torch.randn(4, 24, generator=generator)
        state[f"{prefix}{module}.{up}{suffix}.weight"] = torch.randn(rows, 4, generator=generator)
    return state


@pytest.mark.parametrize(
    "written",
    [
        {"suffix": ".default"},
        {"suffix": ".default", "prefix": "pipe.dit."},
        {},
        {"up": "lora_up", "down": "lora_down", "prefix": "diffusion_model."},
    ],
)
def test_every_naming_is_the_same_addition(written: dict[str, str], tmp_path: Path) -> None:
    from wow.foundation.keys_lora import read_lora

    save_file(halves(**written), tmp_path / "lora.safetensors")
    lora = read_lora(tmp_path / "lora.safetensors")
    plain = halves()
    assert set(lora.additions) == set(PAIRS.values())
    for module, name in PAIRS.items():
        assert torch.equal(lora.additions[name].down, plain[f"{module}.lora_A.weight"])
        assert torch.equal(lora.additions[name].up, plain[f"{module}.lora_B.weight"])


def test_the_two_namings_lead_to_each_other(tmp_path: Path) -> None:
    from wow.foundation.keys_lora import read_lora

    save_file(halves(suffix=".default"), tmp_path / "diffsynth.safetensors")
    lora = read_lora(tmp_path / "diffsynth.safetensors")
    save_file({name: tensor.clone() for name, tensor in lora.state_dict().items()}, tmp_path / "diffusers.safetensors")
    back = read_lora(tmp_path / "diffusers.safetensors").diffsynth_state_dict()
    before = halves(suffix=".default")
    assert back.keys() == before.keys() and all(torch.equal(back[name], before[name]) for name in back)


def test_alpha_is_in_what_is_added(tmp_path: Path) -> None:
    from wow.foundation.keys_lora import read_lora

    state = halves() | {f"{module}.alpha": torch.tensor(2.0) for module in PAIRS}
    save_file(state, tmp_path / "lora.safetensors")
    addition = read_lora(tmp_path / "lora.safetensors").additions["blocks.0.attn1.to_q"]
    assert addition.rank == 4 and torch.equal(addition.scaled_up(), 0.5 * addition.up)


def test_diffusers_adds_it_to_the_network(
    library: Any, original: Callable[[str], Any], beside: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("peft", reason="needs the extra 'foundation'")
    from wow.foundation.checkpoint import open_checkpoint
    from wow.foundation.checkpoint_network import empty_network, fill
    from wow.foundation.keys_lora import read_lora

    save_file(original("wan-t2v"), tmp_path / "base.safetensors")
    (tmp_path / "config.json").write_text('{"num_heads": 2}')
    checkpoint = open_checkpoint(tmp_path / "base.safetensors")
    network: Any = fill(empty_network(checkpoint.library, checkpoint.kind, checkpoint.config), checkpoint)
    before = network.blocks[0].attn1.to_q.weight.clone()
    save_file(halves(suffix=".default"), tmp_path / "lora.safetensors")
    network.load_lora_adapter(read_lora(tmp_path / "lora.safetensors").state_dict(), prefix="transformer")
    network.fuse_lora()
    gained = network.blocks[0].attn1.to_q.base_layer.weight - before
    plain = halves()
    wanted = plain["blocks.0.self_attn.q.lora_B.weight"] @ plain["blocks.0.self_attn.q.lora_A.weight"]
    assert torch.allclose(gained, wanted, atol=1e-5)


DIFFERENCES = {
    "blocks.0.norm3.diff": "blocks.0.norm2.weight",
    "blocks.0.norm3.diff_b": "blocks.0.norm2.bias",
    "blocks.1.self_attn.norm_q.diff": "blocks.1.attn1.norm_q.weight",
    "blocks.1.ffn.0.diff_b": "blocks.1.ffn.net.0.proj.bias",
    "head.head.diff_b": "proj_out.bias",
}
"""What a distilled LoRA (LightX2V's) calls whole parameters that it moves, and what diffusers calls them."""


def distilled(prefix: str = "diffusion_model.") -> dict[str, Any]:
    state = halves(up="lora_up", down="lora_down", prefix=prefix)
    generator = torch.Generator().manual_seed(6)
    for name in DIFFERENCES:
        size = 40 if "ffn" in name else 64 if "head" in name else 24
        state[prefix + name] = torch.randn(size, generator=generator)
    return state


def test_a_distilled_lora_moves_biases_and_norms_too(tmp_path: Path) -> None:
    from wow.foundation.keys_lora import read_lora
    from wow.foundation.merge_lora import with_loras

    save_file(distilled(), tmp_path / "lora.safetensors")
    lora = read_lora(tmp_path / "lora.safetensors")
    assert set(lora.additions) == set(PAIRS.values()) and set(lora.differences) == set(DIFFERENCES.values())
    plain = {name: torch.randn(tensor.shape) for name, tensor in lora.differences.items()}
    for module, addition in lora.additions.items():
        plain[f"{module}.weight"] = torch.randn(addition.up.shape[0], addition.down.shape[1])
    plain["untouched.weight"] = torch.ones(3)

    class Network:
        def tensors(self) -> Any:
            return plain.items()

    shapes = {name: tensor.shape for name, tensor in plain.items()}
    merged = dict(with_loras(Network(), shapes, [(tmp_path / "lora.safetensors", 0.5)]).tensors())
    for name, difference in lora.differences.items():
        assert torch.allclose(merged[name], plain[name] + 0.5 * difference)
    module, addition = next(iter(lora.additions.items()))
    weight = f"{module}.weight"
    assert torch.allclose(merged[weight], plain[weight] + 0.5 * addition.up @ addition.down, atol=1e-6)
    assert merged["untouched.weight"] is plain["untouched.weight"]
    with pytest.raises(WowError, match=r"does not fit this model: it adds 64 numbers to proj_out.bias of 0"):
        with_loras(Network(), {name: s for name, s in shapes.items() if name != "proj_out.bias"},
                   [(tmp_path / "lora.safetensors", 1.0)])  # fmt: skip


def test_differences_are_kept_in_the_naming_that_has_them_and_refused_in_the_other(tmp_path: Path) -> None:
    from wow.foundation.keys_lora import read_lora

    before = distilled(prefix="")
    save_file(before, tmp_path / "lora.safetensors")
    lora = read_lora(tmp_path / "lora.safetensors")
    after = lora.diffsynth_state_dict()
    assert all(torch.equal(after[name], before[name]) for name in DIFFERENCES)
    with pytest.raises(WowError, match="no place for what a LoRA adds to"):
        lora.state_dict()


def test_a_lora_is_not_taken_for_a_network(tmp_path: Path) -> None:
    from wow.foundation.checkpoint import open_checkpoint

    save_file(halves(), tmp_path / "lora.safetensors")
    with pytest.raises(WowError, match="is a LoRA"):
        open_checkpoint(tmp_path / "lora.safetensors")


def test_half_a_lora_is_refused(tmp_path: Path) -> None:
    from wow.foundation.keys_lora import read_lora

    state = halves()
    del state["blocks.0.self_attn.q.lora_B.weight"]
    save_file(state, tmp_path / "lora.safetensors")
    with pytest.raises(WowError, match=r"no pair of halves.*blocks\.0\.self_attn\.q"):
        read_lora(tmp_path / "lora.safetensors")
