"""What tells a model's files from others': a hash of pieces of them, since whole ones would take minutes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wow.foundation.checkpoint_files import WEIGHTS
from wow.foundation.source import Source

PIECE = 1 << 16
"""Bytes of a piece."""
PIECES = 64
"""Pieces of a large file: its first and its last, and others evenly between."""
_TABLES = (".json", ".model", ".txt")


def digest_of(source: Source) -> str:
    """64 hexadecimal digits that depend on what the files hold, and on neither where they are nor when they came.

    A fine-tuned network differs in nearly every number, so that pieces of it tell it from any other.
    """
    total = hashlib.sha256(source.card.family.encode())
    for role, place in sorted(source.places.items()):
        for file in _files(place):
            total.update(f"\n{role} {file.name} {file.stat().st_size}\n".encode())
            _update(total, file)
    return total.hexdigest()


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    return sorted(file for file in place.iterdir() if file.is_file() and file.suffix in (*WEIGHTS, *_TABLES))


def _update(total: hashlib._Hash, file: Path) -> None:
    last = max(file.stat().st_size - PIECE, 0)
    with file.open("rb") as stream:
        if last <= PIECE * PIECES:
            total.update(stream.read())
            return
        for piece in range(PIECES):
            stream.seek(last * piece // (PIECES - 1))
            total.update(stream.read(PIECE))
