"""Dimension 3: does the video follow the instruction? One first frame, several instructions, several real outcomes.

Tasks that share a scene (reach, push, pick-place) were each attempted from the same reset. The imagined last frame has
to be closest to what really came of its own instruction. The distance is the mean squared error of pixels: where the
outcomes do not differ it adds the same to all of them, so the choice is made where they do. Most of what differs may
be the arm, whose elbow is free where the hand is given: so it is also counted around hand and things alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wow.bench.metrics import psnr
from wow.bench.samples import Clip, EpisodeStore, clip_of, reset_of, task_of
from wow.bench.system import Asked, Imaginer
from wow.types import UInt8, WowError

TRAINED, HELD_OUT, USERS = "trained wording", "held-out paraphrase", "a user's own words"
Wordings = Mapping[str, Mapping[str, Sequence[str]]]
"""By kind, then by task: texts that training never had."""
SAME_FRAME = 30.0
"""PSNR above which two first frames count as the same picture [dB]. Video compression leaves 35 and more."""
SAME_OUTCOME = 40.0
"""PSNR above which two outcomes cannot be told apart through video compression [dB]."""
NEAR = 8
"""The squares around hand and things are this share of the picture wide."""


@dataclass(frozen=True)
class SiblingSet:
    """One reset, attempted by K experts. numbers: their episodes. key: scene and seed. turn: resets of the same scene
    before it; of several wordings of a kind each has its turn."""

    key: str
    scene: str
    numbers: tuple[int, ...]
    turn: int = 0


@dataclass(frozen=True)
class MatchedClips:
    """One first frame uint8 [H, W, 3], K instructions and the K frames [K, H, W, 3] in which they really end.

    near: bool [H, W], around where hand and things end in any of these; None where the data do not tell.
    held_out: by kind, for each instruction a wording that training never had, None where there is none.
    """

    key: str
    scene: str
    first_frame: UInt8
    tasks: tuple[str, ...]
    instructions: tuple[str, ...]
    held_out: Mapping[str, tuple[str | None, ...]]
    final_frames: UInt8
    near: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class InstructionRecord:
    """Whether an imagined last frame is closest to the right outcome.

    chosen: the task whose outcome is closest; chosen_near: the one closest around hand and things, "" where nobody
    knows where they are. separation: PSNR between the right outcome and the one most like it [dB].
    """

    key: str
    scene: str
    task: str
    wording: str
    chosen: str
    separation: float
    chosen_near: str = ""

    @property
    def is_right(self) -> bool:
        return self.chosen == self.task

    @property
    def is_decidable(self) -> bool:
        """Whether the right outcome looks different from all others at all."""
        return self.separation < SAME_OUTCOME


def sibling_sets(store: EpisodeStore, per_scene: int) -> list[SiblingSet]:
    """The resets that experts of at least two tasks attempted, at most `per_scene` of each scene."""
    attempts: dict[tuple[str, int], dict[str, int]] = {}
    for number, record in enumerate(store.records):
        reset = reset_of(record)
        if reset is not None and record.source == "expert" and record.success is not False:
            attempts.setdefault(reset, {})[task_of(record)] = number
    sets: dict[str, list[SiblingSet]] = {}
    for (scene, seed), by_task in sorted(attempts.items()):
        if len(by_task) > 1:
            numbers = tuple(by_task[task] for task in sorted(by_task))
            turn = len(sets.setdefault(scene, []))
            sets[scene].append(SiblingSet(f"{scene}:{seed}", scene, numbers, turn))
    return [found for scene in sorted(sets) for found in sets[scene][:per_scene]]


def matched_clips(
    store: EpisodeStore, siblings: SiblingSet, num_frames: int, camera: str, held_out: Wordings
) -> MatchedClips:
    """The frames and words of a set. Raises WowError where the first frames differ."""
    clips = [clip_of(store.episode(number), str(number), num_frames, camera) for number in siblings.numbers]
    first = np.stack([clip.frames[0] for clip in clips])
    if psnr(first, np.repeat(first[:1], len(first), axis=0)).min() < SAME_FRAME:
        raise WowError(f"the episodes of {siblings.key} start differently: record them with --source siblings")
    return MatchedClips(
        key=siblings.key,
        scene=siblings.scene,
        first_frame=first[0],
        tasks=tuple(clip.task for clip in clips),
        instructions=tuple(clip.prompt for clip in clips),
        held_out={
            kind: tuple(_taking_turns(by_task.get(clip.task, ()), siblings.turn) for clip in clips)
            for kind, by_task in held_out.items()
        },
        final_frames=np.stack([clip.frames[-1] for clip in clips]),
        near=near_hand_and_things(clips),
    )


def near_hand_and_things(clips: Sequence[Clip]) -> NDArray[np.bool_] | None:
    """Where in the picture [H, W] hand and things are at the end of any of the clips; None where one does not tell."""
    height, width = clips[0].frames.shape[1:3]
    rows, columns, reach = np.arange(height)[:, None], np.arange(width), min(height, width) / NEAR / 2
    near = np.zeros((height, width), bool)
    for centres in (each for clip in clips for each in (clip.gripper, clip.object)):
        if centres is None:
            return None
        column, row = centres[-1]
        near |= (np.abs(rows - row) <= reach) & (np.abs(columns - column) <= reach)
    return near if near.any() else None


def measure_instructions(
    sets: Sequence[MatchedClips], system: Imaginer, num_frames: int, seed: int
) -> list[InstructionRecord]:
    """A record for each instruction of each set, and for each held-out wording that is known."""
    asked = [
        (matched, index, wording, text)
        for matched in sets
        for wording, texts in {TRAINED: matched.instructions, **matched.held_out}.items()
        for index, text in enumerate(texts)
        if text is not None
    ]
    contexts, prompts = [case[0].first_frame for case in asked], [case[3] for case in asked]
    videos = system.imagine(Asked(contexts, prompts, num_frames, seed))
    records = []
    for (matched, index, wording, _), video in zip(asked, videos, strict=True):
        chosen, task = matched.tasks[nearest(video[-1], matched.final_frames)], matched.tasks[index]
        near = "" if matched.near is None else matched.tasks[nearest(video[-1], matched.final_frames, matched.near)]
        separation = _separation(matched.final_frames, index)
        records.append(InstructionRecord(matched.key, matched.scene, task, wording, chosen, separation, near))
    return records


def nearest(frame: UInt8, candidates: UInt8, where: NDArray[np.bool_] | None = None) -> int:
    """Which of the candidates [K, H, W, 3] has the smallest squared error to the frame, everywhere or where told."""
    difference = np.square(candidates.astype(np.float32) - frame.astype(np.float32)).mean(axis=-1)
    return int((difference if where is None else difference * where).mean(axis=(1, 2)).argmin())


def _taking_turns(texts: Sequence[str], turn: int) -> str | None:
    return texts[turn % len(texts)] if texts else None


def _separation(final_frames: UInt8, index: int) -> float:
    others = np.delete(final_frames, index, axis=0)
    return float(psnr(others, np.repeat(final_frames[index][None], len(others), axis=0)).max())
