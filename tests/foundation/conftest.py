"""Tiny random networks with the structure of the released ones, in their authors' layout, written name by name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

REASON = "needs the extra 'foundation' (diffusers, transformers, accelerate)"

Weights = dict[str, Any]


@pytest.fixture(autouse=True)
def quiet_libraries() -> Iterator[None]:
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    yield


@pytest.fixture(scope="session")
def library() -> Any:
    """diffusers, or the test is skipped with the reason."""
    for module in ("accelerate", "transformers"):
        pytest.importorskip(module, reason=REASON)
    return pytest.importorskip("diffusers", reason=REASON)


@pytest.fixture(scope="session")
def original(library: Any) -> Callable[[str], Weights]:
    """Makes random weights by the name of a network: a state dict as its authors save it, the same each time."""
    import torch

    def make(name: str) -> Weights:
        generator = torch.Generator().manual_seed(7)
        return {key: torch.randn(shape, generator=generator) * 0.2 for key, shape in SHAPES[name]().items()}

    return make


@pytest.fixture(scope="session")
def beside() -> dict[str, dict[str, Any]]:
    """What no shape shows, as it stands in the `config.json` beside."""
    wan = {"num_heads": 2}
    return {name: wan for name in SHAPES if name.startswith("wan-") and "vae" not in name} | {
        "clip": {"num_attention_heads": 2}
    }


def wan(channels: int, *, image: bool, out: int = 16) -> dict[str, tuple[int, ...]]:
    """Wan: width 24 in two heads, two blocks."""
    d, ffn, text, freq = 24, 40, 20, 16
    shapes: dict[str, tuple[int, ...]] = {
        "patch_embedding.weight": (d, channels, 1, 2, 2),
        "patch_embedding.bias": (d,),
    }
    for name, rows, columns in (
        ("text_embedding.0", d, text),
        ("text_embedding.2", d, d),
        ("time_embedding.0", d, freq),
        ("time_embedding.2", d, d),
        ("time_projection.1", 6 * d, d),
        ("head.head", 4 * out, d),
    ):
        shapes |= linear(name, rows, columns)
    shapes["head.modulation"] = (1, 2, d)
    for n in range(2):
        block = f"blocks.{n}"
        for attention in ("self_attn", "cross_attn"):
            for part in "qkvo":
                shapes |= linear(f"{block}.{attention}.{part}", d, d)
            shapes |= {f"{block}.{attention}.norm_q.weight": (d,), f"{block}.{attention}.norm_k.weight": (d,)}
        if image:
            shapes |= linear(f"{block}.cross_attn.k_img", d, d) | linear(f"{block}.cross_attn.v_img", d, d)
            shapes[f"{block}.cross_attn.norm_k_img.weight"] = (d,)
        shapes |= norm(f"{block}.norm3", d) | linear(f"{block}.ffn.0", ffn, d) | linear(f"{block}.ffn.2", d, ffn)
        shapes[f"{block}.modulation"] = (1, 6, d)
    if image:
        shapes |= norm("img_emb.proj.0", 12) | linear("img_emb.proj.1", 12, 12)
        shapes |= linear("img_emb.proj.3", d, 12) | norm("img_emb.proj.4", d)
    return shapes


def cosmos2(*, projection: bool = False) -> dict[str, tuple[int, ...]]:
    """Cosmos-Predict2: width 24 in two heads, two blocks, context 20, modulation of rank 8."""
    d, head, context, rank = 24, 12, 20, 8
    shapes: dict[str, tuple[int, ...]] = {
        "net.x_embedder.proj.1.weight": (d, 72),
        "net.t_embedder.1.linear_1.weight": (d, d),
        "net.t_embedder.1.linear_2.weight": (3 * d, d),
        "net.t_embedding_norm.weight": (d,),
        "net.final_layer.linear.weight": (64, d),
        "net.final_layer.adaln_modulation.1.weight": (rank, d),
        "net.final_layer.adaln_modulation.2.weight": (2 * d, rank),
    }
    for n in range(2):
        block = f"net.blocks.{n}"
        for attention, width in (("self_attn", d), ("cross_attn", context)):
            shapes[f"{block}.{attention}.q_proj.weight"] = (d, d)
            shapes[f"{block}.{attention}.k_proj.weight"] = (d, width)
            shapes[f"{block}.{attention}.v_proj.weight"] = (d, width)
            shapes[f"{block}.{attention}.output_proj.weight"] = (d, d)
            shapes[f"{block}.{attention}.q_norm.weight"] = shapes[f"{block}.{attention}.k_norm.weight"] = (head,)
        shapes[f"{block}.mlp.layer1.weight"], shapes[f"{block}.mlp.layer2.weight"] = (4 * d, d), (d, 4 * d)
        for part in ("self_attn", "cross_attn", "mlp"):
            shapes[f"{block}.adaln_modulation_{part}.1.weight"] = (rank, d)
            shapes[f"{block}.adaln_modulation_{part}.2.weight"] = (3 * d, rank)
    return shapes | (linear("net.crossattn_proj.0", context, 36) if projection else {})


def cosmos1() -> dict[str, tuple[int, ...]]:
    """Cosmos-Predict1: the same sizes; a block is three blocks, and positions are learned too."""
    d, head, context, rank = 24, 12, 20, 8
    shapes: dict[str, tuple[int, ...]] = {
        "net.x_embedder.proj.1.weight": (d, 72),
        "net.t_embedder.1.linear_1.weight": (d, d),
        "net.t_embedder.1.linear_2.weight": (3 * d, d),
        "net.affline_norm.weight": (d,),
        "net.final_layer.linear.weight": (64, d),
        "net.final_layer.adaLN_modulation.1.weight": (rank, d),
        "net.final_layer.adaLN_modulation.2.weight": (2 * d, rank),
    }
    shapes |= {f"net.extra_pos_embedder.pos_emb_{axis}": (size, d) for axis, size in zip("thw", (4, 6, 6), strict=True)}
    for n in range(2):
        block = f"net.blocks.block{n}.blocks"
        for place, width in ((0, d), (1, context)):
            attention = f"{block}.{place}.block.attn"
            for part, columns in (("to_q.0", d), ("to_k.0", width), ("to_v.0", width), ("to_out.0", d)):
                shapes[f"{attention}.{part}.weight"] = (d, columns)
            shapes[f"{attention}.to_q.1.weight"] = shapes[f"{attention}.to_k.1.weight"] = (head,)
        shapes |= {f"{block}.2.block.layer1.weight": (4 * d, d), f"{block}.2.block.layer2.weight": (d, 4 * d)}
        for place in range(3):
            shapes[f"{block}.{place}.adaLN_modulation.1.weight"] = (rank, d)
            shapes[f"{block}.{place}.adaLN_modulation.2.weight"] = (3 * d, rank)
    return shapes


def wan_vae() -> dict[str, tuple[int, ...]]:
    """Wan2.1's autoencoder: base 4, four levels of 4, 8, 16, 16 channels, latents of 2."""
    shapes = _vae_ends(rgb=3, latent=2, first=4, last=16, base=4)
    row, width = 0, 4
    for level, out in enumerate((4, 8, 16, 16)):
        for _ in range(2):
            shapes |= residual(f"encoder.downsamples.{row}", width, out)
            row, width = row + 1, out
        if level < 3:
            shapes |= resample(f"encoder.downsamples.{row}", width, width, width if level else None)
            row += 1
    row, width = 0, 16
    for level, out in enumerate((16, 16, 8, 4)):
        for _ in range(3):
            shapes |= residual(f"decoder.upsamples.{row}", width, out)
            row, width = row + 1, out
        if level < 3:
            shapes |= resample(f"decoder.upsamples.{row}", width, width // 2, 2 * width if level < 2 else None)
            row, width = row + 1, width // 2
    return shapes


def wan_vae_2_2() -> dict[str, tuple[int, ...]]:
    """Wan2.2's autoencoder: levels in groups, the decoder twice as wide, pictures in patches of 2x2."""
    shapes = _vae_ends(rgb=12, latent=2, first=8, last=32, base=4)
    width = 4
    for level, out in enumerate((4, 8, 16, 16)):
        group = f"encoder.downsamples.{level}.downsamples"
        shapes |= residual(f"{group}.0", width, out) | residual(f"{group}.1", out, out)
        width = out
        if level < 3:
            shapes |= resample(f"{group}.2", width, width, width if level else None)
    width = 32
    for level, out in enumerate((32, 32, 16, 8)):
        group = f"decoder.upsamples.{level}.upsamples"
        for block in range(3):
            shapes |= residual(f"{group}.{block}", width, out)
            width = out
        if level < 3:
            shapes |= resample(f"{group}.3", width, width, 2 * width if level < 2 else None)
    return shapes


def _vae_ends(*, rgb: int, latent: int, first: int, last: int, base: int) -> dict[str, tuple[int, ...]]:
    shapes = conv("encoder.conv1", base, rgb, 3) | conv("decoder.conv1", last, latent, 3)
    shapes |= conv("conv1", 2 * latent, 2 * latent, 1) | conv("conv2", latent, latent, 1)
    for half, width, out, head in (("encoder", 4 * base, 2 * latent, 4 * base), ("decoder", last, rgb, last // 4)):
        shapes |= residual(f"{half}.middle.0", width, width) | residual(f"{half}.middle.2", width, width)
        shapes[f"{half}.middle.1.norm.gamma"] = (width, 1, 1)
        for part, rows in (("to_qkv", 3 * width), ("proj", width)):
            shapes |= {f"{half}.middle.1.{part}.weight": (rows, width, 1, 1), f"{half}.middle.1.{part}.bias": (rows,)}
        shapes[f"{half}.head.0.gamma"] = (head, 1, 1, 1)
        shapes |= conv(f"{half}.head.2", out, head, 3)
    return shapes


def umt5() -> dict[str, tuple[int, ...]]:
    """UMT5: width 16, two heads of 4, two layers, each with its own positions."""
    d, inner, ffn = 16, 8, 24
    shapes: dict[str, tuple[int, ...]] = {"token_embedding.weight": (30, d), "norm.weight": (d,)}
    for n in range(2):
        block = f"blocks.{n}"
        shapes |= {f"{block}.norm1.weight": (d,), f"{block}.norm2.weight": (d,)}
        shapes |= {f"{block}.attn.{part}.weight": (inner, d) for part in "qkv"} | {f"{block}.attn.o.weight": (d, inner)}
        shapes |= {f"{block}.ffn.gate.0.weight": (ffn, d), f"{block}.ffn.fc1.weight": (ffn, d)}
        shapes |= {f"{block}.ffn.fc2.weight": (d, ffn), f"{block}.pos_embedding.embedding.weight": (32, 2)}
    return shapes


def clip() -> dict[str, tuple[int, ...]]:
    """CLIP's picture tower (with what is left out of it): width 16, two layers, four patches of 14."""
    d = 16
    shapes: dict[str, tuple[int, ...]] = {
        "log_scale": (),
        "textual.token_embedding.weight": (5, 4),
        "visual.head": (d, 6),
        "visual.cls_embedding": (1, 1, d),
        "visual.pos_embedding": (1, 5, d),
        "visual.patch_embedding.weight": (d, 3, 14, 14),
    }
    shapes |= norm("visual.pre_norm", d) | norm("visual.post_norm", d)
    for n in range(2):
        block = f"visual.transformer.{n}"
        shapes |= norm(f"{block}.norm1", d) | norm(f"{block}.norm2", d)
        shapes |= linear(f"{block}.attn.to_qkv", 3 * d, d) | linear(f"{block}.attn.proj", d, d)
        shapes |= linear(f"{block}.mlp.0", 4 * d, d) | linear(f"{block}.mlp.2", d, 4 * d)
    return shapes


def linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def conv(name: str, out: int, inside: int, kernel: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, inside, kernel, kernel, kernel), f"{name}.bias": (out,)}


def residual(name: str, inside: int, out: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        f"{name}.residual.0.gamma": (inside, 1, 1, 1),
        f"{name}.residual.3.gamma": (out, 1, 1, 1),
    }
    shapes |= conv(f"{name}.residual.2", out, inside, 3) | conv(f"{name}.residual.6", out, out, 3)
    return shapes | (conv(f"{name}.shortcut", out, inside, 1) if inside != out else {})


def resample(name: str, inside: int, out: int, time: int | None) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        f"{name}.resample.1.weight": (out, inside, 3, 3),
        f"{name}.resample.1.bias": (out,),
    }
    return shapes | (
        {f"{name}.time_conv.weight": (time, inside, 3, 1, 1), f"{name}.time_conv.bias": (time,)} if time else {}
    )


SHAPES: dict[str, Callable[[], dict[str, tuple[int, ...]]]] = {
    "wan-i2v": lambda: wan(36, image=True),
    "wan-t2v": lambda: wan(16, image=False),
    "wan-36": lambda: wan(36, image=False),
    "wan-ti2v": lambda: wan(48, image=False, out=48),
    "wan-vae": wan_vae,
    "wan-vae-2.2": wan_vae_2_2,
    "cosmos1": cosmos1,
    "cosmos2": cosmos2,
    "cosmos2.5": lambda: cosmos2(projection=True),
    "umt5": umt5,
    "clip": clip,
}
