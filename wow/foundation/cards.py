"""The models that can be driven, a card each.

Data only: no torch, no diffusers, so that a table of models costs nothing. Constructor arguments are those of the
released models; a diffusers folder brings its own `config.json`, original files bring none and are built from these.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from wow.foundation.card import Card, Config, Frames, Part, Sampler
from wow.types import WowError

OURS = "wow-mini"
"""Our own model, which comes with the package and has no card here."""
SURE = 0.6
"""How much of a name must be right to be taken for a slip of the pen; `difflib`'s ratio."""


def card(name: str) -> Card:
    """The card of that name. Raises WowError naming the closest."""
    if name in CARDS:
        return CARDS[name]
    raise unknown(name)


def is_known(name: str) -> bool:
    """Whether a name is that of a card, with or without =FOLDER behind it, or a hub id of one."""
    return name.partition("=")[0] in CARDS or any(name in card.source for card in CARDS.values())


def told_by_name(name: str) -> bool | None:
    """Whether a name tells that it is a foundation model; None for a folder that has to be looked into.

    Raises WowError for what is no folder and nearly the name of one.
    """
    if is_known(name):
        return True
    folder = Path(name)
    if not folder.is_dir():
        check_slip(name)
        return False
    return False if (folder / "manifest.json").is_file() else None  # a checkpoint of our own


def check_slip(name: str) -> None:
    """Raises WowError for what is nearly the name of a card or a hub id: a slip of the pen."""
    near = nearest(name)
    if near and near[0] != OURS:
        raise unknown(name)


def nearest(name: str, cutoff: float = SURE) -> list[str]:
    """The names and hub ids that may have been meant, the closest first, `OURS` among them; at most three."""
    said = _without_folder(name).lower()
    hub = {repository.lower(): repository for card in CARDS.values() for repository in card.source}
    if said in hub:
        return [hub[said]]
    if "/" in said:
        return [hub[near] for near in difflib.get_close_matches(said, hub, n=3, cutoff=0.9)]
    begun = [known for known in (OURS, *CARDS) if len(said) > 2 and known.startswith(said)]
    return (begun or difflib.get_close_matches(said, (OURS, *CARDS), n=3, cutoff=cutoff))[:3]


def unknown(name: str) -> WowError:
    """What to tell somebody who gives that name, which no card has."""
    said = _without_folder(name)
    if said == OURS:
        return WowError(f"{OURS} comes with the package and is no foundation model: name one that wow models lists")
    near = nearest(said, cutoff=0.4)
    if not near and ("/" in said or said.startswith(("~", "."))):
        return WowError(f"there is no folder {said}: name the one that holds a model, or a model that wow models lists")
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(CARDS)}"
    return WowError(f"there is no model called {said!r}: {hint} (wow models lists them)")


def _without_folder(name: str) -> str:
    """The NAME of NAME=FOLDER; a folder may have a sign of equality in its own name."""
    named, is_pair, _ = name.partition("=")
    return named if is_pair and "/" not in named else name


# ---- networks that several models share ----

_WAN_NEGATIVE = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的，"
    "多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，"
    "背景人很多，倒着走"
)
_WOW_WAN_NEGATIVE = "low quality, distorted, ugly, bad anatomy"

_WAN = {
    "patch_size": (1, 2, 2), "attention_head_dim": 128, "text_dim": 4096, "freq_dim": 256, "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads", "eps": 1e-6, "out_channels": 16, "rope_max_seq_len": 1024,
}  # fmt: skip
_WAN_14B = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40, "in_channels": 36, "image_dim": 1280,
            "added_kv_proj_dim": 5120}  # fmt: skip
