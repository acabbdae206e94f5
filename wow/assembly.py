"""The only file where rooms meet: a model's name becomes its parts, wired together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wow import judges, weights
from wow.act.calibration import calibration_from_json
from wow.act.controller import num_control_steps as num_control_steps
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
from wow.act.planner import in_transitions as in_transitions
from wow.act.policy import CloningPlanner as CloningPlanner
from wow.act.policy import PolicyPlanner as PolicyPlanner
from wow.act.reading import Layout
from wow.act.reading import Reading as Reading
from wow.data.embodiment import embodiment_from_json
from wow.imagine.actions import ActionScale
from wow.imagine.anew import motion_corrector as motion_corrector
from wow.imagine.contract import demand
from wow.imagine.correct import Read
from wow.imagine.mini import MiniWorldModel as MiniWorldModel
from wow.imagine.mini import Request as Request
from wow.imagine.sampler import SamplingOptions as SamplingOptions
from wow.judges import REFINERS as REFINERS
from wow.judges import answer as answer
from wow.judges import calibrated as calibrated
from wow.judges import endpoint_from_environment as endpoint_from_environment
from wow.judges import ensemble as ensemble
from wow.judges import ensemble_of as ensemble_of
from wow.judges import fit_for as fit_for
from wow.judges import grammar_refiner as grammar_refiner
from wow.judges import motion_critic as motion_critic
from wow.judges import named as named
from wow.judges import outsiders as outsiders
from wow.judges import prices_from_environment as prices_from_environment
from wow.judges import speaker as speaker
from wow.judges import store as store
from wow.models.codec import Codec, CodecConfig
from wow.models.dit import DiT, DiTConfig
from wow.models.faults import FaultConfig, FaultNetwork
from wow.models.idm import IdmConfig, InverseDynamicsModel, Scale
from wow.models.judge import FaultJudge, OutcomeJudge, chance_from_json
from wow.models.outcome import OutcomeConfig, OutcomeNetwork
from wow.models.policy import Policy, PolicyConfig
from wow.models.text import TextConditioner, TextEncoder, TextEncoderConfig
from wow.refine.contract import Attempt as Attempt
from wow.refine.contract import Corrector as Corrector
from wow.refine.contract import Critic as Critic
from wow.refine.contract import Paced as Paced
from wow.refine.contract import Refiner as Refiner
from wow.refine.contract import Round as Round
from wow.refine.ensemble import critique as critique
from wow.refine.grammar import GrammarRefiner as GrammarRefiner
from wow.refine.learned import LearnedCritic as LearnedCritic
from wow.refine.loop import Search as Search
from wow.refine.loop import Team as Team
from wow.refine.loop import refine as refine
from wow.refine.page import write_page as write_page
from wow.refine.rules import Budget as Budget
from wow.refine.rules import Rules as Rules
from wow.refine.rules import attempts_of as attempts_of
from wow.refine.trace import Trace as Trace
from wow.types import Actions, Embodiment, Float32, UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.foundation.agent import FoundationAgent
    from wow.foundation.pipeline import FoundationWorldModel


@dataclass(frozen=True)
class Agent(MiniWorldModel):
    """A world model that can also act on what it imagines. inverse: None where its checkpoint has no such part.

    folder: where its checkpoint is.
    """

    inverse: InverseDynamics | None = None
    folder: Path | None = None

    @property
    def capabilities(self) -> frozenset[str]:
        return super().capabilities | ({"inverse_dynamics"} if self.inverse else set())

    def motion_reader(self) -> Read | None:
        if self.inverse is None:
            return None

        def read(clips: UInt8) -> Tensor:
            return torch.stack([self._motion_in(clip) for clip in clips]).to(self.device)

        return read

    def _motion_in(self, clip: UInt8) -> Tensor:
        """The normalised motion that is read from a clip [T, H, W, 3]; NaN where nothing can be read."""
        try:
            actions = self.read(Video(clip, 1.0), paced=False).actions
        except WowError:
            return torch.full((len(clip) - 1, len(self.embodiment.action)), torch.nan)
        return torch.from_numpy(self.scale.motion(actions.values))

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
        return self._hands().act(video, mask=mask, paced=paced, start=start, embodiment=embodiment)

    def read(self, video: Video, *, paced: bool = True, start: Float32 | None = None) -> Reading:
        """Everything that the video's T+1 frames say, gripper events and confidence among it."""
        return self._hands().read(video, paced=paced, start=start)

    def _hands(self) -> InverseDynamics:
        demand("inverse_dynamics", self.name, self.capabilities)
        assert self.inverse is not None
        return self.inverse


