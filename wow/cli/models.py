"""`wow models`: which video models can be driven, and which files each is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tyro

from wow.cli import own_model
from wow.cli.options import Command, Summary
from wow.foundation.card import Card
from wow.foundation.cards import CARDS, OURS, card
from wow.foundation.inventory import find_parts, wanted_of
from wow.foundation.memory import GB, QUANTISATIONS, Machine, Setting, cost, job_of
from wow.foundation.plan import settings
from wow.types import WowError

COLUMNS = ("name", "size", "backbone", "clip", "steps", "guidance", "weights", "GPU [GB]", "licence")
LARGE = Machine("a GPU that holds anything", 1e15, 1e15, 1e15)


@dataclass(frozen=True, kw_only=True)
class Models(Command):
    """List wow-mini, the released WoW models and their baselines; or show one, and which of its files a folder has."""

    name: tyro.conf.Positional[str | None] = None
    """Model to show; all of them where none is named."""
    folder: tyro.conf.Positional[Path | None] = None
    """Folder to look for its files in."""

    def run(self) -> Summary:
        own = own_model.facts()
        if self.name is None:
            return {"own": own, "models": [_facts(one) for one in CARDS.values()]}
        if self.name == OURS and own is not None:
            if self.folder is not None:
                raise WowError(f"{OURS} comes with the package: leave the folder away")
            return {"own": own}
        chosen = card(self.name)
        summary = _facts(chosen) | {"files": _files(chosen, self.folder)}
        if self.folder is not None:
            summary["folder"] = self.folder
            summary["missing"] = [file["part"] for file in _rows(summary["files"]) if not file["found"]]
        return summary

    def describe(self, summary: Mapping[str, object]) -> str:
        """A table of all, or the card of one."""
        own = summary.get("own")
        if "models" in summary:
            return _table(_rows(summary["models"]), [] if own is None else [own_model.row(_values(own))])
        if own is not None:
            return "\n".join(own_model.lines(_values(own)))
        return "\n".join([*_card_lines(summary), *_file_lines(summary)])


def _facts(one: Card) -> Summary:
    """The card as plain values."""
    sampler = one.sampler
    shift = {} if sampler.shift is None else {"shift": sampler.shift}
    sigmas = {} if sampler.sigmas is None else {"sigmas": sampler.sigmas}
    return {
        "name": one.name,
        "family": one.family,
        "backbone": one.backbone,
        "size": one.size,
        "parameters": one.parameters,
        "weights_gb": round(2 * one.parameters / 1e9, 1),
        "gpu_gb": _gpu_memory(one),
        "modes": one.modes,
        "height": one.height,
        "width": one.width,
        "num_frames": one.frames.default,
        "frames_rule": "any" if one.frames.step == 1 else f"{one.frames.step}k+1",
        "most_frames": one.frames.most,
        "fps": one.fps,
        "fit": one.fit,
        "sampler": {
            "method": sampler.method,
            "num_inference_steps": sampler.num_inference_steps,
            "guidance_scale": sampler.guidance_scale,
            "guidance": sampler.guidance,
            **shift,
            **sigmas,
        },
        "negative_prompt": sampler.negative_prompt,
        "licence": one.licence,
        "source": one.source,
        "notes": one.notes,
    }


def _gpu_memory(one: Card) -> dict[str, float]:
    """GPU memory of the published clip [GB], by plan: what is on the GPU at a time, and what is done to need less."""
    job = job_of(one)
    return {
        _plan_name(setting): round(cost(one, job, setting, LARGE).gpu / GB, 1)
        for setting in settings(one, LARGE, QUANTISATIONS)
        if setting.dtype == "bfloat16"
    }


def _plan_name(setting: Setting) -> str:
    """A setting in the words of the options that ask for it."""
    eight_bits = "" if setting.quantisation == "none" else f", {setting.quantisation}"
    return f"{setting.offload}{', tiles' if setting.tiling else ''}{eight_bits}"


def _files(one: Card, folder: Path | None) -> list[dict[str, object]]:
    """Each part, what would do for it, and where it was found."""
    if folder is None:
        return [{"part": part.role, "kind": part.kind, "any_of": wanted_of(part)} for part in one.parts]
    return [
        {"part": place.part.role, "kind": place.part.kind, "any_of": place.wanted, "found": place.path}
        for place in find_parts(one, folder)
    ]


def _table(models: list[Mapping[str, object]], own: list[tuple[str, ...]]) -> str:
    rows = [COLUMNS, *own, *(_row(model) for model in models)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(
        [
            *lines,
            "",
            "GPU: with everything on it, one network at a time, or one block at a time with the VAE in tiles where "
            "the library has any.",
            "wow models NAME shows one with the files it is made of. Nothing is ever downloaded.",
        ]
    )


def _row(model: Mapping[str, object]) -> tuple[str, ...]:
    sampler = model["sampler"]
    assert isinstance(sampler, Mapping)
    clip = f"{model['num_frames']} x {model['height']} x {model['width']} at {model['fps']}"
    steps, guidance = str(sampler["num_inference_steps"]), f"{sampler['guidance_scale']:g} {sampler['guidance']}"
    licence = str(model["licence"]).split(" (")[0]
    weights = f"{model['weights_gb']} GB"
    takes = _mapping(model["gpu_gb"])
    least = takes.get("blocks, tiles", takes["blocks"])
    gpu = f"{takes['none']:.0f}, {takes['model']:.0f} or {least:.0f}"
    named = (str(model[key]) for key in ("name", "size", "backbone"))
    return (*named, clip, steps, guidance, weights, gpu, licence)


def _card_lines(summary: Mapping[str, object]) -> list[str]:
    sampler, notes, modes, source = (summary[key] for key in ("sampler", "notes", "modes", "source"))
    assert isinstance(sampler, Mapping) and isinstance(notes, tuple)
    assert isinstance(modes, tuple) and isinstance(source, tuple)
    most = f"up to {summary['most_frames']}"
    facts = {
        "backbone": f"{summary['backbone']}, {summary['size']}",
        "does": ", ".join(modes),
        "clips": f"{summary['num_frames']} frames ({summary['frames_rule']}, {most}) of "
        f"{summary['width']}x{summary['height']} at {summary['fps']} fps; pictures: {summary['fit']}",
        "sampler": ", ".join(f"{key} {value}" for key, value in sampler.items()),
        "weights": f"{summary['weights_gb']} GB in bfloat16, all parts",
        "GPU [GB]": "; ".join(f"{name} {takes:g}" for name, takes in _mapping(summary["gpu_gb"]).items()),
        "licence": str(summary["licence"]),
        "from": ", ".join(source),
    }
    lines = [f"  {key:<10}{value}" for key, value in facts.items()]
    return [str(summary["name"]), *lines, *(f"  note      {note}" for note in notes)]


def _file_lines(summary: Mapping[str, object]) -> list[str]:
    lines = ["files"]
    for file in _rows(summary["files"]):
        choices = file["any_of"]
        assert isinstance(choices, tuple)
        if "found" not in file:
            state = ""
        elif file["found"] is None:
            state = "missing: "
        else:
            lines.append(f"  {file['part']:<16}found {file['found']}")
            continue
        lines.append(f"  {file['part']:<16}{state}{' or '.join(choices)}")
    if summary.get("missing"):
        lines.append(f"{len(_list(summary['missing']))} missing: get them from {', '.join(_list(summary['source']))}")
    return lines


def _rows(value: object) -> list[Mapping[str, object]]:
    assert isinstance(value, list)
    return value


def _values(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


def _mapping(value: object) -> Mapping[str, float]:
    assert isinstance(value, Mapping)
    return value


def _list(value: object) -> list[str]:
    assert isinstance(value, list | tuple)
    return [str(item) for item in value]
