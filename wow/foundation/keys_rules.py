"""What a tensor is called in two layouts: rules that are read in both directions.

A rule is a pair of names with holes: `{i}` a number, `{p}` weight or bias. The layout on the left is that of a model's
authors, the one on the right that of diffusers (or transformers). A name that no rule knows has no translation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Config = dict[str, Any]

_HOLES = {"{i}": r"(?P<i>\d+)", "{p}": r"(?P<p>weight|bias)"}


@dataclass(frozen=True)
class Rule:
    """One tensor of the authors' layout and what it is in diffusers'.

    diffusers: several names where the authors stack tensors along the first axis. axes: leading axes of size one that
    only the authors' tensor has.
    """

    original: str
    diffusers: tuple[str, ...]
    axes: int = 0


@dataclass(frozen=True)
class Made:
    """How one tensor of the wanted layout is made from those that are there.

    sources: their names; more than one are stacked along the first axis. share: (which, of how many) equal parts along
    the first axis it is. axes: leading axes of size one to add, or to take away where negative.
    """

    sources: tuple[str, ...]
    share: tuple[int, int] = (0, 1)
    axes: int = 0

    def shape(self, shapes: Shapes) -> Shape:
        """What shape it will have."""
        parts = [shapes[name] for name in self.sources]
        first = parts[0][max(-self.axes, 0) :] if self.axes < 0 else parts[0]
        if len(parts) > 1:
            first = (sum(part[0] for part in parts), *first[1:])
        if self.share[1] > 1:
            first = (math.ceil(first[0] / self.share[1]), *first[1:])
        return (1,) * max(self.axes, 0) + first

    def make(self, read: Callable[[str], Tensor]) -> Tensor:
        """The tensor, from a function that reads the ones that are there."""
        parts = [read(name) for name in self.sources]
        tensor = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.share[1] > 1:
            tensor = tensor.chunk(self.share[1])[self.share[0]]
        return tensor.reshape(
            self.shape({name: tuple(part.shape) for name, part in zip(self.sources, parts, strict=True)})
        )


@dataclass(frozen=True)
class KeyMap:
    """How one family of networks is called by its authors and by diffusers.

    name: of the family. layout: what `wow convert --to` calls the authors' layout. library, kind: the class.
    rules: both namings. dropped: names (with holes) that no network needs, and why. config: the class's arguments from
    the shapes in diffusers' naming and a `config.json` that was there. original_config: what the authors write instead.
    """

    name: str
    layout: str
    library: str
    kind: str
    rules: tuple[Rule, ...]
    config: Callable[[Shapes, Config], Config]
    dropped: Mapping[str, str]
    prefix: str = ""
    original_config: Callable[[Config], Config] | None = None

    @cached_property
    def _by_original(self) -> list[tuple[re.Pattern[str], Rule]]:
        return [(_pattern(rule.original), rule) for rule in self.rules]

    @cached_property
    def _by_diffusers(self) -> list[tuple[re.Pattern[str], Rule, int]]:
        return [(_pattern(name), rule, at) for rule in self.rules for at, name in enumerate(rule.diffusers)]

    @cached_property
    def _any_original(self) -> re.Pattern[str]:
        return _any_of([rule.original for rule in self.rules])

    @cached_property
    def _any_diffusers(self) -> re.Pattern[str]:
        return _any_of([name for rule in self.rules for name in rule.diffusers])

    @cached_property
    def _drops(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(name), why) for name, why in self.dropped.items()]

    def drop(self, name: str) -> str | None:
        """Why a tensor of the authors' layout is not needed; None where it is."""
        return next((why for pattern, why in self._drops if pattern.fullmatch(name)), None)

    def knows(self, names: Iterable[str], *, original: bool) -> int:
        """How many of the names are the family's own."""
        any_of = self._any_original if original else self._any_diffusers
        return sum(any_of.fullmatch(name) is not None for name in names)

    def to_diffusers(self, names: Sequence[str]) -> tuple[dict[str, Made], list[str]]:
        """How diffusers' tensors are made from the authors', and the names that no rule knows."""
        made: dict[str, Made] = {}
        unknown: list[str] = []
        for name in names:
            found = next(((m, rule) for pattern, rule in self._by_original if (m := pattern.fullmatch(name))), None)
            if found is None:
                unknown.append(name)
                continue
            match, rule = found
            for at, target in enumerate(rule.diffusers):
                made[_filled(target, match)] = Made((name,), (at, len(rule.diffusers)), -rule.axes)
        return made, unknown

    def to_original(self, names: Sequence[str]) -> tuple[dict[str, Made], list[str]]:
        """How the authors' tensors are made from diffusers', and the names that no rule knows, or lack a companion."""
        made: dict[str, Made] = {}
        unknown: list[str] = []
        there = set(names)
        for name in names:
            found = next(((m, rule) for p, rule, _ in self._by_diffusers if (m := p.fullmatch(name))), None)
            sources = tuple(_filled(part, found[0]) for part in found[1].diffusers) if found else ()
            if found is None or not there.issuperset(sources):
                unknown.append(name)
                continue
            made[_filled(found[1].original, found[0])] = Made(sources, axes=found[1].axes)
        return made, unknown

    def original(self, name: str) -> str:
        """What the authors call one of diffusers' tensors; the same name where no rule knows it."""
        found = next(((m, rule) for p, rule, _ in self._by_diffusers if (m := p.fullmatch(name))), None)
        return self.prefix + _filled(found[1].original, found[0]) if found else name


def renames(pairs: Mapping[str, str]) -> tuple[Rule, ...]:
    """Rules that only rename."""
    return tuple(Rule(original, (diffusers,)) for original, diffusers in pairs.items())


def count(shapes: Shapes, pattern: str) -> int:
    """How many layers there are: one more than the highest `{i}` among the names that match."""
    matches = (re.match(_pattern(pattern), name) for name in shapes)
    return 1 + max((int(match["i"]) for match in matches if match), default=-1)


def _pattern(template: str) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\*", ".*")
    for hole, expression in _HOLES.items():
        pattern = pattern.replace(re.escape(hole), expression)
    return re.compile(pattern)


def _any_of(templates: Iterable[str]) -> re.Pattern[str]:
    """One expression for all of them: many times faster than one after another."""
    return re.compile("|".join(re.sub(r"\?P<\w>", "?:", _pattern(template).pattern) for template in templates))


def _filled(template: str, match: re.Match[str]) -> str:
    for hole, value in match.groupdict().items():
        template = template.replace(f"{{{hole}}}", value)
    return template
