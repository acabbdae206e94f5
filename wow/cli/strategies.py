"""Ways to spend imagined videos, for `wow bench refine`: all are the same loop with other people in it.

Within one scene every video is imagined, judged and executed once, however many strategies ask for it: a smaller budget
is the beginning of a larger one, and best-of-4 contains the single video.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wow.types import Float32, UInt8, Verdict, Video, WowError

if TYPE_CHECKING:
    from wow.assembly import Attempt, GrammarRefiner, Team
    from wow.bench.refinement import Choice, Execute, Scene
    from wow.cli.refine import Imaginer

STRATEGIES = (
    *("single", "dense", "best-of", "random", "corrected"),
    *("sophia-words", "sophia", "best-of-truth", "sophia-truth"),
)
"""What can be compared; those with the truth show how much a better critic could bring. `corrected` paints one video
again and again, its motion moved by what inverse dynamics reads less than was meant, instead of drawing others.
`sophia-words` is the paper's loop, which rewrites prompts alone; `sophia` corrects motions too, as `wow refine`."""
Key = tuple[str, int, str]
"""What tells a video of a scene from others: its prompt, its seed, and the `mark` of the actions it was painted for."""
NEVER = 2.0
"""A confidence that nobody has: all videos of a budget are used."""


@dataclass
class Workplace:
    """A scene in which strategies are compared, and everything that was already done in it. team: who imagines, judges
    and rewrites. candidates: videos of a round of SOPHIA's. seed: of the first video. corrected: who imagines with so
    many corrections."""

    scene: Scene
    team: Team
    grammar: GrammarRefiner
    execute: Execute
    candidates: int
    seed: int
    corrected: Callable[[int], Imaginer]
    videos: dict[Key, tuple[Video, float]] = field(default_factory=dict)
    moved: dict[Key, tuple[Video, Float32]] = field(default_factory=dict)
    verdicts: dict[tuple[str, Key], Verdict] = field(default_factory=dict)
    executed: dict[Key, bool] = field(default_factory=dict)

    def strategies(self, names: Sequence[str]) -> dict[str, _Strategy]:
        """The strategies with these names, for `wow.bench.refinement.measure`."""
        return {name: _Strategy(name, self) for name in names}

    def outcome(self, choice: Choice, scene: Scene) -> bool:
        """Whether executing it succeeds."""
        key = choice.prompt, choice.seed, choice.painted
        if key not in self.executed:
            self.executed[key] = self.execute(choice, scene)
        return self.executed[key]

    def imagine(self, picture: UInt8, prompt: str, seeds: Sequence[int]) -> list[Video]:
        """The team's videos; those that are new in one batch."""
        missing = [seed for seed in seeds if (prompt, seed, "") not in self.videos]
        if missing:
            began = time.perf_counter()
            made = self.team.imagine(picture, prompt, missing)
            each = (time.perf_counter() - began) / len(missing)
            self.videos |= {(prompt, seed, ""): (video, each) for seed, video in zip(missing, made, strict=True)}
        return [self.videos[prompt, seed, ""][0] for seed in seeds]

    def correct(self, picture: UInt8, goal: str, attempts: Sequence[Attempt]) -> list[tuple[Video, Float32]]:
        """The team's corrections of these videos, each made once."""
        return [self._corrected(picture, goal, attempt) for attempt in attempts]

    def _corrected(self, picture: UInt8, goal: str, attempt: Attempt) -> tuple[Video, Float32]:
        assert self.team.correct is not None
        before = key_of(attempt)
        if before not in self.moved:
            began = time.perf_counter()
            ((video, actions),) = self.team.correct(picture, goal, [attempt])
            self.moved[before] = video, actions
            self.videos[attempt.prompt, attempt.seed, mark(actions)] = video, time.perf_counter() - began
        return self.moved[before]

    def place_of(self, video: Video) -> Key:
        """What tells a video that was imagined here from the others."""
        return next(key for key, (known, _) in self.videos.items() if known is video)

    def remembered(self, kind: str) -> list[_Remembering | _Truth]:
        """The critics: the team's, or the one who knows."""
        if kind.endswith("truth"):
            return [_Truth(self)]
        return [_Remembering(critic.name, place, self) for place, critic in enumerate(self.team.critics)]