_WAN_1B = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30, "in_channels": 36}
_WAN_5B = {"num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48}
_COSMOS = {
    "in_channels": 17, "out_channels": 16, "attention_head_dim": 128, "num_layers": 28, "mlp_ratio": 4.0,
    "text_embed_dim": 1024, "adaln_lora_dim": 256, "max_size": (128, 240, 240), "patch_size": (1, 2, 2),
    "concat_padding_mask": True,
}  # fmt: skip
_COSMOS_2B = {"num_attention_heads": 16, "rope_scale": (1.0, 3.0, 3.0), "extra_pos_embed_type": None}
_COSMOS_7B = {"num_attention_heads": 32, "rope_scale": (2.0, 1.0, 1.0), "extra_pos_embed_type": "learnable"}
_COSMOS_2_5 = {"use_crossattn_projection": True, "crossattn_proj_in_channels": 100352,
               "encoder_hidden_states_channels": 1024}  # fmt: skip
_COGVIDEOX = {
    "num_attention_heads": 48, "attention_head_dim": 64, "in_channels": 32, "out_channels": 16, "num_layers": 42,
    "time_embed_dim": 512, "text_embed_dim": 4096, "max_text_seq_length": 226, "patch_size": 2, "sample_width": 90,
    "sample_height": 60, "sample_frames": 49, "temporal_compression_ratio": 4, "flip_sin_to_cos": True,
    "use_rotary_positional_embeddings": True, "use_learned_positional_embeddings": True,
}  # fmt: skip
_COGVIDEOX_VAE = {"block_out_channels": (128, 256, 256, 512), "latent_channels": 16, "layers_per_block": 3,
                  "scaling_factor": 0.7, "sample_height": 480, "sample_width": 720}  # fmt: skip
_SVD = {"num_frames": 25, "sample_size": 96, "num_attention_heads": (5, 10, 20, 20)}
_SVD_VAE = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4,
            "scaling_factor": 0.18215, "sample_size": 768}  # fmt: skip
_WAN_2_2_VAE = {
    "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2,
    "temperal_downsample": [False, True, True], "is_residual": True, "in_channels": 12, "out_channels": 12,
    "patch_size": 2, "scale_factor_temporal": 4, "scale_factor_spatial": 16,
    "latents_mean": (
        -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
        0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
        -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
        -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
    ),
    "latents_std": (
        0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
        0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
        0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
        0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
    ),
}  # fmt: skip
_CLIP_VIT_H = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 16,
               "image_size": 224, "patch_size": 14, "hidden_act": "gelu", "projection_dim": 1024}  # fmt: skip
_UMT5_XXL = {"vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
             "relative_attention_num_buckets": 32, "feed_forward_proj": "gated-gelu"}  # fmt: skip
_T5_11B = {"vocab_size": 32128, "d_model": 1024, "d_kv": 128, "d_ff": 65536, "num_layers": 24, "num_heads": 128,
           "relative_attention_num_buckets": 32, "feed_forward_proj": "relu"}  # fmt: skip
_T5_XXL = {"vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
           "relative_attention_num_buckets": 32, "feed_forward_proj": "gated-gelu"}  # fmt: skip

_WOW_FILES = ("WoW_video_dit.pt", "WoW_ckpt/checkpoint/mp_rank_00_model_states.pt",
              "checkpoint/mp_rank_00_model_states.pt", "*mp_rank_00_model_states.pt")  # fmt: skip
_WAN_FILES = ("diffusion_pytorch_model.safetensors.index.json", "diffusion_pytorch_model*.safetensors")


def _wan(config: Config, parameters: int, originals: tuple[str, ...]) -> Part:
    config = {**_WAN, **config}
    return Part("transformer", "diffusers", "WanTransformer3DModel", "transformer", originals, config, parameters)


def _cosmos(config: Config, parameters: int, originals: tuple[str, ...]) -> Part:
    config = {**_COSMOS, **config}
    return Part("transformer", "diffusers", "CosmosTransformer3DModel", "transformer", originals, config, parameters)


_WAN_VAE = Part("vae", "diffusers", "AutoencoderKLWan", "vae", ("Wan2.1_VAE.pth", "tokenizer.pth",
                "tokenizer/tokenizer.pth"), {}, 126_892_531)  # fmt: skip
_UMT5 = Part("text_encoder", "transformers", "UMT5EncoderModel", "text_encoder",
             ("models_t5_umt5-xxl-enc-bf16.pth",), _UMT5_XXL, 5_680_910_336)  # fmt: skip
_UMT5_TOKENIZER = Part("tokenizer", "transformers", "AutoTokenizer", "tokenizer", ("google/umt5-xxl",))
_CLIP = Part("image_encoder", "transformers", "CLIPVisionModel", "image_encoder",
             ("models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",), _CLIP_VIT_H, 630_766_080)  # fmt: skip
