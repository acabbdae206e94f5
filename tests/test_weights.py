"""A checkpoint folder gives back what was put in, or says what is wrong with it; and a save that dies harms nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from wow import weights
from wow.types import WowError


def random_tensors(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"linear.weight": (32, 48), "linear.bias": (32,), "conv.weight": (8, 4, 3, 3), "gain": (), "none": (4, 0)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small checkpoint of one part in several shards and a further file."""
    path = tmp_path / "tiny"
    weights.save_part(path, "net", random_tensors(), {"width": 48}, files={"words.json": b"{}"}, max_shard_bytes=4_000)
    return path


def shard_of(folder: Path) -> Path:
    return sorted(folder.glob("net-0*.safetensors"))[0]


def edit_manifest(folder: Path, **changes: Any) -> None:
    """Changes fields of the first file that the manifest names."""
    document = json.loads((folder / weights.MANIFEST).read_text())
    document["parts"]["net"]["files"][0].update(changes)
    (folder / weights.MANIFEST).write_text(json.dumps(document))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 2e-3), ("int8-rows", 0.5 / 127 + 1e-6)])
def test_a_part_comes_back_as_it_was_saved(tmp_path: Path, dtype: weights.DType, tolerance: float) -> None:
    tensors, config = random_tensors(), {"width": 48, "names": ["a", "b"], "rate": 1e-12}
    weights.save_part(tmp_path, "net", tensors, config, dtype=dtype)
    loaded, loaded_config = weights.load_part(tmp_path, "net")
    assert loaded_config == config
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == torch.float32
        assert loaded[name].shape == tensor.shape
        largest = tensor.abs().max() if tensor.numel() else 0.0
        assert torch.all((loaded[name] - tensor).abs() <= tolerance * largest), name


def test_int8_rows_are_scaled_one_by_one(tmp_path: Path) -> None:
    size_of_row = torch.tensor([[1e-4], [1.0], [1e4], [0.0]])
    tensor = torch.randn(4, 64, generator=torch.Generator().manual_seed(0)) * size_of_row
    weights.save_part(tmp_path, "net", {"x": tensor}, {}, dtype="int8-rows")
    error = (weights.load_part(tmp_path, "net")[0]["x"] - tensor).abs().amax(1)
    assert torch.all(error <= tensor.abs().amax(1) * (0.5 / 127 + 1e-6))


def test_views_and_low_precision_weights_are_saved_by_value(tmp_path: Path) -> None:
    shared = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    tensors = {"a": shared, "tied": shared, "transposed": shared.T, "brain": shared.bfloat16()}
    weights.save_part(tmp_path, "net", tensors, {}, dtype="float32")
    loaded, _ = weights.load_part(tmp_path, "net")
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in tensors.items())


def test_shards_stay_below_their_limit_and_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    one, two = {}, {}
    for name, shards in (("one", one), ("two", two)):
        weights.save_part(tmp_path / name, "net", random_tensors(), {}, dtype="float32", max_shard_bytes=8_000)
        shards.update({path.name: path.read_bytes() for path in (tmp_path / name).glob("*.safetensors")})
    assert one == two
    assert len(one) > 1
    assert max(map(len, one.values())) <= 8_000


