"""The folders where parts of a model may lie, and which part is in which. No file is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wow.foundation.card import Card, Part, Role
from wow.foundation.inventory import find_parts
from wow.foundation.repositories import is_own


@dataclass(frozen=True)
class Shelf:
    """A folder where parts of a model may be. repository: on the hub, that it is a snapshot of.

    has_transformer: whether it may hold the network that denoises. What a model was made from has one too, of the
    same names and shapes, and only where it comes from tells the two apart.
    """

    folder: Path
    repository: str = ""
    has_transformer: bool = True


def homes() -> list[Path]:
    """The folders that hold a folder for each model: what WOW_MODELS names, and `models`. They need not be there."""
    return [Path(home) for home in (os.environ.get("WOW_MODELS"), "models") if home]


def shelves_of(card: Card) -> list[Shelf]:
    """The folders where parts of a model are: named by WOW_MODELS, below `models`, and in the cache of the hub.

    The latest snapshot of a repository comes first; the first repository is the model's own.
    """
    shelves = [Shelf(home / card.name) for home in homes() if (home / card.name).is_dir()]
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub")
    for repository in card.source:
        at = cache.expanduser() / f"models--{repository.replace('/', '--')}" / "snapshots"
        found = sorted(filter(Path.is_dir, at.glob("*")), key=lambda path: path.stat().st_mtime, reverse=True)
        shelves += [Shelf(path, repository, is_own(card, repository)) for path in found]
    return shelves


def places_on(shelves: Sequence[Shelf], card: Card) -> dict[Role, Path]:
    """Each part that there is, from the first shelf that has it."""
    places: dict[Role, Path] = {}
    for shelf in shelves:
        for place in find_parts(card, shelf.folder, shelf.repository):
            if place.path is not None and (place.part.role != "transformer" or shelf.has_transformer):
                places.setdefault(place.part.role, place.path)
    return places


def missing_from(places: Mapping[Role, Path], card: Card) -> list[Part]:
    """The parts without which the model does not run. Wan's picture goes to CLIP by our own arithmetic, no file's."""
    needed = [part for part in card.parts if part.role != "image_processor" or card.family == "svd"]
    return [part for part in needed if part.role not in places]
