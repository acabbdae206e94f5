"""What a suite's metrics are handed by the command line: who executes videos in the simulator, and who judges them."""

from __future__ import annotations

import hashlib
import importlib.util
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wow.types import Actions, Embodiment, Video, WowError

if TYPE_CHECKING:
    from wow.bench.dimensions.contract import Executor, Judge
    from wow.bench.suite import Sample
    from wow.bench.toolbox import StandardToolbox
    from wow.sim.altered import AlteredScene
    from wow.sim.changes import SceneCard

AUTO, NONE = "auto", "none"
DEFAULT_READER = "wow-mini"
BUDGET = 2000
"""Control steps of an execution at most: 25 s of robot time."""


@dataclass(frozen=True)
class SceneExecutor:
    """Reads a video by inverse dynamics and carries the actions out, open loop, in the scene of the sample's card.

    The video's rate is not believed: whoever imagines chooses a pace of his own, and the truth is read the same way.
    act: a video and where the hand's target is in its first frame [3, m] to actions.
    """

    name: str
    act: Any
    scenes: dict[SceneCard, AlteredScene]

    def __call__(self, video: Video, sample: Sample, shuffled: bool = False) -> float:
        """1.0 where all of the scene's tasks get done; see `Executor`."""
        from wow.assembly import GivenPlanner, LoopOptions, run_episode
        from wow.bench.dimensions.contract import Unreadable
        from wow.sim.arm import MetaWorldArm

        scene = self._scene(sample)
        scene.reset()
        arm = MetaWorldArm(scene)
        try:
            actions: Actions = self.act(video, arm.target, False)
        except WowError as problem:
            raise Unreadable(str(problem)) from None
        if shuffled:
            actions = in_another_order(actions, zlib.crc32(sample.key.encode()))
        outcome = run_episode(arm, GivenPlanner(actions), LoopOptions(open_loop=True, budget=BUDGET))
        return float(outcome.success)

    def _scene(self, sample: Sample) -> AlteredScene:
        """The sample's scene as it begins; the last one is kept."""
        from wow.bench.dimensions.contract import NotMeasurable
        from wow.bench.suite import SCENE
        from wow.sim.altered import AlteredScene
        from wow.sim.changes import card_from_json

        if SCENE not in sample.meta.facts:
            raise NotMeasurable("the sample has no simulated scene")
        card = card_from_json(sample.meta.facts[SCENE])
        if card not in self.scenes:
            self.scenes.clear()
            self.scenes[card] = AlteredScene(card)
        return self.scenes[card]


def simulated_arm() -> Embodiment:
    """What the actions of an open suite's samples mean."""
    from wow.sim.job import RecordingOptions
    from wow.sim.record import sawyer_card

    return sawyer_card(RecordingOptions())


def in_another_order(actions: Actions, seed: int) -> Actions:
    """The same actions, shuffled."""
    import numpy as np

    order = np.random.default_rng(seed).permutation(len(actions))
    return replace(actions, values=actions.values[order], deviations=None)


@dataclass(frozen=True)
class ExecutorMaker:
    """Makes the executor where a process needs it. model: whose inverse dynamics reads the videos."""

    model: str

    def name(self) -> str:
        """What executes: inverse dynamics with its own version, since no other part of the model matters.

        Raises WowError where it is missing.
        """
        from wow import weights
        from wow.assembly import checkpoint_folder

        if importlib.util.find_spec("metaworld") is None:
            raise WowError("the simulator is not installed: pip install 'wow-world-model[sim]'")
        folder = checkpoint_folder(self.model)
        if "idm" not in weights.read_manifest(folder).parts:
            raise WowError(f"{folder.name} has no inverse dynamics to read videos with")
        return f"inverse dynamics of {folder.name} {weights.part_hash(folder, 'idm')[:12]}, open loop"

    def __call__(self) -> Executor:
        from wow.assembly import load
        from wow.cli.episode import reader

        read = reader(load(self.model))
        return SceneExecutor(self.name(), lambda *asked: read(*asked).actions, {})


@dataclass(frozen=True)
class JudgeMaker:
    """Makes the judge where a process needs it. judge: "endpoint", or the folder of a local model."""

    judge: str
    trials: int
    cache: Path

    def name(self) -> str:
        """Who judges: a model's name, or a folder's with a piece of the hash of its configuration."""
        if self.judge == "endpoint":
            from wow.assembly import endpoint_from_environment

            return endpoint_from_environment().model
        config = Path(self.judge) / "config.json"
        if not config.is_file():
            raise WowError(f"--judge {self.judge} is no folder of a model: name one, or endpoint")
        return f"{Path(self.judge).resolve().name} {hashlib.sha256(config.read_bytes()).hexdigest()[:8]}"

    def __call__(self) -> Judge:
        from wow.assembly import answer, speaker
        from wow.bench.judge import ModelJudge

        asked = speaker(self.judge, varied=self.trials > 1)
        return ModelJudge(
            self.name(),
            lambda system, text, pictures, schema: answer(asked, system, text, pictures, schema),
            self.cache,
        )


def toolbox(
    executor: str,
    judge: str | None,
    trials: int,
    cache: Path,
    i3d: Path | None = None,
    dino: Path | None = None,
    suite: Path | None = None,
) -> StandardToolbox:
    """What can be had. executor: "auto" for wow-mini where it can execute, "none", or a model whose reader is taken.
    suite: beside which what is known of its true videos is kept.

    Raises WowError for a judge, or a named executor, that is not there.
    """
    from wow.bench.memory import FOLDER
    from wow.bench.toolbox import StandardToolbox

    if not 1 <= trials <= 100:
        raise WowError(f"--trials is 1 to 100, not {trials}")
    box = StandardToolbox(i3d=i3d, dino=dino, trials=trials, memory=None if suite is None else suite / FOLDER)
    if executor == NONE:
        box = replace(box, no_executor="it was left out: --executor none")
    else:
        maker = ExecutorMaker(DEFAULT_READER if executor == AUTO else executor)
        try:
            box = replace(box, executor=maker, executor_name=maker.name())
        except WowError as problem:
            if executor != AUTO:
                raise
            box = replace(box, no_executor=str(problem))
    if judge is not None:
        asks = JudgeMaker(judge, trials, cache)
        box = replace(box, judge=asks, judge_name=asks.name())
    return box
