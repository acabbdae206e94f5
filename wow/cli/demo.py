"""`wow demo`: the main job on a scene that the model never saw, beside what really happens there."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wow.cli.imagine import Sampling, imagine_all
from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_json, write_strip, write_videos


@dataclass(frozen=True, kw_only=True)
class Demo(Sampling, MakesFolder, Seeded):
    """Reset a Meta-World task, imagine its video from the first frame, and record what the expert really does."""

    task: str = "drawer-open"
    """One of the 50 tasks, with or without -v3."""
    seed: int = 200_007
    """Seed of the scene and of the imagination. Training used seeds below 100000."""
    out: Path = field(default_factory=fresh_folder("demo"))
    """Folder to write; created, and refused when it already holds something."""
    model: str = "wow-mini"
    """A model that comes with the package, or the folder of a checkpoint."""

    def prepare(self) -> None:
        from wow.sim.language import find_task

        find_task(self.task)
        self.options()
        super().prepare()

    def run(self) -> Summary:
        import numpy as np

        from wow import assembly
        from wow.sim.job import Job, RecordingOptions
        from wow.sim.metaworld import MetaWorld
        from wow.sim.record import record

        began = time.perf_counter()
        model = assembly.load(self.model)
        loaded = time.perf_counter()
        environment = MetaWorld(self.task, cameras=(), size=model.size)
        name = environment.task.name
        truth = record(environment, Job(name, name, "expert", self.seed), RecordingOptions(size=model.size))
        environment.close()
        simulated = time.perf_counter()
        real = truth.videos["front"].frames
        request = assembly.Request(real[:1], truth.task, None, self.seed, None if self.fps is None else 1.0 / self.fps)
        (video,) = imagine_all(model, [request], self)
        imagined = time.perf_counter()
        shown = real[np.linspace(0, len(real) - 1, len(video)).round().astype(int)]
        write_videos(self.out, [video])
        strip = self.out / "filmstrip.png"
        write_strip(strip, {f'imagined: "{truth.task}"': video.frames, "what the expert really did": shown})
        summary: Summary = {
            "instruction": truth.task,
            "video": self.out / "vision.mp4",
            "film_strip": strip,
            "seconds_to_load": round(loaded - began, 2),
            "seconds_to_simulate": round(simulated - loaded, 2),
            "seconds_to_imagine": round(imagined - simulated, 2),
            "seconds": round(imagined - began, 2),
        }
        write_json(self.out / "sample_args.json", {**asdict(self), "model_hash": assembly.model_hash(self.model)})
        write_json(self.out / "sample_outputs.json", summary)
        return summary
