"""SOPHIA: imagine, judge, rewrite, again. A search among prompts that leaves the model's weights as they are.

After arXiv 2509.22642, section 4.2, whose loop was never released.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter

from wow.refine.contract import Attempt, Critic, Imaginer, Patient, Refiner, Round, Spender
from wow.refine.ensemble import Decide, critique
from wow.refine.rules import Rules, attempts_of, best_of
from wow.types import UInt8, Verdict, WowError


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
        left, before = rules.budget.left(rounds), bill(team)
        deadline = None if left is None else monotonic() + left
        prompt, note = write_prompt(hurried(team.refiner, left), goal, attempts_of(rounds), rules.expand)
        written = perf_counter()
        videos = team.imagine(picture, prompt, seeds)
        imagined = perf_counter()
        judged, problems = critique(team.critics, videos, goal, deadline)
        if not any(judged):
            stopped = f"no critic could judge ({'; '.join(f'{name}: {why}' for name, why in problems.items())})"
            break
        attempts = tuple(
            Attempt(number, prompt, seed, video, team.decide(verdicts), verdicts)
            for seed, video, verdicts in zip(seeds, videos, judged, strict=True)
        )
        tokens, cost = (now - then for now, then in zip(bill(team, judged), before, strict=True))
        seconds = {"rewrite": written - began, "imagine": imagined - written, "judge": perf_counter() - imagined}
        rounds.append(Round(number, prompt, attempts, note, problems, seconds, int(tokens), cost))
        on_round(rounds[-1])
    if not rounds:
        raise WowError(stopped)
    return Search(best_of(attempts_of(rounds)), tuple(rounds), stopped)


def bill(team: Team, judged: Sequence[Mapping[str, Verdict]] = ()) -> tuple[float, float]:
    """Tokens and cost of everybody who keeps account so far, and of these verdicts by those who do not."""
    spenders = [one for one in (*team.critics, team.refiner) if isinstance(one, Spender)]
    counted = {critic.name for critic in team.critics if isinstance(critic, Spender)}
    others = [said for verdicts in judged for name, said in verdicts.items() if name not in counted]
    return sum(one.tokens for one in (*spenders, *others)), sum(one.cost for one in (*spenders, *others))


def hurried(refiner: Refiner, left: float | None) -> Refiner:
    """The refiner who waits for an answer no longer than the seconds that are left."""
    return refiner.within(max(left, 0.001)) if left is not None and isinstance(refiner, Patient) else refiner


def write_prompt(refiner: Refiner, goal: str, history: Sequence[Attempt], expand: bool) -> tuple[str, str]:
    """The next prompt, and why it is an old one ("" where it is new).

    The first is the goal itself, unless the refiner is to expand it. A refiner that has nothing to say does not end the
    search: the best prompt so far is imagined again, with further seeds.
    """
    if not history and not expand:
        return goal, "the goal as it was given"
    try:
        return refiner(goal, history), ""
    except WowError as problem:
        return best_of(history).prompt if history else goal, f"no new prompt: {problem}"
