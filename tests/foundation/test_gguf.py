"""GGUF files: quantised weights are read as what they stand for, and a damaged or hostile file is one clear line."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import struct
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wow.types import WowError

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402

from wow.foundation.checkpoint_gguf import BLOCKS, read_entries, read_entry  # noqa: E402

NUMBERS = {"F32": 0, "F16": 1, "BF16": 30} | {name: kind for kind, (name, _, _) in BLOCKS.items()}
Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words.encode())) + words.encode()


def write(path: Path, tensors: Tensors, shapes: Mapping[str, tuple[int, ...]] = {}, alignment: int = 32) -> bytes:
    """A GGUF file, version 3. tensors: type, shape and bytes. shapes: what they really are, as ComfyUI notes it."""
    values = [text("general.architecture") + struct.pack("<I", 8) + text("wan")]
    values.append(text("general.tags") + struct.pack("<IIQ", 9, 8, 2) + text("video") + text("robot"))
    values.append(text("general.alignment") + struct.pack("<II", 4, alignment))
    values.append(text("general.scores") + struct.pack("<IIQ", 9, 6, 3) + struct.pack("<3f", 1, 2, 3))
    for name, shape in shapes.items():
        values.append(
            text(f"comfy.gguf.orig_shape.{name}") + struct.pack(f"<IIQ{len(shape)}i", 9, 5, len(shape), *shape)
        )
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values)) + b"".join(values)
    data = b""
    for name, (kind, shape, content) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += struct.pack("<IQ", NUMBERS[kind], len(data))
        data += content + bytes(-len(content) % alignment)
    content = head + bytes(-len(head) % alignment) + data
    path.write_bytes(content)
    return content


def plain(tensors: Mapping[str, Any], kind: str = "F32") -> Tensors:
    """Tensors stored number by number, without the leading axes of size one that GGUF's writers do not count."""
    dtype = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]
    return {name: (kind, counted(tuple(tensor.shape)), raw(tensor.to(dtype))) for name, tensor in tensors.items()}


def counted(shape: tuple[int, ...]) -> tuple[int, ...]:
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return shape


def raw(tensor: Any) -> bytes:
    return bytes(tensor.contiguous().view(torch.uint8).numpy().tobytes()) if tensor.dim() else b""


def loaded(path: Path) -> dict[str, Any]:
    return {name: read_entry(path, entry) for name, entry in read_entries(path).items()}


def refusal(path: Path) -> str:
    with pytest.raises(WowError) as caught:
        loaded(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what is in it ----


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_numbers_stored_one_by_one_come_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    given = {
        f"t{n}": torch.randn(shape, generator=generator) for n, shape in enumerate([(3,), (2, 5), (4, 3, 1, 2, 2)])
    }
    write(tmp_path / "a.gguf", plain(given, kind))
    dtype = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]
    read = loaded(tmp_path / "a.gguf")
    assert all(
        torch.equal(read[name], tensor.to(dtype)) and read[name].dtype == dtype for name, tensor in given.items()
    )


def half(block: bytes, at: int) -> float:
    return float(np.frombuffer(block[at : at + 2], np.float16)[0])


def scale_and_least(block: bytes, group: int) -> tuple[int, int]:
    """Six bits each of the twelve bytes that Q4_K and Q5_K have for eight groups of 32."""
    scales = block[4:16]
    if group < 4:
        return scales[group] & 63, scales[group + 4] & 63
    low = scales[group + 4]
    return low & 15 | scales[group - 4] >> 6 << 4, low >> 4 | scales[group] >> 6 << 4


