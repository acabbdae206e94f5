"""The loop: what it promises whoever imagines, judges and rewrites, and that a kill loses nothing."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from wow.refine.contract import Attempt, Round
from wow.refine.ensemble import Ensemble
from wow.refine.loop import Team, refine
from wow.refine.page import write_page
from wow.refine.rules import Budget, Rules, attempts_of, best_of
from wow.refine.trace import Trace
from wow.types import UInt8, Verdict, Video, WowError

PICTURE = np.zeros((8, 8, 3), np.uint8)
FOREVER = Rules(Budget(samples=12), candidates=2, confident=1.1, patience=99)


def number_from(*words: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:4])


@dataclass
class Dreamer:
    """A video of noise that depends on prompt and seed alone. asked: the (prompt, seed) of every video."""

    pause: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, picture: UInt8, prompt: str, seeds: Sequence[int]) -> list[Video]:
        time.sleep(self.pause)
        self.asked += [(prompt, seed) for seed in seeds]
        return [self._video(picture, prompt, seed) for seed in seeds]

    def _video(self, picture: UInt8, prompt: str, seed: int) -> Video:
        noise = np.random.default_rng(number_from(prompt, seed))
        return Video(np.concatenate([picture[None], noise.integers(0, 255, (4, 8, 8, 3), np.uint8)]), 5.0)


@dataclass(frozen=True)
class Taste:
    """Believes in a video by the first pixel of its last frame: arbitrary, and always the same."""

    name: str = "taste"
    tokens: int = 3

    def __call__(self, video: Video, goal: str) -> Verdict:
        liked = float(video.frames[-1, 0, 0, 0]) / 255
        reason = f"I like {video.frames[-1, 0, 0, 0]} of 255"
        scores = {"task_completion": 1 + 4 * liked}
        return Verdict(scores, liked > 0.5, max(liked, 1 - liked), reason, (1, 3), 0.0, self.tokens)


@dataclass(frozen=True)
class Mute:
    """A critic that cannot be reached."""

    name: str = "mute"

    def __call__(self, video: Video, goal: str) -> Verdict:
        raise WowError("nobody answers at http://127.0.0.1:1")


@dataclass(frozen=True)
class Counting:
    """Adds how many prompts there were."""

    name: str = "counting"

    def __call__(self, goal: str, history: Sequence[Attempt]) -> str:
        return f"{goal}, try {len({attempt.prompt for attempt in history})}"


@dataclass(frozen=True)
class Speechless:
    name: str = "speechless"

    def __call__(self, goal: str, history: Sequence[Attempt]) -> str:
        raise WowError("the model rewrote the goal")


def team(*critics: object, **changes: object) -> Team:
    return replace(Team(Dreamer(), critics or (Taste(),), Ensemble(), Counting()), **changes)  # type: ignore[arg-type]


def told(rounds: Sequence[Round]) -> list[object]:
    """What of rounds must be the same in every run: all but the time that they took."""
    return [
        (done.number, done.prompt, done.note, dict(done.problems), done.tokens,
         [(a.seed, a.video.frames.tobytes(), a.video.fps, a.verdict, a.verdicts) for a in done.attempts])
        for done in rounds
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_the_best_is_the_best_seen_and_never_worse_than_the_first(seed: int) -> None:
    search = refine(PICTURE, "tidy up", team(), replace(FOREVER, seed=seed))
    history = attempts_of(search.rounds)
    assert search.best.worth == max(attempt.worth for attempt in history) >= history[0].worth
    assert history[0].prompt == "tidy up"


def test_a_prompt_that_nobody_can_read_does_not_end_the_search() -> None:
    def check(prompt: str) -> None:
        if prompt.endswith("try 2"):
            raise WowError("the prompt is too long")

    dreamer = Dreamer()
    search = refine(PICTURE, "tidy up", team(imagine=dreamer, check=check), FOREVER)
    assert "try 2" not in {prompt for prompt, _ in dreamer.asked} and len(dreamer.asked) == 12
    assert [done.note for done in search.rounds[2:]] == ["no new prompt: the prompt is too long"] * 4


@pytest.mark.parametrize(("samples", "candidates"), [(1, 1), (1, 4), (5, 2), (8, 3), (7, 7)])
def test_the_budget_of_videos_is_kept_exactly_and_no_seed_comes_twice(samples: int, candidates: int) -> None:
    dreamer = Dreamer()
    rules = replace(FOREVER, budget=Budget(samples), candidates=candidates, seed=100)
    search = refine(PICTURE, "tidy up", team(imagine=dreamer), rules)
    assert [seed for _, seed in dreamer.asked] == list(range(100, 100 + samples))
    assert len(search.rounds) == -(-samples // candidates) and f"{samples} of {samples} videos" in search.stopped


def test_rounds_tokens_and_seconds_are_kept() -> None:
    search = refine(PICTURE, "tidy up", team(), replace(FOREVER, budget=Budget(12, rounds=2)))
    assert len(search.rounds) == 2 and "2 of 2 rounds" in search.stopped
    search = refine(PICTURE, "tidy up", team(), replace(FOREVER, budget=Budget(12, tokens=20)))
    assert sum(done.tokens for done in search.rounds) == 18, "a fourth round of 6 would make 24"
    began = time.perf_counter()
    slow = team(imagine=Dreamer(pause=0.2))
    search = refine(PICTURE, "tidy up", slow, replace(FOREVER, budget=Budget(12, seconds=0.7)))
    assert len(search.rounds) == 3 and time.perf_counter() - began < 0.75 and "0.7 seconds" in search.stopped


def test_the_cost_is_kept_and_told(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Dear(Taste):
        def __call__(self, video: Video, goal: str) -> Verdict:
            return replace(super().__call__(video, goal), cost=0.05)

    trace = Trace(tmp_path, {"goal": "tidy up"})
    rules = replace(FOREVER, budget=Budget(12, cost=0.35))
    search = refine(PICTURE, "tidy up", team(Dear()), rules, trace.claim(), trace.append)
    assert [done.cost for done in search.rounds] == pytest.approx([0.1, 0.1, 0.1]) and "cost more" in search.stopped
    assert [done.cost for done in trace.claim()] == [done.cost for done in search.rounds]
    write_page(tmp_path / "page.html", "tidy up", search.rounds, search.stopped)
    assert "<th>Cost</th><td>0.3 (in the currency of the prices)</td>" in (tmp_path / "page.html").read_text()


def test_it_stops_when_it_is_sure_and_when_nothing_gets_better() -> None:
    search = refine(PICTURE, "tidy up", team(), replace(FOREVER, confident=0.8))
    *before, last = search.rounds
    assert search.best in last.attempts and search.best.verdict.success_probability >= 0.8
    assert all(attempt.verdict.success_probability < 0.8 for attempt in attempts_of(before))
    search = refine(PICTURE, "tidy up", team(), replace(FOREVER, patience=2))
    assert search.stopped == "nothing better in 2 rounds" and len(search.rounds) == search.best.round + 3


def test_a_critic_that_fails_is_recorded_and_the_others_decide() -> None:
    alone = refine(PICTURE, "tidy up", team(Taste()), FOREVER)
    both = refine(PICTURE, "tidy up", team(Taste(), Mute()), FOREVER)
    assert both.best.seed == alone.best.seed and len(both.rounds) == len(alone.rounds)
    assert all("nobody answers" in done.problems["mute"] for done in both.rounds)
    assert set(both.best.verdicts) == {"taste"}


def test_without_any_verdict_there_is_one_clear_line() -> None:
    with pytest.raises(WowError, match=r"no critic could judge \(mute: nobody answers"):
        refine(PICTURE, "tidy up", team(Mute()), FOREVER)
    past = refine(PICTURE, "tidy up", team(), replace(FOREVER, budget=Budget(4))).rounds
    search = refine(PICTURE, "tidy up", team(Mute()), FOREVER, past)
    assert search.rounds == past and "no critic could judge" in search.stopped, "what was found is not lost"


def test_a_silent_critic_does_not_make_a_video_better() -> None:
    """One that two have judged is believed before one on which the stricter of them was silent."""

    @dataclass(frozen=True)
    class Strict:
        name: str = "strict"
        told: list[int] = field(default_factory=list)

        def __call__(self, video: Video, goal: str) -> Verdict:
            self.told.append(1)
            if len(self.told) > 2:
                raise WowError("timed out")
            return Verdict({}, False, 0.95, "no")

    search = refine(PICTURE, "tidy up", team(Taste(), Strict()), FOREVER)
    assert search.best.round == 0 and set(search.best.verdicts) == {"taste", "strict"}
    assert any(
        a.verdict.success_probability > search.best.verdict.success_probability for a in attempts_of(search.rounds)
    )


@pytest.mark.parametrize(
    "raised", [RuntimeError("shapes\ndiffer"), ValueError("nan"), ZeroDivisionError(), MemoryError()]
)
def test_a_critic_that_breaks_down_is_recorded_and_the_others_decide(raised: Exception) -> None:
    @dataclass(frozen=True)
    class Broken:
        name: str = "broken"

        def __call__(self, video: Video, goal: str) -> Verdict:
            raise raised

    @dataclass(frozen=True)
    class NoNumber(Broken):
        def __call__(self, video: Video, goal: str) -> Verdict:
            return Verdict({"task_completion": float("nan")}, True, float("nan"), "")

    for critic in (Broken(), NoNumber()):
        search = refine(PICTURE, "tidy up", team(Taste(), critic), FOREVER)
        assert len(search.rounds) == 6 and all("\n" not in done.problems["broken"] for done in search.rounds)
        assert "broke down" in search.rounds[0].problems["broken"]


@dataclass(frozen=True)
class Elsewhere:
    """Never gets an answer, and waits for it; counts what the questions cost."""

    name: str = "elsewhere"
    seconds: float = 60.0
    spent: list[float] = field(default_factory=list)
    cost: float = 0.0

    @property
    def tokens(self) -> int:
        return 7 * len(self.spent)

    def within(self, seconds: float) -> Elsewhere:
        return replace(self, seconds=min(self.seconds, seconds))

    def __call__(self, video: Video, goal: str) -> Verdict:
        self.spent.append(self.seconds)
        time.sleep(self.seconds)
        raise WowError("no answer in time")


def test_who_does_not_answer_is_waited_for_once_a_round_and_no_longer_than_is_left() -> None:
    critic = Elsewhere()
    began = time.perf_counter()
    rules = replace(FOREVER, candidates=6, budget=Budget(12, seconds=0.4))
    search = refine(PICTURE, "tidy up", team(Taste(), critic), rules)
    assert time.perf_counter() - began < 2.0 and len(search.rounds) == 1
    assert len(critic.spent) == 1 and critic.spent[0] <= 0.4
    assert "no answer in time" in search.rounds[0].problems["elsewhere"]
    assert search.rounds[0].tokens == 7 + 6 * 3, "what was asked in vain is counted"


def test_a_refiner_without_words_does_not_end_the_search() -> None:
    search = refine(PICTURE, "tidy up", team(refiner=Speechless()), FOREVER)
    assert len(attempts_of(search.rounds)) == 12
    assert all("rewrote the goal" in done.note for done in search.rounds[1:])
    assert {done.prompt for done in search.rounds} == {"tidy up"}


def test_critics_judge_side_by_side() -> None:
    @dataclass(frozen=True)
    class Slow(Taste):
        def __call__(self, video: Video, goal: str) -> Verdict:
            time.sleep(0.2)
            return super().__call__(video, goal)

    critics = [Slow(name=f"slow {number}") for number in range(5)]
    search = refine(PICTURE, "tidy up", team(*critics), replace(FOREVER, budget=Budget(1)))
    assert len(search.best.verdicts) == 5 and search.rounds[0].seconds["judge"] < 0.6


@pytest.mark.parametrize("kept", [0, 1, 3, 6])
def test_a_search_goes_on_as_if_it_had_not_been_interrupted(tmp_path: Path, kept: int) -> None:
    whole = refine(PICTURE, "tidy up", team(), FOREVER)
    trace = Trace(tmp_path, {"goal": "tidy up"})
    assert trace.claim() == []
    for done in whole.rounds[:kept]:
        trace.append(done)
    with (tmp_path / "trace.jsonl").open("a") as file:
        file.write('{"event": "round", "numb')  # what a kill in the middle of a line leaves
    past = Trace(tmp_path, {"goal": "tidy up"}).claim()
    assert told(past) == told(whole.rounds[:kept])
    resumed = refine(PICTURE, "tidy up", team(), FOREVER, past, trace.append)
    assert told(resumed.rounds) == told(whole.rounds) and resumed.stopped == whole.stopped
    assert resumed.best.verdict == whole.best.verdict
    assert told(trace.claim()) == told(whole.rounds)


CHILD = """
import sys; sys.path.insert(0, {tests!r})
from pathlib import Path
from test_loop import *
trace = Trace(Path({folder!r}), {{"goal": "tidy up"}})
refine(PICTURE, "tidy up", team(imagine=Dreamer(pause=0.1)), FOREVER, trace.claim(), trace.append)
"""


def test_a_killed_process_repeats_the_round_in_flight_and_nothing_else(tmp_path: Path) -> None:
    code = CHILD.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.getcwd()})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.glob("videos/*.png"))) < 5:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    trace, dreamer = Trace(tmp_path, {"goal": "tidy up"}), Dreamer()
    past = trace.claim()
    assert 2 <= len(past) < 6
    search = refine(PICTURE, "tidy up", team(imagine=dreamer), FOREVER, past, trace.append)
    assert told(search.rounds) == told(refine(PICTURE, "tidy up", team(), FOREVER).rounds)
    assert len(dreamer.asked) == 12 - len(attempts_of(past))


def test_a_trace_is_of_one_search_and_its_damage_is_named(tmp_path: Path) -> None:
    trace = Trace(tmp_path, {"goal": "tidy up", "seed": 1})
    trace.claim()
    search = refine(PICTURE, "tidy up", team(), replace(FOREVER, budget=Budget(4)), (), trace.append)
    trace.finish(search)
    with pytest.raises(WowError, match="holds a search with seed 1, not 2"):
        Trace(tmp_path, {"goal": "tidy up", "seed": 2}).claim()
    text = (tmp_path / "trace.jsonl").read_text()
    (tmp_path / "trace.jsonl").write_text(text.replace('"confidence": 0.', '"confidence": 7.'))
    with pytest.raises(WowError, match="damaged at round 0"):
        trace.claim()
    (tmp_path / "trace.jsonl").write_text(text)
    (tmp_path / "videos/01-0.png").write_bytes(b"\x89PNG nothing")
    with pytest.raises(WowError, match=r"01-0\.png cannot be read"):
        trace.claim()
    (tmp_path / "trace.jsonl").write_text('["not", "a", "trace"]\n{"event": "round"}\n')
    with pytest.raises(WowError, match="does not begin as a trace"):
        trace.claim()


def test_the_best_of_equals_is_the_first() -> None:
    verdict = Verdict({}, True, 0.7, "")
    video = Dreamer()(PICTURE, "a", [0])[0]
    first, second = (Attempt(number, "a", number, video, verdict, {"taste": verdict}) for number in (0, 1))
    unjudged = replace(first, verdict=Verdict({}, True, 1.0, ""), verdicts={})
    assert best_of([unjudged, first, second]) is first


@pytest.mark.parametrize("budget", [{"samples": 0}, {"rounds": 0}, {"seconds": 0.0}, {"tokens": -1}, {"cost": 0.0}])
def test_impossible_budgets_are_refused(budget: dict[str, int]) -> None:
    with pytest.raises(WowError, match="above 0"):
        Budget(**budget)
