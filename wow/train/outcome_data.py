"""What the outcome network learns from: motions that were executed, beside what a policy would do in the same scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wow.act.planner import in_transitions
from wow.data import open_dataset
from wow.data.tries import NEVER, is_tries, read_tries
from wow.imagine.actions import ActionScale
from wow.models.fit import fit_picture
from wow.models.judge import unhurried
from wow.models.outcome import OutcomeNetwork
from wow.models.text import TextConditioner
from wow.types import Actions, Embodiment, Float32, UInt8, WowError

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
OnDone = Callable[[int, int], None]
UNKNOWN = -2
"""Nobody knows when a plan succeeded."""
WORDINGS = 4
"""Texts of other tasks that a scene is held against at most."""
BATCH = 64


@dataclass(frozen=True)
class Goals:
    """For each task, others whose goal its videos surely do not reach: in the same scene, or about other things."""

    rivals: Mapping[str, tuple[str, ...]]
    strangers: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Attempted:
    """Plans for one scene. picture: uint8 [H, W, 3]. motions: normalised [K, T, A]. success [K]. step [K]: transition
    in which each succeeded, `NEVER` or `UNKNOWN`."""

    task: str
    text: str
    picture: UInt8
    motions: Floats
    success: NDArray[np.bool_]
    step: Ints


@dataclass(frozen=True)
class Plans:
    """Plans and the contexts that they are judged in: a scene with words for a task.

    sought [C, d], practised [C, T, A]: of each context, as of `OutcomeNetwork.practise`; the first ones are the scenes
    with their own words. tasks: what those words ask for [C]. scene_of: whose picture it is [C]. motion [N, T, A],
    success [N], step [N], scene [N] and context [N]: of each plan. summed: which dimensions say how far the hand got.
    """

    sought: Floats
    practised: Floats
    tasks: tuple[str, ...]
    scene_of: Ints
    motion: Floats
    success: NDArray[np.bool_]
    step: Ints
    scene: Ints
    summed: NDArray[np.bool_]

    @property
    def context(self) -> Ints:
        """Of each plan: its scene with its own words."""
        return self.scene


def open_attempted(
    folders: Sequence[Path], scale: ActionScale, num_transitions: int, on_done: OnDone = lambda done, total: None
) -> list[Attempted]:
    """The scenes of folders of tries, and of datasets whose episodes say whether they succeeded.

    Raises WowError where a folder holds neither, or other actions than `scale` is for.
    """
    found: list[Attempted] = []
    for number, folder in enumerate(folders):
        found += _of_tries(folder, scale) if is_tries(folder) else _of_dataset(folder, scale, num_transitions)
        on_done(number + 1, len(folders))
    wrong = [one for one in found if one.motions.shape[1:] != (num_transitions, len(scale.spread))]
    if not found or wrong:
        raise WowError(
            "no episode of --data says whether it succeeded"
            if not found
            else f"the plans of {wrong[0].task} are {list(wrong[0].motions.shape[1:])}, the policy's motions "
            f"[{num_transitions}, {len(scale.spread)}]"
        )
    return found


def in_contexts(
    attempted: Sequence[Attempted],
    network: OutcomeNetwork,
    text: TextConditioner,
    scale: ActionScale,
    size: int,
    goals: Goals,
    seed: int = 0,
    on_done: OnDone = lambda done, total: None,
) -> Plans:
    """All plans, with what the policy is told and would do for each scene's own words and for a few of other tasks."""
    random = np.random.default_rng(seed)
    wordings: dict[str, list[str]] = {}
    for one in attempted:
        if one.text not in wordings.setdefault(one.task, []):
            wordings[one.task].append(one.text)
    asked = [(scene, one.task, one.text) for scene, one in enumerate(attempted)]
    for scene, one in enumerate(attempted):
        known = [*goals.rivals.get(one.task, ()), *goals.strangers.get(one.task, ())]
        others = [task for task in known if task in wordings]
        rivals = [task for task in goals.rivals.get(one.task, ()) if task in wordings][: WORDINGS // 2]
        drawn: list[Any] = list(random.permutation(others)[: WORDINGS - len(rivals)]) if others else []
        for task in dict.fromkeys([*rivals, *map(str, drawn)]):
            asked.append((scene, task, wordings[task][int(random.integers(len(wordings[task])))]))
    sought, practised = [], []
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        pictures = [fit_picture(attempted[scene].picture, size)[0] for scene, _, _ in some]
        told, motion = practise(network, text, pictures, [words for _, _, words in some])
        sought.append(told)
        practised.append(motion)
        on_done(start + len(some), len(asked))
    counts = [len(one.motions) for one in attempted]
    return Plans(
        sought=np.concatenate(sought),
        practised=np.concatenate(practised),
        tasks=tuple(task for _, task, _ in asked),
        scene_of=np.array([scene for scene, _, _ in asked], np.int64),
        motion=np.concatenate([one.motions for one in attempted]),
        success=np.concatenate([one.success for one in attempted]),
        step=np.concatenate([one.step for one in attempted]),
        scene=np.repeat(np.arange(len(attempted)), counts),
        summed=np.array(scale.summed),
    )


def practise(
    network: OutcomeNetwork, text: TextConditioner, pictures: Sequence[UInt8], words: Sequence[str]
) -> tuple[Floats, Floats]:
    """What the policy beside a network is told [n d], and would do [n t a], in pictures of its size."""
    tokens, mask = text.encode(list(words))
    seen = torch.from_numpy(np.stack(pictures)).movedim(-1, -3).float() / 127.5 - 1.0
    told, motion = network.practise(seen, unhurried(tokens, mask))
    return told.numpy(), motion.numpy()


def other_words(plans: Plans, goals: Goals) -> list[Ints]:
    """For each plan the contexts with its scene's picture and words for a goal that it surely does not reach.

    What undoes its own task is not done only where its own task is.
    """
    own: dict[int, list[int]] = {}
    first = len(np.unique(plans.scene))
    for context in range(first, len(plans.tasks)):
        own.setdefault(int(plans.scene_of[context]), []).append(context)
    found = []
    for plan, scene in enumerate(plans.scene):
        task = plans.tasks[int(scene)]
        rivals = goals.rivals.get(task, ())
        there = [c for c in own.get(int(scene), []) if plans.success[plan] or plans.tasks[c] not in rivals]
        found.append(np.array(there, np.int64))
    return found


def cut_short(motion: Floats, kept: int, summed: NDArray[np.bool_], stretched: bool) -> Floats:
    """The first transitions of a motion [T, A]; then it stands still, or they take the time of all."""
    count = len(motion)
    if not stretched:
        return np.concatenate([motion[:kept], np.repeat(motion[kept - 1 : kept], count - kept, axis=0)])
    path = np.concatenate([np.where(summed, 0.0, motion[:1]), motion[:kept]])
    at, known = np.linspace(0.0, kept, count + 1)[1:], np.arange(kept + 1)
    return np.stack([np.interp(at, known, column) for column in path.T], axis=-1).astype(np.float32)


def _of_tries(folder: Path, scale: ActionScale) -> list[Attempted]:
    scenes, card = read_tries(folder)
    _check(folder, card, scale)
    return [
        Attempted(s.task, s.text, s.picture, scale.motion(s.actions), s.success_step != NEVER, s.success_step)
        for s in scenes
    ]


def _of_dataset(folder: Path, scale: ActionScale, num_transitions: int) -> list[Attempted]:
    """A plan for each episode: its actions from its first picture on."""
    dataset = open_dataset(folder)
    card = dataset.embodiment
    _check(folder, card, scale)
    found = []
    for number, record in enumerate(dataset.records):
        if record.success is None or record.length < 3:
            continue
        episode = dataset.episode(number, cameras=dataset.cameras[:1])
        actions = in_transitions(Actions(episode.actions[:-1], card), num_transitions).values
        step, steps = record.facts.get("success_step"), record.facts.get("control_steps")
        when = UNKNOWN if record.success else NEVER
        if record.success and isinstance(step, int) and isinstance(steps, int) and step >= 0 and steps > 0:
            when = min(step * num_transitions // steps, num_transitions - 1)
        found.append(
            Attempted(
                str(record.facts.get("task_name", record.task)),
                record.task,
                next(iter(episode.videos.values())).frames[0],
                scale.motion(actions)[None],
                np.array([record.success]),
                np.array([when], np.int64),
            )
        )
    return found


def _check(folder: Path, card: Embodiment, scale: ActionScale) -> None:
    if tuple(bool(adds) for adds in card.adds_up) != scale.summed:
        raise WowError(f"{folder} has the actions of {card.robot}, which the policy does not know")


def normalised(actions: Actions, scale: ActionScale, num_transitions: int) -> Float32:
    """The motion of actions, in as many transitions as a policy's."""
    return scale.motion(in_transitions(actions, num_transitions).values).astype(np.float32)
