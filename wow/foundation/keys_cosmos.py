"""The names of the Cosmos transformers, Predict1, Predict2 and Predict2.5, in NVIDIA's and diffusers' layout."""

from __future__ import annotations

from wow.foundation.keys_rules import Config, KeyMap, Shapes, count, renames
from wow.types import WowError

_BUFFERS = {
    "pos_embedder.seq": "computed, not learned",
    "pos_embedder.dim_spatial_range": "computed, not learned",
    "pos_embedder.dim_temporal_range": "computed, not learned",
    "*_extra_state": "transformer-engine's bookkeeping",
    "accum_*": "a counter of the training run",
    "num_updates": "a counter of the training run",
    "decay": "a setting of the training run",
}
_AROUND = {
    "x_embedder.proj.1.weight": "patch_embed.proj.weight",
    "t_embedder.1.linear_1.weight": "time_embed.t_embedder.linear_1.weight",
    "t_embedder.1.linear_2.weight": "time_embed.t_embedder.linear_2.weight",
    "final_layer.linear.weight": "proj_out.weight",
}
_PREDICT1 = _AROUND | {
    "affline_norm.weight": "time_embed.norm.weight",
    "final_layer.adaLN_modulation.1.weight": "norm_out.linear_1.weight",
    "final_layer.adaLN_modulation.2.weight": "norm_out.linear_2.weight",
    "extra_pos_embedder.pos_emb_t": "learnable_pos_embed.pos_emb_t",
    "extra_pos_embedder.pos_emb_h": "learnable_pos_embed.pos_emb_h",
    "extra_pos_embedder.pos_emb_w": "learnable_pos_embed.pos_emb_w",
}
# A block is three blocks: self-attention, cross-attention, feed-forward; each with its own modulation.
_PREDICT1_BLOCK = {
    f"blocks.{place}.adaLN_modulation.{n}.weight": f"norm{place + 1}.linear_{n}.weight"
    for place in range(3)
    for n in (1, 2)
} | {
    f"blocks.{place}.block.attn.{old}.weight": f"attn{place + 1}.{new}.weight"
    for place in range(2)
    for old, new in {
        "to_q.0": "to_q", "to_q.1": "norm_q", "to_k.0": "to_k", "to_k.1": "norm_k", "to_v.0": "to_v",
        "to_out.0": "to_out.0",
    }.items()
} | {
    "blocks.2.block.layer1.weight": "ff.net.0.proj.weight",
    "blocks.2.block.layer2.weight": "ff.net.2.weight",
}  # fmt: skip
_PREDICT2 = _AROUND | {
    "t_embedding_norm.weight": "time_embed.norm.weight",
    "final_layer.adaln_modulation.1.weight": "norm_out.linear_1.weight",
    "final_layer.adaln_modulation.2.weight": "norm_out.linear_2.weight",
    "crossattn_proj.0.{p}": "crossattn_proj.0.{p}",
}
_PREDICT2_BLOCK = {
    f"adaln_modulation_{old}.{n}.weight": f"{new}.linear_{n}.weight"
    for old, new in (("self_attn", "norm1"), ("cross_attn", "norm2"), ("mlp", "norm3"))
    for n in (1, 2)
} | {
    f"{old}.{old_part}.weight": f"{new}.{new_part}.weight"
    for old, new in (("self_attn", "attn1"), ("cross_attn", "attn2"))
    for old_part, new_part in {
        "q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "output_proj": "to_out.0", "q_norm": "norm_q",
        "k_norm": "norm_k",
    }.items()
} | {"mlp.layer1.weight": "ff.net.0.proj.weight", "mlp.layer2.weight": "ff.net.2.weight"}  # fmt: skip

# Of the position code, which no shape shows: (its kind and width, in channels) -> its scales over time, height, width.
_ROPE = {
    ("learnable", 4096): (2.0, 1.0, 1.0),
    ("learnable", 5120): (2.0, 2.0, 2.0),
    (None, 2048): (1.0, 3.0, 3.0),
    (None, 5120): (20 / 24, 2.0, 2.0),
}


def _config(shapes: Shapes, beside: Config) -> Config:
    """Arguments of CosmosTransformer3DModel."""
    width, columns = shapes["patch_embed.proj.weight"]
    head = shapes["transformer_blocks.0.attn1.norm_q.weight"][0]
    if width % head or columns % 4:
        raise WowError(f"a Cosmos transformer of width {width}, heads of {head} and {columns} columns: none is known")
    learnable = shapes.get("learnable_pos_embed.pos_emb_t")
    sizes = [shapes[f"learnable_pos_embed.pos_emb_{axis}"][0] for axis in "thw"] if learnable else [128, 120, 120]
    projection = shapes.get("crossattn_proj.0.weight")
    kind = "learnable" if learnable else None
    rope = beside.get("rope_scale") or ((1.0, 3.0, 3.0) if projection else _ROPE.get((kind, width)))
    return {
        "in_channels": columns // 4 - 1,
        "out_channels": shapes["proj_out.weight"][0] // 4,
        "num_attention_heads": width // head,
        "attention_head_dim": head,
        "num_layers": count(shapes, "transformer_blocks.{i}."),
        "mlp_ratio": shapes["transformer_blocks.0.ff.net.0.proj.weight"][0] / width,
        "text_embed_dim": shapes["transformer_blocks.0.attn2.to_k.weight"][1],
        "adaln_lora_dim": shapes["transformer_blocks.0.norm1.linear_1.weight"][0],
        "max_size": [sizes[0], 2 * sizes[1], 2 * sizes[2]],
        "patch_size": [1, 2, 2],
        "rope_scale": list(rope or ((2.0, 1.0, 1.0) if learnable else (1.0, 3.0, 3.0))),
        "concat_padding_mask": True,
        "extra_pos_embed_type": kind,
    } | (
        {}
        if projection is None
        else {
            "use_crossattn_projection": True,
            "crossattn_proj_in_channels": projection[1],
            "encoder_hidden_states_channels": projection[0],
        }
    )


COSMOS1 = KeyMap(
    name="Cosmos-Predict1 transformer",
    layout="cosmos",
    library="diffusers",
    kind="CosmosTransformer3DModel",
    rules=renames(
        _PREDICT1
        | {f"blocks.block{{i}}.{old}": f"transformer_blocks.{{i}}.{new}" for old, new in _PREDICT1_BLOCK.items()}
    ),
    config=_config,
    dropped=_BUFFERS | {"logvar.*": "weighs the training loss"},
    prefix="net.",
)
COSMOS2 = KeyMap(
    name="Cosmos-Predict2 transformer",
    layout="cosmos",
    library="diffusers",
    kind="CosmosTransformer3DModel",
    rules=renames(
        _PREDICT2 | {f"blocks.{{i}}.{old}": f"transformer_blocks.{{i}}.{new}" for old, new in _PREDICT2_BLOCK.items()}
    ),
    config=_config,
    dropped=_BUFFERS,
    prefix="net.",
)
