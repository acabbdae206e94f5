"""Where a model's files are, and which model they are. Nothing is ever downloaded here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wow.foundation.card import Card, Part, Role
from wow.foundation.cards import CARDS, told_by_name
from wow.foundation.cards import card as card_named
from wow.foundation.checkpoint import Checkpoint, open_checkpoint
from wow.foundation.checkpoint_files import open_files
from wow.foundation.checkpoint_network import num_parameters
from wow.foundation.inventory import find_parts, wanted_of
from wow.foundation.repositories import card_of, download
from wow.foundation.shelves import Shelf, missing_from, places_on, shelves_of
from wow.types import WowError

NETWORKS: tuple[Role, ...] = ("transformer", "vae", "text_encoder", "image_encoder")
RENAMED = ("Qwen2_5_VLForConditionalGeneration", "CLIPVisionModelWithProjection")
"""Networks whose tensors transformers saves under other names than they have: it alone reads them back."""


@dataclass(frozen=True)
class Source:
    """A model's card and its files. places: by role; those of parts that are needed are all there."""

    card: Card
    places: dict[Role, Path]

    def open(self, role: Role) -> Checkpoint:
        """The weights of one of its networks, checked; only headers are read."""
        part = self.card.part(role)
        # A card says nothing of some encoders' sizes: their own configuration is taken at its word.
        return open_checkpoint(self.places[role], part if part.config or role == "vae" else None)

    def check(self, role: Role) -> None:
        """Raises WowError where the files of a network are not whole, or another's. Headers alone are read."""
        part, place = self.card.part(role), self.places[role]
        if part.kind not in RENAMED:
            self.open(role)
            return
        found = open_files(place).config
        kind = next(iter(found.get("architectures") or ()), found.get("_class_name"))
        if kind != part.kind:
            raise WowError(f"{place} is a {kind}, the card asks for a {part.kind}: name its {part.role}")


def is_foundation(name: str | Path) -> bool:
    """Whether a name is that of a card, with or without a folder, or a folder looks like a foundation model.

    Raises WowError for what is no folder and nearly such a name.
    """
    told = told_by_name(str(name))
    if told is not None:
        return told
    folder = Path(name)
    return (folder / "model_index.json").is_file() or bool(_candidates(folder))


def find(name: str | Path) -> Source:
    """The files of a model: a card's name, its hub id, a folder, or NAME=FOLDER where a folder could be several.

    NAME=FOLDER,FOLDER,… takes each part from the first folder that has it. A name and a hub id look for each part in
    the model's own folders, and then in the hub's snapshots of everything that its card names as its source.
    Raises WowError saying which files are missing, and where to get them.
    """
    text = str(name)
    named, is_pair, place = text.partition("=")
    if is_pair and named in CARDS:
        return _source(CARDS[named], [Shelf(Path(folder)) for folder in place.split(",")])
    if Path(name).is_dir():
        return _source(identify(Path(name)), [Shelf(Path(name))])
    card = card_of(text) or card_named(text)
    shelves = shelves_of(card)
    if any(shelf.has_transformer for shelf in shelves):
        return _source(card, shelves, is_on_hub=True)
    get = download(card, [part.role for part in missing_from(places_on(shelves, card), card)])
    raise WowError(
        f"{card.name} is not on this machine: {get} fetches it, or give its folder: --model {card.name}=FOLDER "
        f"(wow models {card.name} lists its files)"
    )


def identify(folder: Path) -> Card:
    """Which model a folder holds, told by its networks; a size that no card has becomes a card of its own.

    Where several models have the same networks, the sampler beside them decides, and then the folder's name.
    """
    cards = _candidates(folder)
    if not cards:
        raise WowError(f"{folder} holds no model that wow knows: wow models lists those, and which files each needs")
    places = {place.part.role: place.path for place in find_parts(cards[0], folder)}
    transformer = places["transformer"]
    assert transformer is not None, "a candidate has a transformer"
    found = open_checkpoint(transformer)
    cards = [card for card in cards if card.transformer.kind == found.kind]
    if not cards:
        raise WowError(f"{transformer} is a {found.title}, and should be the network that denoises: get it again")
    count = num_parameters(found.shapes().values())
    known = [card for card in cards if card.transformer.parameters == count or _same(found, card.transformer)]
    return _preferred(known, folder) if known else _unheard(_preferred(cards, folder), folder)


