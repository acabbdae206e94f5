"""Tiny random networks of the real classes for every card, as the pipelines take them. No file and no network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLCogVideoX,
    AutoencoderKLCosmos,
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    CogVideoXTransformer3DModel,
    CosmosTransformer3DModel,
    UNetSpatioTemporalConditionModel,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from wow.foundation.card import Card, Frames
from wow.foundation.schedules import scheduler_of

WORDS = ["<pad>", "</s>", "<unk>", "open", "close", "push", "the", "drawer", "door", "button", "system", "user"]
WIDTH = 32
CHAT = "{% for message in messages %}{{ message['role'] }} {{ message['content'][0]['text'] }} {% endfor %}"


def tiny(card: Card) -> tuple[Card, dict[str, Any]]:
    """The card with a small clip, and random networks by role; the same ones every time."""
    torch.manual_seed(0)
    side = 32 if card.multiple <= 32 else 64
    frames = Frames(default=card.frames.step + 1, step=card.frames.step, most=card.frames.most)
    small = replace(card, height=side, width=side, frames=frames, num_words=min(card.num_words, 16))
    parts = {"scheduler": scheduler_of(card.sampler, card.sampler.shift), **_NETWORKS[card.family](small)}
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    return small, parts


def tokenizer() -> PreTrainedTokenizerFast:
    """Splits at spaces, ends with </s>, pads with <pad>."""
    core = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    fast.chat_template = CHAT
    return fast


def _wan(card: Card) -> dict[str, Any]:
    has_clip = card.has("image_encoder")
    z_dim = 48 if card.family == "wan2.2" else 16
    image = {"image_dim": WIDTH, "added_kv_proj_dim": 24} if has_clip else {}
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, text_dim=WIDTH, freq_dim=32, ffn_dim=32,
        num_layers=2, cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32, out_channels=z_dim,
        in_channels=z_dim if card.family == "wan2.2" else 36, **image,
    )  # fmt: skip
    return {
        "transformer": transformer,
        "vae": _wan_2_2_vae() if card.family == "wan2.2" else wan_vae(),
        "tokenizer": tokenizer(),
        "text_encoder": UMT5EncoderModel(UMT5Config(**_T5, feed_forward_proj="gated-gelu")),
        **({"image_encoder": CLIPVisionModel(_clip())} if has_clip else {}),
    }


def wan_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )


def _wan_2_2_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=48, dim_mult=[1, 1, 1, 1], num_res_blocks=1, is_residual=True,
        temperal_downsample=[False, True, True], in_channels=12, out_channels=12, patch_size=2,
        scale_factor_temporal=4, scale_factor_spatial=16, latents_mean=[0.0] * 48, latents_std=[1.0] * 48,
    )  # fmt: skip


_T5 = {"vocab_size": len(WORDS), "d_model": WIDTH, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2,
       "relative_attention_num_buckets": 8}  # fmt: skip


def _clip() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=224,
        patch_size=56, projection_dim=WIDTH,
    )  # fmt: skip


def _cosmos(card: Card) -> dict[str, Any]:
    own = {
        "cosmos1": {"rope_scale": (2.0, 1.0, 1.0), "extra_pos_embed_type": "learnable"},
        "cosmos2": {"rope_scale": (1.0, 3.0, 3.0), "extra_pos_embed_type": None},
        "cosmos2.5": {"rope_scale": (1.0, 3.0, 3.0), "extra_pos_embed_type": None, "use_crossattn_projection": True,
                      "crossattn_proj_in_channels": 2 * 16, "encoder_hidden_states_channels": WIDTH},
    }[card.family]  # fmt: skip
    transformer = CosmosTransformer3DModel(
        in_channels=17, out_channels=16, num_attention_heads=2, attention_head_dim=12, num_layers=2, mlp_ratio=2,
        text_embed_dim=WIDTH, adaln_lora_dim=4, max_size=(4, 32, 32), patch_size=(1, 2, 2), concat_padding_mask=True,
        **own,
    )  # fmt: skip
    text = _qwen() if card.family == "cosmos2.5" else T5EncoderModel(T5Config(**_T5, feed_forward_proj="relu"))
    vae = _cosmos_vae() if card.family == "cosmos1" else wan_vae()
    return {"transformer": transformer, "vae": vae, "tokenizer": tokenizer(), "text_encoder": text}


def _cosmos_vae() -> AutoencoderKLCosmos:
    return AutoencoderKLCosmos(
        latent_channels=16, encoder_block_out_channels=(8, 8, 8, 8), decode_block_out_channels=(8, 8, 8, 8),
        attention_resolutions=(8,), resolution=64, num_layers=1, patch_size=4, scaling_factor=1.0,
        spatial_compression_ratio=8, temporal_compression_ratio=8, latents_mean=None, latents_std=None,
    )  # fmt: skip


def _qwen() -> Qwen2_5_VLForConditionalGeneration:
    text = {
        "vocab_size": len(WORDS), "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 16}
    return Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision))


def _cogvideox(card: Card) -> dict[str, Any]:
    transformer = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4, time_embed_dim=2,
        text_embed_dim=WIDTH, num_layers=1, sample_width=4, sample_height=4, sample_frames=9, patch_size=2,
        temporal_compression_ratio=4, max_text_seq_length=16, use_rotary_positional_embeddings=True,
        use_learned_positional_embeddings=True,
    )  # fmt: skip
    vae = AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4, sample_height=32, sample_width=32,
    )  # fmt: skip
    text = T5EncoderModel(T5Config(**_T5, feed_forward_proj="gated-gelu"))
    return {"transformer": transformer, "vae": vae, "tokenizer": tokenizer(), "text_encoder": text}


def _svd(card: Card) -> dict[str, Any]:
    from transformers import CLIPImageProcessor

    unet = UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64), layers_per_block=1, sample_size=32, in_channels=8, out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=WIDTH,
        num_attention_heads=2, projection_class_embeddings_input_dim=96, addition_time_embed_dim=32, num_frames=2,
        transformer_layers_per_block=1,
    )  # fmt: skip
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2, latent_channels=4,
        layers_per_block=1,
    )  # fmt: skip
    return {
        "transformer": unet,
        "vae": vae,
        "image_encoder": CLIPVisionModelWithProjection(_clip()),
        "image_processor": CLIPImageProcessor(crop_size=224, size=224),
    }


def save(card: Card, folder: Path) -> None:
    """Writes tiny networks for a card as a diffusers folder."""
    _, parts = tiny(card)
    methods = {"flow-euler": "FlowMatchEulerDiscreteScheduler", "flow-unipc": "UniPCMultistepScheduler"}
    for part in card.parts:
        if part.role in parts:
            parts[part.role].save_pretrained(folder / part.folder)
    index = {"_class_name": card.pipeline, "expand_timesteps": card.family == "wan2.2"}
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "scheduler").mkdir()
    scheduler = {"_class_name": methods.get(card.sampler.method, "")}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))


_NETWORKS = {
    "wan2.1": _wan, "wan2.2": _wan, "cosmos1": _cosmos, "cosmos2": _cosmos, "cosmos2.5": _cosmos,
    "cogvideox": _cogvideox, "svd": _svd,
}  # fmt: skip
