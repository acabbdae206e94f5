"""What an outcome network is worth on scenes that it did not learn from, and how its logits are to be read."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wow.data.agreement import auroc, calibration_error
from wow.models.judge import Chance, fit_chance
from wow.models.outcome import OutcomeNetwork
from wow.train.checkpoint import load_average
from wow.train.outcome import OutcomeObjective, logits_of
from wow.train.outcome_data import Plans

Floats = NDArray[np.float64]

FEWEST = 40
"""Imagined videos from which on the calibration is theirs alone."""


def trained_network(objective: OutcomeObjective, run: Path) -> OutcomeNetwork:
    """The network with the averaged weights of a run's newest checkpoint."""
    network = copy.deepcopy(objective.network).cpu()
    assert isinstance(network, OutcomeNetwork)
    network.load_state_dict(load_average(run))
    return network.eval()


def calibrate_outcome(
    network: OutcomeNetwork, objective: OutcomeObjective, imagined: Plans | None = None
) -> tuple[Chance, dict[str, float]]:
    """How to read the logits, and numbers that hold on held-out scenes; imagined_… on videos that were imagined.

    auroc: of success over all plans; scene_auroc: within scenes, a scene counting by its pairs; calibration_error of
    the chances. Imagined videos are calibrated on where there are enough of them, by halves: what is said of one half
    was fitted to the other.
    """
    own = logits_of(network, objective.plans, objective.kept)
    truths, scenes = objective.plans.success[objective.kept], objective.plans.scene[objective.kept]
    chance = fit_chance(own, truths)
    worth = {"auroc": auroc(own, truths), "scene_auroc": within(own, truths, scenes), "plans": float(len(own))}
    if imagined is not None and len(imagined.success) >= FEWEST:
        theirs = logits_of(network, imagined, np.arange(len(imagined.success)))
        happened = imagined.success
        half = np.arange(len(theirs)) % 2 == 0
        said = np.empty(len(theirs))
        for some in (half, ~half):
            said[~some] = fit_chance(theirs[some], happened[some])(theirs[~some])
        tasks = np.unique([imagined.tasks[int(scene)] for scene in imagined.scene], return_inverse=True)[1]
        worth |= {
            "imagined_auroc": auroc(theirs, happened),
            "imagined_task_auroc": within(theirs, happened, tasks),
            "imagined_calibration_error": calibration_error(said, happened),
            "imagined_videos": float(len(theirs)),
        }
        chance = fit_chance(theirs, happened)
    worth["calibration_error"] = calibration_error(chance(own), truths)
    return chance, {name: round(value, 4) for name, value in worth.items() if math.isfinite(value)}


def within(scores: Floats, truths: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """The chance that of two cases of one group, a true and a false one, the true one scores higher."""
    pairs = right = 0.0
    for group in np.unique(groups):
        some = groups == group
        count = float(truths[some].sum() * (~truths[some]).sum())
        if count:
            pairs += count
            right += count * auroc(scores[some], truths[some])
    return right / pairs if pairs else math.nan
