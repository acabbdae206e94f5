"""`wow train draft`, `world`, `policy` and `idm`, and `wow train export`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeAlias

import tyro

from wow.cli.options import MakesFolder, Seeded, Summary, parse_with_tyro
from wow.cli.progress import Progress
from wow.train.idm_run import IdmRun
from wow.train.loop import Objective, TrainConfig
from wow.train.policy import PolicyRun
from wow.train.recipes import DRAFT_RECIPES, IDM_RECIPES, POLICY_RECIPES, WORLD_RECIPES, find_recipe
from wow.train.store import Clips
from wow.train.world import WorldObjective, WorldRun
from wow.types import WowError

if TYPE_CHECKING:
    from torch import nn

    from wow.train.idm import IdmObjective
    from wow.train.policy import PolicyObjective

StartFrom: TypeAlias = Annotated[tuple[str, ...], tyro.conf.arg(name="from")]


@dataclass(frozen=True, kw_only=True)
class Train(MakesFolder, Seeded):
    """What training any model has in common. The same command again continues where the run was.

    --seed is short for --config.train.seed.
    """

    data: tuple[Path, ...]
    """Folders of LeRobot datasets to train on, of one size and rate; of one robot, for inverse dynamics also of several
    whose actions are the same."""
    recipe: str = "mini"
    """Which named run; all its fields can be overridden, e.g. --config.train.steps 500."""
    max_minutes: float | None = None
    """Stop after this many minutes of this call and keep a checkpoint."""
    camera: str | None = None
    """Camera to train on; the dataset's first where none is named."""
    recipes: ClassVar[Mapping[str, Callable[[], Any]]]

    @classmethod
    def parse(cls, arguments: Sequence[str], verb: str) -> Self:
        """The options on a command line, over the fields of the recipe that it names."""
        required = [each.name for each in fields(cls) if each.default is MISSING and each.default_factory is MISSING]
        over: dict[str, Any] = dict.fromkeys(required, tyro.MISSING)
        recipe = find_recipe(cls.recipes, named_recipe(arguments))
        command: Any = parse_with_tyro(cls, arguments, verb, cls(**over, config=recipe))  # type: ignore[call-arg]
        if command.seed:
            train = replace(command.config.train, seed=command.seed)
            command = replace(command, config=replace(command.config, train=train))
        read: Self = command
        return read

    def continues(self) -> bool:
        return (self.out / "run.json").exists()


@dataclass(frozen=True, kw_only=True)
class OnDemonstrations(Train):
    """Training that can be held to a few episodes of each task."""

    demonstrations: int | None = None
    """Learn from the first so many successful episodes of each instruction, and from no others; from all by default."""
    start_from: StartFrom = ()
    """Models, checkpoints or runs (also a drafter's) that training begins with; of several the later ones win."""

    def clips(self) -> Clips:
        """The episodes to learn from."""
        from wow.train.store import open_clips

        with Progress("decode", total=None) as progress:
            done = partial(progress.stage, "episodes")
            return open_clips(self.data, self.camera, done, self.demonstrations)


@dataclass(frozen=True, kw_only=True)
class OnLatents(OnDemonstrations):
    """Training on the latents of a trained codec."""

    codec: Path
    """Folder of a codec run, or of a checkpoint that has a codec."""
    config: WorldRun = field(default_factory=WORLD_RECIPES["mini"])
    """The recipe's fields."""

    def world(self) -> WorldObjective:
        """The world model's objective, its latents computed or found, its network as training begins with it."""
        from wow import assembly
        from wow.train.distributed import device
        from wow.train.export import as_checkpoint
        from wow.train.world import prepare_world

        encoder = None
        if self.config.relation_weight > 0:
            from wow.bench.lpips import load_lpips

            encoder = load_lpips()
        clips = self.clips()
        codec = assembly.load_codec(as_checkpoint(self.codec)).to(device())
        with Progress("prepare", total=None) as progress:
            objective = prepare_world(
                self.config,
                clips,
                codec,
                assembly.load_text().to(device()),
                self.data[0] / ".cache",
                progress.stage,
                encoder,
            )
        for model in self.start_from:
            begin_with(objective.plain, model, "dit", "draft")
        return objective


@dataclass(frozen=True, kw_only=True)
class TrainDraft(OnLatents):
    """Train the drafter of a video transformer alone: wow train world --from RUN begins with it."""

    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = DRAFT_RECIPES

    def run(self) -> Summary:
        from wow.train.distributed import in_turn
        from wow.train.draft import DraftObjective

        with in_turn():
            objective = DraftObjective(self.world())
        return train_part(self, objective, self.config.train, "draft", objective.about())


