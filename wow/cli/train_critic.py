"""`wow train critic`: what a video is worth, learned from videos whose outcome is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from wow.cli.options import Summary
from wow.cli.progress import Progress
from wow.cli.train import StartFrom, Train, begin_with, train_part
from wow.train.critic import CriticRun
from wow.train.recipes import CRITIC_RECIPES

if TYPE_CHECKING:
    from wow.train.critic import CriticObjective
    from wow.train.critic_data import Goals


@dataclass(frozen=True, kw_only=True)
class TrainCritic(Train):
    """Train the critic: from a video and a goal to whether it is reached, and which faults are seen in which frames."""

    data: tuple[Path, ...]
    """Folders of LeRobot datasets that say whether each episode succeeded."""
    imagined: tuple[Path, ...] = ()
    """Folders of LeRobot datasets of imagined videos whose plans were executed: wow run --suite … --record DIR."""
    codec: Path | None = None
    """Folder of a codec run, or of a checkpoint that has a codec: part of the clips is then seen through it."""
    policy: str = "wow-mini"
    """Model, or checkpoint's folder, whose policy tells the critic what is still to be done in a frame; none for a
    critic without."""
    start_from: StartFrom = ()
    """Models, checkpoints' folders or runs': training begins with their critic, of several the later one wins."""
    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = CRITIC_RECIPES
    config: CriticRun = field(default_factory=CRITIC_RECIPES["mini"])
    """The recipe's fields."""

    def run(self) -> Summary:
        from wow import assembly
        from wow.train.critic_calibrate import calibrate_critic, trained_judge
        from wow.train.distributed import in_turn
        from wow.train.export import add_to_run

        with in_turn():
            objective = self._prepared()
        about = {**objective.about(), **({"policy": assembly.mark_of_policy(self._beside)} if self._beside else {})}
        summary = train_part(self, objective, self.config.train, "critic", about)
        if os.environ.get("RANK", "0") != "0":
            return summary
        with Progress("calibrate", total=None, unit="videos") as progress:
            calibration, worth = calibrate_critic(
                trained_judge(objective, self.out, assembly.load_text()),
                objective,
                on_done=lambda done, total: progress.update(done, f"of {total}"),
            )
        add_to_run(self.out, {"calibration": asdict(calibration), "held_out": worth})
        return {**summary, **worth}

    @property
    def _beside(self) -> Path | None:
        """The folder of the policy that stands beside the critic."""
        from wow import assembly
        from wow.train.export import as_checkpoint

        return None if self.policy == "none" else as_checkpoint(assembly.checkpoint_folder(self.policy))

    def _prepared(self) -> CriticObjective:
        """The objective, its data decoded and encoded, its network as training begins with it."""
        from wow import assembly
        from wow.train.critic import prepare_critic
        from wow.train.critic_data import open_critic_sources
        from wow.train.export import as_checkpoint

        codec = None if self.codec is None else assembly.load_codec(as_checkpoint(self.codec))
        with Progress("prepare", total=None) as progress:

            def on_done(what: str, done: int, total: int) -> None:
                progress.update(done, f"of {total} {what}")

            sources = open_critic_sources(self.data, self.imagined, self.camera, codec, on_done)
            cache, text = self.data[0] / ".cache", assembly.load_text()
            policy = None if self._beside is None else assembly.beside_a_critic(self._beside)
            objective = prepare_critic(self.config, sources, known_goals(), text, cache, codec, on_done, policy)
        for model in self.start_from:
            begin_with(objective.network, model, "critic")
        return objective


def known_goals() -> Goals:
    """What is known of the simulated tasks: which goals a video of one surely does not reach."""
    from wow.sim.goals import rivals, strangers
    from wow.sim.tasks import TASKS
    from wow.train.critic_data import Goals

    return Goals({task: rivals(task) for task in TASKS}, {task: strangers(task) for task in TASKS})
