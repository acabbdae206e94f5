"""Converting weights: nothing is lost, nothing half-written is left, and memory holds no second copy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wow.types import WowError

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402

NAMES = (
    "wan-i2v", "wan-t2v", "wan-36", "wan-ti2v", "wan-vae", "wan-vae-2.2", "cosmos1", "cosmos2", "cosmos2.5", "umt5",
    "clip",
)  # fmt: skip
LEFT_OUT = {"clip": {"log_scale", "textual.token_embedding.weight", "visual.head"}}


def save(folder: Path, weights: dict[str, Any], config: dict[str, Any] | None = None) -> Path:
    folder.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")
    if config:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def everything(folder: Path) -> dict[str, Any]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    bits = {torch.float32: torch.int32, torch.bfloat16: torch.int16}
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and torch.equal(one[name].view(bits[one[name].dtype]), other[name].view(bits[other[name].dtype]))
        for name in one
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_gives_the_same_bits(
    name: str, dtype: str, original: Callable[[str], Any], beside: dict[str, Any], tmp_path: Path
) -> None:
    from wow.foundation.convert import convert

    weights = {key: tensor.to(getattr(torch, dtype)) for key, tensor in original(name).items()}
    first = next(iter(weights))
    weights[first].view(torch.int32 if dtype == "float32" else torch.int16).flatten()[:1] = -1  # a NaN with a payload
    layout = "cosmos" if name.startswith("cosmos") else "wan"
    source = save(tmp_path / "source", weights, beside.get(name))
    there = convert(source, tmp_path / "there", "diffusers")
    back = convert(tmp_path / "there", tmp_path / "back", layout)  # type: ignore[arg-type]
    assert (there.source_layout, there.layout, back.source_layout) == (layout, "diffusers", "diffusers")
    kept = {key: tensor for key, tensor in weights.items() if key not in LEFT_OUT.get(name, set())}
    assert same(everything(tmp_path / "back"), kept)
    assert set(there.dropped) == LEFT_OUT.get(name, set())
    convert(tmp_path / "back", tmp_path / "again", "diffusers")
    assert same(everything(tmp_path / "again"), everything(tmp_path / "there"))


@pytest.mark.parametrize("name", ["wan-i2v", "wan-vae-2.2", "cosmos1", "cosmos2.5"])
def test_the_library_itself_opens_what_was_written(
    name: str, library: Any, original: Callable[[str], Any], beside: dict[str, Any], tmp_path: Path
) -> None:
    from wow.foundation.convert import convert

    convert(save(tmp_path / "source", original(name), beside.get(name)), tmp_path / "there", "diffusers")
    kind = json.loads((tmp_path / "there" / "config.json").read_text())["_class_name"]
    network, told = getattr(library, kind).from_pretrained(tmp_path / "there", output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"] and not told["mismatched_keys"]
    assert same(dict(network.state_dict()), everything(tmp_path / "there"))


def test_small_shards_have_an_index_and_read_as_one(original: Callable[[str], Any], tmp_path: Path) -> None:
    from wow.foundation.convert import convert

    source = save(tmp_path / "source", original("cosmos2"))
    done = convert(source, tmp_path / "there", "diffusers", max_shard_bytes=20_000)
    assert len(done.files) > 3 and all(file.stat().st_size < 40_000 for file in done.files)
    index = json.loads((tmp_path / "there" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == done.bytes
    convert(tmp_path / "there", tmp_path / "back", "cosmos")
    assert same(everything(tmp_path / "back"), original("cosmos2"))


def test_an_interruption_leaves_nothing_behind(original: Callable[[str], Any], tmp_path: Path) -> None:
    from wow.foundation.convert import convert

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    source = save(tmp_path / "source", original("cosmos2"))
    with pytest.raises(KeyboardInterrupt):
        convert(source, tmp_path / "there", "diffusers", on_bytes=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_what_a_killed_one_left_is_swept_and_what_a_running_one_has_is_not(
    original: Callable[[str], Any], tmp_path: Path
) -> None:
    from wow.foundation.convert import convert

    source = save(tmp_path / "source", original("cosmos2"))
    for process in (1, 2**22 + 1):  # the first process always runs; no process has a number beyond Linux's largest
        (tmp_path / f".there.partial-{process}").mkdir()
    convert(source, tmp_path / "there", "diffusers")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".there.partial-1", "source", "there"]


def test_what_is_there_is_never_overwritten(original: Callable[[str], Any], tmp_path: Path) -> None:
    from wow.foundation.convert import convert

    source = save(tmp_path / "source", original("cosmos2"))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    with pytest.raises(WowError, match="never overwritten"):
        convert(source, tmp_path / "there", "diffusers")
    assert (tmp_path / "there" / "mine.txt").read_text() == "mine"


def test_a_layout_that_a_network_does_not_have_is_refused(original: Callable[[str], Any], tmp_path: Path) -> None:
    from wow.foundation.convert import convert

    source = save(tmp_path / "source", original("cosmos2"))
    with pytest.raises(WowError, match="it has cosmos and diffusers"):
        convert(source, tmp_path / "there", "wan")
    assert not (tmp_path / "there").exists()


def test_the_command_says_what_it_left_out(
    original: Callable[[str], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from wow.cli.main import main

    weights = original("cosmos2") | {"net.accum_iteration": torch.zeros(()), "net.pos_embedder.seq": torch.ones(4)}
    source = save(tmp_path / "source", weights)
    assert main(["convert", str(source), str(tmp_path / "there"), "--to", "diffusers", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("Cosmos-Predict2 transformer, 47 tensors in 1 file(s), cosmos to diffusers")
    assert json.loads(last)["dropped"] == {
        "accum_iteration": "a counter of the training run",
        "pos_embedder.seq": "computed, not learned",
    }
