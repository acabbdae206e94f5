"""`wow imagine --model` with a foundation model: its own defaults, its plan, and its clips."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from wow.cli.batch import Clip, left_of, read_clips, run_batch, write_clip
from wow.cli.batch_workers import Draw, Open
from wow.cli.options import Summary
from wow.cli.output import write_json, write_strip, write_videos
from wow.cli.progress import Progress
from wow.types import Video, WowError

if TYPE_CHECKING:
    from wow.assembly import Actor
    from wow.cli.imagine import Imagine
    from wow.foundation.card import Card
    from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
    from wow.foundation.shot import Tell
    from wow.foundation.source import Source
    from wow.foundation.speed import Speed


Options = TypeVar("Options")


def named_model(arguments: Sequence[str]) -> str | None:
    """What `--model` is on a command line; None where it is not there."""
    for place, word in enumerate(arguments):
        if word == "--model" and place + 1 < len(arguments):
            return arguments[place + 1]
        if word.startswith("--model="):
            return word.removeprefix("--model=")
    return None


def is_foundation(model: str) -> bool:
    """Whether a model is one that `wow models` lists, or the folder of one; decided without loading anything heavy.

    Raises WowError for what is no folder and nearly the name of one.
    """
    from wow.foundation.cards import told_by_name

    told = told_by_name(model)
    if told is not None:
        return told
    from wow.foundation import source

    return source.is_foundation(model)


def defaults(model: str) -> Mapping[str, int | float]:
    """What a foundation model samples with unless it is told otherwise."""
    card = card_of(model)
    sampler = card.sampler
    return {
        "num_frames": card.frames.default,
        "num_inference_steps": sampler.num_inference_steps,
        "guidance_scale": sampler.guidance_scale,
    }


def check_length(model: str, num_frames: int) -> None:
    """Raises WowError where a foundation model makes no clips of that length; any model may be named."""
    if is_foundation(model):
        from wow.foundation.request import check_frames

        check_frames(card_of(model), num_frames)


def open_agent(model: str) -> Actor:
    """A model of any kind to act with, which says on stderr how it is planned."""
    from wow import assembly

    if is_foundation(model):
        source_of(model)  # before what drives it is imported, which takes long
    return assembly.open_agent(model, tell=_Tell())


def defaults_of(options: type[Options], arguments: Sequence[str]) -> Options | None:
    """What a command begins with where `--model` names a foundation model: its defaults. None for any other model."""
    import tyro

    model = named_model(arguments)
    if model is None or not is_foundation(model):
        return None
    assert is_dataclass(options), "a command is a dataclass"
    asked = {one.name: tyro.MISSING for one in fields(options) if one.default is one.default_factory is MISSING}
    return options(**asked, **defaults(model))


@cache
def source_of(model: str) -> Source:
    """The files of a model, looked at once."""
    from wow.foundation.source import find

    return find(model)


@cache
def speed_of(command: Imagine) -> Speed:
    """What is done to sample faster; processes that draw a clip together find each other once."""
    return command.speed()


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
        raise WowError("--context-parallel is for one clip: a batch has a process for each GPU, leave it away")
    if command.lora is not None and not command.lora.is_file():
        raise WowError(f"there is no file {command.lora}: name a LoRA in safetensors")
    source_of(command.model)


def run(command: Imagine) -> Summary:
    """One clip, several candidates, or a batch."""
    if command.batch is not None:
        return _run_batch(command, command.batch)
    began = time.perf_counter()
    model = _open(command, _Tell())
    assert command.image is not None, "a single clip has a picture"
    clips = [
        Clip(f"{place}", command.image, command.instruction or "", command.seed + place)
        for place in range(command.candidates)
    ]
    videos, fitting = [], ""
    with Progress("imagine", total=command.candidates * command.num_inference_steps, unit="steps") as progress:
        for place, clip in enumerate(clips):
            video, fitting = _draw(model, command, clip, progress, place * command.num_inference_steps)
            videos.append(video)
    if (team := speed_of(command).team) is not None and team.rank > 0:
        return {}  # every process has the clip, and the first one writes it
    more = {"plan": str(model.plan), "passes": asdict(model.passes), "seconds": time.perf_counter() - began}
    return _write(command, videos, clips, fitting, more)


def _run_batch(command: Imagine, batch: Path) -> Summary:
    """Every clip by a model that stays loaded."""
    clips = read_clips(batch, command.seed)
    prompts = [clip.instruction for clip in left_of(clips, command.out)]
    processes = command.num_processes()
    model = _open(command, _Tell(), processes)
    open_model: Open = partial(open_drawer, command, prompts, processes)
    if command.engine == "local" and processes == 1:
        open_model = partial(_drawer, model, command, prompts)
    elif prompts:
        _read_ahead(model, command, prompts)  # here, so that the text encoder is loaded by one process alone
    return {**run_batch(clips, command.out, command.outcomes(open_model)), "plan": str(model.plan)}


def open_drawer(command: Imagine, prompts: Sequence[str], processes: int) -> Draw:
    """A foundation model, which draws clips with the options of a command. processes: that share this machine."""
    return _drawer(_open(command, _Tell(is_first=False), processes), command, prompts)


def _drawer(model: FoundationWorldModel, command: Imagine, prompts: Sequence[str]) -> Draw:
    _read_ahead(model, command, prompts)
    return lambda clip: write_clip(command.out / clip.name, clip, *_draw(model, command, clip))


def _read_ahead(model: FoundationWorldModel, command: Imagine, prompts: Sequence[str]) -> None:
    """Has the text encoder, loaded once, read all that it can read; a clip with other words will say what is wrong."""
    from wow.foundation.request import can_read

    model.embed([words for words in prompts if can_read(model.card, words)], _options(command))


def _open(command: Imagine, tell: Tell, processes: int = 1) -> FoundationWorldModel:
    from wow.foundation.loading import open_model
    from wow.foundation.memory import job_of
    from wow.foundation.speed import check_speed

    check_speed(card_of(command.model), speed_of(command))
    return open_model(
        source_of(command.model),
        command.wish(),
        lambda card: job_of(card, command.num_frames, command.num_inference_steps, command.size()),
        tell,
        [] if command.lora is None else [(command.lora, command.lora_scale)],
        processes,
    )


def _draw(
    model: FoundationWorldModel,
    command: Imagine,
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
        options=_options(command),
        on_step=lambda done, _: None if progress is None else progress.update(before + done),
    )
    return video, fitting


def _options(command: Imagine) -> FoundationOptions:
    from wow.foundation.pipeline import FoundationOptions

    return FoundationOptions(
        num_inference_steps=command.num_inference_steps,
        guidance_scale=command.guidance_scale,
        shift=command.shift,
        negative_prompt=command.negative_prompt,
        size=command.size(),
        fps=None if command.fps is None else round(command.fps),
        speed=speed_of(command),
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
    """Says on stderr what is planned, and later what changes. is_first: whether the plan is still to be said."""

    def __init__(self, is_first: bool = True) -> None:
        self._is_first = is_first

    def __call__(self, line: str) -> None:
        print(f"plan: {line}" if self._is_first else line, file=sys.stderr)
        self._is_first = False
