"""One network's weights by diffusers' names, whatever their files call them; all are checked before any is read.

What a file is, is told by the names and shapes in it, never by what it is called.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from wow.foundation.card import Part
from wow.foundation.cards import CARDS
from wow.foundation.checkpoint_files import Stored, WeightFiles, open_files
from wow.foundation.checkpoint_network import expected_shapes
from wow.foundation.keys_cosmos import COSMOS1, COSMOS2
from wow.foundation.keys_encoders import CLIP, UMT5
from wow.foundation.keys_lora import is_lora
from wow.foundation.keys_rules import Config, KeyMap, Made, Shape, Shapes
from wow.foundation.keys_wan import WAN
from wow.foundation.keys_wan_vae import WAN_VAE, WAN_VAE_2_2
from wow.types import WowError

Layout = Literal["diffusers", "wan", "cosmos"]

FAMILIES = (WAN, COSMOS2, COSMOS1, WAN_VAE, WAN_VAE_2_2, UMT5, CLIP)
PREFIXES = ("pipe.dit.", "dit.", "model.diffusion_model.", "diffusion_model.", "module.", "model.", "_orig_mod.",
            "net_ema.", "net.", "vision_model.")  # fmt: skip
"""What trainers put before every name."""

KINDS = {part.kind: part.library for card in CARDS.values() for part in card.parts}
_TIED = {"encoder.embed_tokens.weight": "shared.weight"}
_UNUSED = {"T5EncoderModel": ("decoder.", "lm_head."), "UMT5EncoderModel": ("decoder.", "lm_head.")}
_ROWS = 8


@dataclass(frozen=True)
class Checkpoint:
    """One network: its class, its arguments, and how each of its tensors is made from those in the files.

    family: its two namings; None where it is known in diffusers' alone. layout: of the files. made: by the names of
    diffusers, in the files' order. dropped: what is in the files and not used, with the reason.
    """

    path: Path
    library: str
    kind: str
    config: Config
    family: KeyMap | None
    layout: Layout
    made: Mapping[str, Made]
    stored: Mapping[str, Stored]
    dropped: Mapping[str, str]

    @property
    def title(self) -> str:
        """What it is, for a person."""
        return self.family.name if self.family else self.kind

    def read(self, name: str) -> Tensor:
        """One tensor; where it is stored as it is wanted, a view of the mapped file."""
        return self.made[name].make(lambda source: self.stored[source].read())

    def shapes(self) -> dict[str, Shape]:
        """The shape of every tensor, nothing read."""
        there = {name: stored.shape for name, stored in self.stored.items()}
        return {name: made.shape(there) for name, made in self.made.items()}

    def dtype(self, name: str) -> torch.dtype:
        """The type a tensor is stored in."""
        return self.stored[self.made[name].sources[0]].dtype

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor, one at a time, file by file."""
        for name in self.made:
            yield name, self.read(name)

    @property
    def bytes(self) -> int:
        """What its tensors take once they are read."""
        used = set(itertools.chain.from_iterable(made.sources for made in self.made.values()))
        return sum(self.stored[name].bytes for name in used)


def open_checkpoint(path: Path, part: Part | None = None, *, ema: bool = False) -> Checkpoint:
    """A network's weights, recognised and complete; nothing but headers has been read. Raises WowError.

    part: what it has to be, the part of a card; without it, it is taken for what it is. ema: the averaged weights
    (`net_ema.`) where a file has both.
    """
    files = open_files(path)
    dropped = {name: f"no tensor ({kind})" for name, kind in files.others.items()}
    if is_lora(files.tensors):
        raise WowError(f"{path} is a LoRA, an addition to a network: name the network, and the LoRA with --lora")
    stored = _without_prefixes(_one_average(files.tensors, ema, dropped))
    family, original = _recognise(stored)
    kind = _kind(files, part, family, original)
    _drop(stored, dropped, family if original else None, kind)
    made, unknown = _made(stored, family if original else None)
    shapes = {name: how.shape({s: stored[s].shape for s in how.sources}) for name, how in made.items()}
    config = _config(files, part, family, original, shapes)
    title = family.name if family else kind
    expected = expected_shapes(KINDS[kind], kind, config)
    if not files.counts_all_axes:
        made = {name: _with_leading_axes(how, shapes[name], expected.get(name, ())) for name, how in made.items()}
        shapes = {name: how.shape({s: stored[s].shape for s in how.sources}) for name, how in made.items()}
    _check(path, title, shapes, expected, unknown, family if original else None)
    layout: Layout = "diffusers" if not original or family is None else family.layout  # type: ignore[assignment]
    checkpoint = Checkpoint(path, KINDS[kind], kind, config, family, layout, made, stored, dropped)
    if part is not None:
        check_part(checkpoint, part)
    return checkpoint


def check_part(checkpoint: Checkpoint, part: Part) -> None:
    """Raises WowError where a network is not the one that a card asks for: another class, or another size."""
    if checkpoint.kind != part.kind:
        raise WowError(
            f"{checkpoint.path} is a {checkpoint.title}, the card asks for a {part.kind}: name its {part.role}"
        )
    wanted = expected_shapes(part.library, part.kind, dict(part.config))
    _check(checkpoint.path, f"the card's {part.role}", checkpoint.shapes(), wanted, [], None)


# ---- recognising ----


