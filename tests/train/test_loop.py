"""Training can stop at any instant and go on as if nothing had happened."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wow.bench.arithmetic import Gauge
from wow.train.checkpoint import latest_checkpoint, load_average
from wow.train.distributed import World
from wow.train.loop import TrainConfig, learning_rate, step_generator, train
from wow.types import UInt8, WowError

ALONE = World(0, 1, torch.device("cpu"))


class Parabola:
    """A tiny network with a batch norm and dropout, so that buffers and random state matter too."""

    def __init__(self, delay: float = 0.0) -> None:
        torch.manual_seed(0)
        self.delay = delay
        self.network: nn.Module = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8, affine=False), nn.Dropout(0.2), nn.Linear(8, 1)
        )

    def batch(self, batch_size: int, generator: torch.Generator) -> Tensor:
        return torch.randn(batch_size, 3, generator=generator)

    def loss(self, network: nn.Module, batch: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
        time.sleep(self.delay)
        error = (network(batch)[:, 0] - batch.square().sum(dim=1)).square().mean()
        return error, {"error": error.detach()}

    def preview(self, network: nn.Module) -> UInt8:
        return np.zeros((4, 4, 3), dtype=np.uint8)


def config(steps: int) -> TrainConfig:
    return TrainConfig(steps=steps, batch_size=8, learning_rate=1e-2, warmup_steps=3, log_every=2, preview_every=10)


def final(run: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    folder = latest_checkpoint(run)
    assert folder is not None
    return {
        f"{name}/{key}": value
        for name in ("model", "average", "optimizer", "random")
        for key, value in load_file(folder / f"{name}.safetensors").items()
    }


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from train.test_loop import ALONE, Parabola, config
from wow.train.loop import train
from dataclasses import replace
settings = replace(config(20), checkpoint_minutes=0.0)
train(Parabola(0.05), settings, Path({run!r}), ALONE, on_step=lambda step, loss: print(step, flush=True))
"""


def test_twenty_steps_are_ten_a_kill_and_ten_more(tmp_path: Path) -> None:
    """A child process is killed with SIGKILL in the middle; going on gives every bit of an undisturbed run."""
    train(Parabola(), config(20), tmp_path / "whole", ALONE)
    code = CHILD.format(tests=str(Path(__file__).parents[1]), run=str(tmp_path / "killed"))
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) == 10:
            break
    child.kill()
    child.wait()
    found = latest_checkpoint(tmp_path / "killed")
    assert found is not None and 1 <= int(found.name[5:]) < 20
    train(Parabola(), config(20), tmp_path / "killed", ALONE)
    whole, killed = final(tmp_path / "whole"), final(tmp_path / "killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole)


def test_an_interrupt_leaves_a_checkpoint_of_that_step(tmp_path: Path) -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    outcome = train(Parabola(), config(20), tmp_path, ALONE, on_step=interrupt)
    found = latest_checkpoint(tmp_path)
    assert outcome.interrupted and not outcome.finished and found is not None
    assert int(found.name[5:]) == outcome.step == 7


def test_time_ends_a_run_that_can_go_on(tmp_path: Path) -> None:
    rarely = replace(config(1000), log_every=1000)
    outcome = train(Parabola(0.02), rarely, tmp_path, ALONE, max_minutes=0.005)
    assert 0 < outcome.step < 100 and not outcome.finished and not outcome.interrupted
    assert math.isfinite(outcome.loss), "what it came to is told, logged or not"
    assert train(Parabola(), config(outcome.step + 5), tmp_path, ALONE).finished


def test_a_half_written_checkpoint_is_ignored(tmp_path: Path) -> None:
    train(Parabola(), config(5), tmp_path, ALONE)
    (tmp_path / "checkpoints" / "step-00000009.part").mkdir()
    (tmp_path / "checkpoints" / "step-00000008").mkdir()
    found = latest_checkpoint(tmp_path)
    assert found is not None and found.name == "step-00000005"


def test_a_checkpoint_of_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    train(Parabola(), config(2), tmp_path, ALONE)
    other = Parabola()
    other.network = nn.Linear(3, 2)
    with pytest.raises(WowError, match="another model"):
        train(other, config(4), tmp_path, ALONE)


def test_a_run_without_checkpoint_has_no_weights(tmp_path: Path) -> None:
    with pytest.raises(WowError, match="train first"):
        load_average(tmp_path)


def test_a_run_tells_its_arithmetic_and_how_much_of_the_machine_it_used(tmp_path: Path) -> None:
    """Two products there, two back for their weights, and one to reach the first layer; two operations a number."""
    outcome = train(Parabola(), config(6), tmp_path, ALONE, gauge=Gauge())
    first, second = 2 * 3 * 8, 2 * 8 * 1
    assert outcome.flops_per_sample == 2 * first + 3 * second
    assert outcome.share_of_matrix_rate is not None and 0 < outcome.share_of_matrix_rate < 0.01
    again = train(Parabola(), config(7), tmp_path, ALONE, gauge=Gauge())
    assert again.flops_per_sample is None and again.share_of_matrix_rate is None, "one step is none to measure"


def test_the_log_has_a_line_per_entry(tmp_path: Path) -> None:
    train(Parabola(), config(10), tmp_path, ALONE)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10]
    assert all(line["loss"] > 0 and line["samples_per_second"] > 0 for line in lines)
    assert (tmp_path / "previews" / "step-00000010.png").exists()


def test_learning_lowers_the_loss(tmp_path: Path) -> None:
    train(Parabola(), config(300), tmp_path, ALONE)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-40:]) < 0.7 * np.mean(losses[:40])


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate(config(100), step) for step in range(100)]
    assert rates[0] < rates[2] and max(rates) == pytest.approx(1e-2, rel=0.01)
    assert rates[-1] < 0.06 * max(rates) and np.all(np.diff(rates[3:]) < 0)


def test_randomness_differs_between_steps_and_processes_and_not_between_runs() -> None:
    draws = {(s, r): torch.rand(3, generator=step_generator(5, s, r)).tolist() for s in range(4) for r in range(2)}
    assert len({tuple(value) for value in draws.values()}) == 8
    assert torch.rand(3, generator=step_generator(5, 2, 1)).tolist() == draws[2, 1]


@pytest.mark.parametrize("field", ["steps", "batch_size", "learning_rate"])
def test_impossible_settings_are_refused(field: str) -> None:
    with pytest.raises(WowError):
        TrainConfig(**{field: 0})


@pytest.mark.parametrize("fast", [True, False])
def test_a_step_is_in_half_precision_exactly_where_that_is_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: bool
) -> None:
    monkeypatch.setattr("wow.models.precision.has_fast_half", lambda device: fast)
    seen: set[torch.dtype] = set()

    class Watched(Parabola):
        def loss(self, network: nn.Module, batch: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
            seen.add(network(batch).dtype)
            return super().loss(network, batch)

    learner = Watched()
    train(learner, config(2), tmp_path, ALONE)
    assert seen == {torch.bfloat16 if fast else torch.float32}
    assert {weight.dtype for weight in learner.network.parameters()} == {torch.float32}