_CLIP_PROCESSOR = Part("image_processor", "transformers", "CLIPImageProcessor", "image_processor")
_T5 = Part("text_encoder", "transformers", "T5EncoderModel", "text_encoder", ("google-t5/t5-11b", "t5-11b"),
           _T5_11B, 4_864_791_552)  # fmt: skip
_T5_TOKENIZER = Part("tokenizer", "transformers", "AutoTokenizer", "tokenizer", ("google-t5/t5-11b", "t5-11b"))
_COSMOS_VAE = Part("vae", "diffusers", "AutoencoderKLCosmos", "vae", (), {}, 105_653_696)
_REASON = ("nvidia/Cosmos-Reason1-7B", "Cosmos-Reason1-7B")
_QWEN = Part("text_encoder", "transformers", "Qwen2_5_VLForConditionalGeneration", "text_encoder", _REASON,
             parameters=8_292_166_656)  # fmt: skip
_CLIP_PROJECTED = Part("image_encoder", "transformers", "CLIPVisionModelWithProjection", "image_encoder", (),
                       _CLIP_VIT_H, 632_076_800)  # fmt: skip
_WAN_14B_PARTS = (_WAN_VAE, _UMT5, _UMT5_TOKENIZER, _CLIP, _CLIP_PROCESSOR)
_COSMOS2_PARTS = (_WAN_VAE, _T5, _T5_TOKENIZER)

_WOW_LICENCE = "MIT on the model card, Apache-2.0 on the code"
_NVIDIA = "NVIDIA Open Model License"

_WOW_14B = Card(
    name="wow-1-wan-14b-600k",
    family="wan2.1",
    backbone="Wan2.1-I2V-14B-480P",
    size="14B",
    modes=("image2video",),
    height=480,
    width=832,
    multiple=16,
    frames=Frames(default=81, step=4, most=81),
    fps=16,
    fit="squash",
    num_words=512,
    sampler=Sampler("flow-euler", 30, 5.0, shift=5.0, negative_prompt=_WOW_WAN_NEGATIVE),
    parts=(_wan(_WAN_14B, 16_394_878_784, _WOW_FILES), *_WAN_14B_PARTS),
    pipeline="WanImageToVideoPipeline",
    licence=_WOW_LICENCE,
    source=("X-Humanoid/WoW-1-Wan-14B-600k", "Wan-AI/Wan2.1-I2V-14B-480P"),
    notes=("600k is the number of training clips",),
)

_WOW_2B = Card(
    name="wow-1-dit-2b-600k",
    family="cosmos2",
    backbone="Cosmos-Predict2-2B Video2World",
    size="2B",
    modes=("image2video", "video2video"),
    height=704,
    width=1280,
    multiple=16,
    frames=Frames(default=93, step=4, most=93),
    fps=16,
    fit="cover",
    num_words=512,
    sampler=Sampler("edm-ab2", 35, 7.0, guidance="conditional", sigmas=(80.0, 0.002)),
    parts=(_cosmos(_COSMOS_2B, 1_956_413_440, ("wow_dit_2b.pt", "checkpoints/wow_dit_2b.pt")), *_COSMOS2_PARTS),
    pipeline="Cosmos2VideoToWorldPipeline",
    licence=_WOW_LICENCE,
    source=("X-Humanoid/WoW-1-DiT-2B-600k", "nvidia/Cosmos-Predict2-2B-Video2World", "google-t5/t5-11b"),
    enough=("X-Humanoid/WoW-1-DiT-2B-600k", "nvidia/Cosmos-Predict2-2B-Video2World"),
    notes=("the public repository was reported to hold no weights in January 2026",),
)

_WOW_7B = Card(
    name="wow-1-dit-7b-600k",
    family="cosmos1",
    backbone="Cosmos-Predict1-7B Video2World",
    size="7B",
    modes=("image2video", "video2video"),
    height=720,
    width=1024,
    multiple=16,
    frames=Frames(default=121, step=8, most=121),
    fps=24,
    fit="squash",
    num_words=512,
    sampler=Sampler("edm-euler", 35, 7.0, guidance="conditional", sigmas=(80.0, 0.0002)),
    parts=(
        _cosmos(_COSMOS_7B, 7_236_208_640, ("wow_dit_7b.pt", "checkpoints/wow_dit_7b.pt")),
        _COSMOS_VAE,
        _T5,
        _T5_TOKENIZER,
    ),
    pipeline="CosmosVideoToWorldPipeline",
    licence=_WOW_LICENCE,
    source=("X-Humanoid/WoW-1-DiT-7B-600k", "nvidia/Cosmos-1.0-Diffusion-7B-Video2World", "google-t5/t5-11b"),
    enough=("X-Humanoid/WoW-1-DiT-7B-600k", "nvidia/Cosmos-1.0-Diffusion-7B-Video2World"),
    notes=("the VAE is read from a diffusers folder: its original is a TorchScript program, which is never run",),
)

