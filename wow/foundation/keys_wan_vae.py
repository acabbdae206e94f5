"""The names of Wan's video autoencoders, 2.1 and 2.2, in their authors' and diffusers' layout.

Both have four levels; a level of the encoder has two residual blocks, one of the decoder three, and then a change of
size except at the last. The authors of 2.1 number all of these in one row, those of 2.2 level by level.
"""

from __future__ import annotations

from wow.foundation.cards import CARDS
from wow.foundation.keys_rules import Config, KeyMap, Shapes, renames

_LEVELS = range(4)
_RESIDUAL = {
    "residual.0.gamma": "norm1.gamma",
    "residual.2.{p}": "conv1.{p}",
    "residual.3.gamma": "norm2.gamma",
    "residual.6.{p}": "conv2.{p}",
    "shortcut.{p}": "conv_shortcut.{p}",
}
_RESAMPLE = {"resample.1.{p}": "resample.1.{p}", "time_conv.{p}": "time_conv.{p}"}
_AROUND = {"conv1.{p}": "quant_conv.{p}", "conv2.{p}": "post_quant_conv.{p}"} | {
    f"{half}.{old}": f"{half}.{new}"
    for half in ("encoder", "decoder")
    for old, new in (
        ("conv1.{p}", "conv_in.{p}"),
        ("head.0.gamma", "norm_out.gamma"),
        ("head.2.{p}", "conv_out.{p}"),
        *((f"middle.0.{a}", f"mid_block.resnets.0.{b}") for a, b in _RESIDUAL.items()),
        *((f"middle.1.{a}", f"mid_block.attentions.0.{a}") for a in ("norm.gamma", "to_qkv.{p}", "proj.{p}")),
        *((f"middle.2.{a}", f"mid_block.resnets.1.{b}") for a, b in _RESIDUAL.items()),
    )
}


def _flat() -> dict[str, str]:
    """2.1: blocks in one row; diffusers keeps the row in the encoder and groups the decoder."""
    pairs = {
        f"encoder.downsamples.{{i}}.{old}": f"encoder.down_blocks.{{i}}.{new}"
        for old, new in (_RESIDUAL | _RESAMPLE).items()
    }
    for level in _LEVELS:
        for block in range(3):
            old, new = f"decoder.upsamples.{4 * level + block}", f"decoder.up_blocks.{level}.resnets.{block}"
            pairs |= {f"{old}.{a}": f"{new}.{b}" for a, b in _RESIDUAL.items()}
        old, new = f"decoder.upsamples.{4 * level + 3}", f"decoder.up_blocks.{level}.upsamplers.0"
        pairs |= {f"{old}.{a}": f"{new}.{b}" for a, b in _RESAMPLE.items()}
    return pairs


def _grouped() -> dict[str, str]:
    """2.2: both halves level by level, in both layouts."""
    pairs: dict[str, str] = {}
    for half, rows, levels, blocks, change in (
        ("encoder", "downsamples", "down_blocks", 2, "downsampler"),
        ("decoder", "upsamples", "up_blocks", 3, "upsampler"),
    ):
        for level in _LEVELS:
            here, there = f"{half}.{rows}.{level}.{rows}", f"{half}.{levels}.{level}"
            for block in range(blocks):
                pairs |= {f"{here}.{block}.{a}": f"{there}.resnets.{block}.{b}" for a, b in _RESIDUAL.items()}
            pairs |= {f"{here}.{blocks}.{a}": f"{there}.{change}.{b}" for a, b in _RESAMPLE.items()}
    return pairs


def _config(shapes: Shapes, beside: Config) -> Config:
    """Arguments of AutoencoderKLWan 2.1, with the published statistics where the latents have the published width."""
    latent = shapes["post_quant_conv.weight"][0]
    statistics: Config = {key: beside[key] for key in ("latents_mean", "latents_std") if key in beside}
    if latent != 16 and not statistics:
        statistics = {"latents_mean": [0.0] * latent, "latents_std": [1.0] * latent}
    return {
        "base_dim": shapes["encoder.conv_in.weight"][0],
        "z_dim": latent,
        "dim_mult": [1, *(shapes[_wide(level)][0] // shapes["encoder.conv_in.weight"][0] for level in (3, 6, 9))],
        "temperal_downsample": [f"encoder.down_blocks.{n}.time_conv.weight" in shapes for n in (2, 5, 8)],
        **statistics,
    }


def _wide(block: int) -> str:
    return f"encoder.down_blocks.{block}.conv1.weight"


def _config_2_2(shapes: Shapes, beside: Config) -> Config:
    """Arguments of AutoencoderKLWan 2.2."""
    published = dict(CARDS["wan2.2-ti2v-5b"].part("vae").config)
    latent, base = shapes["post_quant_conv.weight"][0], shapes["encoder.conv_in.weight"][0]
    statistics = {
        key: list(beside.get(key) or (published[key] if latent == 48 else [value] * latent))
        for key, value in (("latents_mean", 0.0), ("latents_std", 1.0))
    }
    widths = [shapes[f"encoder.down_blocks.{level}.resnets.0.conv1.weight"][0] // base for level in _LEVELS]
    return published | {
        "base_dim": base,
        "decoder_base_dim": shapes["decoder.conv_out.weight"][1],
        "z_dim": latent,
        "dim_mult": widths,
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "out_channels": shapes["decoder.conv_out.weight"][0],
        **statistics,
    }


WAN_VAE = KeyMap(
    name="Wan2.1 autoencoder",
    layout="wan",
    library="diffusers",
    kind="AutoencoderKLWan",
    rules=renames(_AROUND | _flat()),
    config=_config,
    dropped={},
)
WAN_VAE_2_2 = KeyMap(
    name="Wan2.2 autoencoder",
    layout="wan",
    library="diffusers",
    kind="AutoencoderKLWan",
    rules=renames(_AROUND | _grouped()),
    config=_config_2_2,
    dropped={},
)