def _one_average(tensors: Mapping[str, Stored], ema: bool, dropped: dict[str, str]) -> dict[str, Stored]:
    """Of raw and averaged weights in one file, those that are wanted."""
    raw, averaged = (any(name.startswith(prefix) for name in tensors) for prefix in ("net.", "net_ema."))
    if not (raw and averaged):
        return dict(tensors)
    unwanted = "net." if ema else "net_ema."
    why = "the raw weights beside the averaged ones" if ema else "the averaged weights beside the raw ones"
    dropped |= {name: why for name in tensors if name.startswith(unwanted)}
    return {name: stored for name, stored in tensors.items() if not name.startswith(unwanted)}


def _without_prefixes(stored: dict[str, Stored]) -> dict[str, Stored]:
    """The same with what nearly all names begin with taken away."""
    while prefix := next((p for p in PREFIXES if sum(n.startswith(p) for n in stored) > 0.9 * len(stored)), None):
        stored = {name.removeprefix(prefix): tensor for name, tensor in stored.items()}
    return stored


def _recognise(names: Mapping[str, Stored]) -> tuple[KeyMap | None, bool]:
    """The family that knows most of the names, and whether they are its authors'. None where none knows half."""
    best, known, original = None, len(names) / 2, False
    for family in FAMILIES:
        for by_authors in (True, False):
            score = family.knows(names, original=by_authors)
            score += sum(family.drop(name) is not None for name in names) if by_authors and score else 0
            if score > known:
                best, known, original = family, score, by_authors
    return best, original


def _kind(files: WeightFiles, part: Part | None, family: KeyMap | None, original: bool) -> str:
    """The class of the network. A configuration may only name one of those that the cards have."""
    named = files.config.get("_class_name") or next(iter(files.config.get("architectures") or ()), None)
    if not original and named in KINDS:
        return str(named)
    if family is not None:
        return family.kind
    if part is not None and not part.config and named != part.kind:
        raise WowError(f"{files.path} has no config.json that says it is a {part.kind}: name a whole diffusers folder")
    if part is not None:
        return part.kind
    known = ", ".join(family.name for family in FAMILIES)
    raise WowError(
        f"{files.path} is not recognised (it holds {', '.join(itertools.islice(files.tensors, 2))}, …): "
        f"{known} are, and the networks of a diffusers folder with its config.json"
    )


def _config(files: WeightFiles, part: Part | None, family: KeyMap | None, original: bool, shapes: Shapes) -> Config:
    """The arguments: of the configuration beside, else read off the shapes, else of the card."""
    if not original and ("_class_name" in files.config or "architectures" in files.config):
        return files.config
    if family is None:
        return dict(part.config) if part is not None else {}
    try:
        return family.config(shapes, files.config)
    except KeyError as error:
        raise WowError(
            f"{files.path} looks like a {family.name}, but lacks {family.original(str(error.args[0]))}: get it again"
        ) from None


# ---- strictness ----


def _drop(stored: dict[str, Stored], dropped: dict[str, str], family: KeyMap | None, kind: str) -> None:
    """Takes away what a rule says is not needed, and notes the reason."""
    for alias, name in _TIED.items():
        if alias in stored and name in stored:
            dropped[alias] = f"a copy of {name}"
        elif alias in stored:
            stored[name] = stored[alias]
            dropped[alias] = f"called {name} here"
    for name in stored:
        if reason := family.drop(name) if family else None:
            dropped[name] = reason
        elif name.startswith(_UNUSED.get(kind, ())):
            dropped[name] = "the decoder, which is not used"
    for name in dropped:
        stored.pop(name, None)


def _made(stored: Mapping[str, Stored], family: KeyMap | None) -> tuple[dict[str, Made], list[str]]:
    if family is None:
        return {name: Made((name,)) for name in stored}, []
    return family.to_diffusers(list(stored))


def _with_leading_axes(how: Made, shape: Shape, expected: Shape) -> Made:
    """The same tensor with the leading axes of size one that it lacks, and nothing else, to be as expected."""
    lacks = len(expected) - len(shape)
    return replace(how, axes=how.axes + lacks) if lacks > 0 and expected == (1,) * lacks + shape else how


def _check(
    path: Path, title: str, shapes: Shapes, expected: Shapes, unknown: Sequence[str], family: KeyMap | None
) -> None:
    """Raises WowError with a short table where tensors are missing, unknown or of another shape."""
    said = family.original if family else lambda name: name
    missing = [(said(name), f"{list(shape)}") for name, shape in expected.items() if name not in shapes]
    extra = [(said(name), f"{list(shapes[name])}") for name in shapes if name not in expected]
    extra += [(name, "") for name in unknown]
    wrong = [
        (said(name), f"{list(shapes[name])}, expected {list(shape)}")
        for name, shape in expected.items()
        if name in shapes and tuple(shapes[name]) != tuple(shape)
    ]
    rows = [(what, *row) for what, found in (("missing", missing), ("extra", extra), ("shape", wrong)) for row in found]
    if not rows:
        return
    width = max(len(name) for _, name, _ in rows[:_ROWS])
    lines = [f"  {what:<8}{name:<{width}}  {detail}".rstrip() for what, name, detail in rows[:_ROWS]]
    lines += [f"  … and {len(rows) - _ROWS} more"] if len(rows) > _ROWS else []
    head = f"{path} does not fit {title}: {len(missing)} missing, {len(extra)} extra, {len(wrong)} of another shape"
    raise WowError("\n".join([f"{head}; get the file that belongs to it", *lines]))