if TYPE_CHECKING:
    Actor = Agent | FoundationAgent  # what somebody acts with


def open_model(name: str | Path = "wow-mini", device: str | None = None) -> Agent | FoundationWorldModel:
    """A world model ready to imagine: ours, as `load` brings it, or a foundation model, planned for this machine.

    Raises WowError for files that are missing, and for a model that this machine cannot run.
    """
    from wow.foundation.source import is_foundation  # which loads torch alone; diffusers when a model is one

    if not is_foundation(name):
        return load(name, device)
    from wow.foundation.loading import open_model as open_foundation
    from wow.foundation.plan import Wish

    return open_foundation(str(name), Wish(device=device))


def open_agent(
    name: str | Path = "wow-mini", device: str | None = None, tell: Callable[[str], None] = lambda line: None
) -> Actor:
    """A world model that somebody acts with: ours, or a foundation model whose videos wow-mini reads.

    tell: is told how a foundation model is planned. Raises WowError as `open_model`.
    """
    from wow.foundation.source import find, is_foundation

    if not is_foundation(name):
        return load(name, device)
    from wow.foundation.agent import FoundationAgent
    from wow.foundation.loading import open_model as open_foundation
    from wow.foundation.plan import Wish

    source = find(str(name))
    return FoundationAgent(
        open_foundation(source, Wish(device=device), tell=tell), source, lambda: load("wow-mini", device)
    )


def load(name: str | Path = "wow-mini", device: str | None = None) -> Agent:
    """A world model ready to imagine and act: one that comes with the package, or the folder of one.

    Raises WowError for an unknown name, and for weights that are missing or corrupted.
    """
    folder = checkpoint_folder(name)
    where, parts = _device(device), weights.read_manifest(folder).parts
    codec = load_codec(folder).to(where)
    tensors, config = weights.load_part(folder, "dit")
    dit = DiT(DiTConfig(**config["model"]))
    _fill(dit, tensors, folder)
    scale = _scale(config["action_scale"])
    return Agent(
        codec=codec,
        dit=dit.eval().to(where),
        text=load_text(folder).to(where),
        scale=scale,
        embodiment=embodiment_from_json(config["embodiment"], str(folder)),
        typical_seconds=float(config["typical_seconds"]),
        size=int(config["size"]),
        name=folder.name,
        device=where,
        guesser=load_policy(folder, scale).to(where) if "policy" in parts else None,
        inverse=load_inverse(folder, device) if "idm" in parts else None,
        folder=folder,
    )


def load_policy(folder: Path, scale: ActionScale) -> Policy:
    """The policy of a checkpoint folder; its motions are normalised by `scale`, whatever it was trained with.

    Raises WowError where its motions add up other dimensions than those of `scale`.
    """
    tensors, config = weights.load_part(folder, "policy")
    policy = Policy(PolicyConfig(**_sizes(config["model"])))
    _fill(policy, tensors, folder)
    own = _scale(config["action_scale"])
    if own.summed != scale.summed:
        raise WowError(f"the policy in {folder} was trained for another robot: train it on the world model's data")
    policy.rescale(
        [a / b for a, b in zip(own.spread, scale.spread, strict=True)],
        [(a - b) / c for a, b, c in zip(own.centre, scale.centre, scale.spread, strict=True)],
    )
    ready: Any = policy.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert isinstance(ready, Policy)
    return ready


def practised_policy(folder: Path) -> tuple[Policy, ActionScale, int]:
    """The policy of a checkpoint folder in its own scale, that scale, and the size of the pictures that it sees.

    Raises WowError where there is none.
    """
    if "policy" not in weights.read_manifest(folder).parts:
        raise WowError(f"{folder.name} has no policy, which motions are held against: name another with --policy")
    _, config = weights.load_part(folder, "policy")
    scale = _scale(config["action_scale"])
    return load_policy(folder, scale).requires_grad_(False), scale, int(config["size"])


def mark_of_policy(folder: Path) -> str:
    """What tells the policy of a checkpoint folder from others."""
    return " ".join(sorted(file.sha256 for file in weights.read_manifest(folder).parts["policy"].files))


def load_inverse(folder: Path, device: str | None = None) -> InverseDynamics:
    """The inverse dynamics model of a checkpoint folder. Raises WowError where it has none."""
    if "idm" not in weights.read_manifest(folder).parts:
        raise WowError(
            f"{folder.name} cannot do inverse_dynamics: train it with wow train idm, and add it with "
            f"wow train export --idm RUN --out FOLDER"
        )
    where = _device(device)
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


