"""`wow judge`: what critics make of videos that somebody has already."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from wow.cli.imagine_foundation import open_agent
from wow.cli.options import Command, Summary
from wow.cli.progress import Progress
from wow.cli.refine import CRITICS_AT_HAND, critics_for
from wow.types import Verdict, Video, WowError


@dataclass(frozen=True, kw_only=True)
class Judge(Command):
    """Judge videos: is the goal reached, in a world like ours? Several are told in order, the best first."""

    videos: tyro.conf.Positional[tuple[Path, ...]]
    """Videos of the robot, of two frames or more."""
    goal: str
    """What the robot should do, e.g. "open the drawer"."""
    critic: str | None = None
    """Who judges, with commas: learned, checks, motion, vlm (an endpoint), local-vlm. Without it those that
    suit the model: learned,checks for wow-mini."""
    model: str = "wow-mini"
    """Whose inverse dynamics, policy and learned critic are asked."""

    def prepare(self) -> list[Path]:
        from wow.assembly import CRITICS, named

        if not self.videos:
            raise WowError("no video was named: wow judge VIDEO.mp4 --goal 'open the drawer'")
        if not self.goal.strip():
            raise WowError("the goal is empty: say what the robot should do, e.g. --goal 'open the drawer'")
        for path in self.videos:
            if not path.is_file():
                raise WowError(f"there is no video at {path}: name a file such as an .mp4")
        named(CRITICS_AT_HAND if self.critic is None else self.critic, CRITICS, "critic")
        return []

    def run(self) -> Summary:
        from wow.assembly import CRITICS, critique, ensemble, fit_for, named
        from wow.data.video_file import read_video

        began = time.perf_counter()
        films = [_long_enough(path, read_video(path)) for path in self.videos]
        names = critics_for(self.model) if self.critic is None else self.critic
        agent = open_agent(self.model)
        critics = [make(agent) for make in named(names, CRITICS, "critic")]
        loaded = time.perf_counter()
        told, problems = [], dict[str, str]()
        with Progress("judge", total=len(films), unit="videos") as progress:
            for path, film in zip(self.videos, films, strict=True):
                (verdicts,), silent = critique(fit_for(critics, agent, film), [film], self.goal)
                problems |= {f"{path}: {name}": why for name, why in silent.items()}
                if verdicts:
                    told.append(_told(path, film, ensemble(critics)(verdicts), verdicts))
                progress.advance()
        if not told:
            raise WowError(f"nobody could judge: {'; '.join(f'{name}: {why}' for name, why in problems.items())}")
        return {
            "goal": self.goal,
            "critics": names,
            "videos": sorted(told, key=_worth, reverse=True),
            "problems": problems,
            "seconds_to_load": loaded - began,
            "seconds_to_judge": time.perf_counter() - loaded,
        }

    def describe(self, summary: Mapping[str, object]) -> str:
        """Each video with its verdict, and what each critic said of it."""
        told, problems = summary["videos"], summary["problems"]
        assert isinstance(told, list) and isinstance(problems, dict)
        lines = [line for one in told for line in _lines(one)]
        return "\n".join([*lines, *(f"not judged: {name}: {why}" for name, why in problems.items())])


def _long_enough(path: Path, video: Video) -> Video:
    if len(video) < 2:
        raise WowError(f"{path} has a single frame, and nothing happens in it: name a video of two frames or more")
    return video


def _worth(one: Mapping[str, Any]) -> tuple[int, float]:
    """As in `Attempt.worth`: one on which a critic was silent is not taken for better than one that it judged."""
    return len(one["by_critic"]), one["probability"]


def _told(path: Path, video: Video, decision: Verdict, verdicts: Mapping[str, Verdict]) -> dict[str, object]:
    return {
        "video": str(path),
        "frames": len(video),
        "completed": decision.completed,
        "probability": round(decision.success_probability, 4),
        **_said(decision),
        "by_critic": {
            name: {"probability": round(verdict.success_probability, 4), **_said(verdict)}
            for name, verdict in verdicts.items()
        },
    }


def _said(verdict: Verdict) -> dict[str, object]:
    scores = {name: round(score, 2) for name, score in verdict.scores.items()}
    return {"scores": scores, "span": verdict.span, "reason": verdict.reason, "seconds": round(verdict.seconds, 3)}


def _lines(one: Mapping[str, object]) -> Sequence[str]:
    """A video's verdict, its scores, and a line for every critic."""
    scores, by_critic = one["scores"], one["by_critic"]
    assert isinstance(scores, dict) and isinstance(by_critic, dict)
    verdict = "completed" if one["completed"] else "undecided" if one["probability"] == 0.5 else "failed"
    rated = ", ".join(f"{name.replace('_', ' ')} {score:.1f}" for name, score in scores.items())
    critics = [f"  {name} {said['probability']:.2f}: {said['reason']}" for name, said in by_critic.items()]
    return [f"{one['video']}: {verdict}, probability of success {one['probability']:.2f}", f"  {rated}", *critics]
