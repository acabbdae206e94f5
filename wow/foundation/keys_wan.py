"""The names of Wan's transformers (2.1, 2.2, with and without the image branch), its authors' and diffusers'."""

from __future__ import annotations

from wow.foundation.keys_rules import Config, KeyMap, Shapes, count, renames
from wow.types import WowError

HEAD = 128  # channels of a head in every Wan model; q and k are normalised over all heads, so no shape shows it

_OUTSIDE = {
    "patch_embedding.{p}": "patch_embedding.{p}",
    "text_embedding.0.{p}": "condition_embedder.text_embedder.linear_1.{p}",
    "text_embedding.2.{p}": "condition_embedder.text_embedder.linear_2.{p}",
    "time_embedding.0.{p}": "condition_embedder.time_embedder.linear_1.{p}",
    "time_embedding.2.{p}": "condition_embedder.time_embedder.linear_2.{p}",
    "time_projection.1.{p}": "condition_embedder.time_proj.{p}",
    "img_emb.proj.0.{p}": "condition_embedder.image_embedder.norm1.{p}",
    "img_emb.proj.1.{p}": "condition_embedder.image_embedder.ff.net.0.proj.{p}",
    "img_emb.proj.3.{p}": "condition_embedder.image_embedder.ff.net.2.{p}",
    "img_emb.proj.4.{p}": "condition_embedder.image_embedder.norm2.{p}",
    "head.head.{p}": "proj_out.{p}",
    "head.modulation": "scale_shift_table",
}
_ATTENTION = {
    f"{old}.{old_part}": f"{new}.{new_part}"
    for old, new in (("self_attn", "attn1"), ("cross_attn", "attn2"))
    for old_part, new_part in {
        "q.{p}": "to_q.{p}",
        "k.{p}": "to_k.{p}",
        "v.{p}": "to_v.{p}",
        "o.{p}": "to_out.0.{p}",
        "norm_q.weight": "norm_q.weight",
        "norm_k.weight": "norm_k.weight",
    }.items()
}
# The authors number norms as they were written, diffusers as they are applied: what is norm3 here is norm2 there.
_BLOCK = _ATTENTION | {
    "cross_attn.k_img.{p}": "attn2.add_k_proj.{p}",
    "cross_attn.v_img.{p}": "attn2.add_v_proj.{p}",
    "cross_attn.norm_k_img.weight": "attn2.norm_added_k.weight",
    "norm3.{p}": "norm2.{p}",
    "ffn.0.{p}": "ffn.net.0.proj.{p}",
    "ffn.2.{p}": "ffn.net.2.{p}",
    "modulation": "scale_shift_table",
}
_INSIDE = {f"blocks.{{i}}.{old}": f"blocks.{{i}}.{new}" for old, new in _BLOCK.items()}


def _config(shapes: Shapes, beside: Config) -> Config:
    """Arguments of WanTransformer3DModel."""
    width, channels, *patch = shapes["patch_embedding.weight"]
    head = beside.get("attention_head_dim") or width // int(beside.get("num_heads", 0) or max(width // HEAD, 1))
    if width % head:
        raise WowError(f"a width of {width} is no multiple of Wan's {HEAD} channels a head: put its config.json beside")
    image = shapes.get("condition_embedder.image_embedder.norm1.weight")
    added = shapes.get("blocks.0.attn2.add_k_proj.weight")
    return {
        "patch_size": patch,
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "in_channels": channels,
        "out_channels": shapes["proj_out.weight"][0] // (patch[0] * patch[1] * patch[2]),
        "text_dim": shapes["condition_embedder.text_embedder.linear_1.weight"][1],
        "freq_dim": shapes["condition_embedder.time_embedder.linear_1.weight"][1],
        "ffn_dim": shapes["blocks.0.ffn.net.0.proj.weight"][0],
        "num_layers": count(shapes, "blocks.{i}."),
        "cross_attn_norm": "blocks.0.norm2.weight" in shapes,
        "qk_norm": "rms_norm_across_heads",
        "eps": float(beside.get("eps", 1e-6)),
        "image_dim": image[0] if image else None,
        "added_kv_proj_dim": added[1] if added else None,
        "rope_max_seq_len": int(beside.get("rope_max_seq_len", 1024)),
    }


def _original_config(config: Config) -> Config:
    """What lies beside the authors' weights."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    same = config["in_channels"] == config["out_channels"]
    return {
        "_class_name": "WanModel",
        "model_type": ("ti2v" if config["in_channels"] == 48 else "t2v") if same else "i2v",
        "dim": width,
        "ffn_dim": config["ffn_dim"],
        "freq_dim": config["freq_dim"],
        "in_dim": config["in_channels"],
        "out_dim": config["out_channels"],
        "num_heads": config["num_attention_heads"],
        "num_layers": config["num_layers"],
        "text_len": 512,
        "eps": config["eps"],
    }


WAN = KeyMap(
    name="Wan transformer",
    layout="wan",
    library="diffusers",
    kind="WanTransformer3DModel",
    rules=renames(_OUTSIDE | _INSIDE),
    config=_config,
    dropped={},
    original_config=_original_config,
)
