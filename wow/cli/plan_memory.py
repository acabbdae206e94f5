"""`wow plan-memory`: how a foundation model would be run here, or on another machine, and what that would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from wow.cli.options import Command, Summary
from wow.cli.placement import Placement
from wow.types import WowError

COLUMNS = ("offload", "VAE", "transformer", "GPU [GB]", "memory [GB]", "first clip", "a step", "fits")


@dataclass(frozen=True, kw_only=True)
class PlanMemory(Placement, Command):
    """Plan how a foundation model is run, before a byte of it is read or fetched.

    The answer may be that it cannot be run on this machine; then it says on which it could.
    """

    model: tyro.conf.Positional[str]
    """A model of `wow models`, or a folder."""
    vram: float | None = None
    """GPU memory to plan for [GB]; this machine's where none is given."""
    ram: float | None = None
    """Memory to plan for [GB]; this machine's where none is given."""
    num_frames: int | None = None
    """Frames of the video; what the model was trained for where none are given."""
    num_inference_steps: int | None = None
    """Steps from noise to video; as published where none are given."""

    def prepare(self) -> list[Path]:
        for name in ("vram", "ram"):
            value = getattr(self, name)
            if value is not None and not 0.5 <= value <= 10_000:
                raise WowError(f"--{name} is in gigabytes, 0.5 to 10000, not {value:g}")
        return []

    def run(self) -> Summary:
        from wow.foundation.cards import CARDS
        from wow.foundation.machine import at_hand
        from wow.foundation.memory import GB, cost, job_of
        from wow.foundation.plan import Unsuited, choose, fits, settings
        from wow.foundation.quantise import quantisers
        from wow.foundation.request import check_frames
        from wow.foundation.source import find

        card = CARDS[self.model] if self.model in CARDS else find(self.model).card
        check_frames(card, self.num_frames)
        job = job_of(card, self.num_frames, self.num_inference_steps)
        machine = at_hand(self.device, self.vram and self.vram * GB, self.ram and self.ram * GB)
        rows = [(setting, cost(card, job, setting, machine)) for setting in settings(card, machine, quantisers())]
        facts: Summary = {"model": card.name, "machine": asdict(machine), "job": asdict(job), "plan": None}
        try:
            plan = choose(card, job, machine, self.wish(), quantisers())
        except Unsuited as refusal:
            facts["why_not"] = str(refusal)
        else:
            facts |= {
                "plan": str(plan),
                "setting": asdict(plan.setting),
                "gpu_gb": round(plan.cost.gpu / GB, 1),
                "ram_gb": round(plan.cost.ram / GB, 1),
                "seconds": round(plan.cost.seconds, 1),
            }
        return {
            **facts,
            "settings": [
                {**asdict(setting), "gpu_gb": takes.gpu / GB, "ram_gb": takes.ram / GB, "seconds": takes.seconds,
                 "seconds_per_step": takes.seconds_per_step, "fits": fits(takes, machine)}
                for setting, takes in rows
            ],
        }  # fmt: skip

    def describe(self, summary: Mapping[str, object]) -> str:
        """The plan, or why there is none, and under it all settings."""
        settings = summary["settings"]
        assert isinstance(settings, list)
        rows = [COLUMNS, *(_row(setting) for setting in settings)]
        widths = [max(len(row[place]) for row in rows) for place in range(len(COLUMNS))]
        lines = [
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return "\n".join([str(summary["plan"] or f"no plan: {summary['why_not']}"), "", *lines])


def _row(setting: Mapping[str, object]) -> tuple[str, ...]:
    from wow.cli.progress import duration

    numbers = {name: float(str(setting[name])) for name in ("gpu_gb", "ram_gb", "seconds", "seconds_per_step")}
    precision = setting["dtype"] if setting["quantisation"] == "none" else setting["quantisation"]
    return (
        str(setting["offload"]),
        "in tiles" if setting["tiling"] else "whole",
        str(precision),
        f"{numbers['gpu_gb']:.1f}",
        f"{numbers['ram_gb']:.0f}",
        duration(numbers["seconds"]),
        f"{numbers['seconds_per_step']:.2f} s",
        "yes" if setting["fits"] else "no",
    )
