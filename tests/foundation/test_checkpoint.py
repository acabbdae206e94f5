"""Reading weights: stored in any way they are the same network; what is not whole or not safe is refused in a line."""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wow.types import WowError

torch = pytest.importorskip("torch")
from safetensors.torch import save_file  # noqa: E402

Weights = dict[str, Any]


def open_it(path: Path, **options: Any) -> Any:
    from wow.foundation.checkpoint import open_checkpoint

    return open_checkpoint(path, **options)


def loaded(path: Path, **options: Any) -> Weights:
    return dict(open_it(path, **options).tensors())


def wan(original: Callable[[str], Weights], folder: Path, name: str = "wan-i2v") -> Weights:
    """Its weights, and beside them the number of heads."""
    (folder / "config.json").write_text('{"num_heads": 2}')
    return original(name)


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(WowError) as caught:
        open_it(path, **options)
    return str(caught.value)


# ---- every way of storing the same ----


def deepspeed(weights: Weights) -> Weights:
    return {"module": weights, "global_steps": 7, "param_shapes": [{"x": torch.Size([3])}], "ds_config": {"a": None}}


def beside_tensors(weights: Weights) -> Weights:
    return deepspeed(weights) | {"rng": torch.zeros(5056, dtype=torch.uint8), "optimizer": {"step": torch.tensor(3.0)}}


WAYS: dict[str, Callable[[Weights], Weights]] = {
    "plain": lambda weights: weights,
    "DiffSynth": lambda weights: {f"pipe.dit.{name}": tensor for name, tensor in weights.items()},
    "DiffSynth, short": lambda weights: {f"dit.{name}": tensor for name, tensor in weights.items()},
    "DeepSpeed": deepspeed,
    "DeepSpeed of DiffSynth": lambda weights: deepspeed({f"pipe.dit.{n}": t for n, t in weights.items()}),
    "DeepSpeed, with tensors beside": beside_tensors,
    "twice nested, with tensors beside": lambda weights: {"rng": torch.zeros(3), "state_dict": beside_tensors(weights)},
    "not nested": lambda weights: {"global_steps": 7} | {f"module.{n}": t for n, t in weights.items()},
    "ComfyUI": lambda weights: {f"model.diffusion_model.{name}": tensor for name, tensor in weights.items()},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_wrapping_holds_the_same_network(way: str, original: Callable[[str], Weights], tmp_path: Path) -> None:
    weights = wan(original, tmp_path, "wan-t2v")
    save_file(weights, tmp_path / "reference.safetensors")
    inside = tmp_path / "run" / "checkpoint"
    inside.mkdir(parents=True)
    (tmp_path / "run" / "config.json").write_text('{"num_heads": 2}')
    torch.save(WAYS[way](weights), inside / "mp_rank_00_model_states.pt")
    assert same(loaded(tmp_path / "run"), loaded(tmp_path / "reference.safetensors"))


def test_shards_are_one_network_with_and_without_their_index(
    original: Callable[[str], Weights], tmp_path: Path
) -> None:
    weights = wan(original, tmp_path)
    names = list(weights)
    places = {name: f"diffusion_pytorch_model-0000{1 + at % 3}-of-00003.safetensors" for at, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: weights[name] for name in names if places[name] == file}, tmp_path / file)
    without = loaded(tmp_path)
    index = tmp_path / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    assert same(loaded(tmp_path), without) and len(without) == len(names)
    (tmp_path / "diffusion_pytorch_model-00002-of-00003.safetensors").unlink()
    assert "lacks diffusion_pytorch_model-00002-of-00003.safetensors of 3 shards" in refusal(tmp_path)
    index.unlink()
    assert "lacks diffusion_pytorch_model-00002-of-00003.safetensors of 3 shards" in refusal(tmp_path)


def test_of_raw_and_averaged_weights_one_is_taken_and_the_other_named(
    original: Callable[[str], Weights], tmp_path: Path
) -> None:
    raw = original("cosmos2")
    averaged = {name.replace("net.", "net_ema.", 1): 2 * tensor for name, tensor in raw.items()}
    counters = {"net.accum_iteration": torch.tensor(3), "net.blocks.0.self_attn.attn_op._extra_state": io.BytesIO(b"x")}
    torch.save(raw | averaged | counters | {"net_ema.num_updates": torch.tensor(9)}, tmp_path / "wow_dit_2b.pt")
    first, second = open_it(tmp_path), open_it(tmp_path, ema=True)
    assert all(torch.equal(2 * first.read(name), second.read(name)) for name in first.made)
    assert first.dropped["accum_iteration"] == "a counter of the training run"
    assert first.dropped["net.blocks.0.self_attn.attn_op._extra_state"] == "no tensor (BytesIO)"
    assert first.dropped["net_ema.x_embedder.proj.1.weight"] == "the averaged weights beside the raw ones"
    assert second.dropped["num_updates"] == "a counter of the training run"
    used = {source for how in first.made.values() for source in how.sources}
    assert len(used) + len(first.dropped) == len(raw) + len(averaged) + len(counters) + 1


