"""The only file where rooms meet: a model's name becomes its parts, wired together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from wow import weights
from wow.data.embodiment import embodiment_from_json
from wow.imagine.actions import ActionScale
from wow.imagine.mini import MiniWorldModel as MiniWorldModel
from wow.imagine.mini import Request as Request
from wow.imagine.sampler import SamplingOptions as SamplingOptions
from wow.models.codec import Codec, CodecConfig
from wow.models.dit import DiT, DiTConfig
from wow.models.text import TextConditioner, TextEncoder, TextEncoderConfig
from wow.types import WowError


def load(name: str | Path = "wow-mini", device: str | None = None) -> MiniWorldModel:
    """A world model ready to imagine: one that comes with the package, or the folder of one.

    Raises WowError for an unknown name, and for weights that are missing or corrupted.
    """
    folder = checkpoint_folder(name)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    codec = load_codec(folder).to(where)
    tensors, config = weights.load_part(folder, "dit")
    dit = DiT(DiTConfig(**config["model"]))
    _fill(dit, tensors, folder)
    return MiniWorldModel(
        codec=codec,
        dit=dit.eval().to(where),
        text=load_text(folder).to(where),
        scale=ActionScale(tuple(config["action_scale"]["centre"]), tuple(config["action_scale"]["spread"])),
        embodiment=embodiment_from_json(config["embodiment"], str(folder)),
        typical_seconds=float(config["typical_seconds"]),
        size=int(config["size"]),
        name=folder.name,
        device=where,
    )


def model_hash(name: str | Path) -> str:
    """The hash of a model's weights, to tell whose numbers are whose."""
    return weights.checkpoint_hash(checkpoint_folder(name))


def checkpoint_folder(name: str | Path) -> Path:
    """The folder of a checkpoint that is named, or given as a path."""
    path = Path(name)
    return path if path.is_dir() else weights.shipped(str(name))


def load_codec(folder: Path) -> Codec:
    """The codec of a checkpoint folder."""
    tensors, config = weights.load_part(folder, "codec")
    sizes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config["model"].items()
    }
    codec = Codec(CodecConfig(**sizes))
    # A count of batches seen: it is no weight, and neither stored nor used.
    tensors.setdefault("normalise.num_batches_tracked", torch.tensor(0))
    _fill(codec, tensors, folder)
    ready: Any = codec.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(ready, Codec)
    return ready


def load_text(folder: Path | None = None) -> TextConditioner:
    """The text encoder of a checkpoint; the one that comes with the package where the folder has none."""
    home = (
        folder if folder is not None and "text" in weights.read_manifest(folder).parts else weights.shipped("wow-mini")
    )
    tensors, config = weights.load_part(home, "text")
    encoder = TextEncoder.from_tensors(tensors, TextEncoderConfig(**config))
    return TextConditioner(encoder, weights.load_file(home, "text", "tokenizer.json"))


def _fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WowError(f"the weights in {folder} do not fit their configuration ({reason}); run wow doctor") from None
