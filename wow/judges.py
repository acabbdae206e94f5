"""Who judges and who rewrites, by the names of the command line: the parts of `refine`, wired for a model."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from wow.refine.checks import Checks, shipped_thresholds
from wow.refine.contract import Critic, Refiner
from wow.refine.endpoint import endpoint_from_environment as endpoint_from_environment
from wow.refine.endpoint import prices_from_environment as prices_from_environment
from wow.refine.ensemble import Ensemble
from wow.refine.ensemble import calibrated as calibrated
from wow.refine.grammar import GrammarRefiner
from wow.refine.interview import Question, Speaker, ask
from wow.refine.motion import MotionCritic
from wow.refine.phrases import Phrasebook, counted_places
from wow.refine.rewriter import LlmRefiner
from wow.refine.vlm import VlmCritic
from wow.refine.weighing import ensemble_of as ensemble_of
from wow.refine.weighing import store as store
from wow.sim import language
from wow.types import Actions, Embodiment, UInt8, Video, WowError

Made = TypeVar("Made")


class Model(Protocol):
    """What judges and rewriters use of a world model. guesser, inverse: None where it has no such part. folder: of its
    checkpoint; None for a foundation model."""

    @property
    def name(self) -> str: ...
    @property
    def embodiment(self) -> Embodiment: ...
    @property
    def folder(self) -> Path | None: ...
    @property
    def guesser(self) -> Any | None: ...
    @property
    def inverse(self) -> Any | None: ...
    def imitate(self, picture: UInt8, prompt: str, *, fps: float | None = None) -> Actions:
        """What its policy does from a picture on."""


CRITICS: dict[str, Callable[[Model], Critic]] = {
    "checks": lambda agent: Checks(shipped_thresholds(filmed=not _knows_the_simulator(agent))),
    "motion": lambda agent: motion_critic(agent),
    "vlm": lambda agent: VlmCritic(endpoint_from_environment()),
    "local-vlm": lambda agent: VlmCritic(_local_vlm(), name="local-vlm", parallel=False, seconds=600.0),
}
"""The critics at hand by the names that `--critic` takes. Each is handed the model, made only when it is asked for, and
raises WowError where what it needs (weights, an endpoint) is missing."""

REFINERS: dict[str, Callable[[Model], Refiner]] = {
    "grammar": lambda agent: grammar_refiner(),
    "llm": lambda agent: LlmRefiner(endpoint_from_environment(), agent.embodiment, scene=phrasebook().words_of),
}
"""The refiners at hand by the names that `--refiner` takes, as `CRITICS`."""


def named(words: str, table: Mapping[str, Made], kind: str) -> list[Made]:
    """The entries of "learned,checks" in a table. Raises WowError for a name that it lacks, listing those it has."""
    chosen = dict.fromkeys(word.strip() for word in words.split(","))
    for name in chosen:
        if name not in table:
            there_are = ", ".join(sorted(table)) or "none in this installation"
            raise WowError(f"there is no {kind} {name!r}; there are {there_are}: choose with --{kind}")
    return [table[name] for name in chosen]


def ensemble(critics: Sequence[Critic]) -> Ensemble:
    """Makes one decision of what these critics say, by the weights that were fitted for them where they were."""
    return ensemble_of([critic.name for critic in critics])


def outsiders(critic: str, refiner: str) -> dict[str, object]:
    """Which models from elsewhere these critics and this refiner ask, to tell searches apart; no key and no secret."""
    words = {word.strip() for word in f"{critic},{refiner}".split(",")}
    found: dict[str, object] = {}
    if words & {"vlm", "llm"}:
        endpoint = endpoint_from_environment()
        found |= {"endpoint": endpoint.url, "endpoint_model": endpoint.model}
    if "local-vlm" in words and (folder := os.environ.get("WOW_LOCAL_VLM", "")):
        files = sorted((file.name, file.stat().st_size) for file in Path(folder).glob("*") if file.is_file())
        digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]
        found["local_vlm"] = f"{Path(folder).resolve().name} {digest}"
    return found


def grammar_refiner(known: Mapping[str, str] | None = None) -> GrammarRefiner:
    """The built-in refiner, in the words that the simulator's captions are made of. known: details of the scene."""
    return GrammarRefiner(phrasebook(), known or {})