@pytest.mark.parametrize(
    ("tensors", "dtype", "limit"),
    [
        ({"x": torch.tensor([1e6])}, "float16", 10_000),  # beyond the range of float16
        ({"x": torch.tensor([[float("nan"), 1.0]])}, "int8-rows", 10_000),
        ({"x": torch.zeros(3, dtype=torch.int64)}, "float32", 10_000),
        ({"x.row_scale": torch.zeros(3)}, "float32", 10_000),
        ({"x": torch.zeros(10_000)}, "float32", 10_000),  # larger than a shard
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_is_changed(
    folder: Path, tensors: dict[str, Tensor], dtype: weights.DType, limit: int
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(ValueError, match="x"):
        weights.save_part(folder, "net", tensors, {}, dtype=dtype, max_shard_bytes=limit)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_a_part_replaces_it_and_leaves_the_others(folder: Path) -> None:
    weights.save_part(folder, "other", {"y": torch.ones(3)}, {})
    weights.save_part(folder, "net", {"x": torch.zeros(2)}, {"width": 2})
    assert weights.load_part(folder, "net")[0].keys() == {"x"}
    assert torch.equal(weights.load_part(folder, "other")[0]["y"], torch.ones(3))
    assert weights.verify(folder) == []
    named = {file.name for part in weights.read_manifest(folder).parts.values() for file in part.files}
    assert {path.name for path in folder.iterdir()} == {*named, weights.MANIFEST}  # nothing old is left lying about


def test_further_files_come_back(folder: Path) -> None:
    assert weights.load_file(folder, "net", "words.json") == b"{}"
    with pytest.raises(WowError, match=r"no 'other\.json'"):
        weights.load_file(folder, "net", "other.json")


def test_the_hash_tells_checkpoints_apart(folder: Path) -> None:
    hashes = []
    for seed in (0, 0, 1):
        weights.save_part(folder, "net", random_tensors(seed), {"width": 48})
        hashes.append(weights.checkpoint_hash(folder))
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_hash_of_a_part_is_its_own(folder: Path) -> None:
    before = weights.part_hash(folder, "net")
    weights.save_part(folder, "other", {"x": torch.ones(3)}, {})
    assert weights.part_hash(folder, "net") == before != weights.part_hash(folder, "other")
    weights.save_part(folder, "net", random_tensors(0), {"width": 47})
    assert weights.part_hash(folder, "net") != before, "the configuration is part of what a network computes"


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "corrupted: its SHA-256"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes instead of"),
        (lambda path: path.write_bytes(b"a pointer to a file elsewhere"), "corrupted: 29 bytes instead of"),
        (Path.unlink, "is missing"),
    ],
)
def test_damage_is_named_with_its_file_and_what_to_type(folder: Path, damage: Any, message: str) -> None:
    shard = shard_of(folder)
    damage(shard)
    with pytest.raises(WowError, match=message) as caught:
        weights.load_part(folder, "net")
    assert shard.name in str(caught.value)
    assert "wow doctor" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert weights.verify(folder) == [str(caught.value)]


def test_damage_to_the_shipped_weights_says_how_to_restore_them(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(weights, "SHIPPED", folder.parent)
    flip_a_byte(shard_of(weights.shipped("tiny")))
    with pytest.raises(WowError, match=r"git checkout -- .*pip install --force-reinstall"):
        weights.load_part(folder, "net")
    with pytest.raises(WowError, match=r"there is: tiny \(wow models lists what else there is\)"):
        weights.shipped("huge")
    for path in ("runs/huge", "./huge", "~/huge", "../huge", "/huge"):
        with pytest.raises(WowError, match=f"there is no folder {path}: .*tiny"):
            weights.shipped(path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".", "", ".hidden", "a\\b", "a\x00", 7])
def test_a_manifest_cannot_name_a_file_outside_its_folder(folder: Path, name: object) -> None:
    (folder.parent / "secret").write_bytes(shard_of(folder).read_bytes())
    edit_manifest(folder, name=name)
    with pytest.raises(WowError, match="not a checkpoint manifest"):
        weights.load_part(folder, "net")
    assert len(weights.verify(folder)) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "{}", '{"format_version": 1, "name": "x", "parts": [1]}', "\xff"])
def test_what_is_no_manifest_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / weights.MANIFEST).write_bytes(text.encode("latin-1"))
    assert len(weights.verify(tmp_path)) == 1
    with pytest.raises(WowError):
        weights.load_part(tmp_path, "net")


def test_a_newer_format_asks_for_an_upgrade(folder: Path) -> None:
    path = folder / weights.MANIFEST
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(WowError, match="upgrade"):
        weights.load_part(folder, "net")


