"""How a model is run on a machine, decided before anything is loaded, and what that will cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wow.foundation.card import Card
from wow.foundation.memory import (
    GB,
    IN_BLOCKS,
    QUANTISATIONS,
    TILES,
    Cost,
    DType,
    Job,
    Machine,
    Offload,
    Quantisation,
    Setting,
    cost,
)
from wow.types import WowError

ROOM = 0.94
"""Share of a memory that a plan fills; the rest is for what nobody foresees."""
NEEDS_TORCHAO = "{how} needs torchao, which is not installed: pip install torchao"
TOO_LONG = 3600.0
"""Seconds on a CPU that nobody means to wait without saying so."""
GPUS = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141, 180)
MEMORIES = (16, 32, 48, 64, 96, 128, 192, 256, 512)
"""Sizes that GPUs and machines are sold with [GB]."""


class Unsuited(WowError):
    """No setting of a model suits a machine: none fits, or all would take for ever. Another machine's may."""


@dataclass(frozen=True)
class Wish:
    """What a caller insists on; None lets the plan decide."""

    dtype: DType | None = None
    offload: Offload | None = None
    tiling: bool | None = None
    quantisation: Quantisation | None = None
    device: str | None = None


NO_WISH = Wish()


@dataclass(frozen=True)
class Plan:
    """lower: the settings that need less, each of which also fits, best first."""

    card: Card
    job: Job
    machine: Machine
    setting: Setting
    cost: Cost
    lower: tuple[Setting, ...] = ()

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cuda" if self.machine.vram else "cpu"

    def after_running_out(self) -> Plan | None:
        """The plan one level lower; None where there is none."""
        if not self.lower:
            return None
        setting, *rest = self.lower
        return Plan(
            self.card, self.job, self.machine, setting, cost(self.card, self.job, setting, self.machine), tuple(rest)
        )

    def __str__(self) -> str:
        """What was chosen and what it will take, in one line."""
        said: list[str] = [self.setting.dtype]
        takes = self.cost
        if self.machine.vram:
            said.append(_OFFLOAD[self.setting.offload])
        if self.setting.quantisation != "none":
            said.append(f"transformer in {self.setting.quantisation}")
        said.append("VAE in tiles" if self.setting.tiling else "VAE whole")
        if self.card.num_words:
            said.append("text encoder unloaded once it has read")
        gpu = f"{takes.gpu / GB:.1f} GB on the GPU, " if self.machine.vram else ""
        return (
            f"{self.card.name} on {self.machine.name}: {', '.join(said)}; about {gpu}"
            f"{takes.ram / GB:.0f} GB of memory, {_duration(takes.seconds)} for {self.job.num_frames} frames"
        )


_OFFLOAD = {
    "none": "everything on the GPU",
    "model": "one network on the GPU at a time",
    "blocks": "one block of the transformer on the GPU at a time",
}


def choose(card: Card, job: Job, machine: Machine, wish: Wish = NO_WISH, quantisers: Sequence[str] = ()) -> Plan:
    """The fastest setting that fits with weights as they are; a quantised one where none does. quantisers: installed.

    Wherever networks are, the clip is the same up to rounding; a VAE in tiles blends what each tile draws by itself.
    Raises WowError for a wish that cannot be, and of that Unsuited where no setting does for the machine.
    """
    _check_quantisation(card, wish, quantisers)
    if wish.tiling and card.family not in TILES:
        raise WowError(f"the VAE of {card.name} sees whole frames alone: leave --tiling away")
    allowed = settings(card, machine, quantisers, wish)
    if not allowed:
        raise WowError(f"{' and '.join(_insisted(wish))} do not go together on {machine.name}: leave one away")
    fitting = [setting for setting in allowed if fits(cost(card, job, setting, machine), machine)]
    if not fitting:
        more = [] if quantisers else settings(card, machine, QUANTISATIONS, wish)
        hint = any(fits(cost(card, job, setting, machine), machine) for setting in more)
        raise Unsuited(_too_small(card, job, machine, allowed, wish, hint))
    if machine.vram == 0 and wish.device != "cpu":
        _refuse_eternity(card, job, machine, fitting[0], wish)
    best, *rest = fitting
    needed = cost(card, job, best, machine)
    lower = tuple(setting for setting in rest if cost(card, job, setting, machine).gpu < needed.gpu)
    return Plan(card, job, machine, best, needed, lower)


def candidates(machine: Machine, quantisers: Sequence[str] = ()) -> list[Setting]:
    """The settings that there are on a machine, best first."""
    if machine.vram == 0:
        return [
            *(Setting("float32", "none"), Setting("bfloat16", "none"), Setting("bfloat16", "none", tiling=True)),
            *(Setting("bfloat16", "none", tiling, way) for way in quantisers for tiling in (False, True)),  # type: ignore[arg-type]
        ]
    precise = [
        Setting(offload="none"),
        Setting(offload="none", tiling=True),
        Setting(offload="model"),
        Setting(offload="model", tiling=True),
        Setting(offload="blocks"),
        Setting(offload="blocks", tiling=True),
    ]
    quantised = [
        Setting(offload=offload, tiling=tiling, quantisation=quantisation)  # type: ignore[arg-type]
        for quantisation in quantisers
        for offload in ("none", "model")
        for tiling in (False, True)
    ]
    return [*precise, *quantised, Setting("float32", "none"), Setting("float32", "model", tiling=True)]