def stands_for(kind: str, block: bytes, n: int) -> float:
    """The n-th number of a block, by the definition of its format."""
    if kind == "Q8_0":
        return half(block, 0) * struct.unpack_from("b", block, 2 + n)[0]
    if kind == "Q4_0":
        nibble = block[2 + n % 16] >> (4 if n >= 16 else 0) & 15
        return half(block, 0) * (nibble - 8)
    if kind in ("Q4_K", "Q5_K"):
        group, place = n // 32, n % 32
        nibbles = 16 if kind == "Q4_K" else 48
        value = block[nibbles + group // 2 * 32 + place] >> (4 if group % 2 else 0) & 15
        if kind == "Q5_K":
            value |= (block[16 + place] >> group & 1) << 4
        scale, least = scale_and_least(block, group)
        return half(block, 0) * scale * value - half(block, 2) * least
    assert kind == "Q6_K"
    side, row, place = n // 128, n % 128 // 32, n % 32
    low = block[side * 64 + (row % 2) * 32 + place] >> (4 if row >= 2 else 0) & 15
    high = block[128 + side * 32 + place] >> 2 * row & 3
    scale = struct.unpack_from("b", block, 192 + n // 16)[0]
    return half(block, 208) * scale * ((low | high << 4) - 32)


def random_blocks(kind: str, count: int, seed: int = 0) -> bytes:
    """Blocks whose bits are random, except that the scales are small numbers."""
    _, _, size = BLOCKS[NUMBERS[kind]]
    generator = np.random.default_rng(seed)
    content = generator.integers(0, 256, (count, size), dtype=np.uint8)
    places = {"Q6_K": [208], "Q4_K": [0, 2], "Q5_K": [0, 2]}.get(kind, [0])
    for at in places:
        content[:, at : at + 2] = generator.uniform(0.001, 0.01, count).astype(np.float16).view(np.uint8).reshape(-1, 2)
    return content.tobytes()


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q4_K", "Q5_K", "Q6_K"])
def test_a_block_stands_for_the_numbers_that_its_format_says(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="needs gguf")
    _, numbers, size = BLOCKS[NUMBERS[kind]]
    blocks = random_blocks(kind, 6)
    write(tmp_path / "a.gguf", {"w": (kind, (3, 2 * numbers), blocks)})
    read = loaded(tmp_path / "a.gguf")["w"]
    assert read.shape == (3, 2 * numbers) and read.dtype == torch.float32
    expected = [stands_for(kind, blocks[n * size : (n + 1) * size], i) for n in range(6) for i in range(numbers)]
    assert torch.allclose(read.flatten(), torch.tensor(expected), rtol=1e-5, atol=1e-6)
    assert len(set(expected)) > 10


def test_a_tensor_that_was_reshaped_for_its_blocks_has_its_own_shape_again(tmp_path: Path) -> None:
    values = torch.arange(24.0)
    write(tmp_path / "a.gguf", plain({"w": values.reshape(2, 12)}), shapes={"w": (6, 2, 2)})
    assert torch.equal(loaded(tmp_path / "a.gguf")["w"], values.reshape(6, 2, 2))


# ---- as a network's weights ----


def test_a_gguf_file_is_the_network_that_its_numbers_are(
    library: Any, original: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    """Modulations have a leading axis of size one, which is not counted in such a file."""
    from wow.foundation.checkpoint import open_checkpoint

    (tmp_path / "config.json").write_text('{"num_heads": 2}')
    for name in ("wan-i2v", "wan-36", "cosmos2"):
        weights = original(name)
        save_file(weights, tmp_path / "a.safetensors")
        given = {f"model.diffusion_model.{key}": tensor for key, tensor in weights.items()}
        write(tmp_path / "a.gguf", plain(given))
        one, other = (dict(open_checkpoint(tmp_path / f"a.{ending}").tensors()) for ending in ("safetensors", "gguf"))
        assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_it_is_as_strict_as_any_other(library: Any, original: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    from wow.foundation.checkpoint import open_checkpoint

    weights = original("wan-36")
    del weights["blocks.1.ffn.0.weight"]
    weights["blocks.0.modulation"] = weights["blocks.0.modulation"].reshape(24, 6)
    weights["more"] = torch.zeros(3)
    write(tmp_path / "a.gguf", plain(weights))
    (tmp_path / "config.json").write_text('{"num_heads": 2}')
    with pytest.raises(WowError, match="1 missing, 1 extra, 1 of another shape") as caught:
        open_checkpoint(tmp_path / "a.gguf")
    assert "blocks.0.modulation  " in str(caught.value) and "[24, 6], expected [1, 6, 24]" in str(caught.value)


def test_it_converts_to_what_it_stands_for(
    library: Any, original: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    from wow.foundation.convert import convert

    weights = original("wan-t2v")
    write(tmp_path / "a.gguf", plain(weights, "F16"))
    (tmp_path / "config.json").write_text('{"num_heads": 2}')
    convert(tmp_path / "a.gguf", tmp_path / "out", "wan")
    written = load_file(tmp_path / "out" / "diffusion_pytorch_model.safetensors")
    assert written.keys() == weights.keys()
    assert all(torch.equal(written[name], tensor.half()) for name, tensor in weights.items())


def tiny_parts() -> Any:
    spec = importlib.util.spec_from_file_location("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("at", ["wan-Q8_0.gguf", "transformer/wan-Q8_0.gguf"])
def test_a_folder_with_a_gguf_transformer_draws_the_clip_of_its_unpacked_weights(
    at: str, library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = pytest.importorskip("gguf", reason="needs gguf")
    from wow.foundation.cards import CARDS
    from wow.foundation.convert import convert
    from wow.foundation.loading import open_model
    from wow.foundation.memory import Job
    from wow.foundation.pipeline import FoundationOptions

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "tiny-wow"
    tiny_parts().save(CARDS["wow-1-wan-1.3b-2m"], folder)
    convert(folder / "transformer", tmp_path / "original", "wan")
    shutil.rmtree(folder / "transformer")
    weights = load_file(tmp_path / "original" / "diffusion_pytorch_model.safetensors")
    config = {"num_heads": 2}
    (folder / at).parent.mkdir(exist_ok=True)
    ((folder / at).parent / "config.json").write_text(json.dumps(config))
    tensors = plain(weights)
    for name, tensor in weights.items():
        if tensor.dim() == 2 and tensor.shape[-1] % 32 == 0:
            packed = gguf.quants.quantize(tensor.float().numpy(), gguf.GGMLQuantizationType.Q8_0)
            tensors[name] = ("Q8_0", tuple(tensor.shape), packed.tobytes())
    assert sum(kind == "Q8_0" for kind, *_ in tensors.values()) >= 4
    write(folder / at, tensors)

    def clip() -> Any:
        model = open_model(str(folder), job=lambda card: Job(32, 32, 5, 2))
        options = FoundationOptions(num_inference_steps=2, size=(32, 32))
        picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        return model.imagine(picture, "open the drawer", num_frames=5, options=options).frames

    drawn = clip()
    numbers = {name: tensor.reshape(weights[name].shape).clone() for name, tensor in loaded(folder / at).items()}
    assert any(not torch.equal(numbers[name], tensor) for name, tensor in weights.items())
    (folder / at).unlink()
    shutil.rmtree(folder / "transformer", ignore_errors=True)
    save_file(numbers, tmp_path / "original" / "diffusion_pytorch_model.safetensors")
    convert(tmp_path / "original", folder / "transformer", "diffusers")
    assert np.array_equal(clip(), drawn)


def test_of_several_files_none_is_guessed(tmp_path: Path) -> None:
    from wow.foundation.cards import CARDS
    from wow.foundation.inventory import find_parts, wanted_of

    card = CARDS["wow-1-wan-14b-2m"]
    assert "*.gguf" in wanted_of(card.transformer)
    for name in ("a-Q8_0.gguf", "a-Q4_0.gguf"):
        write(tmp_path / name, {})
    with pytest.raises(WowError, match=r"keep one of a-Q4_0\.gguf, a-Q8_0\.gguf"):
        find_parts(card, tmp_path)


# ---- what is wrong with it ----


def small(path: Path) -> bytes:
    given = plain({f"blocks.{n}.weight": torch.arange(12.0).reshape(3, 4) for n in range(3)})
    return write(path, given | {"q": ("Q8_0", (2, 32), random_blocks("Q8_0", 2))}, shapes={"blocks.0.weight": (4, 3)})


def test_a_file_that_ends_anywhere_is_cut_short(tmp_path: Path) -> None:
    whole = small(tmp_path / "whole.gguf")
    needed = len(whole) - (-68 % 32)  # what fills up the last place may be missing
    for end in range(8, needed, 7):
        (tmp_path / "cut.gguf").write_bytes(whole[:end])
        assert "cut.gguf is cut short" in refusal(tmp_path / "cut.gguf")


@pytest.mark.parametrize("value", [0, 1, 255, 1 << 31, (1 << 63) - 1, (1 << 64) - 1])
def test_no_number_in_the_header_leads_anywhere_else(value: int, tmp_path: Path) -> None:
    """Any eight bytes overwritten: the file is read or refused, at once, and nothing large is asked for."""
    pytest.importorskip("gguf", reason="needs gguf")
    whole = small(tmp_path / "whole.gguf")
    refused = 0
    began = time.perf_counter()
    for at in range(4, len(whole) - 8, 3):
        (tmp_path / "bad.gguf").write_bytes(whole[:at] + struct.pack("<Q", value) + whole[at + 8 :])
        try:
            read = loaded(tmp_path / "bad.gguf")
        except WowError as error:
            refused += 1
            assert "\n" not in str(error) and "bad.gguf" in str(error)
        else:
            assert sum(tensor.numel() for tensor in read.values()) <= len(whole)
    assert refused > 100 and time.perf_counter() - began < 60


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    four = torch.arange(4.0)
    content = write(path, plain({"w": four}))
    entry = text("w") + struct.pack("<IQIQ", 1, 4, 0, 0)
    alignment, tags = text("general.alignment"), text("general.tags")
    for before, after, said in (
        (b"GGUF\x03\0\0\0", b"GGUF\0\0\0\x03", "big-endian"),
        (b"GGUF\x03", b"GGUF\x09", "version 9"),
        (entry, text("w") + struct.pack("<IQIQ", 1, 4, 99, 0), "a.gguf holds w as type 99"),
        (entry, text("w") + struct.pack("<IQIQ", 1, 0, 0, 0), "w has the shape [0]"),
        (entry, text("w") + struct.pack("<IQIQ", 9, 4, 0, 0), "w has 9 axes"),
        (entry, text("w") + struct.pack("<IQIQ", 1, 4, 0, 4), "w begins at byte 4"),
        (entry, text("w") + struct.pack("<IQIQ", 1, 4, 0, 1 << 60), "is cut short"),
        (entry, text("\n") + struct.pack("<IQIQ", 1, 4, 0, 0), "cannot be printed"),
        (alignment + struct.pack("<II", 4, 32), alignment + struct.pack("<II", 4, 48), "an alignment of 48"),
        (tags + struct.pack("<II", 9, 8), tags + struct.pack("<II", 9, 9), "general.tags is a value of type 9"),
    ):
        assert content.count(before) == 1
        path.write_bytes(content.replace(before, after))
        assert said in refusal(path)
    write(path, plain({"w": four}), shapes={"w": (3, 3)})
    assert "w has the shape [3, 3], stored as [4]" in refusal(path)
    write(path, {"w": ("Q8_0", (2, 24), bytes(51))})
    assert "rows of [24] numbers, and blocks of 32" in refusal(path)
    twice = write(path, plain({"w": four, "v": four}))
    path.write_bytes(twice.replace(text("v"), text("w")))
    assert "w twice" in refusal(path)


def test_without_the_package_quantised_files_say_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    write(tmp_path / "a.gguf", {"w": ("Q8_0", (1, 32), random_blocks("Q8_0", 1))})
    with pytest.raises(WowError, match="pip install gguf"):
        read_entries(tmp_path / "a.gguf")
    write(tmp_path / "b.gguf", plain({"w": torch.ones(3)}))
    assert math.isclose(float(loaded(tmp_path / "b.gguf")["w"].sum()), 3.0)
