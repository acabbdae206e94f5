"""`wow train outcome` and `wow train faults`: which motions succeed, and what cannot be in a world like ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from wow.cli.options import Summary
from wow.cli.progress import Progress
from wow.cli.train import StartFrom, Train, begin_with, train_part
from wow.train.faults import FaultRun
from wow.train.outcome import OutcomeRun
from wow.train.recipes import FAULT_RECIPES, OUTCOME_RECIPES

if TYPE_CHECKING:
    from wow.train.outcome import OutcomeObjective
    from wow.train.outcome_data import Goals, Plans


@dataclass(frozen=True, kw_only=True)
class TrainOutcome(Train):
    """Train the critic's sense of success: from a first picture, a goal and a motion to the chance that it succeeds."""

    data: tuple[Path, ...]
    """Folders of tries (wow data tries), or of LeRobot datasets that say whether each episode succeeded."""
    imagined: tuple[Path, ...] = ()
    """Folders of imagined videos whose plans were executed (wow run --suite … --record DIR): chances are calibrated on
    them, nothing else is learned from them."""
    policy: str = "wow-mini"
    """Model, or checkpoint's folder, whose policy is the practised hand that motions are held against."""
    start_from: StartFrom = ()
    """Models, checkpoints' folders or runs': training begins with their network, of several the later one wins."""
    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = OUTCOME_RECIPES
    config: OutcomeRun = field(default_factory=OUTCOME_RECIPES["mini"])
    """The recipe's fields."""

    def run(self) -> Summary:
        from wow import assembly
        from wow.train.distributed import in_turn
        from wow.train.export import add_to_run
        from wow.train.outcome_calibrate import calibrate_outcome, trained_network

        with in_turn():
            objective, imagined = self._prepared()
        about = {**objective.about(), "policy": assembly.mark_of_policy(self._beside)}
        summary = train_part(self, objective, self.config.train, "outcome", about)
        if os.environ.get("RANK", "0") != "0":
            return summary
        chance, worth = calibrate_outcome(trained_network(objective, self.out), objective, imagined)
        add_to_run(self.out, {"calibration": asdict(chance), "held_out": worth})
        return {**summary, **worth}

    @property
    def _beside(self) -> Path:
        """The folder of the policy."""
        from wow import assembly
        from wow.train.export import as_checkpoint

        return as_checkpoint(assembly.checkpoint_folder(self.policy))

    def _prepared(self) -> tuple[OutcomeObjective, Plans | None]:
        """The objective, its network as training begins with it, and the imagined videos to calibrate on."""
        from wow import assembly
        from wow.train.outcome import prepare_outcome

        policy, scale, size = assembly.practised_policy(self._beside)
        with Progress("prepare", total=None) as progress:
            objective, imagined = prepare_outcome(
                self.config,
                self.data,
                self.imagined,
                known_goals(),
                policy,
                assembly.load_text(),
                scale,
                size,
                progress.stage,
            )
        for model in self.start_from:
            begin_with(objective.network, model, "outcome")
        return objective, imagined


@dataclass(frozen=True, kw_only=True)
class TrainFaults(Train):
    """Train the critic's eye for faults: from a video to which faults are in it, and in which frames."""

    imagined: tuple[Path, ...] = ()
    """Folders of imagined videos (wow data paint, or wow run --suite … --record DIR): how they look is no fault."""
    start_from: StartFrom = ()
    """Models, checkpoints' folders or runs': training begins with their network, of several the later one wins."""
    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = FAULT_RECIPES
    config: FaultRun = field(default_factory=FAULT_RECIPES["mini"])
    """The recipe's fields."""

    def run(self) -> Summary:
        from wow.train.distributed import in_turn
        from wow.train.export import add_to_run
        from wow.train.fault_calibrate import calibrate_faults, trained_eye
        from wow.train.faults import prepare_faults

        with in_turn(), Progress("prepare", total=None) as progress:
            objective = prepare_faults(
                self.config, self.data, self.imagined, self.camera, partial(progress.stage, "episodes")
            )
        for model in self.start_from:
            begin_with(objective.network, model, "faults")
        summary = train_part(self, objective, self.config.train, "faults", objective.about())
        if os.environ.get("RANK", "0") != "0":
            return summary
        with Progress("calibrate", total=None, unit="videos") as progress:
            alarm, worth = calibrate_faults(
                trained_eye(objective, self.out),
                objective,
                on_done=lambda done, total: progress.update(done, f"of {total}"),
            )
        add_to_run(self.out, {"alarm": alarm, "held_out": worth})
        return {**summary, **worth}


def known_goals() -> Goals:
    """What is known of the simulated tasks: which goals a video of one surely does not reach."""
    from wow.sim.goals import rivals, strangers
    from wow.sim.tasks import TASKS
    from wow.train.outcome_data import Goals

    return Goals({task: rivals(task) for task in TASKS}, {task: strangers(task) for task in TASKS})
