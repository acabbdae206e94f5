"""`wow imagine --model` with a foundation model: its own defaults, its plan, and its clips."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.batch import Clip, read_clips, run_batch
from wow.cli.options import Summary
from wow.cli.output import write_json, write_strip, write_videos
from wow.cli.progress import Progress
from wow.types import Video, WowError

if TYPE_CHECKING:
    from wow.cli.imagine import Imagine
    from wow.foundation.card import Card
    from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
    from wow.foundation.source import Source
    from wow.foundation.speed import Speed


def named_model(arguments: Sequence[str]) -> str | None:
    """What `--model` is on a command line; None where it is not there."""
    for place, word in enumerate(arguments):
        if word == "--model" and place + 1 < len(arguments):
            return arguments[place + 1]
        if word.startswith("--model="):
            return word.removeprefix("--model=")
    return None


def is_foundation(model: str) -> bool:
    """Whether a model is one that `wow models` lists, or the folder of one; decided without loading anything heavy."""
    from wow.foundation.cards import CARDS

    name = model.partition("=")[0]
    if name in CARDS or any(model in card.source for card in CARDS.values()):
        return True
    folder = Path(model)
    if not folder.is_dir() or (folder / "manifest.json").is_file():
        return False
    from wow.foundation import source

    return source.is_foundation(folder)


def defaults(model: str) -> Mapping[str, int | float]:
    """What a foundation model samples with unless it is told otherwise."""
    card = card_of(model)
    sampler = card.sampler
    return {
        "num_frames": card.frames.default,
        "num_inference_steps": sampler.num_inference_steps,
        "guidance_scale": sampler.guidance_scale,
    }


@functools.cache
def source_of(model: str) -> Source:
    """The files of a model, looked at once."""
    from wow.foundation.source import find

    return find(model)


def card_of(model: str) -> Card:
    """The card of a model that is named, or given as a folder; its files may be missing."""
    from wow.foundation.cards import CARDS

    if model in CARDS:
        return CARDS[model]
    return source_of(model).card


def check_early(command: Imagine) -> None:
    """Raises WowError for what cannot work, before anything heavy is imported."""
    from wow.foundation.request import check_frames, check_prompt

    card = card_of(command.model)
    if command.actions is not None:
        raise WowError(f"{card.name} follows words, not actions: leave --actions away, or take --model wow-mini")
    check_frames(card, command.num_frames)
    if command.batch is None:
        check_prompt(card, command.instruction)
    if command.batch is not None and command.context_parallel:
        raise WowError("--context-parallel is for one clip: start one --batch for each GPU, with files of their own")
    if command.lora is not None and not command.lora.is_file():
        raise WowError(f"there is no file {command.lora}: name a LoRA in safetensors")


def run(command: Imagine) -> Summary:
    """One clip, several candidates, or a batch."""
    from wow.foundation.loading import open_model
    from wow.foundation.memory import job_of
    from wow.foundation.speed import check_speed

    began = time.perf_counter()
    tell = _Tell()
    speed = command.speed()
    check_speed(card_of(command.model), speed)
    model = open_model(
        source_of(command.model),
        command.wish(),
        lambda card: job_of(card, command.num_frames, command.num_inference_steps, command.size()),
        tell,
        [] if command.lora is None else [(command.lora, command.lora_scale)],
    )
    if command.batch is not None:
        clips = read_clips(command.batch, command.seed)
        model.embed([clip.instruction for clip in clips if clip.instruction.strip()], _options(command, speed))
        return {
            **run_batch(clips, command.out, lambda clip: _draw(model, command, speed, clip)),
            "plan": str(model.plan),
        }
    assert command.image is not None, "a single clip has a picture"
    clips = [
        Clip(f"{place}", command.image, command.instruction or "", command.seed + place)
        for place in range(command.candidates)
    ]
    videos, fitting = [], ""
    with Progress("imagine", total=command.candidates * command.num_inference_steps, unit="steps") as progress:
        for place, clip in enumerate(clips):
            video, fitting = _draw(model, command, speed, clip, progress, place * command.num_inference_steps)
            videos.append(video)
    if speed.team is not None and speed.team.rank > 0:
        return {}  # every process has the clip, and the first one writes it
    more = {"plan": str(model.plan), "passes": asdict(model.passes), "seconds": time.perf_counter() - began}
    return _write(command, videos, clips, fitting, more)


def _draw(
    model: FoundationWorldModel,
    command: Imagine,
    speed: Speed,
    clip: Clip,
    progress: Progress | None = None,
    before: int = 0,
) -> tuple[Video, str]:
    from wow.data.picture import read_picture

    picture = read_picture(clip.image)
    _, fitting = model.fit(picture[None], command.size())
    video = model.imagine(
        picture,
        clip.instruction,
        num_frames=command.num_frames,
        seed=clip.seed,
        options=_options(command, speed),
        on_step=lambda done, _: None if progress is None else progress.update(before + done),
    )
    return video, fitting


def _options(command: Imagine, speed: Speed) -> FoundationOptions:
    from wow.foundation.pipeline import FoundationOptions

    return FoundationOptions(
        num_inference_steps=command.num_inference_steps,
        guidance_scale=command.guidance_scale,
        shift=command.shift,
        negative_prompt=command.negative_prompt,
        size=command.size(),
        fps=None if command.fps is None else round(command.fps),
        speed=speed,
    )


def _write(
    command: Imagine, videos: Sequence[Video], clips: Sequence[Clip], fitting: str, more: Mapping[str, object]
) -> Summary:
    written = write_videos(command.out, videos)
    rows = {f"imagined, seed {clip.seed}": video.frames for clip, video in zip(clips, videos, strict=True)}
    write_strip(command.out / "filmstrip.png", rows)
    summary: Summary = {
        "out": command.out,
        "videos": [path.name for path in written],
        "image_fitting": fitting or "taken as it is",
        "fps": videos[0].fps,
        **more,
    }
    write_json(command.out / "sample_args.json", asdict(command))
    write_json(command.out / "sample_outputs.json", summary)
    return summary


class _Tell:
    """Says on stderr what is planned, and later what changes."""

    def __init__(self) -> None:
        self._is_first = True

    def __call__(self, line: str) -> None:
        print(f"plan: {line}" if self._is_first else line, file=sys.stderr)
        self._is_first = False
