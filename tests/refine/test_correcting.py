"""Motions that are corrected in the loop: when, how often, and that a kill loses none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.refine.test_loop import FOREVER, PICTURE, team, told
from wow.refine.contract import Attempt
from wow.refine.loop import refine
from wow.refine.page import write_page
from wow.refine.rules import Budget, attempts_of, best_of
from wow.refine.trace import Trace
from wow.types import Float32, UInt8, Video, WowError


@dataclass
class Brighter:
    """Paints the last picture brighter by as much as it is told, each time; remembers whom it was asked about."""

    by: int
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, picture: UInt8, goal: str, attempts: Sequence[Attempt]) -> list[tuple[Video, Float32]]:
        self.asked += [(attempt.prompt, attempt.seed) for attempt in attempts]
        return [self._video(attempt) for attempt in attempts]

    def _video(self, attempt: Attempt) -> tuple[Video, Float32]:
        frames = attempt.video.frames.copy()
        frames[-1] = np.clip(frames[-1].astype(int) + self.by, 0, 255)
        before = np.zeros((4, 1), np.float32) if attempt.actions is None else attempt.actions
        return Video(frames, 5.0), (before + self.by).astype(np.float32)


def test_motion_is_corrected_while_that_helps_and_then_words_change() -> None:
    correct = Brighter(1)
    rules = replace(FOREVER, budget=Budget(14), corrections=2)
    search = refine(PICTURE, "tidy up", team(correct=correct), rules)
    first, second, third, fourth, *_ = search.rounds
    assert first.prompt == second.prompt == third.prompt == "tidy up" != fourth.prompt
    assert {a.seed for a in second.attempts} == {a.seed for a in first.attempts} == {0, 1}
    assert second.attempts[0].seed == best_of(first.attempts).seed, "the best first"
    assert [bool(done.note) for done in search.rounds[:4]] == [True, True, True, False]
    assert [float(a.actions[0, 0]) for a in third.attempts if a.actions is not None] == [2.0, 2.0], "from the last"
    assert len(attempts_of(search.rounds)) == 14
    assert len({(a.prompt, a.seed) for a in attempts_of(search.rounds) if a.actions is None}) == 14 - len(correct.asked)


def test_motion_is_not_corrected_further_once_that_made_it_worse() -> None:
    search = refine(PICTURE, "tidy up", team(correct=Brighter(-1)), FOREVER)
    noted = ["same words" in done.note for done in search.rounds]
    assert noted[:3] == [False, True, False] and search.rounds[2].prompt != "tidy up"
    worse = [
        done for done in search.rounds[2:] if best_of(done.attempts).worth < best_of(search.rounds[0].attempts).worth
    ]
    followers = [search.rounds[done.number + 1] for done in worse if done.number + 1 < len(search.rounds)]
    assert all("same words" not in done.note for done in followers), "words that are no better are left at once"


def test_without_a_corrector_or_corrections_words_alone_change() -> None:
    alone = refine(PICTURE, "tidy up", team(), FOREVER)
    none = refine(PICTURE, "tidy up", team(correct=Brighter(1)), replace(FOREVER, corrections=0))
    assert told(none.rounds) == told(alone.rounds)
    with pytest.raises(WowError, match="--motion-corrections is at least 0"):
        replace(FOREVER, corrections=-1)


@pytest.mark.parametrize("kept", [1, 2, 3, 5])
def test_corrected_motions_survive_an_interruption(tmp_path: Path, kept: int) -> None:
    people = team(correct=Brighter(1))
    whole = refine(PICTURE, "tidy up", people, FOREVER)
    trace = Trace(tmp_path, {"goal": "tidy up"})
    assert trace.claim() == []
    for done in whole.rounds[:kept]:
        trace.append(done)
    resumed = refine(PICTURE, "tidy up", people, FOREVER, trace.claim(), trace.append)
    assert told(resumed.rounds) == told(whole.rounds) == told(trace.claim())
    for one, other in zip(attempts_of(resumed.rounds), attempts_of(whole.rounds), strict=True):
        assert (one.actions is None) == (other.actions is None)
        assert one.actions is None or np.array_equal(one.actions, np.asarray(other.actions))
    write_page(tmp_path / "page.html", "tidy up", resumed.rounds, resumed.stopped)
    assert "the same words; the motion is moved" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("actions", ["[[1.0]]", "[1.0, 2.0]", "[[1.0], [NaN], [1.0], [1.0]]", '"up"', "[[1.0], []]"])
def test_a_trace_with_impossible_actions_is_damaged(tmp_path: Path, actions: str) -> None:
    trace = Trace(tmp_path, {"goal": "tidy up"})
    trace.claim()
    refine(PICTURE, "tidy up", team(correct=Brighter(1)), replace(FOREVER, budget=Budget(4)), (), trace.append)
    text = (tmp_path / "trace.jsonl").read_text()
    good = "[[1.0], [1.0], [1.0], [1.0]]"
    assert good in text
    (tmp_path / "trace.jsonl").write_text(text.replace(good, actions))
    with pytest.raises(WowError, match="damaged at round 1"):
        trace.claim()


def test_a_trace_of_a_round_without_videos_is_damaged(tmp_path: Path) -> None:
    trace = Trace(tmp_path, {"goal": "tidy up"})
    trace.claim()
    facts = '"number": 0, "prompt": "a", "note": "", "tokens": 0, "cost": 0.0, "problems": {}, "seconds": {}'
    with (tmp_path / "trace.jsonl").open("a") as file:
        file.write(f'{{"event": "round", {facts}, "attempts": []}}\n')
    with pytest.raises(WowError, match="damaged at round 0"):
        trace.claim()