def phrasebook() -> Phrasebook:
    """The grammar of the simulator's captions."""
    return Phrasebook(
        tasks=tuple(language.TASKS.values()),
        stories=language.STORIES,
        robots=language.ROBOTS,
        longest=language.MAX_DENSE_WORDS,
        longest_story=language.MAX_STORY_WORDS,
        places=counted_places(),
    )


def speaker(name: str, varied: bool = False) -> Speaker:
    """The model that a judge is: "endpoint", which the environment names, or the folder of a local one.

    varied: whether its answers are to differ when it is asked again, where it can do that.
    """
    if name != "endpoint":
        from wow.foundation.local_vlm import load_local_vlm  # transformers takes seconds to import

        return load_local_vlm(Path(name))
    endpoint = endpoint_from_environment()
    return replace(endpoint, temperature=0.7) if varied else endpoint


def answer(
    asked: Speaker,
    system: str,
    text: str,
    pictures: Sequence[UInt8],
    schema: Mapping[str, object],
    seconds: float = 600.0,
) -> dict[str, object]:
    """The JSON object that a model answers with, asked again where it is none. Raises WowError where none comes."""
    question = Question(system, text, schema, pictures, max_tokens=800)
    return ask(asked, question, dict, time.monotonic() + seconds)[0]


def _local_vlm() -> Speaker:
    """The vision-language model in the folder that WOW_LOCAL_VLM names."""
    folder = os.environ.get("WOW_LOCAL_VLM", "")
    if not folder:
        raise WowError(
            "there is no local model to ask: set WOW_LOCAL_VLM to the folder of a Qwen2.5-VL or Qwen3-VL, or judge "
            "without it: --critic checks"
        )
    from wow.foundation.local_vlm import load_local_vlm  # transformers takes seconds to import

    return load_local_vlm(Path(folder))


def motion_critic(agent: Model) -> MotionCritic:
    """The critic that holds what is read from a video against what the model's policy would do.

    Raises WowError where the model has no policy or no inverse dynamics.
    """
    guesser = agent.guesser
    if guesser is None or agent.inverse is None:
        raise WowError(
            f"{agent.name} has no policy or no inverse dynamics, which the motion critic needs: judge without it, "
            f"--critic checks"
        )
    transitions = int(guesser.config.num_transitions)

    def practised(picture: UInt8, goal: str, seconds: float | None) -> Actions:
        return agent.imitate(picture, goal, fps=None if seconds is None else transitions / seconds)

    right, _, forward = language.VIEW.axes()
    away = forward * (1, 1, 0) / np.linalg.norm(forward[:2])
    return MotionCritic(reader(agent), practised, np.stack([right, away, np.array([0.0, 0.0, 1.0])]))


def fit_for(critics: Sequence[Critic], agent: Model, video: Video) -> list[Critic]:
    """The critics for a video from elsewhere: a scene that the model does not know is taken for a filmed one."""
    if agent.inverse is None or not any(isinstance(critic, Checks) for critic in critics):
        return list(critics)
    try:
        confidence = agent.inverse.read(video, paced=False).confidence
    except WowError:  # nothing is to be seen in it, wherever it is from
        return list(critics)
    if not confidence.low or confidence.still:
        return list(critics)
    filmed = Checks(shipped_thresholds(filmed=True))
    return [filmed if isinstance(critic, Checks) else critic for critic in critics]


def _knows_the_simulator(agent: Model) -> bool:
    """Whether what a model imagines looks like the videos that the simulated thresholds come from."""
    return agent.folder is not None and "Meta-World" in agent.embodiment.robot


def reader(agent: Model) -> Callable[[Video], Actions]:
    """A model's inverse dynamics as critics ask them, at a pace that nobody knows.

    It raises WowError for a video unlike all that it learned to read: actions that nobody can trust are not judged.
    """

    def read(video: Video) -> Actions:
        assert agent.inverse is not None
        reading = agent.inverse.read(video, paced=False)
        sure = reading.confidence
        if sure.low and not sure.still:
            raise WowError(
                f"this video is unlike those that {agent.inverse.name} learned to read ({sure.reasons[0]}): "
                f"judge it with --critic checks or vlm, or with a model that learned this robot"
            )
        actions: Actions = reading.actions
        return actions

    return read