@dataclass(frozen=True, kw_only=True)
class TrainWorld(OnLatents):
    """Train the video transformer on the latents of a trained codec."""

    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = WORLD_RECIPES

    def run(self) -> Summary:
        from wow.train.distributed import in_turn

        with in_turn():
            objective = self.world()
        return train_part(self, objective, self.config.train, "dit", objective.about())


@dataclass(frozen=True, kw_only=True)
class TrainPolicy(OnDemonstrations):
    """Train the policy: from a picture and an instruction straight to the motion, by imitation."""

    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = POLICY_RECIPES
    config: PolicyRun = field(default_factory=POLICY_RECIPES["mini"])
    """The recipe's fields."""

    def run(self) -> Summary:
        from wow.train.distributed import in_turn
        from wow.train.words import WordsObjective

        if self.config.words_alone and not self.start_from:
            raise WowError("words alone are learned by a policy that is trained already: add --from MODEL")
        with in_turn():
            prepared = self._prepared()
            objective = WordsObjective(prepared) if self.config.words_alone else prepared
        return train_part(self, objective, self.config.train, "policy", prepared.about())

    def _prepared(self) -> PolicyObjective:
        """The objective, its texts encoded, its network as training begins with it."""
        from wow import assembly
        from wow.train.checkpoint import start_from
        from wow.train.distributed import device
        from wow.train.export import as_checkpoint
        from wow.train.policy import prepare_policy

        clips = self.clips()
        with Progress("prepare", total=None) as progress:
            objective = prepare_policy(
                self.config,
                clips,
                assembly.load_text().to(device()),
                self.data[0] / ".cache",
                partial(progress.stage, "texts"),
            )
        for model in self.start_from:
            # Its motions come in the scale of these data, whatever it was trained with.
            policy = assembly.load_policy(as_checkpoint(assembly.checkpoint_folder(model)), objective.told.scale)
            start_from(objective.network, policy.state_dict())
        return objective


@dataclass(frozen=True, kw_only=True)
class TrainIdm(Train):
    """Train the inverse dynamics model: from the frames of a video to the robot's actions, with their errors."""

    camera: str | None = None
    """Camera to train on, or several with commas; the dataset's first where none is named."""
    codec: Path | None = None
    """Folder of a codec run, or of a checkpoint that has a codec: part of the clips is then seen through it."""
    imagined: tuple[Path, ...] = ()
    """Folders of LeRobot datasets of imagined videos with known actions."""
    start_from: StartFrom = ()
    """Models that come with the package, checkpoints' folders or runs': training begins with their weights, of several
    the later ones win."""
    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = IDM_RECIPES
    config: IdmRun = field(default_factory=IDM_RECIPES["mini"])
    """The recipe's fields."""

    def run(self) -> Summary:
        from wow.train.calibrate import calibrate, trained
        from wow.train.distributed import in_turn
        from wow.train.export import add_to_run

        with in_turn():
            objective = self._prepared()
        summary = train_part(self, objective, self.config.train, "idm", objective.about())
        if os.environ.get("RANK", "0") != "0":
            return summary
        with Progress("calibrate", total=objective.run.measured, unit="clips") as progress:
            calibration, errors = calibrate(
                trained(objective, self.out), objective, on_done=lambda done, _: progress.update(done)
            )
        add_to_run(self.out, {"calibration": asdict(calibration), "held_out": errors})
        return {**summary, **errors}

    def _prepared(self) -> IdmObjective:
        """The objective, its data decoded and encoded, its network as training begins with it."""
        from wow import assembly
        from wow.train.export import as_checkpoint
        from wow.train.idm import Beginning, install_frozen, prepare_idm
        from wow.train.idm_data import open_sources

        codec = None if self.codec is None else assembly.load_codec(as_checkpoint(self.codec))
        with Progress("prepare", total=None) as progress:
            sources = open_sources(
                self.data,
                self.imagined,
                self.camera,
                codec,
                progress.stage,
            )
        beginning = None
        for model in self.start_from:
            inverse = assembly.load_inverse(as_checkpoint(assembly.checkpoint_folder(model)))
            beginning = Beginning(inverse.embodiment.robot, inverse.network.config)
        objective = prepare_idm(self.config, sources, codec, beginning)
        if "frozen" in self.config.model.branches:
            from wow.bench.lpips import load_lpips

            install_frozen(objective, load_lpips().backbone)
        for model in self.start_from:
            begin_with(objective.network, model, "idm")
        return objective


