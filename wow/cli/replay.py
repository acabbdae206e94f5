"""`wow replay`: a file of actions, executed in the simulator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_json, write_strip
from wow.types import WowError


@dataclass(frozen=True, kw_only=True)
class Replay(MakesFolder, Seeded):
    """Execute a file of actions in a task's scene, and film it."""

    actions: tyro.conf.Positional[Path]
    """File of actions: JSON as `wow act` writes it, or bare numbers as .npy or JSON of [T, 7]."""
    task: str
    """One of the 50 tasks, with or without -v3."""
    seed: int = 100_000
    """Seed of the scene."""
    out: Path = field(default_factory=fresh_folder("replay"))
    """Folder to write; created, and refused when it already holds something."""
    seconds: float | None = None
    """Robot time of each action, in place of what the file says; at an unknown pace the fastest sets it."""
    budget: int = 2000
    """Control steps (80 a second) at most."""
    size: int = 128
    """Height and width of the film [pixels]."""

    def prepare(self) -> None:
        from wow.sim.language import find_task

        find_task(self.task)
        if self.budget < 1 or self.size < 16:
            raise WowError("--budget is at least 1, --size at least 16")
        if self.seconds is not None and not 0 < self.seconds <= 60:
            raise WowError(f"--seconds is the robot time of one action, above 0 and up to 60, not {self.seconds:g}")
        super().prepare()

    def run(self) -> Summary:
        from wow.assembly import GivenPlanner, LoopOptions, run_episode
        from wow.cli.film import LINGER, Film
        from wow.data.action_file import check_limits, read_actions
        from wow.data.action_plot import save_actions
        from wow.sim.arm import MetaWorldArm
        from wow.sim.job import RecordingOptions
        from wow.sim.metaworld import MetaWorld
        from wow.sim.record import sawyer_card

        actions = read_actions(self.actions, sawyer_card(RecordingOptions()))
        if self.seconds is not None:
            actions = replace(actions, seconds=self.seconds)
            check_limits(self.actions, actions)
        environment = MetaWorld(self.task, cameras=(), size=self.size)
        environment.reset(seed=self.seed)
        arm = MetaWorldArm(environment)
        film = Film()
        film.look(arm, 0)
        options = LoopOptions(replan_every=None, budget=self.budget, linger=LINGER)
        outcome = run_episode(arm, GivenPlanner(actions), options, lambda done: film.look(arm, done))
        film.write(self.out)
        write_strip(self.out / "filmstrip.png", {f"executed: {environment.task.name}": film.video().frames})
        save_actions(self.out / "actions.png", actions, title=str(self.actions))
        summary: Summary = {
            "task": environment.task.name,
            "seed": self.seed,
            "success": outcome.success,
            "success_step": outcome.success_step,
            "steps": outcome.num_steps,
            "actions": len(actions),
            "seconds_per_action": actions.seconds,
            "hand_error_m": outcome.hand_error,
            "object_error_m": arm.object_error(),
            "seconds_to_execute": outcome.seconds_to_execute,
            "video": self.out / "executed.mp4",
        }
        environment.close()
        write_json(self.out / "outcome.json", {**summary, "file": self.actions, "budget": self.budget})
        return summary
