"""`wow refine`: imagine, judge, rewrite, again, until a video shows the instruction being followed."""

from __future__ import annotations

import hashlib
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from wow.cli.imagine_foundation import check_length, open_agent
from wow.cli.options import Command, MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_strip, write_videos
from wow.cli.progress import Progress
from wow.cli.sampling import Sampling
from wow.types import UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.assembly import Actor, Corrector, Round, Rules, SamplingOptions, Search, Team

Imaginer = Callable[[UInt8, str, Sequence[int]], list[Video]]

CRITICS_AT_HAND = "checks"
"""Who needs no weights and no endpoint that may be missing."""

TRACE = "trace.jsonl"
REPORT = "report.html"


@dataclass(frozen=True, kw_only=True)
class Refining(Command):
    """Who judges and rewrites, and what may be spent."""

    critic: str | None = None
    """Who judges, with commas: learned, checks, motion, vlm (an endpoint), local-vlm. Without it those that
    suit the model: learned,checks for wow-mini, motion,checks for one without a critic, else checks."""
    refiner: str = "grammar"
    """Who rewrites the prompt: grammar (built in), or llm (an endpoint)."""
    candidates: int = 2
    """Videos of a round, imagined in one batch."""
    rounds: int | None = None
    """Rounds at most."""
    max_samples: int = 8
    """Videos at most."""
    max_seconds: float | None = None
    """Seconds at most; no round is begun that would not end in time."""
    max_tokens: int | None = None
    """Tokens of models behind endpoints at most."""
    max_cost: float | None = None
    """What they may cost at most, by the prices in WOW_ENDPOINT_PRICES."""
    confident: float = 0.9
    """Stop at a video that is completed with this probability."""
    patience: int = 4
    """Stop after so many rounds without a better video."""
    motion_corrections: int = 3
    """How often, at most, a prompt's videos are imagined anew with their motion moved by what they show less than the
    model's policy would do, before the words change; 0 changes words alone."""
    expand: bool = False
    """Let the refiner write the first prompt too, instead of beginning with the instruction itself."""

    def rules(self, seed: int) -> Rules:
        """How the search goes. Raises WowError for numbers that cannot work."""
        from wow.assembly import Budget, Rules, prices_from_environment

        if not 1 <= self.candidates <= 64:
            raise WowError(f"--candidates is 1 to 64, not {self.candidates}")
        budget = Budget(self.max_samples, self.rounds, self.max_seconds, self.max_tokens, self.max_cost)
        if self.max_cost is not None and not prices_from_environment().are_known:
            raise WowError(
                "--max-cost needs prices: set WOW_ENDPOINT_PRICES to those of a million tokens, e.g. 0.15,0.60"
            )
        return Rules(budget, self.candidates, seed, self.confident, self.patience, self.expand, self.motion_corrections)

    def check_names(self) -> None:
        """Raises WowError for a critic or refiner that there is not, before anything is loaded."""
        from wow.assembly import CRITICS, REFINERS, named

        named(CRITICS_AT_HAND if self.critic is None else self.critic, CRITICS, "critic")
        named(self.refiner, REFINERS, "refiner")

    def critics(self, model: str) -> str:
        """Who judges what this model imagines."""
        return critics_for(model) if self.critic is None else self.critic


