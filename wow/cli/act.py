"""`wow act`: from a robot video to the robot's actions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import tyro

from wow.cli.film import events_json
from wow.cli.options import MakesFile, Summary
from wow.types import Embodiment, UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.assembly import Mask


@dataclass(frozen=True, kw_only=True)
class Act(MakesFile):
    """Read a robot's actions off a video: a file of actions with their standard deviations, and a plot beside it."""

    video: tyro.conf.Positional[Path]
    """Video of the robot, of two frames or more."""
    out: Path = field(default_factory=lambda: Path("runs") / f"act-{time.strftime('%Y%m%d-%H%M%S')}" / "actions.json")
    """File of actions to write; the plot is written beside it as PNG. Refused when either exists."""
    model: str = "wow-mini"
    """A model that comes with the package, or the folder of a checkpoint or of an inverse dynamics run."""
    embodiment: Path | None = None
    """Card of the robot (JSON) that the actions shall carry; the model's own where none is named."""
    mask: str = "auto"
    """Where the robot is: "auto" (the model finds it), "none" (unknown), or a picture or video that is white there."""
    pace: Literal["video", "unknown"] = "video"
    """Whether the video's rate is robot time, or unknown, as in one that was imagined at a pace of its own."""
    start: tuple[float, float, float] | None = None
    """Where the hand is sent to in the first frame, x y z [m] as in the training data: its way is then read better."""

    def prepare(self) -> list[Path]:
        if not self.video.is_file():
            raise WowError(f"there is no video at {self.video}: name a file such as an .mp4")
        if self.plot == self.out or self.plot.exists():
            raise WowError(f"the plot would be written to {self.plot}, which is in use: name a new --out, e.g. a.json")
        return super().prepare()

    @property
    def plot(self) -> Path:
        return self.out.with_suffix(".png")

    def run(self) -> Summary:
        from wow import assembly
        from wow.data.action_file import write_actions
        from wow.data.action_plot import save_actions
        from wow.data.embodiment import read_embodiment
        from wow.data.video_file import read_video

        began = time.perf_counter()
        video = read_video(self.video)
        card: Embodiment | None = None if self.embodiment is None else read_embodiment(self.embodiment)
        inverse = assembly.load_inverse(self._checkpoint())
        loaded = time.perf_counter()
        start = None if self.start is None else np.array(self.start, np.float32)
        paced = self.pace == "video"
        reading = inverse.read(video, mask=self._mask(video), paced=paced, start=start, embodiment=card)
        read = time.perf_counter()
        events = events_json(reading)
        said = f"{self.video.name}: confidence {reading.confidence.value:.2f}"
        save_actions(self.plot, reading.actions, events, said)
        write_actions(
            self.out, reading.actions, events=events, confidence=round(reading.confidence.value, 3), notes=reading.notes
        )
        return {
            "actions": self.out,
            "plot": self.plot,
            "transitions": len(reading.actions),
            "seconds_between_frames": reading.actions.seconds,
            "gripper_events": [f"{event['gripper']} at transition {event['transition']}" for event in events],
            "confidence": round(reading.confidence.value, 3),
            "notes": list(reading.notes),
            "seconds_to_load": loaded - began,
            "seconds_to_act": read - loaded,
        }

    def describe(self, summary: Mapping[str, object]) -> str:
        """What is not known, and that there are no events, in words."""
        pace, events = summary["seconds_between_frames"], summary["gripper_events"]
        told = {"seconds_between_frames": pace or "unknown", "gripper_events": events or "none"}
        return super().describe({**summary, **told})

    def _checkpoint(self) -> Path:
        from wow import assembly
        from wow.train.export import as_checkpoint

        return as_checkpoint(assembly.checkpoint_folder(self.model))

    def _mask(self, video: Video) -> Mask:
        """The mask as the model takes it: white is the robot. Raises WowError where the file does not fit."""
        from wow.data.picture import read_picture
        from wow.data.video_file import read_video

        if self.mask == "auto" or self.mask == "none":
            return "auto" if self.mask == "auto" else "none"
        path = Path(self.mask)
        if not path.is_file():
            raise WowError(f"--mask is auto, none or a file, and there is no file {path}")
        is_picture = path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp")
        mask: UInt8 = read_picture(path)[..., 0] if is_picture else read_video(path).frames[..., 0]
        if mask.shape[-2:] != video.frames.shape[1:3]:
            height, width = video.frames.shape[1:3]
            raise WowError(
                f"the mask {path} is {mask.shape[-1]}x{mask.shape[-2]}, the video {width}x{height}: make them one size"
            )
        return mask
