"""What a run keeps about itself, and its averaged weights as a part of a checkpoint folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wow import weights
from wow.train.checkpoint import latest_checkpoint, load_average
from wow.types import WowError

RUN_FILE = "run.json"


def write_run(run: Path, part: str, about: dict[str, Any]) -> None:
    """Notes which part of a checkpoint the run trains, and what its weights need to be used again."""
    text = json.dumps({"part": part, "about": about}, indent=1)
    temporary = run / f"{RUN_FILE}.part"
    temporary.write_text(text)
    temporary.rename(run / RUN_FILE)


def add_to_run(run: Path, more: dict[str, Any]) -> None:
    """Notes further facts about a run's weights. Raises WowError where `run` is no run."""
    note = _read_note(run)
    write_run(run, note["part"], {**note["about"], **more})


def export(run: Path, folder: Path, share: float = 1.0) -> None:
    """Writes the averaged weights of a run's newest checkpoint into a checkpoint folder, float16, files under 16 MB.

    A new folder also gets the text encoder that comes with the package. share: of the run's weights in what is written,
    the rest being those of the same part that the folder has: who is trained on forgets less so (Wortsman et al. 2022,
    "Robust fine-tuning of zero-shot models"). Raises WowError where `run` is no run, or the folder's part is another
    model.
    """
    note, tensors = _read_note(run), _tensors(run)
    if not (folder / weights.MANIFEST).exists():
        copy_parts(weights.shipped("wow-mini"), folder, "text")
    if share < 1.0:
        before = same_model(run, folder)
        tensors = {name: torch.lerp(before[name].float(), value.float(), share) for name, value in tensors.items()}
    weights.save_part(folder, note["part"], tensors, note["about"])


def _tensors(run: Path) -> dict[str, Tensor]:
    """The averaged weights; counts of batches seen are none, and what only served an auxiliary loss is not needed."""
    return {
        name.removeprefix("dit.").removeprefix("dit."): value
        for name, value in load_average(run).items()
        if value.is_floating_point() and not name.startswith("dit.relation_head.")
    }


def same_model(run: Path, folder: Path) -> dict[str, Tensor]:
    """The tensors that a checkpoint folder has of the part which the run trains.

    Raises WowError where they are of another model: of other shapes, or whose numbers count in other units.
    """
    note, after = _read_note(run), _tensors(run)
    part, about = note["part"], note["about"]
    before, known = weights.load_part(folder, part)
    is_same = all(known.get(key) == about.get(key) for key in ("model", "action_scale"))
    if not is_same or {n: value.shape for n, value in before.items()} != {n: value.shape for n, value in after.items()}:
        raise WowError(f"{folder} has another model as its {part}: weights are mixed only with those they began from")
    return before


def as_checkpoint(folder: Path) -> Path:
    """The folder itself where it is a checkpoint; a training run's is written to `<run>/export` first.

    Only where the run has got further since: processes that start together read what the first one wrote.
    """
    if not (folder / RUN_FILE).exists():
        return folder
    exported, stamp = folder / "export", folder / "export.json"
    newest = latest_checkpoint(folder)
    state = "" if newest is None else (newest / "state.json").read_text()
    told = json.dumps({"checkpoint": state, "run": (folder / RUN_FILE).read_text()})
    if not (exported / weights.MANIFEST).exists() or not stamp.exists() or stamp.read_text() != told:
        stamp.unlink(missing_ok=True)
        export(folder, exported)
        stamp.write_text(told)
    return exported


def _read_note(run: Path) -> dict[str, Any]:
    path = run / RUN_FILE
    if not path.exists():
        raise WowError(f"{run} is no training run (it has no {RUN_FILE}): name the folder given to wow train as --out")
    note: dict[str, Any] = json.loads(path.read_text())
    return note


def copy_parts(source: Path, folder: Path, *names: str) -> None:
    """Puts parts of a checkpoint, all where none is named, into a checkpoint folder; what is there already stays."""
    theirs = weights.read_manifest(source).parts
    there = weights.read_manifest(folder) if (folder / weights.MANIFEST).exists() else None
    own = {} if there is None else there.parts
    new = {name: theirs[name] for name in names or theirs if name not in own}
    folder.mkdir(parents=True, exist_ok=True)
    for file in (file for part in new.values() for file in part.files):
        shutil.copyfile(source / file.name, folder / file.name)
    name = folder.resolve().name if there is None else there.name
    weights.write_manifest(folder, weights.Manifest(name, {**own, **new}))
