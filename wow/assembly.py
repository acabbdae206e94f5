"""The only file where rooms meet: a model's name becomes its parts, wired together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wow import weights
from wow.act.calibration import calibration_from_json
from wow.act.inverse import InverseDynamics as InverseDynamics
from wow.act.inverse import Mask as Mask
from wow.act.loop import Leg as Leg
from wow.act.loop import LoopOptions as LoopOptions
from wow.act.loop import Outcome as Outcome
from wow.act.loop import run_episode as run_episode
from wow.act.planner import DemonstratingPlanner as DemonstratingPlanner
from wow.act.planner import GivenPlanner as GivenPlanner
from wow.act.planner import ImaginingPlanner as ImaginingPlanner
from wow.act.planner import Plan as Plan
from wow.act.planner import Planner as Planner
from wow.act.reading import Layout
from wow.data.embodiment import embodiment_from_json
from wow.imagine.actions import ActionScale
from wow.imagine.contract import demand
from wow.imagine.mini import MiniWorldModel as MiniWorldModel
from wow.imagine.mini import Request as Request
from wow.imagine.sampler import SamplingOptions as SamplingOptions
from wow.models.codec import Codec, CodecConfig
from wow.models.dit import DiT, DiTConfig
from wow.models.idm import IdmConfig, InverseDynamicsModel, Scale
from wow.models.text import TextConditioner, TextEncoder, TextEncoderConfig
from wow.types import Actions, Embodiment, Float32, Video, WowError


@dataclass(frozen=True)
class Agent(MiniWorldModel):
    """A world model that can also act on what it imagines. inverse: None where its checkpoint has no such part."""

    inverse: InverseDynamics | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        return super().capabilities | ({"inverse_dynamics"} if self.inverse else set())

    def act(
        self,
        video: Video,
        *,
        mask: Mask = "auto",
        paced: bool = True,
        start: Float32 | None = None,
        embodiment: Embodiment | None = None,
    ) -> Actions:
        """The actions [T, D] that lead through the video's T+1 frames; see `InverseDynamics.read` for the options."""
        if self.inverse is None:
            demand("inverse_dynamics", self.name, self.capabilities)
            raise AssertionError("a model without inverse dynamics says so")
        return self.inverse.act(video, mask=mask, paced=paced, start=start, embodiment=embodiment)


def load(name: str | Path = "wow-mini", device: str | None = None) -> Agent:
    """A world model ready to imagine and act: one that comes with the package, or the folder of one.

    Raises WowError for an unknown name, and for weights that are missing or corrupted.
    """
    folder = checkpoint_folder(name)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    codec = load_codec(folder).to(where)
    tensors, config = weights.load_part(folder, "dit")
    dit = DiT(DiTConfig(**config["model"]))
    _fill(dit, tensors, folder)
    return Agent(
        codec=codec,
        dit=dit.eval().to(where),
        text=load_text(folder).to(where),
        scale=ActionScale(**{name: tuple(values) for name, values in config["action_scale"].items()}),
        embodiment=embodiment_from_json(config["embodiment"], str(folder)),
        typical_seconds=float(config["typical_seconds"]),
        size=int(config["size"]),
        name=folder.name,
        device=where,
        inverse=load_inverse(folder, device) if "idm" in weights.read_manifest(folder).parts else None,
    )


def load_inverse(folder: Path, device: str | None = None) -> InverseDynamics:
    """The inverse dynamics model of a checkpoint folder. Raises WowError where it has none."""
    if "idm" not in weights.read_manifest(folder).parts:
        raise WowError(
            f"{folder.name} cannot do inverse_dynamics: train it with wow train idm, and add it with "
            f"wow train export --idm RUN --out FOLDER"
        )
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    tensors, config = weights.load_part(folder, "idm")
    network = InverseDynamicsModel(_idm_config(config["model"]))
    _fill(network, tensors, folder)
    layout, calibration = config["layout"], config.get("calibration")
    return InverseDynamics(
        network=network.eval().to(where),
        embodiment=embodiment_from_json(config["embodiment"], str(folder)),
        layout=Layout(**{**layout, "moves": tuple(layout["moves"])}),
        calibration=None if calibration is None else calibration_from_json(calibration, str(folder)),
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


def _idm_config(stored: dict[str, Any]) -> IdmConfig:
    """The configuration from JSON, where tuples are lists."""
    sizes: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    for name in ("action", "place"):
        sizes[name] = Scale(**{key: tuple(row) for key, row in stored[name].items()})
    return IdmConfig(**sizes)


def _fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WowError(f"the weights in {folder} do not fit their configuration ({reason}); run wow doctor") from None
