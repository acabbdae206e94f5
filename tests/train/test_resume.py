"""`wow train codec` and `wow train world` as typed, stopped and resumed: every bit of a run that was never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.train.test_loop import final
from wow.cli.main import main
from wow.data import DatasetWriter
from wow.train.checkpoint import latest_checkpoint
from wow.types import Episode

STEPS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, toy_episode: Callable[..., Episode]) -> Path:
    """Four short episodes of the toy robot."""
    root = tmp_path_factory.mktemp("resume") / "data"
    with DatasetWriter(root, toy_episode(0).embodiment, fps=20.0) as writer:
        for seed in range(4):
            writer.add(toy_episode(seed, 12))
    return root


def train(part: str, data: Path, run: Path, *more: str) -> int:
    """Trains the smallest recipe. Returns the step of the run's newest checkpoint."""
    small = ["--recipe", "smoke", "--config.train.steps", str(STEPS)]
    assert main(["train", part, "--data", str(data), "--out", str(run), *small, *more]) == 0
    newest = latest_checkpoint(run)
    assert newest is not None
    return int(newest.name.partition("-")[2])


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A codec whose training nobody stopped."""
    run = tmp_path_factory.mktemp("resume") / "codec"
    assert train("codec", data, run) == STEPS
    return run


@pytest.mark.parametrize("part", ["codec", "world"])
def test_a_run_that_was_stopped_ends_with_the_weights_of_one_that_was_not(
    part: str, data: Path, codec: Path, tmp_path: Path
) -> None:
    """Stopped twice, after one step each time; the weights, their average, the optimisers' state, what is random."""
    given, whole = ([], codec) if part == "codec" else (["--codec", str(codec)], tmp_path / "whole")
    assert part == "codec" or train(part, data, whole, *given) == STEPS
    stopped = tmp_path / "stopped"
    reached = [train(part, data, stopped, *given, "--max-minutes", "0") for _ in range(2)]
    assert reached == [1, 2]
    assert not all(torch.equal(value, final(whole)[name]) for name, value in final(stopped).items())
    assert train(part, data, stopped, *given) == STEPS
    once, again = final(whole), final(stopped)
    assert once.keys() == again.keys() and len(once) > 20
    assert [name for name in once if not torch.equal(once[name], again[name])] == []