@dataclass(frozen=True, kw_only=True)
class Export(MakesFolder):
    """Write the averaged weights of training runs as a checkpoint that `wow imagine --model FOLDER` uses."""

    start_from: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """A model that comes with the package, or a checkpoint's folder: what no run is named for is taken from it."""
    codec: Path | None = None
    """Folder of a codec run."""
    world: Path | None = None
    """Folder of a world run."""
    idm: Path | None = None
    """Folder of an inverse dynamics run."""
    policy: Path | None = None
    """Folder of a policy run."""
    outcome: Path | None = None
    """Folder of a run of wow train outcome."""
    faults: Path | None = None
    """Folder of a run of wow train faults."""
    share: float = 1.0
    """How much of the runs' weights, the rest being --from's: less than 1 forgets less of what --from could do."""

    def continues(self) -> bool:
        return (self.out / "manifest.json").exists()

    def run(self) -> Summary:
        from wow import assembly, weights
        from wow.train.export import copy_parts, export, same_model

        named = (self.codec, self.world, self.idm, self.policy, self.outcome, self.faults)
        runs = [run for run in named if run is not None]
        if not runs:
            raise WowError(
                "nothing to export: name --codec RUN, --world RUN, --idm RUN, --policy RUN, --outcome RUN or --faults "
                "RUN, or several"
            )
        if not 0.0 < self.share <= 1.0:
            raise WowError(f"--share lies above 0 and up to 1, not {self.share:g}")
        if self.share < 1.0 and self.start_from is None:
            raise WowError("--share mixes a run's weights with those it began from: name these with --from")
        if self.start_from is not None:
            source = assembly.checkpoint_folder(self.start_from)
            for run in runs if self.share < 1.0 else ():
                same_model(run, source)
            copy_parts(source, self.out)
        for run in runs:
            export(run, self.out, self.share)
        return {"out": self.out, "hash": weights.checkpoint_hash(self.out)}


def named_recipe(arguments: Sequence[str]) -> str:
    """The word after --recipe, before anything else is parsed: it decides every other default."""
    for place, word in enumerate(arguments):
        if word == "--recipe" and place + 1 < len(arguments):
            return arguments[place + 1]
        if word.startswith("--recipe="):
            return word.partition("=")[2]
    return "mini"


def begin_with(network: nn.Module, model: str, *parts: str) -> None:
    """Gives a network what fits it of the first of these parts that another model has. Raises WowError without any."""
    from wow import assembly, weights
    from wow.train.checkpoint import start_from
    from wow.train.export import as_checkpoint

    folder = as_checkpoint(assembly.checkpoint_folder(model))
    has = weights.read_manifest(folder).parts
    tensors, _ = weights.load_part(folder, next((part for part in parts if part in has), parts[0]))
    start_from(network, tensors)


def train_part(
    command: Train, objective: Objective[Any], config: TrainConfig, part: str, about: dict[str, Any]
) -> Summary:
    """Trains a part of a checkpoint from where its run was, and says how it went."""
    from wow.bench.arithmetic import Gauge
    from wow.train.distributed import join, leave
    from wow.train.export import write_run
    from wow.train.loop import train

    world = join()
    if world.leads:
        write_run(command.out, part, {**about, "trained": {**sources_of(command), "train": asdict(config)}})
    with Progress("train", total=config.steps, unit="steps", start=_latest_step(command.out)) as progress:
        outcome = train(
            objective,
            config,
            command.out,
            world,
            max_minutes=command.max_minutes,
            on_step=lambda step, loss: progress.update(step, f"loss {loss:.4f}" if math.isfinite(loss) else ""),
            gauge=Gauge(),
        )
    leave()
    if outcome.interrupted:
        raise KeyboardInterrupt(f"saved step {outcome.step} in {command.out}; the same command continues")
    return {"out": command.out, **asdict(outcome)}


def sources_of(command: Train) -> dict[str, Any]:
    """What a run was made from, as JSON values: recipe, data, and whatever else the command was given to learn from."""
    told: dict[str, Any] = {"recipe": command.recipe, "data": [str(folder) for folder in command.data]}
    for name in ("imagined", "codec", "painter", "start_from", "camera", "demonstrations"):
        given = getattr(command, name, None)
        if given:
            told[name] = [str(one) for one in given] if isinstance(given, tuple) else str(given)
    return told


def _latest_step(run: Path) -> int:
    """The step of a run's newest checkpoint, 0 where there is none."""
    from wow.train.checkpoint import latest_checkpoint

    found = latest_checkpoint(run)
    return 0 if found is None else int(found.name.partition("-")[2])