@dataclass(frozen=True, kw_only=True)
class Refine(Refining, Sampling, MakesFolder, Seeded):
    """Imagine, judge, rewrite and imagine again, and keep the best video. The same command again continues."""

    image: tyro.conf.Positional[Path]
    """Picture of the robot's scene."""
    instruction: tyro.conf.Positional[str]
    """What the robot should do, e.g. "open the drawer"."""
    out: Path = field(default_factory=fresh_folder("refine"))
    """Folder to write; created, and refused when it already holds something else."""
    model: str = "wow-mini"
    """A model that comes with the package or that `wow models` lists, or the folder of a checkpoint."""
    num_planning_steps: int = 4
    """Steps from noise to the motion that the video shows; with 1 all seeds move alike, and only the prompt counts."""

    def continues(self) -> bool:
        return (self.out / TRACE).is_file()

    def prepare(self) -> list[Path]:
        if not self.image.is_file():
            raise WowError(f"there is no picture at {self.image}: name a PNG or JPEG file")
        if not self.instruction.strip():
            raise WowError("the instruction is empty: say what the robot should do, e.g. 'open the drawer'")
        self.rules(self.seed)
        self.options()
        self.check_names()
        check_length(self.model, self.num_frames)
        return super().prepare()

    def run(self) -> Summary:
        from wow.assembly import Trace, refine
        from wow.data.picture import read_picture

        began = time.perf_counter()
        agent = open_agent(self.model)
        frames, fitting = agent.fit(read_picture(self.image))
        imagine = imaginer(agent, self.num_frames, self.options(), self.fps)
        correct = corrector(agent, self.num_frames, self.options(), self.fps)
        team = team_of(agent, self.critics(self.model), self.refiner, imagine, self.fps, correct)
        team.check(self.instruction)
        trace = Trace(self.out, self._identity(frames[0]))
        past, rules = trace.claim(), self.rules(self.seed)
        loaded = time.perf_counter()
        known = sum(len(done.attempts) for done in past)
        told = list(past)
        with Progress("refine", total=self.max_samples, unit="videos", start=known) as progress:

            def on_round(done: Round) -> None:
                trace.append(done)
                told.append(done)
                write_clips(self.out / "videos", done)
                self._write_report(told, None)
                progress.advance(len(done.attempts), f"best {best_probability(told):.2f}")

            try:
                search = refine(frames[0], self.instruction, team, rules, past, on_round)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"saved {len(told)} rounds in {self.out}; the same command continues") from None
        trace.finish(search)
        return self._write(search, fitting, {"seconds_to_load": loaded - began})

    def _identity(self, picture: UInt8) -> dict[str, object]:
        """What decides which videos are imagined and how they are judged; what may be spent does not."""
        from wow.assembly import model_hash, outsiders

        search = {"goal": self.instruction, "seed": self.seed, "candidates": self.candidates, "expand": self.expand}
        search["motion_corrections"] = self.motion_corrections
        people = {"critic": self.critics(self.model), "refiner": self.refiner, "model_hash": model_hash(self.model)}
        asked = outsiders(self.critics(self.model), self.refiner)
        return {
            **search,
            **people,
            **asked,
            **self.sampling(),
            "picture": hashlib.sha256(picture.tobytes()).hexdigest(),
        }

    def _write(self, search: Search, fitting: str, times: dict[str, float]) -> Summary:
        """The best video, and everything beside it. Returns the summary."""
        best, first = search.best, search.rounds[0].attempts[0]
        (video,) = write_videos(self.out, [best.video])
        write_strip(self.out / "filmstrip.png", {"first": first.video.frames, "best": best.video.frames})
        self._write_report(search.rounds, search.stopped)
        spent = {name: sum(done.seconds[name] for done in search.rounds) for name in ("rewrite", "imagine", "judge")}
        return {
            "out": self.out,
            "completed": best.verdict.completed,
            "probability": best.verdict.success_probability,
            "probability_of_the_first": first.verdict.success_probability,
            "scores": dict(best.verdict.scores),
            "reason": best.verdict.reason,
            "prompt": best.prompt,
            "seed": best.seed,
            "round": best.round,
            "videos": sum(len(done.attempts) for done in search.rounds),
            "rounds": len(search.rounds),
            "stopped": search.stopped,
            "image_fitting": fitting or "taken as it is",
            **times,
            **{f"seconds_to_{name}": seconds for name, seconds in spent.items()},
            "tokens": sum(done.tokens for done in search.rounds),
            "cost": sum(done.cost for done in search.rounds),
            "video": video,
            "report": self.out / REPORT,
        }

    def _write_report(self, rounds: Sequence[Round], stopped: str | None) -> None:
        from wow.assembly import write_page

        facts = {"Model": self.model, "Critics": self.critics(self.model), "Refiner": self.refiner, "Seed": self.seed}
        command = shlex.join(["wow", *sys.argv[1:]])
        write_page(self.out / REPORT, self.instruction, rounds, stopped, {**facts, "Command": command})


@dataclass(frozen=True)
class SearchSettings:
    """A search as part of something else.

    critic: None for those that suit the model. candidates: videos of a round. fps: at which they are imagined, where
    somebody asked for a pace. seconds: for each search. folder: to which the trace and the page of each search are
    written, 00, 01, …; None for nowhere. motion_corrections: as in `Refining`.
    """

    critic: str | None = None
    refiner: str = "grammar"
    samples: int = 4
    candidates: int = 1
    confident: float = 0.9
    fps: float | None = None
    seconds: float | None = None
    folder: str | None = None
    motion_corrections: int = 3

    def rules(self, seed: int) -> Rules:
        """How the search with that number goes. Raises WowError for numbers that cannot work."""
        from wow.assembly import Budget, Rules

        # Seeds of two searches never overlap.
        budget = Budget(self.samples, seconds=self.seconds)
        return Rules(
            budget, self.candidates, seed * self.samples, self.confident, self.samples, False, self.motion_corrections
        )


