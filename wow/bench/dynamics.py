"""Dimension 4: does the video follow the actions? On expert, flawed and random ones, and on those of another episode.

Swap test: the first frame and the instruction of one episode with the actions of another. The video has to be closer to
what those actions really did than to what the first episode did. A video in which little moves is always closer to the
calmer of two truths, so the test is made with the own actions, too: only a system that hears actions passes both.

Where both episodes start from the same reset the truth is known exactly. Between two resets of a task it is not: there
the *changes* since each first frame are compared, because the pictures differ in where things lie from the start. That
is a hint and no proof: what moves lies elsewhere, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wow.bench.metrics import Perceptual, score_video
from wow.bench.samples import EXPERTS, Clip, EpisodeStore, is_in_own_scene, reset_of, task_of
from wow.bench.system import Asked, Imaginer
from wow.types import Float32, UInt8

SOURCES = ("expert", "near_success", "random")
ALONE, OBEYED, MISLED = "actions alone", "actions and instruction", "actions, and an instruction they do not follow"
STATIC = "first frame repeated"
SAME_RESET, TWO_RESETS = "same reset", "another expert's actions, two resets"
GIVING = {"swapped": "another expert's actions", "random": "random actions", "near_success": "flawed actions"}
"""Sources of episodes that start where an expert's does, and what their actions are. "swapped": the actions of an
expert in another reset, simulated from this one."""


@dataclass(frozen=True)
class DynamicsRecord:
    """The likeness to the simulated video under its actions. told: what the model was given."""

    key: str
    task: str
    source: str
    told: str
    psnr: float
    ssim: float
    lpips: float | None


@dataclass(frozen=True)
class SwapRecord:
    """Mean squared errors [grey levels²] of two videos from one first frame, to what really came of either's actions.

    to_swapped, to_own: of the video with swapped actions. own_to_swapped, own_to_own: of the one with its own actions.
    """

    key: str
    task: str
    kind: str
    to_swapped: float
    to_own: float
    own_to_swapped: float
    own_to_own: float

    @property
    def follows_swapped(self) -> bool:
        """Whether swapped actions led closer to what they really do than to what the episode did."""
        return self.to_swapped < self.to_own

    @property
    def tells_apart(self) -> bool:
        """Whether also its own actions led closer to their truth: never so for a system that is blind to actions."""
        return self.follows_swapped and self.own_to_own < self.own_to_swapped


def measure_dynamics(
    clips: Sequence[Clip], other_prompts: Sequence[str], system: Imaginer, perceptual: Perceptual | None, seed: int
) -> list[DynamicsRecord]:
    """Records for each clip: from its actions alone, with an instruction that they follow or not, and if nothing moves.

    other_prompts: for each clip another task's instruction. Flawed and random actions do not even follow their own.
    """
    told: dict[str, list[tuple[Clip, str | None]]] = {
        ALONE: [(clip, None) for clip in clips],
        OBEYED: [(clip, clip.prompt) for clip in clips if clip.source in EXPERTS],
        MISLED: [
            (clip, other if clip.source in EXPERTS else clip.prompt)
            for clip, other in zip(clips, other_prompts, strict=True)
        ],
    }
    records = []
    for words, cases in told.items():
        given = [clip for clip, _ in cases]
        videos = _imagined(given, given, [prompt for _, prompt in cases], system, seed) if cases else []
        records += [_scored(clip, words, video, perceptual) for clip, video in zip(given, videos, strict=True)]
    still = [(clip, np.repeat(clip.frames[:1], len(clip.frames), axis=0)) for clip in clips]
    return records + [_scored(clip, STATIC, video, perceptual) for clip, video in still]


def _imagined(
    starts: Sequence[Clip], acting: Sequence[Clip], prompts: Sequence[str | None], system: Imaginer, seed: int
) -> list[UInt8]:
    """Videos from the first frames of some clips and the actions, at their pace, of others."""
    contexts, actions = [clip.frames[0] for clip in starts], [clip.actions for clip in acting]
    seconds = [clip.seconds for clip in acting]
    return system.imagine(Asked(contexts, prompts, len(starts[0].frames), seed, actions, seconds))


def _scored(clip: Clip, told: str, video: UInt8, perceptual: Perceptual | None) -> DynamicsRecord:
    return DynamicsRecord(clip.key, clip.task, clip.source, told, **vars(score_video(video, clip.frames, perceptual)))


def swap_pairs(store: EpisodeStore, per_task: int) -> list[tuple[int, int, str]]:
    """Pairs of episodes of one task: one that gives its first frame, one that gives its actions, and their kind.

    At most `per_task` of each kind for each task: an expert with each other source of its reset, and two experts.
    """
    experts: dict[str, list[int]] = {}
    others: dict[tuple[str, tuple[str, int] | None], int] = {}
    for number, record in enumerate(store.records):
        if not is_in_own_scene(record):
            continue
        if record.source in GIVING:
            others[record.source, reset_of(record)] = number
        elif record.source in EXPERTS and record.success is not False:
            experts.setdefault(task_of(record), []).append(number)
    pairs: list[tuple[int, int, str]] = []
    for _, numbers in sorted(experts.items()):
        resets = {number: reset_of(store.records[number]) for number in numbers}
        for source, words in GIVING.items():
            found = [number for number in numbers if resets[number] and (source, resets[number]) in others]
            kind = f"{words}, {SAME_RESET}"
            pairs += [(number, others[source, resets[number]], kind) for number in found[:per_task]]
        # A ring, so that each episode gives its actions once: to 0 those of 1, to 1 those of 2, …, to the last 0's.
        ring = zip(numbers, numbers[1:] + numbers[:1], strict=True) if len(numbers) > 1 else ()
        pairs += [(one, other, TWO_RESETS) for one, other in list(ring)[:per_task]]
    return pairs


def measure_swaps(pairs: Sequence[tuple[Clip, Clip, str]], system: Imaginer, seed: int) -> list[SwapRecord]:
    """A record for each pair: the first one's frame and instruction, with the second one's actions and its own."""
    owns, others = [own for own, _, _ in pairs], [other for _, other, _ in pairs]
    prompts = [own.prompt for own in owns]
    swapped = _imagined(owns, others, prompts, system, seed)
    unswapped = _imagined(owns, owns, prompts, system, seed)
    return [_compared(*pair, *videos) for pair, *videos in zip(pairs, swapped, unswapped, strict=True)]


def _compared(own: Clip, other: Clip, kind: str, swapped: UInt8, unswapped: UInt8) -> SwapRecord:
    did, would = _shown(own.frames, kind), _shown(other.frames, kind)
    seen, seen_own = _shown(swapped, kind), _shown(unswapped, kind)
    return SwapRecord(
        key=f"{own.key}<-{other.key}",
        task=own.task,
        kind=kind,
        to_swapped=_squared(seen, would),
        to_own=_squared(seen, did),
        own_to_swapped=_squared(seen_own, would),
        own_to_own=_squared(seen_own, did),
    )


def _shown(frames: UInt8, kind: str) -> Float32:
    """What is compared: the imagined frames, or between two resets their change since the first one."""
    pictures = frames.astype(np.float32)
    return pictures[1:] - pictures[:1] if kind == TWO_RESETS else pictures[1:]


def _squared(one: Float32, other: Float32) -> float:
    return float(np.square(one - other).mean(dtype=np.float64))
