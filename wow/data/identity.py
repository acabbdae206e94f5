"""What tells recorded episodes from others, so that nothing computed from the ones is taken for the others'."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from wow.data.dataset import Dataset

DATA_FILES = (".parquet", ".mp4", ".hdf5", ".h5", ".npy", ".npz")
"""Files that hold recorded numbers and pictures."""


def dataset_identity(dataset: Dataset, folder: Path) -> str:
    """A hash of the episodes' facts and of the names, sizes and times of the files that hold them.

    The files' contents are not read: that would take longer than what is kept for want of it. Copying a dataset
    without its times computes anew what could have been kept, never the other way round.
    """
    digest = hashlib.sha256()
    for record in dataset.records:
        known = [record.length, record.task, list(record.captions), record.source, record.success]
        digest.update(json.dumps([*known, dict(record.facts)], sort_keys=True, default=str).encode())
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in DATA_FILES):
        place = path.relative_to(folder)
        if not any(part.startswith(".") for part in place.parts):
            state = path.stat()
            digest.update(f"{place} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()