@dataclass(frozen=True)
class _Strategy:
    name: str
    place: Workplace

    def __call__(self, scene: Scene, samples: int) -> Choice:
        from wow.assembly import Budget, Rules, attempts_of, refine
        from wow.bench.refinement import Choice

        place, name = self.place, self.name
        is_sophia = name.startswith("sophia")
        refiner = place.team.refiner if is_sophia else _Drawn(place.grammar, scene.seed)
        moves = is_sophia and name != "sophia-words" and place.team.correct is not None
        critics, correct = place.remembered(name), place.correct if moves else None
        team = replace(place.team, imagine=place.imagine, critics=critics, refiner=refiner, correct=correct)
        if name in ("single", "dense"):
            return self._one(scene, scene.goal if name == "single" else place.grammar(scene.goal, []))
        if name == "corrected":
            return self._corrected(scene, samples)
        candidates = place.candidates if is_sophia else 1 if name == "random" else samples
        confident = 0.99 if name.endswith("truth") else NEVER
        rules = Rules(Budget(samples), candidates, place.seed, confident, samples)
        found = refine(scene.picture, scene.goal, team, rules)
        tried = attempts_of(found.rounds)
        seconds = {
            "rewrite": sum(done.seconds["rewrite"] for done in found.rounds),
            "imagine": sum(place.videos[key_of(attempt)][1] for attempt in tried),
            "judge": sum(attempt.verdict.seconds for attempt in tried),
        }
        best = found.best
        chance = best.verdict.success_probability
        return Choice(best.prompt, best.seed, best.video, chance, len(tried), seconds, mark(best.actions))

    def _one(self, scene: Scene, prompt: str) -> Choice:
        from wow.bench.refinement import Choice

        (video,) = self.place.imagine(scene.picture, prompt, [self.place.seed])
        seconds = {"imagine": self.place.videos[prompt, self.place.seed, ""][1]}
        return Choice(prompt, self.place.seed, video, None, 1, seconds)

    def _corrected(self, scene: Scene, samples: int) -> Choice:
        from wow.bench.refinement import Choice

        began = time.perf_counter()
        (video,) = self.place.corrected(samples - 1)(scene.picture, scene.goal, [self.place.seed])
        seconds = {"imagine": time.perf_counter() - began}
        return Choice(scene.goal, self.place.seed, video, None, samples, seconds, f"corrected {samples - 1}")


@dataclass(frozen=True)
class _Remembering:
    """A critic that judges every video once."""

    name: str
    number: int
    place: Workplace

    def __call__(self, video: Video, goal: str) -> Verdict:
        key = self.name, self.place.place_of(video)
        if key not in self.place.verdicts:
            self.place.verdicts[key] = self.place.team.critics[self.number](video, goal)
        return self.place.verdicts[key]


@dataclass(frozen=True)
class _Truth:
    """A critic that tries it out: an upper bound of what any critic is worth."""

    place: Workplace
    name: str = "truth"

    def __call__(self, video: Video, goal: str) -> Verdict:
        from wow.bench.refinement import Choice

        prompt, seed, painted = self.place.place_of(video)
        succeeds = self.place.outcome(Choice(prompt, seed, video, None, 1, {}, painted), self.place.scene)
        return Verdict({}, succeeds, 1.0, "executed: it succeeds" if succeeds else "executed: it fails")


@dataclass(frozen=True)
class _Drawn:
    """A refiner that takes no advice: prompts of the same grammar, drawn."""

    grammar: GrammarRefiner
    seed: int
    name: str = "drawn"

    def __call__(self, goal: str, history: Sequence[Attempt]) -> str:
        tried = {attempt.prompt for attempt in history}
        for prompt in self.grammar.drawn(goal, self.seed):
            if prompt not in tried:
                return prompt
        raise WowError("all prompts are drawn")


def key_of(attempt: Attempt) -> Key:
    """What tells its video from others of the scene."""
    return attempt.prompt, attempt.seed, mark(attempt.actions)


def mark(actions: Float32 | None) -> str:
    """What tells actions from others; "" for those that the world model made up."""
    return "" if actions is None else hashlib.sha256(actions.tobytes()).hexdigest()[:16]


def check_strategies(words: str) -> Mapping[str, None]:
    """The names in "single,sophia". Raises WowError for one that there is not."""
    chosen = dict.fromkeys(word.strip() for word in words.split(","))
    for name in chosen:
        if name not in STRATEGIES:
            raise WowError(f"there is no strategy {name!r}; there are {', '.join(STRATEGIES)}")
    return chosen
