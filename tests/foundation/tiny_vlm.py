"""A vision-language model of some kilobytes: random weights, real files, so that real code reads and runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>")
"""Tokens with a meaning of their own; the last picture token of Qwen's families is the one that pieces stand for."""


def byte_tokenizer() -> Any:
    """A tokenizer that knows every byte and the families' marks, and nothing else."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(MARKS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", additional_special_tokens=MARKS
    )


def save_tiny_qwen(folder: Path, family: str = "qwen2_5_vl") -> Path:
    """A folder as `save_pretrained` leaves it, of the named family."""
    import torch
    import transformers

    tokenizer = byte_tokenizer()
    ids = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in MARKS}
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 16384,
        "eos_token_id": ids["<|im_end|>"], "bos_token_id": None, "pad_token_id": ids["<|endoftext|>"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3],
                            "mrope_interleaved": family == "qwen3_vl"},
    }  # fmt: skip
    seeing = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 32}
    marks = {"image_token_id": ids["<|image_pad|>"], "vision_start_token_id": ids["<|vision_start|>"],
             "vision_end_token_id": ids["<|vision_end|>"], "video_token_id": len(tokenizer)}  # fmt: skip
    torch.manual_seed(0)
    if family == "qwen3_vl":
        seeing |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 16, "patch_size": 16}
        config = transformers.Qwen3VLConfig(text_config=text, vision_config=seeing, **marks)
        model = transformers.Qwen3VLForConditionalGeneration(config)
    else:
        seeing |= {"fullatt_block_indexes": [1], "window_size": 56}
        config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=seeing, **marks)
        model = transformers.Qwen2_5_VLForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    sizes = {"patch_size": seeing.get("patch_size", 14), "merge_size": 2, "temporal_patch_size": 2}
    stored = {"image_processor_type": "Qwen2VLImageProcessor", **sizes, "min_pixels": 784, "max_pixels": 12544}
    (folder / "preprocessor_config.json").write_text(json.dumps(stored))
    return folder


def save_tiny_llava(folder: Path, says: tuple[str, str] | None = None) -> Path:
    """A folder of another family, whose processor needs nothing but Pillow: for servers that load a whole processor.

    Random weights; or, with `says`, weights set by hand: it answers with the first text, and with the second where the
    question ends in "or false}".
    """
    import torch
    import transformers

    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]}, replace_extra_special_tokens=False)
    if says:
        tokenizer.add_tokens([*says, "or false}"])
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 16}  # fmt: skip
    text = {"vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 16384, "pad_token_id": tokenizer.pad_token_id,
            "eos_token_id": tokenizer.eos_token_id, "tie_word_embeddings": False}  # fmt: skip
    config = transformers.LlavaConfig(
        text_config=transformers.LlamaConfig(**text),
        vision_config=transformers.CLIPVisionConfig(**vision),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
        vision_feature_layer=-1,
    )
    torch.manual_seed(0)
    model = transformers.LlavaForConditionalGeneration(config)
    if says:
        _teach(model, tokenizer, says)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    # The question's last token decides the answer: nothing stands between the two.
    template = (
        "{% for message in messages %}{% for part in message.content %}{% if part.type == 'image' %}<image>"
        "{% else %}{{ part.text }}{% endif %}{% endfor %}\n{% endfor %}"
    )
    transformers.LlavaProcessor(
        image_processor=_pillow_processor({"shortest_edge": 32}),
        tokenizer=tokenizer,
        patch_size=16,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
        chat_template=template.replace("\n{% endfor %}", "{% endfor %}"),
    ).save_pretrained(folder)
    return folder


def _pillow_processor(size: dict[str, int]) -> Any:
    import transformers

    kind = getattr(transformers, "CLIPImageProcessorPil", None) or transformers.CLIPImageProcessor
    return kind(size=size, crop_size={"height": 32, "width": 32})


def _teach(model: Any, tokenizer: Any, says: tuple[str, str]) -> None:
    """Sets weights so that the next token depends on the last one alone: answers, then the end."""
    import torch

    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        table.zero_()
        head.zero_()
        usual, semantic = (tokenizer.convert_tokens_to_ids(text) for text in says)
        table[:, 0] = 1.0
        for token, feature in ((tokenizer.convert_tokens_to_ids("or false}"), 1), (usual, 2), (semantic, 2)):
            table[token, 0], table[token, feature] = 0.0, 1.0
        for token, feature in ((usual, 0), (semantic, 1), (tokenizer.eos_token_id, 2)):
            head[token, feature] = 10.0
