"""`wow run --suite … --record DIR`: every first plan's imagined video as an episode, with what became of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from wow.types import Embodiment, Episode, WowError

if TYPE_CHECKING:
    from wow.assembly import Plan
    from wow.cli.episode import EpisodeSettings
    from wow.data import DatasetWriter, StagedEpisode

SOURCE = "imagined"

Key = tuple[object, ...]


@dataclass(frozen=True)
class Dream:
    """A plan that was imagined for a scene, and whether executing it did what the prompt says."""

    plan: Plan
    task: str
    seed: int
    prompt: str
    success: bool


def episode_of(dream: Dream, settings: EpisodeSettings, model_hash: str) -> Episode:
    """The imagined video with the actions that were read from it or that it was painted for, and the outcome.

    The last row of actions leads out of the video and moves nothing. Raises WowError where there is no video.
    """
    video, actions = dream.plan.video, dream.plan.actions
    if video is None:
        raise WowError("--record keeps imagined videos: nothing is imagined with --plan-from actions")
    card = actions.embodiment
    last = np.where([dimension.name.startswith("grip") for dimension in card.action], actions.values[-1], 0.0)
    return Episode(
        videos={card.cameras[0].name if card.cameras else "front": video},
        actions=np.concatenate([actions.values, last[None]]).astype(np.float32),
        embodiment=card,
        task=dream.prompt,
        source=SOURCE,
        success=dream.success,
        facts={
            "task_name": dream.task,
            "scene": dream.task,
            "seed": dream.seed,
            "prompt": dream.prompt,
            "model": settings.model,
            "model_hash": model_hash,
            "plan_from": settings.plan_from,
        },
    )


class DreamWriter:
    """Adds dreams to a dataset, new or begun earlier; one that is there already is not added again."""

    def __init__(self, folder: Path, card: Embodiment, fps: float, settings: EpisodeSettings, model_hash: str) -> None:
        from wow.data import DatasetWriter

        self._settings, self._model_hash = settings, model_hash
        self._writer: DatasetWriter = DatasetWriter(folder, card, fps=fps)
        self._known = {_key(facts) for facts in self._writer.episode_facts}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    @property
    def staging(self) -> Path:
        """Where worker processes encode: one outlives a killed parent, and must not write where the next one's do."""
        return self._writer.staging / str(os.getpid())

    def has(self, task: str, seed: int) -> bool:
        """Whether the dream of a scene is there."""
        return (task, seed, self._model_hash, self._settings.plan_from) in self._known

    def commit(self, staged: StagedEpisode) -> None:
        """Adds an encoded dream."""
        facts = staged.facts
        if not self.has(str(facts["task_name"]), int(str(facts["seed"]))):
            self._writer.commit(staged)
            self._known.add(_key(facts))


def _key(facts: Mapping[str, object]) -> Key:
    """What tells a dream from others."""
    return tuple(facts.get(name) for name in ("task_name", "seed", "model_hash", "plan_from"))


def stage(dream: Dream, settings: EpisodeSettings, model_hash: str, folder: Path) -> StagedEpisode:
    """The dream encoded in a folder of its own."""
    from wow.data import stage_episode

    folder.parent.mkdir(parents=True, exist_ok=True)
    return stage_episode(episode_of(dream, settings, model_hash), folder)
