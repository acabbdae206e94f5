"""What the critic learns from: clips whose outcome is known, goals that they reach or do not, and faults put into them.

An episode that succeeds also shows what is not yet a success: every beginning of it that stops short. So a video's pace
and length say nothing, and the critic has to look at what was moved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wow.data import EpisodeRecord, open_dataset
from wow.data.faults import FAULTS, apply, is_visible
from wow.models.codec import Codec
from wow.models.critic import IMPLAUSIBLE, UNSMOOTH
from wow.models.fit import fit_frames
from wow.train.disturb import Disturbance, disturb, paint_again
from wow.train.latents import encode_frames
from wow.train.store import Clips, open_clips
from wow.types import Float32, UInt8

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Goals:
    """For each task, others whose goal its videos surely do not reach: in the same scene, or about other things."""

    rivals: Mapping[str, tuple[str, ...]]
    strangers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Story:
    """What is known of an episode. task: its name, or its instruction. done_from: the first frame that shows the goal
    reached; None where it never is, or nobody knows when. imitates: an expert who did something for another scene's
    task, so that its own goal may be reached.
    """

    task: str
    success: bool | None
    done_from: int | None
    imitates: bool = False


@dataclass(frozen=True)
class CriticSource:
    """Episodes with their stories. latents: float16 [N, c, h, w] of a codec. imagined: made by a world model."""

    clips: Clips
    stories: tuple[Story, ...]
    latents: NDArray[np.float16] | None = None
    imagined: bool = False


@dataclass(frozen=True)
class Example:
    """A clip and what is true of it, NaN where that is unknown.

    frames: uint8 [T, H, W, 3]. goals: in words. completed, progress: of each goal [G], 0 to 1. done: in each frame
    [G, T]. faults: of each kind [K]. fault_frames [T, K]. merits [3]: as in models.critic.MERITS, 0 to 1.
    """

    frames: UInt8
    goals: tuple[str, ...]
    completed: Floats
    done: Floats
    progress: Floats
    faults: Floats
    fault_frames: Floats
    merits: Floats


def story_of(record: EpisodeRecord) -> Story:
    """What a dataset knows of an episode."""
    facts = record.facts
    task = str(facts.get("task_name", record.task))
    step, steps = facts.get("success_step"), facts.get("control_steps")
    done_from = None
    if record.success and isinstance(step, int) and isinstance(steps, int) and step >= 0 and steps > 0:
        done_from = min(math.ceil((step + 1) * (record.length - 1) / steps), record.length - 1)
    imitates = record.source == "expert" and record.success is None and facts.get("scene", task) != task
    return Story(task, record.success, done_from, imitates)


def open_critic_sources(
    data: Sequence[Path],
    imagined: Sequence[Path],
    camera: str | None,
    codec: Codec | None,
    on_done: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[CriticSource]:
    """Every dataset with its stories; with a codec, recorded frames get their latents. on_done: as in open_sources."""
    sources = []
    for folder in (*data, *imagined):
        clips = open_clips([folder], camera, lambda done, total: on_done("episodes", done, total))
        stories = tuple(story_of(record) for record in open_dataset(folder).records)
        source = CriticSource(clips, stories, None, folder in imagined)
        # The cache tells latents by codec and episodes; those of another camera would be taken for these.
        if codec is not None and not source.imagined and camera in (None, clips.embodiment.cameras[0].name):
            size = clips.frames.shape[1:3]
            if size[0] % 16 == 0 and size[1] % 16 == 0:
                found = encode_frames(codec, clips, folder / ".cache", lambda d, t: on_done("latents", d, t))
                source = replace(source, latents=found)
        sources.append(source)
    return sources


def wordings(sources: Sequence[CriticSource]) -> dict[str, tuple[str, ...]]:
    """For each task the texts that several of its episodes share: the others describe one scene."""
    counts: dict[str, dict[str, int]] = {}
    for source in sources:
        for story, texts in zip(source.stories, source.clips.texts, strict=True):
            own = counts.setdefault(story.task, {})
            for text in texts:
                own[text] = own.get(text, 0) + 1
    found = {}
    for task, own in counts.items():
        most = max(own.values())
        found[task] = tuple(text for text, count in own.items() if 2 * count >= most)
    return found


def rows_to(last: int, num_frames: int, first: int = 0) -> Ints:
    """`num_frames` frame numbers evenly spread from `first` to `last`, as a critic sees a video of another length."""
    return np.round(np.linspace(first, last, num_frames)).astype(np.int64)


def draw_rows(story: Story, length: int, num_frames: int, early: float, random: np.random.Generator) -> Ints:
    """Which frames a clip shows: mostly from the beginning, to a moment at which the outcome is known.

    early: the share of successes that stop short of it.
    """
    last = length - 1
    if story.done_from is not None:
        done = story.done_from
        if done >= 4 and random.random() < early:
            end = int(random.integers(max(round(0.3 * done), 2), max(round(0.88 * done), 3) + 1))
        else:
            end = int(random.integers(done, last + 1))
    elif story.success is False:
        shortest = min(12, last)
        end = round(float(np.exp(random.uniform(np.log(max(shortest, 1)), np.log(max(last, 1))))))
    else:
        end = last
    first = int(random.integers(0, max(end // 3, 1))) if random.random() < 0.2 else 0
    rows = rows_to(end, num_frames, first)
    if random.random() < 0.25:  # it stands still at the end
        held = int(random.integers(1, max(num_frames // 4, 2)))
        rows = np.concatenate([rows_to(end, num_frames - held, first), np.full(held, end)])
    return rows


def truth_of(story: Story, rows: Ints, length: int) -> tuple[float, Floats, float]:
    """Whether the clip's last frame shows the episode's own goal reached, each frame does, and how far it got."""
    if story.done_from is not None:
        done = (rows >= story.done_from).astype(np.float32)
        unsure = (rows < story.done_from) & (rows > 0.9 * story.done_from)
        done[unsure] = np.nan
        return float(rows[-1] >= story.done_from), done, float(min(rows[-1] / max(story.done_from, 1), 1.0))
    if story.success is False:
        return 0.0, np.zeros(len(rows), np.float32), math.nan
    done = np.full(len(rows), np.nan, np.float32)
    if story.success is None or rows[-1] < length - 1:
        return math.nan, done, math.nan
    done[rows == length - 1] = 1.0
    return 1.0, done, 1.0


def wrong_goal(
    story: Story, is_done: bool, goals: Goals, texts: Mapping[str, tuple[str, ...]], random: np.random.Generator
) -> str | None:
    """Words for a goal that the clip surely does not reach; None where none is known.

    What undoes an episode's task is not done only where that task is.
    """
    rivals = [task for task in goals.rivals.get(story.task, ()) if task in texts]
    strangers = [task for task in goals.strangers.get(story.task, ()) if task in texts]
    chosen = rivals if rivals and is_done and (random.random() < 0.7 or not strangers) else strangers
    if not chosen:
        return None
    wordings = texts[chosen[int(random.integers(len(chosen)))]]
    return wordings[int(random.integers(len(wordings)))]


def put_fault(example: Example, random: np.random.Generator, weakest: float = 0.25) -> Example:
    """The example with a fault of some kind; as it was where that cannot be seen.

    A goal that an implausible video shows reached counts as not reached in a world like ours.
    """
    kinds = tuple(FAULTS)
    which, strength = int(random.integers(len(kinds))), float(random.uniform(weakest, 1.0))
    kind = kinds[which]
    faulty = apply(kind, example.frames, strength, random)
    if not is_visible(example.frames, faulty.frames):
        return example
    first, last = faulty.span
    done, completed, progress = example.done.copy(), example.completed.copy(), example.progress.copy()
    touched = (example.done == 1.0) & (np.arange(done.shape[1]) >= first)
    done[touched] = np.nan
    reached = example.completed == 1.0
    if kind in IMPLAUSIBLE:
        completed[reached] = 0.0
    elif last == len(example.frames) - 1:
        completed[reached] = np.nan
    progress[reached] = np.nan
    faults, fault_frames, merits = example.faults.copy(), example.fault_frames.copy(), example.merits.copy()
    fault_frames[:] = np.where(np.isnan(faults), np.nan, 0.0)
    fault_frames[:, which] = 0.0
    fault_frames[first : last + 1, which], faults[which] = 1.0, 1.0
    for place, names in enumerate((IMPLAUSIBLE, UNSMOOTH)):
        if kind in names:
            merits[place] = 1.0 - strength
    return Example(faulty.frames, example.goals, completed, done, progress, faults, fault_frames, merits)


def show(
    source: CriticSource,
    rows: Ints,
    size: int,
    codec: Codec | None,
    disturbance: Disturbance,
    random: np.random.Generator,
) -> tuple[UInt8, float]:
    """The frames of those rows as a camera or a codec may show them, and how good they look, 0 to 1; NaN unknown."""
    quality = math.nan if source.imagined else 1.0
    if codec is not None and source.latents is not None and random.random() < disturbance.through_codec:
        noise = float(random.uniform(0.0, disturbance.codec_noise))
        context = np.asarray(source.clips.frames[rows[0]])
        frames = paint_again(codec, source.latents[rows], context, noise, random)
        frames[0] = context  # what was seen is not imagined
        quality = 0.75 - 0.5 * noise / max(disturbance.codec_noise, 1e-6)
    else:
        frames = np.array(source.clips.frames[rows])
    return disturb(fit_frames(frames, size)[0], disturbance, random)[0], quality


def clean_faults(source: CriticSource, num_frames: int) -> tuple[Floats, Floats]:
    """That a recorded clip has no faults, per kind [K] and frame [T, K]; of an imagined one nobody knows."""
    value = np.nan if source.imagined else 0.0
    return np.full(len(FAULTS), value, np.float32), np.full((num_frames, len(FAULTS)), value, np.float32)


def tinted(frames: UInt8, gain: Float32, offset: Float32) -> UInt8:
    """The clip with its colours multiplied and moved, each [3], as another light would show it."""
    # A table of 256 numbers a channel is an order faster than arithmetic on every pixel.
    levels = np.arange(256, dtype=np.float32)[:, None]
    table = np.clip(levels * gain + 127.5 * (offset + 1.0 - gain), 0.0, 255.0).round().astype(np.uint8)
    shown: UInt8 = np.stack([table[frames[..., channel], channel] for channel in range(3)], axis=-1)
    return shown
