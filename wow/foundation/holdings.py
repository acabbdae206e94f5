"""Which models have files on this machine, and whether all of them are there. Nothing large is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wow.foundation.card import Card
from wow.foundation.cards import CARDS
from wow.foundation.repositories import download
from wow.foundation.shelves import homes, missing_from, places_on, shelves_of
from wow.foundation.source import find, is_foundation
from wow.types import WowError


@dataclass(frozen=True)
class Holding:
    """A model of which there are files. name: its card's, or its folder's where nobody can tell. bytes: of its parts.

    problem: what is missing or wrong, "" where every part is there; remedy: what to type about it.
    """

    name: str
    folders: tuple[Path, ...]
    bytes: int
    problem: str = ""
    remedy: str = ""


def holdings() -> list[Holding]:
    """The models in the folders that are searched for a name, and those in other folders beside them."""
    named = [holding for card in CARDS.values() if (holding := _of_card(card)) is not None]
    others = (folder for home in homes() if home.is_dir() for folder in sorted(home.iterdir()) if folder.is_dir())
    return [*named, *_of_folders(folder for folder in others if folder.name not in CARDS)]


def _of_card(card: Card) -> Holding | None:
    """What there is of a model by its name; None where there is nothing of it, at most parts that others have too."""
    shelves = shelves_of(card)
    own = [shelf.folder for shelf in shelves if not shelf.repository]
    try:
        places = places_on(shelves, card)
    except WowError as problem:
        return Holding(card.name, tuple(own), 0, str(problem), f"wow models {card.name}")
    if not own and "transformer" not in places:
        return None
    folders = tuple(dict.fromkeys(shelf.folder for shelf in shelves if _any_below(places.values(), shelf.folder)))
    missing = [part.role for part in missing_from(places, card)]
    size = sum(map(_size, set(places.values())))
    if not missing:
        return Holding(card.name, folders, size)
    get = download(card, missing, [shelf.repository for shelf in shelves])
    return Holding(card.name, folders or tuple(own), size, f"lacks {', '.join(missing)}", get)


def _of_folders(folders: Iterable[Path]) -> list[Holding]:
    """What there is in folders that are called otherwise than a card; those that look like no model are left out."""
    found = []
    for folder in folders:
        try:
            if is_foundation(folder):
                source = find(folder)
                found.append(Holding(source.card.name, (folder,), sum(map(_size, set(source.places.values())))))
        except WowError as problem:
            found.append(Holding(folder.name, (folder,), 0, str(problem), f"wow models NAME {folder}"))
    return found


def _any_below(paths: Iterable[Path], folder: Path) -> bool:
    return any(path.is_relative_to(folder) for path in paths)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
