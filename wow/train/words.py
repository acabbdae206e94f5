"""What else people say: a trained policy learns to seek under every wording what it seeks under the instruction.

Pictures are not looked at, and only what turns words into what is sought is trained, so the policy does under its
instructions what it did before. Texts are cheap: a minute is enough for hundreds of wordings of every task, of which
imitation hears each a few times.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wow.models.dit import Conditions
from wow.models.policy import Policy
from wow.train.instructed import LONGEST_SHORT_TEXT
from wow.train.policy import PolicyObjective
from wow.types import UInt8, WowError

INSTRUCTIONS, CAPTIONS = 0.1, 0.2
"""Shares of texts that are an instruction, or a dense caption: what is sought under these stays as it was."""
LONGEST_PACE = 0.3
"""Paces are drawn up to so many seconds between frames."""
CELL = 4
"""Pixels of a cell of the preview."""


class Listener(Policy):
    """A policy that says what it seeks, not what is to be done about it."""

    def forward(self, conditions: Conditions) -> Tensor:  # type: ignore[override]
        return self.seek(conditions)


@dataclass(frozen=True)
class Sayings:
    """heard: texts less some of their words. meant: the instructions that they stand for, at the same paces."""

    heard: Conditions
    meant: Conditions

    def to(self, device: torch.device) -> Sayings:
        """The same on another device."""
        return Sayings(*(side.map(lambda value: value.to(device)) for side in (self.heard, self.meant)))


class WordsObjective:
    """Seeks under all short texts of an episode what `start` seeks under the first of them, its instruction."""

    def __init__(self, start: PolicyObjective) -> None:
        """start: a trained policy with the episodes whose texts are heard.

        Raises WowError where no instruction has another wording.
        """
        self._start = start
        self.network: nn.Module = Listener(start.run.model)
        self.network.load_state_dict(start.network.state_dict())
        for name, weight in self.network.named_parameters():
            weight.requires_grad_(name.startswith("sought."))
        self._before = copy.deepcopy(self.network).requires_grad_(False)
        wordings: dict[str, dict[str, None]] = {}
        captions: dict[str, None] = {}
        for texts in (start.clips.texts[episode] for episode in start.told.plannable):
            for text in texts[1:]:
                is_short = len(text.split()) <= LONGEST_SHORT_TEXT
                (wordings.setdefault(texts[0], {}) if is_short else captions)[text] = None
        if not wordings:
            raise WowError(
                "these episodes have no second wording of any instruction: record them with `wow data collect`"
            )
        self._wordings = {instruction: tuple(others) for instruction, others in wordings.items()}
        self._instructions, self._captions = tuple(wordings), tuple(captions)

    def batch(self, batch_size: int, generator: torch.Generator) -> Sayings:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        pairs = [self._pair(random) for _ in range(batch_size)]
        seconds = torch.from_numpy(random.uniform(0.0, LONGEST_PACE, batch_size)).float()
        is_paced = torch.from_numpy(random.random(batch_size) >= self._start.run.no_pace)
        heard, meant = (self._conditions(side, seconds, is_paced) for side in zip(*pairs, strict=True))
        kept = heard.text_mask & torch.from_numpy(random.random(heard.text_mask.shape) >= self._start.run.lost_words)
        heard.text_mask[:] = torch.where(kept.any(dim=1, keepdim=True), kept, heard.text_mask)
        return Sayings(heard, meant)

    def loss(self, network: nn.Module, batch: Sayings) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The squared difference of what is sought, as a share of its variance from text to text."""
        with torch.no_grad():
            before = self._before.to(batch.meant.text.device)
            wanted = before(batch.meant).float()
            unchanged = (before(batch.heard).float() - wanted).square().mean() / wanted.var(dim=0).mean()
        loss = (network(batch.heard).float() - wanted).square().mean() / wanted.var(dim=0).mean()
        return loss, {"unchanged": unchanged}

    @torch.no_grad()
    def preview(self, network: nn.Module) -> UInt8:
        """A row for every instruction, a column for each that its other wordings may be taken for, white where they
        are: a white diagonal is what is wanted."""
        device = next(network.parameters()).device

        def sought(model: nn.Module, texts: Sequence[str]) -> Tensor:
            unpaced = torch.zeros(len(texts))
            told = self._conditions(texts, unpaced, unpaced.bool())
            found: Tensor = model.to(device)(told.map(lambda value: value.to(device)))
            return found

        known = sought(self._before, self._instructions)
        rows = [
            functional.one_hot(torch.cdist(sought(network, others), known).argmin(dim=1), len(known))
            .float()
            .mean(dim=0)
            for others in self._wordings.values()
        ]
        shares = (255 * torch.stack(rows)).byte().cpu().numpy()
        picture = np.kron(shares, np.ones((CELL, CELL), np.uint8))
        return np.repeat(picture[..., None], 3, axis=2)

    def _pair(self, random: np.random.Generator) -> tuple[str, str]:
        """A text, and the one under which is sought what is to be sought under it."""
        kind = random.random()
        instruction = self._instructions[int(random.integers(len(self._instructions)))]
        if kind < INSTRUCTIONS:
            return instruction, instruction
        if kind < INSTRUCTIONS + CAPTIONS and self._captions:
            caption = self._captions[int(random.integers(len(self._captions)))]
            return caption, caption
        others = self._wordings[instruction]
        return others[int(random.integers(len(others)))], instruction

    def _conditions(self, texts: Sequence[str], seconds: Tensor, is_paced: Tensor) -> Conditions:
        tokens, mask = self._start.told.texts.gather(texts)
        count, model = len(texts), self._start.run.model
        return Conditions(
            text=tokens,
            text_mask=mask,
            has_text=torch.ones(count, dtype=torch.bool),
            motion=torch.zeros(count, model.num_transitions, model.action_width),
            motion_time=torch.zeros(count),
            seconds=seconds,
            has_seconds=is_paced,
        )
