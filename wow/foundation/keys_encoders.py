"""The names of the encoders in Wan's own files, and what transformers calls them: UMT5 for text, CLIP for pictures."""

from __future__ import annotations

from wow.foundation.keys_rules import Config, KeyMap, Rule, Shapes, count, renames

_UMT5 = {
    "token_embedding.weight": "shared.weight",
    "norm.weight": "encoder.final_layer_norm.weight",
} | {
    f"blocks.{{i}}.{old}.weight": f"encoder.block.{{i}}.layer.{new}.weight"
    for old, new in {
        "norm1": "0.layer_norm",
        "attn.q": "0.SelfAttention.q",
        "attn.k": "0.SelfAttention.k",
        "attn.v": "0.SelfAttention.v",
        "attn.o": "0.SelfAttention.o",
        "pos_embedding.embedding": "0.SelfAttention.relative_attention_bias",
        "norm2": "1.layer_norm",
        "ffn.gate.0": "1.DenseReluDense.wi_0",
        "ffn.fc1": "1.DenseReluDense.wi_1",
        "ffn.fc2": "1.DenseReluDense.wo",
    }.items()
}

_CLIP = {
    "visual.patch_embedding.weight": "embeddings.patch_embedding.weight",
    "visual.pre_norm.{p}": "pre_layrnorm.{p}",  # the misspelling is transformers' name
    "visual.post_norm.{p}": "post_layernorm.{p}",
} | {
    f"visual.transformer.{{i}}.{old}.{{p}}": f"encoder.layers.{{i}}.{new}.{{p}}"
    for old, new in {
        "norm1": "layer_norm1",
        "attn.proj": "self_attn.out_proj",
        "norm2": "layer_norm2",
        "mlp.0": "mlp.fc1",
        "mlp.2": "mlp.fc2",
    }.items()
}
_CLIP_SHAPED = (
    Rule("visual.cls_embedding", ("embeddings.class_embedding",), axes=2),
    Rule("visual.pos_embedding", ("embeddings.position_embedding.weight",), axes=1),
    Rule(
        "visual.transformer.{i}.attn.to_qkv.{p}",
        tuple(f"encoder.layers.{{i}}.self_attn.{name}_proj.{{p}}" for name in "qkv"),
    ),
)


def _umt5_config(shapes: Shapes, beside: Config) -> Config:
    """Arguments of UMT5Config."""
    first = "encoder.block.0.layer."
    buckets, heads = shapes[f"{first}0.SelfAttention.relative_attention_bias.weight"]
    words, width = shapes["shared.weight"]
    return {
        "vocab_size": words,
        "d_model": width,
        "d_kv": shapes[f"{first}0.SelfAttention.q.weight"][0] // heads,
        "d_ff": shapes[f"{first}1.DenseReluDense.wo.weight"][1],
        "num_layers": count(shapes, "encoder.block.{i}."),
        "num_heads": heads,
        "relative_attention_num_buckets": buckets,
        "feed_forward_proj": "gated-gelu",
    }


def _clip_config(shapes: Shapes, beside: Config) -> Config:
    """Arguments of CLIPVisionConfig; a head has 80 channels as in ViT-H where nothing says otherwise."""
    width, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
    places = shapes["embeddings.position_embedding.weight"][0]
    return {
        "hidden_size": width,
        "intermediate_size": shapes["encoder.layers.0.mlp.fc1.weight"][0],
        "num_hidden_layers": count(shapes, "encoder.layers.{i}."),
        "num_attention_heads": int(beside.get("num_attention_heads", max(width // 80, 1))),
        "image_size": patch * round((places - 1) ** 0.5),
        "patch_size": patch,
        "hidden_act": "gelu",
        "projection_dim": int(beside.get("projection_dim", 1024)),
    }


UMT5 = KeyMap(
    name="UMT5 text encoder",
    layout="wan",
    library="transformers",
    kind="UMT5EncoderModel",
    rules=renames(_UMT5),
    config=_umt5_config,
    dropped={},
)
CLIP = KeyMap(
    name="CLIP picture encoder",
    layout="wan",
    library="transformers",
    kind="CLIPVisionModel",
    rules=(*renames(_CLIP), *_CLIP_SHAPED),
    config=_clip_config,
    dropped={
        "textual.*": "the text tower, which Wan does not use",
        "visual.head": "the projection, which Wan does not use",
        "log_scale": "the temperature of CLIP's training",
    },
)
