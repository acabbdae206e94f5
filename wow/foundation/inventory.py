"""Which of a model's files a folder has, without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wow.foundation.card import Card, Part
from wow.types import WowError

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.gguf", "*.bin", "*.pt")
_TABLES = {
    "tokenizer": ("tokenizer.json", "spiece.model", "tokenizer_config.json"),
    "image_processor": ("preprocessor_config.json",),
}


@dataclass(frozen=True)
class Place:
    """Where a part of a model is, or would be. path: None where it is missing. wanted: what would do, any one of it."""

    part: Part
    path: Path | None
    wanted: tuple[str, ...]


def find_parts(card: Card, folder: Path, repository: str = "") -> list[Place]:
    """Each part of a model and where in the folder it is. Raises WowError where there is no such folder.

    repository: what the folder is a snapshot of; one that is a single part (T5's) is that part itself.
    """
    if not folder.is_dir():
        raise WowError(f"there is no folder {folder}: name the one that holds {card.name} (from {card.source[0]})")
    return [Place(part, _find(part, folder, repository), wanted_of(part)) for part in card.parts]


def wanted_of(part: Part) -> tuple[str, ...]:
    """The files that a part may be in, each relative to the model's folder; any one of them is enough."""
    if part.role in _TABLES:
        return tuple(f"{at}/{_TABLES[part.role][0]}" for at in (part.folder, *part.originals))
    return (f"{part.folder}/config.json + *.safetensors", *part.originals, *_quantised(part))


def _find(part: Part, folder: Path, repository: str) -> Path | None:
    if {repository, folder.name} & set(part.originals):
        return folder if _holds(part, folder) else None
    there = folder / part.folder
    if part.role in _TABLES:
        places = (there, *(folder / original for original in part.originals))
        return next((place for place in places if _holds(part, place)), None)
    if _holds(part, there):
        return there
    for pattern in part.originals:
        found = sorted(folder.glob(pattern))
        if found:
            # Several shards are one network: their folder is named, and read as a whole.
            return found[0].parent if len(found) > 1 or found[0].name.endswith(".index.json") else found[0]
    return _only([file for pattern in _quantised(part) for file in sorted(folder.glob(pattern))])


def _holds(part: Part, folder: Path) -> bool:
    """Whether a folder is that part and nothing else, in the layout of diffusers and transformers."""
    if part.role in _TABLES:
        return any((folder / name).is_file() for name in _TABLES[part.role])
    return (folder / "config.json").is_file() and any(any(folder.glob(pattern)) for pattern in _WEIGHTS)


def _quantised(part: Part) -> tuple[str, ...]:
    """Where a GGUF file of the part may be; it is taken where there are no exact weights."""
    return ("*.gguf", f"{part.folder}/*.gguf") if part.role == "transformer" else ()


def _only(files: list[Path]) -> Path | None:
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise WowError(f"{files[0].parent} holds several GGUF files, and only one can be meant: keep one of {names}")
    return files[0] if files else None
