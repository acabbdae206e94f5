"""SOPHIA: imagine, judge, rewrite, again. A search among prompts that leaves the model's weights as they are.

After arXiv 2509.22642, section 4.2, whose loop was never released.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from wow.refine.contract import Attempt, Critic, Imaginer, Refiner, Round, Spender
from wow.refine.ensemble import Decide, critique
from wow.refine.rules import Rules, attempts_of, best_of
from wow.types import UInt8, WowError


@dataclass(frozen=True)
class Team:
    """Who imagines, who judges, who says what the verdicts come to, and who rewrites."""

    imagine: Imaginer
    critics: Sequence[Critic]
    decide: Decide
    refiner: Refiner


@dataclass(frozen=True)
class Search:
    """How a search went. best: the best attempt seen, not the last. stopped: why it is over."""

    best: Attempt
    rounds: tuple[Round, ...]
    stopped: str


def refine(
    picture: UInt8,
    goal: str,
    team: Team,
    rules: Rules = Rules(),  # noqa: B008
    past: Sequence[Round] = (),
    on_round: Callable[[Round], None] = lambda done: None,
) -> Search:
    """Searches for a video that begins with the picture [H, W, 3] and shows the goal being reached.

    past: rounds of an earlier call that was interrupted; the search goes on as if it had not been. on_round: told each
    round as soon as it is over. Raises WowError where no critic can judge the very first videos.
    """
    rounds = list(past)
    while (stopped := rules.stop(rounds)) is None:
        began, number, seeds = perf_counter(), len(rounds), rules.seeds(rounds)
        prompt, note, tokens = write_prompt(team.refiner, goal, attempts_of(rounds), rules.expand)
        written = perf_counter()
        videos = team.imagine(picture, prompt, seeds)
        imagined = perf_counter()
        judged, problems = critique(team.critics, videos, goal)
        if not any(judged):
            stopped = f"no critic could judge ({'; '.join(f'{name}: {why}' for name, why in problems.items())})"
            break
        attempts = tuple(
            Attempt(number, prompt, seed, video, team.decide(verdicts), verdicts)
            for seed, video, verdicts in zip(seeds, videos, judged, strict=True)
        )
        tokens += sum(verdict.tokens for verdicts in judged for verdict in verdicts.values())
        seconds = {"rewrite": written - began, "imagine": imagined - written, "judge": perf_counter() - imagined}
        rounds.append(Round(number, prompt, attempts, note, problems, seconds, tokens))
        on_round(rounds[-1])
    if not rounds:
        raise WowError(stopped)
    return Search(best_of(attempts_of(rounds)), tuple(rounds), stopped)


def write_prompt(refiner: Refiner, goal: str, history: Sequence[Attempt], expand: bool) -> tuple[str, str, int]:
    """The next prompt, why it is an old one ("" where it is new), and the tokens that it took.

    The first is the goal itself, unless the refiner is to expand it. A refiner that has nothing to say does not end the
    search: the best prompt so far is imagined again, with further seeds.
    """
    if not history and not expand:
        return goal, "the goal as it was given", 0
    before = refiner.tokens if isinstance(refiner, Spender) else 0
    try:
        prompt, note = refiner(goal, history), ""
    except WowError as problem:
        prompt, note = best_of(history).prompt if history else goal, f"no new prompt: {problem}"
    return prompt, note, (refiner.tokens if isinstance(refiner, Spender) else 0) - before
