"""`wow demo`: the main job on a scene that the model never saw, executed, beside what the expert really does there."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wow.cli.episode import EpisodeRunner, EpisodeSettings
from wow.cli.film import filmed, joined, write_plans
from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_json, write_strip, write_videos
from wow.cli.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Demo(Sampling, MakesFolder, Seeded):
    """Reset a Meta-World task, imagine it done, act on what was imagined, and show what the expert really does."""

    task: str = "drawer-open"
    """One of the 50 tasks, with or without -v3."""
    seed: int = 200_007
    """Seed of the scene and of the imagination. Training used seeds below 100000."""
    out: Path = field(default_factory=fresh_folder("demo"))
    """Folder to write; created, and refused when it already holds something."""
    model: str = "wow-mini"
    """A model that comes with the package, or the folder of a checkpoint."""

    def prepare(self) -> list[Path]:
        from wow.sim.language import find_task

        find_task(self.task)
        self.options()
        return super().prepare()

    def run(self) -> Summary:
        from wow.assembly import model_hash
        from wow.data.action_plot import save_actions
        from wow.sim.foresight import foresee
        from wow.sim.job import RecordingOptions
        from wow.sim.language import find_task

        began = time.perf_counter()
        settings = EpisodeSettings(model=self.model, **self.sampling())
        runner, task = EpisodeRunner(settings), find_task(self.task)
        loaded = time.perf_counter()
        expert = foresee(runner.reset(task.name, self.seed).environment, RecordingOptions(size=runner.size))
        outcome, film = filmed(runner, task.name, self.seed)
        runner.close()
        plans = [leg.plan for leg in outcome.legs]
        imagined = [plan.video for plan in plans if plan.video is not None]
        write_videos(self.out, imagined[:1])
        write_plans(self.out / "plans", plans)
        rows = {
            f'imagined: "{task.instruction}"': imagined[0].frames,
            f"executed: {'success' if outcome.success else 'no success'}": film.video().frames,
            "what the expert really does": expert.video.frames,
        }
        write_strip(self.out / "filmstrip.png", rows)
        actions, events = joined(plans, settings.replan_every)
        save_actions(self.out / "actions.png", actions, events, task.name)
        summary: Summary = {
            "instruction": task.instruction,
            "success": outcome.success,
            "plans": len(plans),
            "video": self.out / "vision.mp4",
            "executed": film.write(self.out),
            "film_strip": self.out / "filmstrip.png",
            "seconds_to_load": round(loaded - began, 2),
            "seconds_to_imagine": round(sum(plan.seconds_to_imagine for plan in plans), 2),
            "seconds_to_act": round(sum(plan.seconds_to_act for plan in plans), 2),
            "seconds_to_execute": round(outcome.seconds_to_execute, 2),
            "seconds": round(time.perf_counter() - began, 2),
        }
        write_json(self.out / "sample_args.json", {**asdict(self), "model_hash": model_hash(self.model)})
        write_json(self.out / "sample_outputs.json", summary)
        return summary
