"""Every critic judges every video, side by side; then one decision is made of what they said.

Critics agree or disagree in log-odds: who does not know says 0.5 and changes nothing, two who are sure of opposite
things cancel out, and weights say how much each is to be believed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wow.refine.contract import Critic, Patient
from wow.refine.untrusted import one_line
from wow.types import SCORES, Verdict, Video, WowError

Decide = Callable[[Mapping[str, Verdict]], Verdict]
"""From what each critic said, by its name, to one verdict."""

SUREST = 0.999
"""Probabilities are taken no nearer to 0 and 1 than this: nobody is so sure that nobody else counts."""


def critique(
    critics: Sequence[Critic], videos: Sequence[Video], goal: str, deadline: float | None = None
) -> tuple[list[dict[str, Verdict]], dict[str, str]]:
    """For each video what each critic said, and by critic's name why it could not judge.

    deadline: of `time.monotonic`, after which nobody elsewhere is waited for. Each critic has a thread of its own in
    which it judges one video after the other: those that wait for an answer from elsewhere wait side by side, and none
    has to bear being asked twice at once.
    """
    if not critics:
        raise WowError("there is nobody to judge: name a critic with --critic")
    if len(critics) == 1:
        answers = [_judge(critics[0], videos, goal, deadline)]
    else:
        with ThreadPoolExecutor(len(critics)) as pool:
            answers = list(pool.map(lambda critic: _judge(critic, videos, goal, deadline), critics))
    names = [critic.name for critic in critics]
    judged: list[dict[str, Verdict]] = [{} for _ in videos]
    problems: dict[str, str] = {}
    for name, given in zip(names, answers, strict=True):
        for place, answer in enumerate(given):
            if isinstance(answer, Verdict):
                judged[place][name] = answer
            else:
                problems[name] = answer
    return judged, problems


def _judge(critic: Critic, videos: Sequence[Video], goal: str, deadline: float | None) -> list[Verdict | str]:
    """What it makes of each video, or why nothing. Who waits for others and failed once is not waited for again."""
    answers: list[Verdict | str] = []
    for video in videos:
        answers.append(_ask(critic, video, goal, deadline))
        if isinstance(answers[-1], str) and isinstance(critic, Patient):
            break
    return answers + answers[-1:] * (len(videos) - len(answers))


def _ask(critic: Critic, video: Video, goal: str, deadline: float | None) -> Verdict | str:
    """What it makes of the video, or why nothing: what a critic's own parts raise is its problem, not the search's."""
    if deadline is not None and isinstance(critic, Patient):
        left = deadline - time.monotonic()
        if left <= 0:
            return "no time was left to ask"
        critic = critic.within(left)
    try:
        return critic(video, goal)
    except WowError as problem:
        return str(problem)
    except (RuntimeError, ValueError, ArithmeticError, LookupError, OSError, MemoryError) as problem:
        return f"it broke down ({type(problem).__name__}: {one_line(str(problem), 160)})"


@dataclass(frozen=True)
class Ensemble:
    """Makes one verdict of several: a weighted sum of log-odds, plus a bias.

    weights: by critic's name; 1 where a name is missing. A critic that could not judge counts as one that does not
    know: it changes nothing.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    bias: float = 0.0

    def probability(self, chances: Mapping[str, float]) -> float:
        """The probability of success that critics' probabilities, by name, come to."""
        odds = (self.weights.get(name, 1.0) * log_odds(chance) for name, chance in chances.items())
        return 1.0 / (1.0 + math.exp(-(self.bias + sum(odds))))

    def __call__(self, verdicts: Mapping[str, Verdict]) -> Verdict:
        if not verdicts:
            return Verdict({}, False, 0.5, "no critic could judge this video")
        shares = {name: self.weights.get(name, 1.0) for name in verdicts}
        odds = {name: shares[name] * log_odds(verdict.success_probability) for name, verdict in verdicts.items()}
        total = self.bias + sum(odds.values())
        probability = self.probability({name: verdict.success_probability for name, verdict in verdicts.items()})
        # Whose word weighed most for what was decided.
        decisive = max(verdicts, key=lambda name: odds[name] if total > 0 else -odds[name])
        return Verdict(
            scores=_mean_scores(verdicts, shares),
            completed=total > 0,
            confidence=max(probability, 1.0 - probability),
            reason=f"{decisive}: {verdicts[decisive].reason}",
            span=verdicts[decisive].span,
            seconds=sum(verdict.seconds for verdict in verdicts.values()),
            tokens=sum(verdict.tokens for verdict in verdicts.values()),
            cost=sum(verdict.cost for verdict in verdicts.values()),
        )


def log_odds(probability: float) -> float:
    """The logarithm of the odds, bounded: see `SUREST`."""
    bounded = min(max(probability, 1.0 - SUREST), SUREST)
    return math.log(bounded / (1.0 - bounded))


def calibrated(
    said: Sequence[Mapping[str, float]], happened: Sequence[bool], names: Sequence[str], strength: float = 1.0
) -> Ensemble:
    """The ensemble whose probabilities fit best what happened: logistic regression on the critics' log-odds.

    said: for each video each critic's probability of success, by name; 0.5 where one could not judge. Weights below 0
    (who is wrong more often than not) become 0. strength: of the pull of all weights towards 0.
    """
    odds = np.array([[log_odds(row.get(name, 0.5)) for name in names] for row in said], np.float64)
    truth = np.asarray(happened, np.float64)
    kept = list(range(len(names)))
    while True:
        fitted = _logistic(odds[:, kept], truth, strength)
        wrong = [place for place, weight in zip(kept, fitted[1:], strict=True) if weight < 0]
        if not wrong:
            weights = dict(zip((names[place] for place in kept), fitted[1:].tolist(), strict=True))
            return Ensemble({name: weights.get(name, 0.0) for name in names}, float(fitted[0]))
        kept = [place for place in kept if place not in wrong]


def _logistic(inputs: NDArray[np.float64], truth: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    """Bias and weights by Newton's method; the bias is not pulled."""
    rows = np.concatenate([np.ones((len(inputs), 1)), inputs], axis=1)
    pull = strength * np.eye(rows.shape[1])
    pull[0, 0] = 1e-6
    found = np.zeros(rows.shape[1])
    for _ in range(50):
        probability = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -30, 30)))
        slope = rows.T @ (probability - truth) + pull @ found
        curve = (rows * (probability * (1.0 - probability))[:, None]).T @ rows + pull
        step = np.linalg.solve(curve, slope)
        found = found - step
        if np.abs(step).max() < 1e-9:
            break
    return found


def _mean_scores(verdicts: Mapping[str, Verdict], shares: Mapping[str, float]) -> dict[str, float]:
    """Each score's mean over the critics that gave it, by their weights."""
    means = {}
    for score in SCORES:
        given = [(shares[name], verdict.scores[score]) for name, verdict in verdicts.items() if score in verdict.scores]
        weight = sum(share for share, _ in given)
        if given:
            means[score] = (
                sum(share * value for share, value in given) / weight
                if weight > 0
                else sum(value for _, value in given) / len(given)
            )
    return means
