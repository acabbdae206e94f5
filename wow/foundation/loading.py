"""A model's files become a pipeline, arranged on a machine as planned."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wow.foundation.card import Card, Role
from wow.foundation.checkpoint_network import empty_network, fill
from wow.foundation.embeddings import Prompts, Shelf, cache_folder
from wow.foundation.families import WAYS
from wow.foundation.machine import at_hand
from wow.foundation.memory import GB, Job, Setting, job_of, weights
from wow.foundation.merge_lora import Loras, check_lora, with_loras
from wow.foundation.pipeline import FoundationWorldModel
from wow.foundation.plan import NO_WISH, Plan, Wish, choose
from wow.foundation.quantise import quantiser, quantisers
from wow.foundation.schedules import scheduler_of
from wow.foundation.shot import Tell, quiet
from wow.foundation.source import NETWORKS, RENAMED, Source, find
from wow.types import WowError

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}


def plan_for(source: Source, wish: Wish = NO_WISH, job: Job | None = None, processes: int = 1) -> Plan:
    """How a model would be run on this machine. job: the clip; as published where none is given.

    processes: how many share the memory (and have a GPU each, or share the cores).
    """
    return choose(source.card, job or job_of(source.card), at_hand(wish.device).shared(processes), wish, quantisers())


def load(source: Source, plan: Plan, tell: Tell = quiet, loras: Loras = ()) -> FoundationWorldModel:
    """A model ready to imagine. Its networks are read when the first clip is asked for, the text encoder before them.

    tell: is told what changes on the way, in one line each. loras: merged into the transformer, each with its scale.
    """
    card = source.card
    prompts = None
    if card.num_words:
        shelf = Shelf(cache_folder(), encoder_mark(source, plan.setting))
        prompts = Prompts(_reader(source), card, lambda: text_encoder(source, plan), shelf)
    return FoundationWorldModel(
        card, lambda setting: pipeline(source, setting, plan.device, loras), prompts, plan, tell
    )


def pipeline(source: Source, setting: Setting, device: str, loras: Loras = ()) -> Any:
    """The pipeline without its text encoder, on the device or ready to go there."""
    card = source.card
    straight = device if setting.offload == "none" else "cpu"
    parts: dict[str, Any] = {
        "scheduler": _scheduler(source),
        "transformer": transformer(source, setting, device, loras),
    }
    for role in ("vae", "image_encoder"):
        if card.has(role):
            parts[role] = network(source, role, setting, straight)
    if card.family == "svd":
        from transformers import CLIPImageProcessor

        parts["image_processor"] = CLIPImageProcessor.from_pretrained(
            source.places["image_processor"], local_files_only=True
        )
    return arrange(WAYS[card.family].build(card, parts), setting, device)


def arrange(pipeline: Any, setting: Setting, device: str) -> Any:
    """The pipeline with its networks where the setting says they are while they do not run."""
    if setting.tiling and hasattr(pipeline.vae, "use_tiling"):
        pipeline.vae.enable_tiling()
    if setting.offload == "none" or device == "cpu":
        return pipeline.to(device)
    if setting.offload == "model":
        pipeline.enable_model_cpu_offload(device=device)
        return pipeline
    denoiser = getattr(pipeline, "transformer", None) or pipeline.unet
    denoiser.enable_group_offload(
        onload_device=torch.device(device), offload_type="block_level", num_blocks_per_group=1, use_stream=True
    )
    for part in (pipeline.vae, getattr(pipeline, "image_encoder", None)):
        if part is not None:
            part.to(device)
    return pipeline


def transformer(source: Source, setting: Setting, device: str, loras: Loras = ()) -> nn.Module:
    """The network that denoises, on the device or waiting for it: its LoRAs merged, quantised where that is planned.

    Layer by layer, so that memory never holds more than what stays and one tensor.
    """
    checkpoint = source.open("transformer")
    empty = empty_network(checkpoint.library, checkpoint.kind, checkpoint.config)
    weights = with_loras(checkpoint, checkpoint.shapes(), loras) if loras else checkpoint
    settle = quantiser(empty, setting.quantisation, device) if setting.quantisation != "none" else lambda name: None
    straight = device if setting.offload == "none" else "cpu"
    return fill(empty, weights, dtype=DTYPES[setting.dtype], device=straight, settle=settle).eval()


def network(source: Source, role: Role, setting: Setting, device: str) -> nn.Module:
    """One of a model's networks with its weights, in the setting's precision; Wan's VAE keeps float32."""
    precise = role == "vae" and source.card.family.startswith("wan")
    if source.card.part(role).kind in RENAMED:
        return _by_transformers(source, role, DTYPES[setting.dtype], device)
    checkpoint = source.open(role)
    empty = empty_network(checkpoint.library, checkpoint.kind, checkpoint.config)
    return fill(empty, checkpoint, dtype=DTYPES["float32" if precise else setting.dtype], device=device).eval()


