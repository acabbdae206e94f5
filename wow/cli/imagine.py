"""`wow imagine`: from one picture and an instruction to a robot video."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import tyro

from wow.cli.batch import Clip, Outcome, read_clips, run_batch, write_clip
from wow.cli.batch_workers import Draw, Engine, LocalProcesses, Open, RayActors, gpus_here, in_this_process
from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder, parse_with_tyro
from wow.cli.output import write_json, write_strip, write_videos
from wow.cli.placement import FoundationSampling
from wow.cli.progress import Progress
from wow.cli.sampling import Sampling
from wow.types import Video, WowError

if TYPE_CHECKING:
    from wow.assembly import MiniWorldModel, Request


@dataclass(frozen=True, kw_only=True)
class Imagine(Sampling, FoundationSampling, MakesFolder, Seeded):
    """Imagine the video of a robot that follows an instruction, or actions, from one picture."""

    image: tyro.conf.Positional[Path | None] = None
    """Picture of the robot's scene."""
    instruction: tyro.conf.Positional[str | None] = None
    """What the robot should do, e.g. "open the drawer"."""
    out: Path = field(default_factory=fresh_folder("imagine"))
    """Folder to write; created, and refused when it already holds something."""
    model: str = "wow-mini"
    """A model that comes with the package or that `wow models` lists, or the folder of a checkpoint."""
    batch: Path | None = None
    """File with one clip in JSON a line, {"image": …, "instruction": …}, instead of picture and instruction."""
    workers: int | None = None
    """Processes that draw a batch, each with the model loaded; one for each GPU where none are given."""
    engine: Literal["local", "ray"] = "local"
    """Who draws a batch: processes of this machine, or of a Ray cluster that finds all files under the same paths."""
    ray_address: str | None = None
    """Address of a running cluster, or "auto"; without one, Ray is started on this machine."""
    actions: Path | None = None
    """File of actions to follow: [frames - 1, 7] as .npy, or as JSON as `wow act` writes it."""
    candidates: int = 1
    """Videos to imagine in one batch, with the seeds SEED, SEED + 1, …"""

    @classmethod
    def parse(cls, arguments: Sequence[str], verb: str) -> Self:
        """The options on a command line, over the defaults of the model that it names."""
        from wow.cli.imagine_foundation import defaults, is_foundation, named_model

        model = named_model(arguments)
        if model is None or not is_foundation(model):
            return super().parse(arguments, verb)
        return parse_with_tyro(cls, arguments, verb, cls(**defaults(model)))  # type: ignore[arg-type]

    def continues(self) -> bool:
        return self.batch is not None

    def prepare(self) -> list[Path]:
        from wow.cli.imagine_foundation import check_early, is_foundation

        if self.batch is not None and (self.image is not None or self.candidates != 1 or self.actions is not None):
            raise WowError("--batch has pictures and instructions in its file: leave the others and --candidates away")
        if not 1 <= self.candidates <= 64:
            raise WowError(f"--candidates is 1 to 64, not {self.candidates}")
        if self.batch is None:
            self._check_one()
        else:
            read_clips(self.batch, self.seed)
        self._check_workers()
        self.options()
        self.size()
        if is_foundation(self.model):
            check_early(self)
        else:
            self.refuse_for(self.model)
        return super().prepare()

    def _check_workers(self) -> None:
        asked = self.workers is not None or self.engine != "local" or self.ray_address is not None
        if asked and self.batch is None:
            raise WowError("--workers, --engine and --ray-address are for --batch FILE.jsonl: leave them away")
        if self.workers is not None and not 1 <= self.workers <= 1024:
            raise WowError(f"--workers is 1 to 1024, not {self.workers}")
        if self.ray_address is not None and self.engine != "ray":
            raise WowError("--ray-address goes with --engine ray")
        if self.engine == "ray" and importlib.util.find_spec("ray") is None:
            raise WowError("--engine ray needs ray, which is not installed: pip install ray")

    def _check_one(self) -> None:
        if self.image is None:
            raise WowError(
                "give a picture of the robot's scene and what the robot should do: "
                'wow imagine scene.png "open the drawer", or many at once with --batch FILE.jsonl'
            )
        if not self.image.is_file():
            raise WowError(f"there is no picture at {self.image}: name a PNG or JPEG file")
        if self.instruction is None and self.actions is None:
            raise WowError(
                'say what the robot should do: wow imagine PICTURE "open the drawer", or give --actions FILE'
            )

    def run(self) -> Summary:
        from wow.cli import imagine_foundation

        command = self if self.engine == "local" else self._absolute()
        if imagine_foundation.is_foundation(self.model):
            return imagine_foundation.run(command)
        return self._run_mini() if command.batch is None else command._run_batch(command.batch)

    def _absolute(self) -> Self:
        """The same with paths that processes find that were started elsewhere."""
        assert self.batch is not None, "a cluster draws batches"
        name, is_pair, folder = self.model.rpartition("=")
        model = f"{name}{is_pair}{Path(folder).resolve()}" if Path(folder).is_dir() else self.model
        lora = None if self.lora is None else self.lora.resolve()
        return replace(self, model=model, out=self.out.resolve(), batch=self.batch.resolve(), lora=lora)

    def _run_batch(self, batch: Path) -> Summary:
        """Every clip by a model that stays loaded."""
        return run_batch(read_clips(batch, self.seed), self.out, self.outcomes(partial(open_mini, self)))

    def outcomes(self, open_model: Open) -> Callable[[Sequence[Clip]], Iterator[Outcome]]:
        """What makes clips, with as many models as this command has processes."""
        return lambda clips: self._engine()(open_model, clips)

    def num_processes(self) -> int:
        """How many processes draw a batch; on a cluster, one for each of its GPUs where nobody says."""
        if self.workers is not None or self.engine == "ray":
            return self.workers or 1
        return 1 if self.device == "cpu" else max(len(gpus_here()), 1)

    def _engine(self) -> Engine:
        if self.engine == "ray":
            return RayActors(self.workers, self.ray_address)
        count, gpus = self.num_processes(), [] if self.device == "cpu" else gpus_here()
        if gpus and count > len(gpus):
            raise WowError(f"--workers {count} is more than the {len(gpus)} GPUs here, and each holds one model")
        return in_this_process if count == 1 else LocalProcesses(count, gpus)

    def _run_mini(self) -> Summary:
        from wow import assembly
        from wow.data.action_file import read_actions
        from wow.data.picture import read_picture

        began = time.perf_counter()
        assert self.image is not None, "a single clip has a picture"
        picture = read_picture(self.image)
        model = assembly.load(self.model, self.device)
        given = None if self.actions is None else read_actions(self.actions, model.embodiment)
        loaded = time.perf_counter()
        fitted, fitting = model.fit(picture)
        actions = None if given is None else given.values
        stated = None if given is None else given.seconds
        seconds = stated if self.fps is None else 1.0 / self.fps
        requests = [
            assembly.Request(fitted, self.instruction, actions, self.seed + place, seconds)
            for place in range(self.candidates)
        ]
        videos = imagine_all(model, requests, self)
        imagined = time.perf_counter()
        written = write_videos(self.out, videos)
        strip = {
            f"imagined, seed {request.seed}": video.frames for request, video in zip(requests, videos, strict=True)
        }
        write_strip(self.out / "filmstrip.png", strip)
        summary: Summary = {
            "out": self.out,
            "videos": [path.name for path in written],
            "image_fitting": fitting or "taken as it is",
            "fps": videos[0].fps,
            "seconds_to_load": loaded - began,
            "seconds_to_imagine": imagined - loaded,
            "notes": [] if model.inverse is None else model.inverse.doubts(fitted),
        }
        write_json(self.out / "sample_args.json", {**asdict(self), "model_hash": assembly.model_hash(self.model)})
        write_json(self.out / "sample_outputs.json", summary)
        return summary


def open_mini(command: Imagine) -> Draw:
    """A small model, which draws clips with the options of a command."""
    from wow import assembly
    from wow.data.picture import read_picture

    model = assembly.load(command.model, command.device)
    seconds = None if command.fps is None else 1.0 / command.fps

    def draw(clip: Clip) -> None:
        fitted, fitting = model.fit(read_picture(clip.image))
        request = assembly.Request(fitted, clip.instruction, seed=clip.seed, seconds=seconds)
        (video,) = model.imagine_all([request], num_frames=command.num_frames, options=command.options())
        write_clip(command.out / clip.name, clip, video, fitting)

    return draw


def imagine_all(model: MiniWorldModel, requests: Sequence[Request], sampling: Sampling) -> list[Video]:
    """The clips of all requests, with a progress bar."""
    with Progress("imagine", total=None, unit="steps") as progress:

        def on_step(done: int, total: int) -> None:
            progress.total = total
            progress.update(done)

        return model.imagine_all(
            requests,
            num_frames=sampling.num_frames,
            options=sampling.options(),
            on_step=on_step,
        )
