"""The training loop: every model, one process or several, interrupted and resumed bit for bit.

All randomness of a step comes from a generator seeded with (seed, step, rank). The position in the data is therefore
the step number, and resuming needs nothing but the checkpoint.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from wow.train.checkpoint import Progress, latest_checkpoint, load_checkpoint, save_checkpoint
from wow.train.distributed import World
from wow.types import UInt8, WowError


@dataclass(frozen=True)
class TrainConfig:
    """How a model is optimised.

    batch_size: samples per step and process. The learning rate rises over `warmup_steps` and falls along a cosine to a
    twentieth at `steps`. checkpoint_minutes: the most training time that a crash can lose.
    """

    steps: int = 10_000
    batch_size: int = 16
    learning_rate: float = 6e-4
    warmup_steps: int = 200
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    average_decay: float = 0.999
    checkpoint_minutes: float = 5.0
    log_every: int = 20
    preview_every: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.log_every, self.preview_every) < 1 or self.learning_rate <= 0:
            raise WowError("steps, batch size, log and preview intervals are at least 1 and the learning rate above 0")


class Objective(Protocol):
    """What is learned: a network, its loss on a batch that a generator draws, and a picture of how well it does."""

    network: nn.Module

    def loss(
        self, network: nn.Module, batch_size: int, generator: torch.Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a random batch, and numbers to log."""

    def preview(self, network: nn.Module) -> UInt8:
        """A picture, uint8 [H, W, 3], for a person to look at."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. finished: all steps are done; otherwise time or a signal stopped it, and it can be resumed."""

    step: int
    seconds: float
    loss: float
    finished: bool
    interrupted: bool
    samples_per_second: float


OnStep = Callable[[int, float], None]


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of a step: linear warm-up, then a cosine down to a twentieth."""
    warm = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    done = min(step / config.steps, 1.0)
    return config.learning_rate * warm * (0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * done)))


def step_generator(seed: int, step: int, rank: int) -> torch.Generator:
    """The randomness of one step in one process."""
    words = np.random.SeedSequence([seed, step, rank]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed((int(words[0]) << 31) ^ int(words[1]))


def train(
    objective: Objective,
    config: TrainConfig,
    run: Path,
    world: World,
    *,
    max_minutes: float | None = None,
    on_step: OnStep = lambda step, loss: None,
) -> Outcome:
    """Trains until all steps are done, `max_minutes` of this call have passed, or SIGINT or SIGTERM arrives.

    Continues from the run's newest checkpoint, and leaves a checkpoint behind however it ends.
    """
    model = objective.network.to(world.device)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
    )
    progress = Progress(0, 0.0)
    if (found := latest_checkpoint(run)) is not None:
        progress = load_checkpoint(found, model, average, optimizer)
    wrapped = world.wrap(model)
    log = _Log(run) if world.leads else None
    began, first_step, saved_at = time.monotonic(), progress.step, time.monotonic()
    step, loss_value = progress.step, math.nan
    with _stop_signals() as stop:
        while step < config.steps:
            loss, numbers = _optimise(objective, wrapped, optimizer, config, step, world)
            _follow(average, model, min(config.average_decay, (1 + step) / (10 + step)))
            step += 1
            now = time.monotonic()
            if log and (step % config.log_every == 0 or step == config.steps):
                loss_value = float(loss)
                rate = (step - first_step) * config.batch_size * world.size / (now - began)
                log.write(
                    step, {"loss": loss_value, "samples_per_second": rate} | {k: float(v) for k, v in numbers.items()}
                )
            on_step(step, loss_value)
            if log and step % config.preview_every == 0:
                log.picture(step, objective.preview(average))
            out_of_time = max_minutes is not None and now - began > 60.0 * max_minutes
            stopping = world.any(out_of_time or stop.is_set())
            due = now - saved_at > 60.0 * config.checkpoint_minutes
            if log and (due or stopping or step == config.steps):
                save_checkpoint(run, Progress(step, progress.seconds + now - began), model, average, optimizer)
                saved_at = time.monotonic()
            if stopping:
                break
    seconds = time.monotonic() - began
    return Outcome(
        step=step,
        seconds=progress.seconds + seconds,
        loss=loss_value,
        finished=step >= config.steps,
        interrupted=stop.is_set(),
        samples_per_second=(step - first_step) * config.batch_size * world.size / max(seconds, 1e-9),
    )


def _optimise(
    objective: Objective,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    step: int,
    world: World,
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """One step of the optimiser: bf16 on a GPU, fp32 on a CPU."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    generator = step_generator(config.seed, step, world.rank)
    with torch.autocast(world.device.type, torch.bfloat16, enabled=world.device.type == "cuda"):
        loss, numbers = objective.loss(model, config.batch_size, generator)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    optimizer.step()
    return loss.detach(), {**numbers, "gradient_norm": norm.detach()}


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Moves the averaged weights a little towards the model's; counters and statistics are copied."""
    with_gradient = {name for name, _ in model.named_parameters()}
    current = model.state_dict()
    for name, value in average.state_dict().items():
        if name in with_gradient:
            value.lerp_(current[name], 1.0 - decay)
        else:
            value.copy_(current[name])


class _Log:
    """Numbers to TensorBoard and a line of JSON per entry; pictures to PNG."""

    def __init__(self, run: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        run.mkdir(parents=True, exist_ok=True)
        self._run = run
        self._board = SummaryWriter(str(run / "tensorboard"))
        self._lines = (run / "log.jsonl").open("a", buffering=1)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        self._lines.write(
            json.dumps({"step": step} | {name: round(value, 6) for name, value in numbers.items()}) + "\n"
        )
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, picture: UInt8) -> None:
        from PIL import Image

        folder = self._run / "previews"
        folder.mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / f"step-{step:08d}.png")


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set instead of ending the process at an instant."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