def _by_transformers(source: Source, role: Role, dtype: torch.dtype, device: str) -> nn.Module:
    """A network as transformers reads it back, from safetensors alone, and only where every tensor found its place."""
    import transformers

    kind, path = getattr(transformers, source.card.part(role).kind), source.places[role]
    read, about = kind.from_pretrained(
        path, local_files_only=True, use_safetensors=True, dtype=dtype, output_loading_info=True
    )
    wrong = [str(name) for what in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in about[what]]
    if wrong:
        raise WowError(
            f"{path} does not fit {kind.__name__}: {len(wrong)} tensors, {', '.join(wrong[:3])}: get it again"
        )
    network: nn.Module = read.eval().requires_grad_(False).to(device)
    return network


def text_encoder(source: Source, plan: Plan) -> nn.Module:
    """The text encoder, on the GPU where there is room for it at the moment."""
    wanted = weights(source.card, "text_encoder", plan.setting) + GB
    room = torch.cuda.mem_get_info()[0] if plan.device == "cuda" else 0
    return network(source, "text_encoder", plan.setting, "cuda" if room > wanted else "cpu")


def tokenizer(source: Source) -> Any:
    """The model's tokenizer, from its own files; none of its code is run."""
    from transformers import AutoTokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AutoTokenizer.from_pretrained(source.places["tokenizer"], local_files_only=True, trust_remote_code=False)


def encoder_mark(source: Source, setting: Setting) -> str:
    """What tells this text encoder's embeddings from another's: its files by name, size and time, and its precision."""
    at = source.places["text_encoder"]
    files = sorted(path for path in (at.rglob("*") if at.is_dir() else [at]) if path.is_file())
    listed = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    said = "\n".join([source.card.family, str(source.card.num_words), setting.dtype, *listed])
    return hashlib.sha256(said.encode()).hexdigest()


def open_model(
    name: str | Source,
    wish: Wish = NO_WISH,
    job: Callable[[Card], Job] = job_of,
    tell: Tell = quiet,
    loras: Loras = (),
    processes: int = 1,
) -> FoundationWorldModel:
    """A model by its name, folder or files, planned for this machine; what was planned is told before anything is read.

    job: the clips that it is planned for, from its card. loras: files to merge into the transformer, with their scales.
    processes: how many of these share this machine.
    Raises WowError before weights are read where a file is wrong or damaged.
    """
    source = name if isinstance(name, Source) else find(name)
    check_files(source, [path for path, _ in loras])
    plan = plan_for(source, wish, job(source.card), processes)
    tell(str(plan))
    return load(source, plan, tell, loras)


def check_files(source: Source, loras: Sequence[Path] = ()) -> None:
    """Raises WowError where a network's file is wrong or damaged, or a LoRA does not fit. Headers alone are read."""
    for role in NETWORKS:
        if source.card.has(role):
            source.check(role)
    for path in loras:
        check_lora(source.open("transformer").shapes(), path)


def _reader(source: Source) -> Any:
    """The pipeline as far as reading prompts needs it: a tokenizer, and a VAE without weights that tells its sizes."""
    vae = source.open("vae")
    parts = {
        "tokenizer": tokenizer(source),
        "scheduler": _scheduler(source),
        "vae": empty_network(vae.library, vae.kind, vae.config),
        "transformer": None,
    }
    return WAYS[source.card.family].build(source.card, parts)


def _scheduler(source: Source) -> Any:
    return scheduler_of(source.card.sampler, source.card.sampler.shift)
