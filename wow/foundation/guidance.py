"""The two branches of guidance: told apart, run together, or left alone for a while.

The samplers ask a network twice a step, first with the prompt and then with the negative one. A hook on the network
answers the second question from the first pass where both ran at once, or with the first answer where guidance rests:
u = c turns u + g (c - u) and c + g (c - u) alike into c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.hooks import ModelHook
from torch import Tensor, nn

BATCHED = ("hidden_states", "timestep", "encoder_hidden_states", "encoder_hidden_states_image", "condition_mask")
"""What a pass over two branches has twice."""


@dataclass
class Clock:
    """Where a clip is: which step of how many, and in which branch ("both" where they run at once)."""

    steps: int
    step: int = 0
    branch: str = "conditional"

    @property
    def is_last(self) -> bool:
        """Whether this is the last step."""
        return self.step + 1 >= self.steps


class Branches(ModelHook):  # type: ignore[misc]
    """Answers a sampler's questions. negative: the embedding [1, l, d] of the negative prompt; None without guidance.

    batched: both branches in one pass. interval: shares of the steps between which guidance is at work.
    """

    def __init__(self, clock: Clock, negative: Tensor | None, batched: bool, interval: tuple[float, float]) -> None:
        super().__init__()
        self.clock, self.negative, self.batched, self.interval = clock, negative, batched, interval
        self.asked = self.made = 0
        self.answer: Tensor | None = None

    def new_forward(self, module: nn.Module, *inputs: Any, **named: Any) -> Any:
        """The answer to the next question, as a tuple."""
        questions = 1 if self.negative is None else 2
        self.clock.step, branch = divmod(self.asked, questions)
        self.asked += 1
        if branch == 1:
            if self.answer is not None:
                kept, self.answer = self.answer, None
                return (kept,)
            return self._run("unconditional", inputs, named)
        share = self.clock.step / self.clock.steps
        guided = self.negative is not None and self.interval[0] <= share < self.interval[1]
        if guided and self.batched:
            both = self._run("both", inputs, self._doubled(named))[0]
            answer, self.answer = both.chunk(2)
            return (answer,)
        result = self._run("conditional", inputs, named)
        if self.negative is not None and not guided:
            self.answer = result[0]
        return result

    def _run(self, branch: str, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.clock.branch = branch
        self.made += 1
        return self.fn_ref.original_forward(*inputs, **named)

    def _doubled(self, named: dict[str, Any]) -> dict[str, Any]:
        """What is asked with the prompt, and once more with the negative one."""
        assert self.negative is not None
        words = named["encoder_hidden_states"]
        twice = {name: torch.cat([value, value]) for name in BATCHED if (value := named.get(name)) is not None}
        return {**named, **twice, "encoder_hidden_states": torch.cat([words, self.negative.to(words)])}
