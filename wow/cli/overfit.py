"""`wow overfit`: one clip learned by heart by a small network, as a check of a family's training and sampling."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_json, write_strip, write_videos
from wow.cli.progress import Progress
from wow.types import WowError


@dataclass(frozen=True, kw_only=True)
class Overfit(MakesFolder, Seeded):
    """Teach one clip to a small random network of a foundation model's structure, then sample it from its first frame.

    It shows that the model's training loss and its sampler belong together; it trains no model that is of use.
    """

    model: tyro.conf.Positional[str]
    """A model of `wow models`, of the Wan or Cosmos families."""
    video: tyro.conf.Positional[Path]
    """The clip."""
    instruction: tyro.conf.Positional[str]
    """What happens in it."""
    out: Path = field(default_factory=fresh_folder("overfit"))
    """Folder to write; created, and refused when it already holds something."""
    steps: int = 1500
    """Steps of training."""
    vae_steps: int = 300
    """Steps in which the small VAE learns the clip first."""
    draws: int = 4
    """Noise levels in each step."""
    num_inference_steps: int = 20
    """Steps from noise to video."""

    def prepare(self) -> list[Path]:
        from wow.foundation.cards import card

        card(self.model)
        if not self.video.is_file():
            raise WowError(f"there is no video at {self.video}: name an mp4 file")
        for name in ("steps", "vae_steps", "draws", "num_inference_steps"):
            if not 1 <= getattr(self, name) <= 100_000:
                raise WowError(f"--{name.replace('_', '-')} is 1 to 100000, not {getattr(self, name)}")
        return super().prepare()

    def run(self) -> Summary:
        from wow.data.video_file import read_video
        from wow.foundation.cards import card
        from wow.foundation.overfit import Rehearsal, overfit

        began = time.perf_counter()
        plan = Rehearsal(
            vae_steps=self.vae_steps,
            steps=self.steps,
            draws=self.draws,
            num_inference_steps=self.num_inference_steps,
            seed=self.seed,
        )
        with Progress("overfit", total=self.steps, unit="steps") as progress:
            learned = overfit(
                card(self.model),
                read_video(self.video),
                self.instruction,
                plan,
                lambda step, loss: progress.update(step, f"loss {loss:.3g}"),
            )
        write_videos(self.out, [learned.sampled])
        write_strip(self.out / "filmstrip.png", {"clip": learned.clip.frames, "sampled": learned.sampled.frames})
        numbers = {name: value for name, value in vars(learned).items() if isinstance(value, float)}
        summary: Summary = {"out": self.out, "model": self.model, **numbers, "seconds": time.perf_counter() - began}
        write_json(self.out / "overfit.json", {**vars(plan), **summary})
        return summary

    def describe(self, summary: Mapping[str, object]) -> str:
        """Three lines: the loss, the video, and what it could be at best."""
        number = {name: float(str(summary[name])) for name in summary if name.startswith(("loss", "psnr"))}
        fell = number["loss_before"] / number["loss_after"]
        return "\n".join(
            [
                f"loss {number['loss_before']:.3g}, then {number['loss_after']:.3g}: {fell:.1f} times less",
                f"sampled video against the clip: {number['psnr_before']:.1f} dB before, "
                f"{number['psnr_after']:.1f} after "
                f"(at most {number['psnr_of_vae']:.1f}, which its VAE restores; "
                f"the first frame alone {number['psnr_of_first_frame']:.1f})",
                f"{self.out}/filmstrip.png shows both",
            ]
        )
