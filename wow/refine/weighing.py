"""How much each critic's word counts, on disk: what `wow bench critic --fit` found for each set of critics.

Weights are those of a set: what a critic adds depends on who else speaks. A set that was never fitted has weights of 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from wow.refine.ensemble import Ensemble
from wow.types import WowError


def ensemble_of(names: Sequence[str], file: Path | None = None) -> Ensemble:
    """The ensemble of critics with these names, as it was fitted; each with a weight of 1 where it was not.

    file: in place of the one that comes with the package. Raises WowError where it cannot be read.
    """
    entry = _entries(file).get(_key(names))
    if entry is None:
        return Ensemble(dict.fromkeys(names, 1.0))
    try:
        weights = {name: float(entry["weights"][name]) for name in names}
        bias = float(entry["bias"])
        if not all(math.isfinite(value) and value >= 0 for value in weights.values()) or not math.isfinite(bias):
            raise ValueError("a weight is below 0 or no number")
    except (KeyError, TypeError, ValueError) as problem:
        raise _broken(file, problem) from None
    return Ensemble(weights, bias)


def store(file: Path, ensemble: Ensemble, videos: int) -> None:
    """Puts an ensemble into a file beside those of other critics. videos: how many it was fitted to."""
    entries = _entries(file)
    entries[_key(list(ensemble.weights))] = {"weights": dict(ensemble.weights), "bias": ensemble.bias, "videos": videos}
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + "\n")
    part.replace(file)


def _entries(file: Path | None) -> dict[str, Any]:
    try:
        text = (resources.files("wow.refine") / "weights.json").read_text() if file is None else file.read_text()
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("it is no JSON object")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise _broken(file, problem) from None
    return found


def _broken(file: Path | None, problem: Exception) -> WowError:
    name = "weights.json of the package" if file is None else str(file)
    return WowError(f"{name} cannot be read ({problem}): fit it again with wow bench critic --fit FILE")


def _key(names: Sequence[str]) -> str:
    return ",".join(sorted(names))
