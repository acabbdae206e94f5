"""What was found out about the true videos of a suite, kept beside it: every run on the suite asks the same again.

By the hash of what was looked at, so that a truth that changed is looked at anew. A suite that cannot be written to has
no memory, and nothing else is lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wow.types import UInt8

FOLDER = ".memory"
"""Below a suite; what begins with a dot is no sample."""


@dataclass(frozen=True)
class Memory:
    """One small file for each answer."""

    folder: Path

    def recall(self, what: str, frames: UInt8, find: Callable[[], Sequence[float]]) -> list[float]:
        """The numbers that `find` gave for these frames [T, H, W, 3] and that question when it was first asked.

        What it raises is not kept.
        """
        seen = hashlib.sha256(f"{what}\n{frames.shape}\n".encode())
        seen.update(frames.tobytes())
        path = self.folder / f"{seen.hexdigest()}.json"
        with contextlib.suppress(OSError, ValueError, TypeError):
            return [float(number) for number in json.loads(path.read_text())]
        found = [float(number) for number in find()]
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(found))
            part.replace(path)
        return found