# ---- inside ----


def _source(card: Card, shelves: Sequence[Shelf], *, is_on_hub: bool = False) -> Source:
    """The model on these shelves. is_on_hub: whether what is fetched into the hub's cache would be found."""
    places = places_on(shelves, card)
    missing = missing_from(places, card)
    if missing:
        wanted = "; ".join(f"{part.role}: {' or '.join(wanted_of(part)[:2])}" for part in missing)
        searched = ", ".join(str(shelf.folder) for shelf in shelves)
        are = "are" if len(shelves) > 1 else "is"
        get = f"from {' or '.join(card.source)}"
        if is_on_hub:
            get = f"{download(card, [part.role for part in missing], [at.repository for at in shelves])} fetches it"
        raise WowError(f"{searched} {are} not a whole {card.name}, it lacks {wanted} ({get})")
    return Source(card, places)


def _candidates(folder: Path) -> list[Card]:
    """The cards whose transformer and VAE may be in a folder."""
    index = _json(folder / "model_index.json")
    cards = []
    for card in CARDS.values():
        there = {place.part.role for place in find_parts(card, folder) if place.path is not None}
        if index and (index.get("_class_name") != card.pipeline or not _wan_2_2_agrees(index, card)):
            continue
        if {"transformer", "vae"} <= there and ("image_encoder" in there) == card.has("image_encoder"):
            cards.append(card)
    return cards


def _wan_2_2_agrees(index: dict[str, object], card: Card) -> bool:
    """Wan2.1 and 2.2 share a pipeline; the later gives each token a time of its own."""
    return not card.family.startswith("wan") or bool(index.get("expand_timesteps")) == (card.family == "wan2.2")


def _same(found: Checkpoint, part: Part) -> bool:
    """Whether a network has the sizes that a card states."""
    if found.kind != part.kind or not part.config:
        return False
    sizes = ("num_layers", "num_attention_heads", "in_channels")
    return all(name not in part.config or found.config.get(name) == part.config[name] for name in sizes)


def _preferred(cards: Sequence[Card], folder: Path) -> Card:
    name = folder.resolve().name.lower()
    scheduler = _json(folder / "scheduler" / "scheduler_config.json").get("_class_name")
    methods = {"FlowMatchEulerDiscreteScheduler": "flow-euler", "UniPCMultistepScheduler": "flow-unipc"}
    named = [card for card in cards if card.name in name or card.name.removeprefix("wow-1-") in name]
    sampled = [card for card in cards if card.sampler.method == methods.get(str(scheduler))]
    return (named or sampled or list(cards))[0]


def _unheard(card: Card, folder: Path) -> Card:
    """The card of a model of another size, by its family's rules."""
    parts = []
    for place in find_parts(card, folder):
        if place.part.role not in NETWORKS or place.path is None or place.part.kind in RENAMED:
            parts.append(place.part)
            continue
        found = open_checkpoint(place.path)
        count = num_parameters(found.shapes().values())
        parts.append(replace(place.part, kind=found.kind, config=dict(found.config), parameters=count))
    words = next((part.config.get("max_text_seq_length") for part in parts if part.role == "transformer"), None)
    card = replace(card, num_words=words or card.num_words)
    return replace(card, name=folder.resolve().name, parts=tuple(parts), notes=(f"sampled as {card.name}",))


def _json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError as error:
        raise WowError(f"{path} cannot be read ({error}): get it again") from None
    return content if isinstance(content, dict) else {}