def settings(card: Card, machine: Machine, quantisers: Sequence[str] = (), wish: Wish = NO_WISH) -> list[Setting]:
    """The settings that a model can be run in on a machine and a caller allows, best first."""
    known = quantisers if card.family in IN_BLOCKS else ()
    allowed = (setting for setting in candidates(machine, known) if _granted(setting, wish))
    return [setting for setting in allowed if card.family in TILES or not setting.tiling]


def _check_quantisation(card: Card, wish: Wish, quantisers: Sequence[str]) -> None:
    """Raises WowError where a quantisation is insisted on that cannot be."""
    if wish.quantisation is None or wish.quantisation == "none":
        return
    if card.family not in IN_BLOCKS:
        raise WowError(f"{card.name} is not quantised, it has no transformer: leave --quantize away")
    if wish.quantisation not in quantisers:
        raise WowError(NEEDS_TORCHAO.format(how=wish.quantisation))


def _granted(setting: Setting, wish: Wish) -> bool:
    """Whether a setting is what was insisted on; float32 on a GPU and inexact settings want to be asked for."""
    asked = {
        "dtype": wish.dtype,
        "offload": wish.offload,
        "tiling": wish.tiling,
        "quantisation": wish.quantisation,
    }
    return all(value is None or getattr(setting, name) == value for name, value in asked.items())


def fits(needed: Cost, machine: Machine) -> bool:
    """Whether a machine has what is needed, with a little room left."""
    on_gpu = machine.vram == 0 or needed.gpu <= ROOM * machine.vram
    return on_gpu and needed.ram <= ROOM * machine.ram


def enough(card: Card, job: Job, machine: Machine, wish: Wish = NO_WISH) -> Machine | None:
    """The least GPU, and then the least memory, of the sizes there are with which a model runs as it is wished.

    No less than the machine has, and no GPU where one is not wished. None where nothing is enough.
    """
    gpus = (0,) if wish.device == "cpu" else GPUS
    for vram in (size * GB for size in gpus if size * GB >= machine.vram):
        for ram in (size * GB for size in MEMORIES if size * GB >= machine.ram):
            larger = replace(machine, name="a larger machine", vram=vram, ram=ram)
            if any(fits(cost(card, job, setting, larger), larger) for setting in settings(card, larger, (), wish)):
                return larger
    return None


def _elsewhere(card: Card, job: Job, machine: Machine, wish: Wish) -> str:
    """What to type to see how the model would run on a machine that is large enough."""
    larger = enough(card, job, machine, wish)
    if larger is None:
        return f"wow plan-memory {card.name} lists what every setting takes"
    said = [] if job.num_frames == card.frames.default else [f"--num-frames {job.num_frames}"]
    size = f"--vram {larger.vram / GB:.0f}" if larger.vram else "--device cpu"
    words = " ".join([card.name, *said, *_insisted(wish), size, f"--ram {larger.ram / GB:.0f}"])
    return f"wow plan-memory {words} plans for one that is large enough"


def _too_small(
    card: Card, job: Job, machine: Machine, allowed: Sequence[Setting], wish: Wish, quantised_would: bool
) -> str:
    least = min((cost(card, job, setting, machine) for setting in allowed), key=lambda needed: needed.gpu + needed.ram)
    has = f"{machine.vram / GB:.0f} GB on the GPU and " if machine.vram else ""
    lacks = "there is no NVIDIA GPU here, and " if machine.vram == 0 and wish.device != "cpu" else ""
    wants = f"{least.gpu / GB:.0f} GB on the GPU and " if machine.vram else ""
    fewer = (
        "pip install torchao, in 8 bits it fits"
        if quantised_would
        else "ask for fewer frames, or take a smaller model or another machine"
    )
    remedy = f"leave {' and '.join(_insisted(wish))} away" if _insisted(wish) else fewer
    return (
        f"{lacks}{card.name} needs at least {wants}{least.ram / GB:.0f} GB of memory for {job.num_frames} frames, "
        f"where there are {has}{machine.ram / GB:.0f} GB: {remedy} ({_elsewhere(card, job, machine, wish)})"
    )


def _insisted(wish: Wish) -> list[str]:
    """The options that a caller gave, as they are typed; the device is not for the plan to leave away."""
    tiling = None if wish.tiling is None else "on" if wish.tiling else "off"
    given = {"dtype": wish.dtype, "offload": wish.offload, "tiling": tiling, "quantize": wish.quantisation}
    return [f"--{name} {value}" for name, value in given.items() if value is not None]


def _refuse_eternity(card: Card, job: Job, machine: Machine, setting: Setting, wish: Wish) -> None:
    seconds = cost(card, job, setting, machine).seconds
    if seconds > TOO_LONG:
        raise Unsuited(
            f"there is no NVIDIA GPU here, and on {machine.name} {card.name} would take about {_duration(seconds)} for "
            f"{job.num_frames} frames: use a machine with a GPU ({_elsewhere(card, job, machine, wish)}), "
            "or insist with --device cpu"
        )


def _duration(seconds: float) -> str:
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"
