"""`wow replay`: a file of actions, executed in the simulator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from wow.cli.extras import needs
from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_json, write_strip
from wow.cli.stages import metaworld_stage, robosuite_stage
from wow.types import WowError


@dataclass(frozen=True, kw_only=True)
class Replay(MakesFolder, Seeded):
    """Execute a file of actions in a task's scene, and film it."""

    actions: tyro.conf.Positional[Path]
    """File of actions: JSON as `wow act` writes it, or bare numbers as .npy or JSON of [T, 7]."""
    task: str
    """One of the 50 tasks, with or without -v3; robosuite: lift, stack, door or reach-pose."""
    sim: Literal["metaworld", "robosuite"] = "metaworld"
    """Simulator: metaworld, or robosuite with one of its five arms."""
    robot: str | None = None
    """Arm of robosuite: panda, sawyer, ur5e, iiwa or kinova3."""
    seed: int = 100_000
    """Seed of the scene."""
    out: Path = field(default_factory=fresh_folder("replay"))
    """Folder to write; created, and refused when it already holds something."""
    seconds: float | None = None
    """Robot time of each action, in place of what the file says; at an unknown pace the fastest sets it."""
    budget: int = 2000
    """Control steps (80 a second; in robosuite 20) at most."""
    size: int = 128
    """Height and width of the film [pixels]."""

    def prepare(self) -> list[Path]:
        if self.sim == "robosuite":
            self._check_robosuite()
        else:
            self._check_metaworld()
        if self.budget < 1 or self.size < 16:
            raise WowError("--budget is at least 1, --size at least 16")
        if self.seconds is not None and not 0 < self.seconds <= 60:
            raise WowError(f"--seconds is the robot time of one action, above 0 and up to 60, not {self.seconds:g}")
        return super().prepare()

    def run(self) -> Summary:
        from wow.assembly import GivenPlanner, LoopOptions, run_episode
        from wow.cli.film import FRAME_EVERY, LINGER, Film
        from wow.data.action_file import check_limits, read_actions, read_events
        from wow.data.action_plot import save_actions

        if self.sim == "robosuite":
            stage = robosuite_stage(self.robot or "", self.task, self.size)
        else:
            stage = metaworld_stage(self.task, self.size)
        actions = read_actions(self.actions, stage.card)
        if self.seconds is not None:
            actions = replace(actions, seconds=self.seconds)
            check_limits(self.actions, actions)
        film = Film()
        arm: Any = stage.reset(self.seed)  # a film asks no more of it than to look
        # A film has 20 pictures a second: every control step of robosuite's 20, every fourth of Meta-World's 80.
        every = FRAME_EVERY if self.sim == "robosuite" else 1
        film.look(arm, 0)
        options = LoopOptions(open_loop=True, budget=self.budget, linger=LINGER)
        outcome = run_episode(arm, GivenPlanner(actions), options, lambda done: film.look(arm, every * done))
        film.write(self.out)
        write_strip(self.out / "filmstrip.png", {f"executed: {stage.task}": film.video().frames})
        save_actions(self.out / "actions.png", actions, read_events(self.actions), str(self.actions))
        summary: Summary = {
            "task": stage.task,
            "robot": stage.card.robot,
            "seed": self.seed,
            "success": outcome.success,
            "success_step": outcome.success_step,
            "steps": outcome.num_steps,
            "actions": len(actions),
            "seconds_per_action": actions.seconds,
            "hand_error_m": outcome.hand_error,
            "object_error_m": arm.object_error() if self.sim == "metaworld" else None,
            "seconds_to_execute": outcome.seconds_to_execute,
            "video": self.out / "executed.mp4",
        }
        stage.close()
        write_json(self.out / "outcome.json", {**summary, "file": self.actions, "budget": self.budget})
        return summary

    # ---- inside ----

    def _check_metaworld(self) -> None:
        from wow.sim.language import find_task

        if self.robot is not None:
            raise WowError("Meta-World has one robot: leave --robot out, or add --sim robosuite")
        find_task(self.task)

    def _check_robosuite(self) -> None:
        from wow.sim.robosuite_tasks import named_arms, named_tasks

        if self.robot is None or "," in self.robot or self.robot.strip() == "all":
            raise WowError(f"say which one arm of robosuite: --robot {', '.join(named_arms('all'))}")
        named_arms(self.robot)
        if "," in self.task or self.task.strip() == "all":
            raise WowError(f"actions are executed in one task: --task {', '.join(named_tasks('all'))}")
        named_tasks(self.task)
        needs("robosuite")
