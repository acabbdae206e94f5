"""Episodes on disk <-> Episode in memory: LeRobot datasets and other formats, video files, statistics, windows.

Names are fetched from their files when first used, so that importing the room costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wow.data.lerobot_write import DatasetWriter as DatasetWriter
    from wow.data.lerobot_write import StagedEpisode as StagedEpisode
    from wow.data.lerobot_write import stage_episode as stage_episode

_HOMES = {
    "DatasetWriter": "lerobot_write",
    "StagedEpisode": "lerobot_write",
    "stage_episode": "lerobot_write",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"wow.data.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'wow.data' has no attribute '{name}'")
