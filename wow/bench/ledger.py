"""Measurements on disk, batch by batch: a run that is killed continues where it was, and loses one batch at most."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from wow.types import WowError

Record = TypeVar("Record")
Case = TypeVar("Case")
OnDone = Callable[[str, int, int], None]
"""Told what is measured, how many batches are done and how many there are."""

IDENTITY = "run.json"


@dataclass(frozen=True)
class Ledger(Generic[Record]):
    """A file with one line of JSON for each finished batch. kind: the frozen dataclass of a record."""

    path: Path
    kind: Callable[..., Record]

    def finished(self) -> dict[int, list[Record]]:
        """The records of each batch that is wholly written; a line cut off by a crash does not count."""
        if not self.path.exists():
            return {}
        done: dict[int, list[Record]] = {}
        for line in self.path.read_text().split("\n")[:-1]:
            try:
                content: dict[str, Any] = json.loads(line)
            except json.JSONDecodeError:
                continue
            done[content["batch"]] = [self.kind(**record) for record in content["records"]]
        return done

    def append(self, batch: int, records: Sequence[Record]) -> None:
        """Adds a batch; when this returns it survives a crash."""
        content = {"batch": batch, "records": [asdict(record) for record in records]}  # type: ignore[call-overload]
        # A cut-off last line gets its newline first, so that it cannot swallow this one.
        is_whole = not self.path.exists() or self.path.read_bytes()[-1:] in (b"", b"\n")
        with self.path.open("a") as file:
            file.write(("" if is_whole else "\n") + json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())


def measured(
    ledger: Ledger[Record], cases: Sequence[Case], measure: Callable[[Case, int], Sequence[Record]], on_done: OnDone
) -> list[Record]:
    """The records of all batches, measuring those that the ledger lacks. `measure` gets a batch and its number."""
    done = ledger.finished()
    on_done(ledger.path.stem, len(done), len(cases))
    for number, case in enumerate(cases):
        if number not in done:
            done[number] = list(measure(case, number))
            ledger.append(number, done[number])
            on_done(ledger.path.stem, len(done), len(cases))
    return [record for number in range(len(cases)) for record in done[number]]


def claim(folder: Path, identity: Mapping[str, object]) -> None:
    """Marks a folder as holding one run, or finds that it already holds this very one.

    Raises WowError where it holds another: numbers of two systems or two data sets are never mixed.
    """
    file = folder / IDENTITY
    wanted = json.loads(json.dumps(identity))
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(wanted, indent=2) + "\n")
        return
    try:
        found = json.loads(file.read_text())
    except json.JSONDecodeError:
        raise WowError(f"{file} is broken: delete {folder} or name another --out") from None
    differing = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
    if differing:
        key = differing[0]
        raise WowError(
            f"{folder} holds a run with {key} {found.get(key)!r}, not {wanted.get(key)!r}: name another --out"
        )
