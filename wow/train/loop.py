"""The training loop: every model, one process or several, interrupted and resumed bit for bit.

Initial weights come from the seed, all randomness of a step from a generator seeded with (seed, step, rank). The
position in the data is therefore the step number, and resuming needs nothing but the checkpoint.
"""

from __future__ import annotations

import copy
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from wow.models.precision import half_where_fast
from wow.train.checkpoint import Progress, latest_checkpoint, load_checkpoint, save_checkpoint
from wow.train.distributed import World
from wow.train.muon import Muon
from wow.types import UInt8, WowError

COUNTED = 8
"""Steps whose arithmetic is counted."""


@dataclass(frozen=True)
class TrainConfig:
    """How a model is optimised.

    batch_size: samples per step and process. The learning rate rises over `warmup_steps` and falls along a cosine to a
    twentieth at `steps`. matrix_learning_rate: of the matrices that a network names, which Muon then optimises (Jordan
    et al. 2024); 0 leaves everything to AdamW. loaders: processes that prepare batches ahead; with 0 each is prepared
    when it is needed. checkpoint_minutes: the most training time that a crash can lose.
    """

    steps: int = 10_000
    batch_size: int = 16
    learning_rate: float = 6e-4
    warmup_steps: int = 200
    matrix_learning_rate: float = 0.0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    average_decay: float = 0.999
    checkpoint_minutes: float = 5.0
    log_every: int = 20
    preview_every: int = 1_000
    loaders: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size, self.log_every, self.preview_every) < 1 or self.learning_rate <= 0:
            raise WowError("steps, batch size, log and preview intervals are at least 1 and the learning rate above 0")


class Batch(Protocol):
    """What one step learns from."""

    def to(self, device: torch.device) -> Self:
        """The same on another device."""


B = TypeVar("B", bound=Batch)
N = TypeVar("N", bound=nn.Module)


class Objective(Protocol[B]):
    """What is learned: a network, the batches that a generator draws, their loss, and a picture of how well it does."""

    network: nn.Module

    def batch(self, batch_size: int, generator: torch.Generator) -> B:
        """A random batch on the CPU. It may be drawn in another process."""

    def loss(self, network: nn.Module, batch: B) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss of a batch, and numbers to log."""

    def preview(self, network: nn.Module) -> UInt8:
        """A picture, uint8 [H, W, 3], for a person to look at."""


class Gauge(Protocol):
    """Who counts the arithmetic of a step, and knows what a device could do."""

    def counting(self) -> AbstractContextManager[object]:
        """Around what is to be counted."""

    @property
    def flops(self) -> int:
        """What was counted, a multiplication and an addition as two."""

    def peak(self, device: torch.device) -> float:
        """Operations per second of matrix products on a device."""


@runtime_checkable
class HasMatrices(Protocol):
    """A network that names the weights which are matrices between hidden states."""

    def matrices(self) -> list[Tensor]:
        """Those weights."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. finished: all steps are done; otherwise time or a signal stopped it, and it can be resumed.

    flops_per_sample: arithmetic of one sample there and back, the optimiser's share included, a multiplication and an
    addition counted as two. share_of_matrix_rate: what this call did of it a second, the preparing of batches and all
    else included, as a share of what matrix products reach here (float32 on a CPU, bfloat16 on a GPU), of all
    processes; None where this call took no second step, or nobody counted.
    """

    step: int
    seconds: float
    loss: float
    finished: bool
    interrupted: bool
    samples_per_second: float
    flops_per_sample: float | None = None
    share_of_matrix_rate: float | None = None


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


def fresh(build: Callable[[], N], config: TrainConfig) -> N:
    """A network with the initial weights that the run's seed says; other randomness goes on as if it had not been."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build()


def optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices that the network names where the configuration gives them a learning rate."""
    matrices: list[Tensor] = []
    if config.matrix_learning_rate > 0 and isinstance(model, HasMatrices):
        matrices = model.matrices()
    taken = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in taken]
    adamw = torch.optim.AdamW(others, lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay)
    if not matrices:
        return [adamw]
    return [
        adamw,
        Muon(matrices, lr=config.matrix_learning_rate, weight_decay=config.weight_decay),
    ]


class _Steps(Dataset[Any]):
    """The batch of every step, by its number."""

    def __init__(self, objective: Objective[Any], config: TrainConfig, rank: int) -> None:
        self._objective, self._config, self._rank = objective, config, rank

    def __getitem__(self, step: int) -> Any:
        generator = step_generator(self._config.seed, step, self._rank)
        return self._objective.batch(self._config.batch_size, generator)


def _batches(objective: Objective[Any], config: TrainConfig, world: World, first: int) -> Iterator[Any]:
    """The batches of the steps from `first` on, in order."""
    return iter(
        DataLoader(
            _Steps(objective, config, world.rank),
            sampler=range(first, config.steps),
            batch_size=None,
            num_workers=config.loaders,
            generator=torch.Generator(),  # otherwise it takes a number from the global one, and resuming would differ
            prefetch_factor=4 if config.loaders else None,
        )
    )


def train(
    objective: Objective[Any],
    config: TrainConfig,
    run: Path,
    world: World,
    *,
    max_minutes: float | None = None,
    on_step: OnStep = lambda step, loss: None,
    gauge: Gauge | None = None,
) -> Outcome:
    """Trains until all steps are done, `max_minutes` of this call have passed, or SIGINT or SIGTERM arrives.

    Continues from the run's newest checkpoint, and leaves a checkpoint behind however it ends.
    """
    model = objective.network.to(world.device)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = optimizers(model, config)
    progress = Progress(0, 0.0)
    if (found := latest_checkpoint(run)) is not None:
        progress = load_checkpoint(found, model, average, optimizer)
    else:
        # What networks draw themselves, such as dropout; a checkpoint keeps how far that has got.
        torch.manual_seed(step_generator(config.seed, 0, world.rank).initial_seed())
    batches = _batches(objective, config, world, progress.step)
    wrapped = world.wrap(model)
    log = _Log(run) if world.leads else None
    began, first_step, saved_at = time.monotonic(), progress.step, time.monotonic()
    step, loss_value = progress.step, math.nan
    meter = _Meter(config.batch_size, world, gauge)
    with _stop_signals() as stop:
        while step < config.steps:
            with meter.counting(step - first_step):
                loss, numbers = _optimise(objective, wrapped, next(batches), optimizer, config, step, world)
            _follow(average, model, min(config.average_decay, (1 + step) / (10 + step)))
            step += 1
            now = time.monotonic()
            if log and (step % config.log_every == 0 or step == config.steps):
                loss_value = float(loss)
                log.write(step, loss_value, meter.rate(step - first_step, now - began), numbers)
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
                loss_value = float(loss)
                break
    seconds = time.monotonic() - began
    return Outcome(
        step=step,
        seconds=progress.seconds + seconds,
        loss=loss_value,
        finished=step >= config.steps,
        interrupted=stop.is_set(),
        **meter.told(step - first_step, seconds),
    )


def _optimise(
    objective: Objective[Any],
    model: nn.Module,
    batch: Any,
    optimizer: list[torch.optim.Optimizer],
    config: TrainConfig,
    step: int,
    world: World,
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """One step of the optimisers, in bf16 where a device is faster at it."""
    share = learning_rate(config, step) / config.learning_rate
    for one, highest in zip(optimizer, (config.learning_rate, config.matrix_learning_rate), strict=False):
        for group in one.param_groups:
            group["lr"] = share * highest
    with half_where_fast(world.device):
        loss, numbers = objective.loss(model, batch.to(world.device))
    model.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    for one in optimizer:
        one.step()
    return loss.detach(), {**numbers, "gradient_norm": norm.detach()}


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Moves the averaged weights a little towards the model's; counters and statistics are copied."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1.0 - decay)
    for ours, theirs in zip(average.buffers(), model.buffers(), strict=True):
        ours.copy_(theirs)


class _Meter:
    """How fast training is, beside what the devices can do. samples: of a step in this process."""

    def __init__(self, samples: int, world: World, gauge: Gauge | None) -> None:
        self._samples, self._processes, self._gauge = samples, world.size, gauge
        self._peak = math.nan if gauge is None else world.size * gauge.peak(world.device)
        self._flops = self._counted = 0

    @contextmanager
    def counting(self, steps: int) -> Iterator[None]:
        """Around a step: some are counted, since batches differ, but not the first one, which also sets things up."""
        if self._gauge is None or not 1 <= steps <= COUNTED:
            yield
            return
        with self._gauge.counting():
            yield
        self._flops, self._counted = self._flops + self._gauge.flops, self._counted + 1

    def rate(self, steps: int, seconds: float) -> float:
        """Samples per second of all processes."""
        return steps * self._samples * self._processes / max(seconds, 1e-9)

    def told(self, steps: int, seconds: float) -> dict[str, Any]:
        """What an `Outcome` says of so many steps in so many seconds."""
        rate = self.rate(steps, seconds)
        flops = self._flops / (self._samples * self._counted) if self._counted else None
        share = None if flops is None else flops * rate / self._peak
        return {"samples_per_second": rate, "flops_per_sample": flops, "share_of_matrix_rate": share}


class _Log:
    """Numbers to TensorBoard and a line of JSON per entry; pictures to PNG."""

    def __init__(self, run: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        run.mkdir(parents=True, exist_ok=True)
        self._run = run
        self._board = SummaryWriter(str(run / "tensorboard"))
        self._lines = (run / "log.jsonl").open("a", buffering=1)

    def write(self, step: int, loss: float, rate: float, numbers: Mapping[str, Tensor]) -> None:
        told = {"loss": loss, "samples_per_second": rate, **{name: float(value) for name, value in numbers.items()}}
        self._lines.write(json.dumps({"step": step} | {name: round(value, 6) for name, value in told.items()}) + "\n")
        for name, value in told.items():
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
