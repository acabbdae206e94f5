"""SOPHIA: imagine, judge, rewrite, again. A search among prompts that leaves the model's weights as they are.

After arXiv 2509.22642, section 4.2, whose loop was never released.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic, perf_counter

from wow.refine.contract import Attempt, Corrector, Critic, Imaginer, Patient, Refiner, Round, Spender
from wow.refine.ensemble import Decide, critique
from wow.refine.rules import Rules, attempts_of, best_of
from wow.types import Float32, UInt8, Verdict, Video, WowError

CORRECTED = "the same words; the motion is moved by what the video shows less than a practised hand would do"


@dataclass(frozen=True)
class Team:
    """Who imagines, who judges, who says what the verdicts come to, and who rewrites.

    correct: who imagines anew what shows another motion than it should; None where nobody can tell. check: raises
    WowError for a prompt that whoever imagines cannot read.
    """

    imagine: Imaginer
    critics: Sequence[Critic]
    decide: Decide
    refiner: Refiner
    correct: Corrector | None = None
    check: Callable[[str], None] = lambda prompt: None


@dataclass(frozen=True)
class Proposal:
    """What is imagined next. note: as in `Round`. wanting: attempts whose motion is corrected; none for new words."""

    prompt: str
    note: str
    seeds: Sequence[int]
    wanting: Sequence[Attempt] = ()


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
        began, number, left, before = perf_counter(), len(rounds), rules.budget.left(rounds), bill(team)
        deadline = None if left is None else monotonic() + left
        asked = propose(team, goal, rounds, rules, left)
        written = perf_counter()
        drawn = imagine(team, picture, goal, asked)
        imagined = perf_counter()
        judged, problems = critique(team.critics, [video for video, _ in drawn], goal, deadline)
        if not any(judged):
            stopped = f"no critic could judge ({'; '.join(f'{name}: {why}' for name, why in problems.items())})"
            break
        attempts = tuple(
            Attempt(number, asked.prompt, seed, video, team.decide(verdicts), verdicts, actions)
            for seed, (video, actions), verdicts in zip(asked.seeds, drawn, judged, strict=True)
        )
        tokens, cost = (now - then for now, then in zip(bill(team, judged), before, strict=True))
        seconds = {"rewrite": written - began, "imagine": imagined - written, "judge": perf_counter() - imagined}
        rounds.append(Round(number, asked.prompt, attempts, asked.note, problems, seconds, int(tokens), cost))
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


def propose(team: Team, goal: str, rounds: Sequence[Round], rules: Rules, left: float | None) -> Proposal:
    """The motion of the last videos corrected, where that is worth while; else other words."""
    if team.correct and (wanting := rules.to_correct(rounds)):
        return Proposal(wanting[0].prompt, CORRECTED, [attempt.seed for attempt in wanting], wanting)
    prompt, note = write_prompt(team, goal, attempts_of(rounds), rules.expand, left)
    return Proposal(prompt, note, rules.seeds(rounds))


def imagine(team: Team, picture: UInt8, goal: str, asked: Proposal) -> Sequence[tuple[Video, Float32 | None]]:
    """The videos of a proposal, and the actions that they were painted for where somebody gave them."""
    if asked.wanting and team.correct:
        return team.correct(picture, goal, asked.wanting)
    return [(video, None) for video in team.imagine(picture, asked.prompt, asked.seeds)]


def write_prompt(
    team: Team, goal: str, history: Sequence[Attempt], expand: bool, left: float | None
) -> tuple[str, str]:
    """The next prompt, and why it is an old one ("" where it is new). left: seconds, None without end.

    The first is the goal itself, unless the refiner is to expand it. A refiner that has nothing to say, or more than
    can be read, does not end the search: the best prompt so far is imagined again, with further seeds.
    """
    if not history and not expand:
        return goal, "the goal as it was given"
    try:
        prompt = hurried(team.refiner, left)(goal, history)
        team.check(prompt)
        return prompt, ""
    except WowError as problem:
        return best_of(history).prompt if history else goal, f"no new prompt: {problem}"