def test_a_wide_wan_without_pictures_is_what_it_is(original: Callable[[str], Weights], tmp_path: Path) -> None:
    save_file(wan(original, tmp_path, "wan-36"), tmp_path / "any name.safetensors")
    config = open_it(tmp_path / "any name.safetensors").config
    assert (config["in_channels"], config["out_channels"]) == (36, 16)
    assert config["image_dim"] is None and config["added_kv_proj_dim"] is None


def test_the_name_of_a_file_says_nothing(original: Callable[[str], Weights], tmp_path: Path) -> None:
    save_file(original("cosmos1"), tmp_path / "Wan2.1_VAE.pth")
    assert open_it(tmp_path / "Wan2.1_VAE.pth").title == "Cosmos-Predict1 transformer"


@pytest.mark.parametrize("kind", ["CogVideoXTransformer3DModel", "AutoencoderKLCosmos", "T5EncoderModel"])
def test_networks_that_only_the_library_names_are_read_from_its_folders(
    kind: str, library: Any, tmp_path: Path
) -> None:
    import transformers

    if kind == "T5EncoderModel":
        settings = {"d_model": 8, "d_kv": 4, "d_ff": 16, "num_layers": 1, "num_heads": 2, "vocab_size": 12}
        network: Any = transformers.T5EncoderModel(transformers.T5Config(**settings))
    elif kind == "AutoencoderKLCosmos":
        widths = {"encoder_block_out_channels": (8, 8, 8, 8), "decode_block_out_channels": (8, 8, 8, 8)}
        network = library.AutoencoderKLCosmos(**widths, attention_resolutions=(8,), resolution=64, num_layers=1)
    else:
        network = library.CogVideoXTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, num_layers=1, text_embed_dim=8, time_embed_dim=4
        )
    network.save_pretrained(tmp_path / "there")
    checkpoint = open_it(tmp_path / "there")
    assert checkpoint.kind == kind
    state = network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in checkpoint.tensors())


# ---- loading ----


def test_a_network_is_filled_tensor_by_tensor_and_nothing_is_left_empty(
    original: Callable[[str], Weights], tmp_path: Path
) -> None:
    from wow.foundation.checkpoint_network import empty_network, fill

    save_file(wan(original, tmp_path), tmp_path / "model.safetensors")
    checkpoint = open_it(tmp_path)
    empty = empty_network(checkpoint.library, checkpoint.kind, checkpoint.config)
    assert all(parameter.is_meta for parameter in empty.parameters())
    seen: list[int] = []
    network = fill(empty, checkpoint, dtype=torch.bfloat16, on_bytes=seen.append)
    assert not any(tensor.is_meta for tensor in (*network.parameters(), *network.buffers()))
    assert len(seen) == len(checkpoint.made) and seen == sorted(seen)
    types = {name: parameter.dtype for name, parameter in network.named_parameters()}
    assert types["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    assert types["blocks.0.norm2.weight"] == torch.float32  # as diffusers keeps it


# ---- strictness ----


def test_what_does_not_fit_is_shown_in_a_short_table(original: Callable[[str], Weights], tmp_path: Path) -> None:
    weights = wan(original, tmp_path)
    del weights["blocks.1.cross_attn.k_img.weight"]
    weights["blocks.0.ffn.2.bias"] = torch.zeros(7)
    weights["blocks.0.surprise"] = torch.zeros(3)
    save_file(weights, tmp_path / "model.safetensors")
    head, *rows = refusal(tmp_path).splitlines()
    assert "does not fit Wan transformer: 1 missing, 1 extra, 1 of another shape" in head
    assert [row.split() for row in rows] == [
        ["missing", "blocks.1.cross_attn.k_img.weight", "[24,", "24]"],
        ["extra", "blocks.0.surprise"],
        ["shape", "blocks.0.ffn.2.bias", "[7],", "expected", "[24]"],
    ]


def test_a_long_table_is_cut(original: Callable[[str], Weights], tmp_path: Path) -> None:
    weights = {name: tensor for name, tensor in wan(original, tmp_path).items() if "self_attn" not in name}
    save_file(weights, tmp_path / "model.safetensors")
    lines = refusal(tmp_path).splitlines()
    assert len(lines) == 10 and lines[-1].endswith("and 12 more")


def test_the_wrong_file_for_a_card_is_refused(original: Callable[[str], Weights], tmp_path: Path) -> None:
    """A text-to-video Wan where the card wants the widened one, and an autoencoder where it wants a transformer."""
    from wow.foundation.cards import card

    wanted = card("wow-1-wan-1.3b-2m").transformer
    tiny = {"num_attention_heads": 2, "attention_head_dim": 12, "ffn_dim": 40, "num_layers": 2, "text_dim": 20}
    small = replace(wanted, config={**wanted.config, **tiny, "freq_dim": 16})
    save_file(wan(original, tmp_path, "wan-36"), tmp_path / "right.safetensors")
    assert open_it(tmp_path / "right.safetensors", part=small).config["in_channels"] == 36
    save_file(original("wan-t2v"), tmp_path / "wrong.safetensors")
    told = refusal(tmp_path / "wrong.safetensors", part=small)
    assert "does not fit the card's transformer: 0 missing, 0 extra, 1 of another shape" in told
    assert "patch_embedding.weight  [24, 16, 1, 2, 2], expected [24, 36, 1, 2, 2]" in told
    save_file(original("wan-vae"), tmp_path / "vae.safetensors")
    assert "is a Wan2.1 autoencoder, the card asks for a WanTransformer3DModel" in refusal(
        tmp_path / "vae.safetensors", part=small
    )


# ---- what must not be read ----


class Runs:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/wow-test-was-run",)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"module": {"a": torch.zeros(2)}, "loop": Runs()}, tmp_path / "a.pt")
    assert "would run code when opened (posix.system), so it is not" in refusal(tmp_path / "a.pt")
    torch.save({"a": torch.zeros(2), "args": argparse.Namespace(x=1)}, tmp_path / "b.pt")
    assert "argparse.Namespace" in refusal(tmp_path / "b.pt")
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "encoder.jit"))  # type: ignore[no-untyped-call]
    assert "is a TorchScript program" in refusal(tmp_path / "encoder.jit")
    assert not Path("/tmp/wow-test-was-run").exists()


