"""Which repository of the hub has what of a model, and the commands that fetch it. Nothing is ever fetched here."""

from __future__ import annotations

from collections.abc import Collection

from wow.foundation.card import Card, Role
from wow.foundation.cards import CARDS


def is_own(card: Card, repository: str) -> bool:
    """Whether a repository holds this model itself, in one layout or another, and not what it was made from."""
    return repository == card.source[0] or not card.name.startswith("wow-")


def card_of(repository: str) -> Card | None:
    """The card of the model that a repository holds itself, before that of one which was made from it."""
    named = [card for card in CARDS.values() if repository in card.source]
    return next((card for card in named if is_own(card, repository)), next(iter(named), None))


def offered(card: Card, repository: str) -> set[Role]:
    """The parts that a repository is there for, of a model whose others lie elsewhere."""
    roles = {part.role for part in card.parts}
    alone = {part.role for part in card.parts if repository in part.originals}
    if alone:
        return alone
    if not all(is_own(card, name) for name in card.repositories):
        return {"transformer"} if is_own(card, repository) else roles - {"transformer"}
    return roles - {part.role for part in card.parts if set(part.originals) & set(card.repositories)}


def download(card: Card, missing: Collection[Role], there: Collection[str] = ()) -> str:
    """The commands that bring missing parts into the hub's cache, as one line of a shell.

    there: repositories of which there is something. One that lacks parts is asked for again: a download goes on where
    it was interrupted.
    """
    wanted = [name for name in card.repositories if offered(card, name) & set(missing)]
    if set(wanted) <= set(there):
        wanted += [name for name in card.source if name not in there and offered(card, name) & set(missing)]
    return " && ".join(f"hf download {name}" for name in wanted)