def searcher(
    agent: Actor, settings: SearchSettings, imagine: Imaginer, goal: str, correct: Corrector | None = None
) -> Callable[[UInt8, int], Search]:
    """A function that searches for a video from a picture [H, W, 3], with a seed of its own for every search."""
    from wow.assembly import refine

    numbers = count()
    team = team_of(agent, settings.critic, settings.refiner, imagine, settings.fps, correct)

    def search(picture: UInt8, seed: int) -> Search:
        rules = settings.rules(seed)
        if settings.folder is None:
            return refine(picture, goal, team, rules)
        return kept_search(Path(settings.folder) / f"{next(numbers):02d}", picture, goal, team, rules)

    return search


def kept_search(folder: Path, picture: UInt8, goal: str, team: Team, rules: Rules) -> Search:
    """A search with its trace and its page in a folder of its own; one that was interrupted goes on."""
    from wow.assembly import Trace, refine, write_page

    judges, writer = ",".join(critic.name for critic in team.critics), team.refiner.name
    facts = {"Critics": judges, "Refiner": writer, "Seed": rules.seed, "Motion corrections": rules.corrections}
    seen = hashlib.sha256(picture.tobytes()).hexdigest()
    trace = Trace(folder, {"goal": goal, "picture": seen, **{name.lower(): value for name, value in facts.items()}})
    found = refine(picture, goal, team, rules, trace.claim(), trace.append)
    trace.finish(found)
    write_page(folder / REPORT, goal, found.rounds, found.stopped, facts)
    return found


def critics_for(model: str | Path | None) -> str:
    """Who judges what a model imagines unless somebody says otherwise: whoever needs nothing that may be missing.

    model: None for one without a checkpoint of ours.
    """
    from wow import weights
    from wow.assembly import checkpoint_folder
    from wow.foundation.source import is_foundation

    if model is None or is_foundation(model):
        return CRITICS_AT_HAND
    parts = weights.read_manifest(checkpoint_folder(model)).parts
    if not {"policy", "idm"} <= set(parts):
        return CRITICS_AT_HAND
    return f"{'learned' if 'outcome' in parts else 'motion'},{CRITICS_AT_HAND}"


def team_of(
    agent: Actor,
    critic: str | None,
    refiner: str,
    imagine: Imaginer,
    fps: float | None = None,
    correct: Corrector | None = None,
) -> Team:
    """Who takes part in a search with this model. critic: None for those that suit it. fps: of the videos.

    Raises WowError for a name that there is not.
    """
    from wow.assembly import CRITICS, REFINERS, Agent, Paced, Team, ensemble, named

    names = critics_for(agent.folder) if critic is None else critic
    critics = [make(agent) for make in named(names, CRITICS, "critic")]
    if fps is not None:
        critics = [one.at_pace(fps) if isinstance(one, Paced) else one for one in critics]
    (writer,) = (make(agent) for make in named(refiner, REFINERS, "refiner"))
    team = Team(imagine, critics, ensemble(critics), writer, correct)
    return replace(team, check=agent.check_prompt) if isinstance(agent, Agent) else team


def imaginer(agent: Actor, num_frames: int, options: SamplingOptions, fps: float | None) -> Imaginer:
    """The model as the loop asks for it: one prompt, several seeds, one batch."""
    from wow.assembly import Request

    seconds = None if fps is None else 1.0 / fps

    def imagine(picture: UInt8, prompt: str, seeds: Sequence[int]) -> list[Video]:
        requests = [Request(picture[None], prompt, None, seed, seconds) for seed in seeds]
        return agent.imagine_all(requests, num_frames=num_frames, options=options)

    return imagine


def corrector(agent: Actor, num_frames: int, options: SamplingOptions, fps: float | None) -> Corrector | None:
    """Who corrects the motion of what `imaginer` imagined; None for models that do not follow actions."""
    from wow.assembly import Agent, motion_corrector

    return motion_corrector(agent, num_frames, options, fps) if isinstance(agent, Agent) else None


def best_probability(rounds: Sequence[Round]) -> float:
    """The probability of success of the best video so far."""
    return max(attempt.worth for done in rounds for attempt in done.attempts)[1]


def write_clips(folder: Path, done: Round) -> None:
    """Writes the videos of a round as mp4, to be looked at: `00-0.mp4` is the first of round 0."""
    from wow.data.video_file import write_video

    folder.mkdir(parents=True, exist_ok=True)
    for place, attempt in enumerate(done.attempts):
        path = folder / f"{done.number:02d}-{place}.mp4"
        part = path.with_suffix(".part.mp4")
        write_video(part, attempt.video)
        part.rename(path)