def test_an_empty_or_absent_folder_is_no_checkpoint(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(WowError, match=r"manifest\.json is missing"):
            weights.load_part(folder, "net")


def test_an_unknown_part_is_answered_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(WowError, match="no part 'dit', only net"):
        weights.load_part(folder, "dit")


def replace_shard(folder: Path, content: bytes, **changes: Any) -> None:
    """Puts other contents into the first shard, with a manifest that vouches for their hash."""
    shard = shard_of(folder)
    shard.write_bytes(content)
    edit_manifest(folder, bytes=len(content), sha256=weights.hashlib.sha256(content).hexdigest(), **changes)


def test_a_shard_must_hold_the_types_and_shapes_that_the_manifest_names(folder: Path) -> None:
    wrong = save({"linear.weight": torch.zeros(32, 49, dtype=torch.float16)})
    replace_shard(folder, wrong, holds={"linear.weight": "float16 [32, 48]"})
    with pytest.raises(WowError, match=r"'linear\.weight' as float16 \[32, 49\], expected float16 \[32, 48\]"):
        weights.load_part(folder, "net")


def test_a_shard_that_is_something_else_is_refused(folder: Path) -> None:
    replace_shard(folder, b"\x80\x04this was a pickle")
    with pytest.raises(WowError, match="not a safetensors file"):
        weights.load_part(folder, "net")


@pytest.mark.parametrize(
    "tensors",
    [
        {"x": torch.zeros(2, 2, dtype=torch.int64)},
        {"x": torch.zeros(2, 2, dtype=torch.int8)},
        {"x": torch.zeros(2, 2, dtype=torch.int8), "x.row_scale": torch.zeros(3)},
    ],
)
def test_numbers_in_no_form_of_ours_are_refused(folder: Path, tensors: dict[str, Tensor]) -> None:
    holds = {name: f"{str(tensor.dtype)[6:]} {list(tensor.shape)}" for name, tensor in tensors.items()}
    replace_shard(folder, save(tensors), holds=holds)
    with pytest.raises(WowError, match="'x'"):
        weights.load_part(folder, "net")


KILLED_SAVES = """
import os, sys
from pathlib import Path
import torch
from wow import weights

def dies_before_call(number):
    calls = 0
    def wrap(function):
        def counted(*arguments):
            nonlocal calls
            if calls == number:
                os._exit(9)  # what a kill leaves: nothing is flushed, nothing is cleaned up
            calls += 1
            return function(*arguments)
        return counted
    return wrap

for number, folder in enumerate(sys.argv[1:]):
    child = os.fork()
    if child == 0:
        wrap = dies_before_call(number)
        os.fsync, os.replace, Path.unlink = wrap(os.fsync), wrap(os.replace), wrap(Path.unlink)
        tensors = {str(index): torch.full((700,), float(index)) for index in range(3)}
        weights.save_part(Path(folder), "net", tensors, {"width": 1}, max_shard_bytes=2_000)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_a_save_that_is_killed_leaves_the_old_checkpoint_or_the_new_one(folder: Path, tmp_path: Path) -> None:
    copies = [shutil.copytree(folder, tmp_path / f"killed-{number:02d}") for number in range(24)]
    command = [sys.executable, "-c", KILLED_SAVES, *map(str, copies)]
    environment = {**os.environ, "PYTHONPATH": str(Path(weights.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    codes = [int(line) for line in run.stdout.split()]
    assert codes == [9] * codes.count(9) + [0] * codes.count(0)  # every step was a place to die once
    assert codes.count(0) > 0
    widths = []
    for copy in copies:
        assert weights.verify(copy) == []
        tensors, config = weights.load_part(copy, "net")
        assert tensors.keys() == (random_tensors().keys() if config["width"] == 48 else {"0", "1", "2"})
        widths.append(config["width"])
    assert widths == [48] * widths.count(48) + [1] * widths.count(1)
    assert widths.count(48) >= 11  # three shards and the manifest, each synced, renamed and made lasting
    assert codes[widths.index(1)] == 9  # some died after the manifest, while clearing up
    for copy in copies:
        weights.save_part(copy, "net", random_tensors(), {})
        assert len(list(copy.iterdir())) == 2  # the next save clears up what the dead one left