_WAN_I2V = Card(
    name="wan2.1-i2v-14b-480p",
    family="wan2.1",
    backbone="Wan2.1-I2V-14B-480P",
    size="14B",
    modes=("image2video",),
    height=480,
    width=832,
    multiple=16,
    frames=Frames(default=81, step=4, most=81),
    fps=16,
    fit="area",
    num_words=512,
    sampler=Sampler("flow-unipc", 40, 5.0, shift=3.0, negative_prompt=_WAN_NEGATIVE),
    parts=(_wan(_WAN_14B, 16_394_878_784, _WAN_FILES), *_WAN_14B_PARTS),
    pipeline="WanImageToVideoPipeline",
    licence="Apache-2.0",
    source=("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers", "Wan-AI/Wan2.1-I2V-14B-480P"),
    enough=("Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",),
)

_WAN_TI2V = Card(
    name="wan2.2-ti2v-5b",
    family="wan2.2",
    backbone="Wan2.2-TI2V-5B",
    size="5B",
    modes=("text2video", "image2video"),
    height=704,
    width=1280,
    multiple=32,
    frames=Frames(default=121, step=4, most=121),
    fps=24,
    fit="area",
    num_words=512,
    sampler=Sampler("flow-unipc", 50, 5.0, shift=5.0, negative_prompt=_WAN_NEGATIVE),
    parts=(
        _wan(_WAN_5B, 4_999_787_712, _WAN_FILES),
        Part("vae", "diffusers", "AutoencoderKLWan", "vae", ("Wan2.2_VAE.pth",), _WAN_2_2_VAE, 704_688_668),
        _UMT5,
        _UMT5_TOKENIZER,
    ),
    pipeline="WanImageToVideoPipeline",
    licence="Apache-2.0",
    source=("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "Wan-AI/Wan2.2-TI2V-5B"),
    enough=("Wan-AI/Wan2.2-TI2V-5B-Diffusers",),
)

_COSMOS_2_5_CARD = Card(
    name="cosmos-predict2.5-2b",
    family="cosmos2.5",
    backbone="Cosmos-Predict2.5-2B",
    size="2B",
    modes=("text2video", "image2video", "video2video"),
    height=704,
    width=1280,
    multiple=16,
    frames=Frames(default=93, step=4, most=93),
    fps=16,
    fit="cover",
    num_words=512,
    sampler=Sampler("flow-unipc", 36, 7.0, guidance="conditional", sigmas=(200.0, 0.01)),
    parts=(
        _cosmos({**_COSMOS_2B, **_COSMOS_2_5}, 2_059_174_912, ("*_ema_bf16.pt", "base/post-trained/*_ema_bf16.pt")),
        _WAN_VAE,
        _QWEN,
        Part("tokenizer", "transformers", "AutoTokenizer", "tokenizer", _REASON),
    ),
    pipeline="Cosmos2_5_PredictBasePipeline",
    licence=_NVIDIA,
    source=("nvidia/Cosmos-Predict2.5-2B", "nvidia/Cosmos-Reason1-7B"),
)

_COGVIDEOX_CARD = Card(
    name="cogvideox-5b-i2v",
    family="cogvideox",
    backbone="CogVideoX-5B-I2V",
    size="5B",
    modes=("image2video",),
    height=480,
    width=720,
    multiple=16,
    frames=Frames(default=49, step=8, most=49),
    fps=8,
    fit="squash",
    num_words=226,
    sampler=Sampler("ddim", 50, 6.0, guidance="dynamic", negative_prompt=""),
    parts=(
        Part("transformer", "diffusers", "CogVideoXTransformer3DModel", "transformer", (), _COGVIDEOX, 5_625_087_552),
        Part("vae", "diffusers", "AutoencoderKLCogVideoX", "vae", (), _COGVIDEOX_VAE, 215_583_907),
        Part("text_encoder", "transformers", "T5EncoderModel", "text_encoder", (), _T5_XXL, 4_762_310_656),
        Part("tokenizer", "transformers", "T5Tokenizer", "tokenizer"),
    ),
    pipeline="CogVideoXImageToVideoPipeline",
    licence="CogVideoX License (registration for commercial use)",
    source=("zai-org/CogVideoX-5b-I2V",),
)

_SVD_CARD = Card(
    name="svd-xt",
    family="svd",
    backbone="Stable Video Diffusion XT",
    size="1.5B",
    modes=("image2video",),
    height=576,
    width=1024,
    multiple=64,
    frames=Frames(default=25, step=1, most=25),
    fps=7,
    fit="squash",
    num_words=0,
    sampler=Sampler("euler", 25, 3.0, guidance="per-frame", sigmas=(700.0, 0.002)),
    parts=(
        Part("transformer", "diffusers", "UNetSpatioTemporalConditionModel", "unet", (), _SVD, 1_524_623_082),
        Part("vae", "diffusers", "AutoencoderKLTemporalDecoder", "vae", (), _SVD_VAE, 74_854_655),
        _CLIP_PROJECTED,
        Part("image_processor", "transformers", "CLIPImageProcessor", "feature_extractor"),
    ),
    pipeline="StableVideoDiffusionPipeline",
    licence="Stability AI Community License",
    source=("stabilityai/stable-video-diffusion-img2vid-xt",),
    notes=("knows no text: the instruction is not used", "motion bucket 127, noise on the picture 0.02"),
)

_ALL = (
    _WOW_14B,
    replace(
        _WOW_14B,
        name="wow-1-wan-14b-2m",
        source=("X-Humanoid/WoW-1-Wan-14B-2M", "Wan-AI/Wan2.1-I2V-14B-480P"),
        sampler=replace(_WOW_14B.sampler, num_inference_steps=50),
        fps=15,
        notes=("2M is the number of training clips", "its authors' newer script samples 41 frames"),
    ),
    replace(
        _WOW_14B,
        name="wow-1-wan-1.3b-2m",
        backbone="Wan2.1-T2V-1.3B widened to 36 input channels",
        size="1.3B",
        fps=15,
        sampler=replace(_WOW_14B.sampler, num_inference_steps=50),
        parts=(_wan(_WAN_1B, 1_419_119_680, _WOW_FILES), _WAN_VAE, _UMT5, _UMT5_TOKENIZER),
        source=("X-Humanoid/WoW-1-Wan-1.3B-2M", "Wan-AI/Wan2.1-T2V-1.3B"),
        notes=("no CLIP branch: the picture enters through the VAE alone",),
    ),
    _WOW_2B,
    _WOW_7B,
    _WAN_I2V,
    _WAN_TI2V,
    replace(
        _WOW_2B,
        name="cosmos-predict2-2b",
        parts=(_cosmos(_COSMOS_2B, 1_956_413_440, ("model-720p-16fps.pt",)), *_COSMOS2_PARTS),
        licence=_NVIDIA,
        source=("nvidia/Cosmos-Predict2-2B-Video2World", "google-t5/t5-11b"),
        enough=("nvidia/Cosmos-Predict2-2B-Video2World",),
        notes=(),
    ),
    _COSMOS_2_5_CARD,
    replace(
        _WOW_7B,
        name="cosmos-predict1-7b",
        height=704,
        width=1280,
        parts=(_cosmos(_COSMOS_7B, 7_236_208_640, ("model.pt",)), _COSMOS_VAE, _T5, _T5_TOKENIZER),
        licence=_NVIDIA,
        source=("nvidia/Cosmos-1.0-Diffusion-7B-Video2World", "google-t5/t5-11b"),
        enough=("nvidia/Cosmos-1.0-Diffusion-7B-Video2World",),
    ),
    _COGVIDEOX_CARD,
    _SVD_CARD,
)

CARDS: Mapping[str, Card] = MappingProxyType({card.name: card for card in _ALL})
"""Every model by name: the released WoW models, then the baselines they are compared with."""
