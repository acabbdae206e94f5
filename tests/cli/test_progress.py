"""Progress: how far, how fast, how long still; lines in a log file, a bar on a terminal."""

from __future__ import annotations

import io

import pytest

from wow.cli import progress
from wow.cli.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_that_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_FRAMES", 0.0)
    terminal = Terminal()
    with Progress("collect", total=4, unit="episodes", stream=terminal) as bar:
        for _ in range(4):
            bar.advance()
    assert terminal.getvalue().count("\n") == 1
    assert "100%" in terminal.getvalue() and "4/4 episodes" in terminal.getvalue()


def test_every_stage_is_counted_with_a_speed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 0.0)
    bar = Progress("prepare", total=None, stream=io.StringIO())
    bar.stage("latents", 1000, 1000)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 110.0)
    bar.stage("texts", 20, 80)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 120.0)
    bar.stage("texts", 40, 80)
    assert bar.line() == "prepare   50%  40/80 texts  2/s  20s left"


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    with Progress("train", total=1000, stream=log) as bar:
        for _ in range(100):
            bar.advance(note="loss 0.3")
        assert log.getvalue() == ""  # not yet time
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
        bar.advance()
    assert log.getvalue().count("\n") == 1
    assert "101/1000" in log.getvalue() and "left" in log.getvalue() and "loss 0.3" in log.getvalue()
    assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()


def test_what_an_earlier_run_did_counts_as_done_but_not_as_speed() -> None:
    resumed = Progress("train", total=1000, start=900, stream=io.StringIO())
    resumed.done = 901
    fresh = Progress("train", total=1000, stream=io.StringIO())
    fresh.done = 901
    for bar in (resumed, fresh):
        bar._began -= 10
    assert "90%" in resumed.line() and "90%" in fresh.line()
    assert "0.1/s" in resumed.line() and "90.1/s" in fresh.line()


def test_an_unknown_total_shows_count_and_speed() -> None:
    bar = Progress("read", total=None, stream=io.StringIO())
    bar.update(5)
    assert "5" in bar.line() and "%" not in bar.line() and "left" not in bar.line()


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0s"), (59.4, "59s"), (60, "1m 00s"), (185, "3m 05s"), (7800, "2h 10m"), (-1, "0s")]
)
def test_durations_are_short(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
