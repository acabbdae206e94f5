"""Episodes on disk <-> Episode in memory: LeRobot datasets and other formats, video files, statistics, windows.

Names are fetched from their files when first used, so that importing the room costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wow.data.convert import import_dataset as import_dataset
    from wow.data.dataset import Dataset as Dataset
    from wow.data.dataset import EpisodeRecord as EpisodeRecord
    from wow.data.dataset import Problem as Problem
    from wow.data.formats import open_dataset as open_dataset
    from wow.data.lerobot_write import DatasetWriter as DatasetWriter
    from wow.data.stage import StagedEpisode as StagedEpisode
    from wow.data.stage import stage_episode as stage_episode
    from wow.data.windows import WindowLoader as WindowLoader

_HOMES = {
    "Dataset": "dataset",
    "DatasetWriter": "lerobot_write",
    "EpisodeRecord": "dataset",
    "Problem": "dataset",
    "StagedEpisode": "stage",
    "WindowLoader": "windows",
    "import_dataset": "convert",
    "open_dataset": "formats",
    "stage_episode": "stage",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"wow.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'wow.data' has no attribute '{name}'")