def test_a_shard_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_file({"a": torch.zeros(2)}, tmp_path / "secret.safetensors")
    index = tmp_path / "in" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../secret.safetensors"}}))
    assert "is not an index of shards beside it" in refusal(tmp_path / "in")


def test_a_configuration_cannot_name_any_class(original: Callable[[str], Weights], tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "DiffusionPipeline", "num_heads": 2}')
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    assert "is not recognised (it holds a.weight, …)" in refusal(tmp_path)


def test_damage_is_told_in_one_line(original: Callable[[str], Weights], tmp_path: Path) -> None:
    save_file(wan(original, tmp_path), tmp_path / "whole.safetensors")
    content = (tmp_path / "whole.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-100])
    assert f"is cut short: {len(content) - 100} of {len(content)} bytes: download" in refusal(
        tmp_path / "cut.safetensors"
    )
    (tmp_path / "head.safetensors").write_bytes(content[:500])
    assert "is cut short: its header alone" in refusal(tmp_path / "head.safetensors")
    torch.save({"a": torch.zeros(1000)}, tmp_path / "whole.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:2000])
    assert "is cut short or damaged" in refusal(tmp_path / "cut.pt")
    (tmp_path / "pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "is a Git LFS pointer" in refusal(tmp_path / "pointer.safetensors")
    (tmp_path / "page.pt").write_text("<!DOCTYPE html><html></html>")
    assert "is neither safetensors, GGUF nor a PyTorch file" in refusal(tmp_path / "page.pt")
    torch.save({"a": torch.zeros(3)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert "before PyTorch 1.6" in refusal(tmp_path / "old.pt")


def test_what_a_trainer_keeps_beside_the_weights_is_named_and_no_weight(tmp_path: Path) -> None:
    from wow.foundation.checkpoint_files import open_files

    weights = {"a.weight": torch.ones(2), "b.weight": torch.ones(3)}
    torch.save(beside_tensors(weights) | {"model": {"no": "tensors"}}, tmp_path / "mp_rank_00_model_states.pt")
    files = open_files(tmp_path)
    assert set(files.tensors) == set(weights)
    assert {"rng", "optimizer", "model", "global_steps"} <= set(files.others)
    torch.save({"model": torch.ones(2), "module": {}}, tmp_path / "mp_rank_00_model_states.pt")
    assert set(open_files(tmp_path).tensors) == {"model"}, "a weight may be called like a wrapping"


def test_a_variant_of_another_precision_gives_way_to_the_plain_file(tmp_path: Path) -> None:
    from wow.foundation.checkpoint_files import open_files

    save_file({"a": torch.zeros(2, dtype=torch.float16)}, tmp_path / "model.fp16.safetensors")
    assert open_files(tmp_path).tensors["a"].dtype == torch.float16
    save_file({"a": torch.zeros(2)}, tmp_path / "model.safetensors")
    assert open_files(tmp_path).tensors["a"].dtype == torch.float32


def test_nothing_is_told_in_one_line(tmp_path: Path) -> None:
    assert "there are no weights at" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty holds no weights" in refusal(tmp_path / "empty")
    (tmp_path / "pipeline" / "transformer").mkdir(parents=True)
    save_file({"a": torch.zeros(2)}, tmp_path / "pipeline" / "transformer" / "model.safetensors")
    assert f"its parts do, name one: {tmp_path / 'pipeline' / 'transformer'}" in refusal(tmp_path / "pipeline")
    for name in ("a", "b"):
        save_file({"a": torch.zeros(2)}, tmp_path / f"{name}.safetensors")
    assert "holds several sets of weights, name one file: a.safetensors, b.safetensors" in refusal(tmp_path)