def load_outcome(folder: Path, device: str | None = None) -> OutcomeJudge:
    """Who says how likely motions are to succeed, of a checkpoint folder. Raises WowError where it has nobody.

    The practised hand is its own policy's, or that of the model that comes with the package.
    """
    _check_part(folder, "outcome")
    where = _device(device)
    tensors, config = weights.load_part(folder, "outcome")
    home = folder if "policy" in weights.read_manifest(folder).parts else weights.shipped()
    policy, scale, size = practised_policy(home)
    if config.get("policy") != mark_of_policy(home):
        warnings.warn(f"{folder.name}'s critic learned beside another policy: train it again", stacklevel=2)
    try:
        network = OutcomeNetwork(OutcomeConfig(**_sizes(config["model"])), policy)
    except ValueError as problem:
        raise WowError(f"the critic in {folder} does not fit the policy in {home}: {problem}") from None
    _fill(network, tensors, folder)
    transitions = network.num_transitions

    def motion_of(actions: Actions) -> Float32:
        return scale.motion(in_transitions(actions, transitions).values)

    chance = chance_from_json(config.get("calibration", {"slope": 1.0, "offset": 0.0}), str(folder))
    return OutcomeJudge(network.eval().to(where), load_text(folder).to(where), motion_of, size, chance, where)


def load_faults(folder: Path, device: str | None = None) -> FaultJudge:
    """Who sees faults in videos, of a checkpoint folder. Raises WowError where it has nobody."""
    _check_part(folder, "faults")
    where = _device(device)
    tensors, config = weights.load_part(folder, "faults")
    network: Any = FaultNetwork(FaultConfig(**_sizes(config["model"])))
    _fill(network, tensors, folder)
    ready = network.eval().to(where).to(memory_format=torch.channels_last)
    return FaultJudge(ready, float(config.get("alarm", math.inf)), where)


def learned_critic(agent: Actor) -> LearnedCritic:
    """The learned critic of a model: its own where it has one, else the one that comes with the package.

    Raises WowError where neither has one, or the model cannot read actions from videos.
    """
    if "inverse_dynamics" not in agent.capabilities:
        raise WowError(
            f"{agent.name} reads no actions from videos, which the learned critic judges: judge without it, "
            f"--critic checks"
        )
    own = agent.folder
    home = own if own is not None and "outcome" in weights.read_manifest(own).parts else weights.shipped()
    eye = load_faults(home) if "faults" in weights.read_manifest(home).parts else None
    return LearnedCritic(judges.reader(agent), load_outcome(home), eye)


def _check_part(folder: Path, part: str) -> None:
    if part not in weights.read_manifest(folder).parts:
        raise WowError(
            f"{folder.name} has no learned critic: train one with wow train {part}, and add it with "
            f"wow train export --{part} RUN --out FOLDER"
        )


def model_hash(name: str | Path) -> str:
    """The hash of a model's weights, to tell whose numbers are whose; of a foundation model's, of pieces of them."""
    from wow.foundation.source import find, is_foundation

    if is_foundation(name):
        from wow.foundation.identity import digest_of

        return digest_of(find(str(name)))
    return weights.checkpoint_hash(checkpoint_folder(name))


def checkpoint_folder(name: str | Path) -> Path:
    """The folder of a checkpoint that is named, or given as a path."""
    path = Path(name)
    return path if path.is_dir() else weights.shipped(str(name))


def load_codec(folder: Path) -> Codec:
    """The codec of a checkpoint folder."""
    tensors, config = weights.load_part(folder, "codec")
    codec = Codec(CodecConfig(**_sizes(config["model"])))
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


CRITICS: dict[str, Callable[[Actor], Critic]] = {
    "learned": lambda agent: learned_critic(agent),
    **judges.CRITICS,
}
"""The critics at hand by the names that `--critic` takes; see `wow.judges.CRITICS`."""


def _device(name: str | None) -> torch.device:
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def _sizes(stored: dict[str, Any]) -> dict[str, Any]:
    """A configuration from JSON, where tuples are lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}


def _scale(stored: dict[str, Any]) -> ActionScale:
    return ActionScale(**{name: tuple(values) for name, values in stored.items()})


def _idm_config(stored: dict[str, Any]) -> IdmConfig:
    sizes = _sizes(stored)
    for name in ("action", "place"):
        sizes[name] = Scale(**{key: tuple(row) for key, row in stored[name].items()})
    return IdmConfig(**sizes)


def _fill(module: torch.nn.Module, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WowError(f"the weights in {folder} do not fit their configuration ({reason}); run wow doctor") from None
