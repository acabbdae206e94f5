"""The gripper's commands: constant between events, whatever a single frame looks like."""

from __future__ import annotations

import numpy as np
import pytest

from wow.act.gripper import LEVELS, find_commands, find_events

QUIET = np.array([0.98, 0.01, 0.01])


def chances(count: int, at: int | None = None, kind: int = 2) -> np.ndarray:
    rows = np.tile(QUIET, (count, 1))
    if at is not None:
        rows[at] = 0.1
        rows[at, kind] = 0.8
    return rows


def test_one_misread_frame_opens_no_hand() -> None:
    readings = np.zeros(16)
    readings[6] = 0.8
    commands, deviations = find_commands(readings, np.full(16, 0.2), chances(16))
    assert len(np.unique(commands)) == 1 and commands[0] < 0.1 and (deviations > 0).all()


def test_a_closing_is_found_where_it_happens() -> None:
    readings = np.concatenate([np.full(7, 0.9), np.full(9, 0.1)]) + np.random.default_rng(0).normal(0, 0.1, 16)
    commands, _ = find_commands(readings, np.full(16, 0.15), chances(16, at=7))
    events = find_events(commands, chances(16, at=7), "0 closed, 1 open")
    assert [(event.transition, event.kind) for event in events] == [(7, "close")]
    assert len(np.unique(commands)) == 2 and events[0].probability == pytest.approx(0.8)


def test_two_events_in_a_clip_and_commands_between_the_ends() -> None:
    readings = np.concatenate([np.full(5, 1.0), np.full(6, 0.3), np.full(5, 1.0)])
    rows = chances(16)
    rows[5], rows[11] = (0.1, 0.1, 0.8), (0.1, 0.8, 0.1)
    commands, _ = find_commands(readings, np.full(16, 0.1), rows)
    assert commands[8] == pytest.approx(0.3, abs=1.0 / LEVELS)
    assert [event.kind for event in find_events(commands, rows, "unknown")] == ["close", "open"]


def test_where_it_is_unsure_its_deviation_is_larger() -> None:
    readings = np.concatenate([np.full(8, 1.0), np.full(8, 0.0)])
    readings[8] = 0.5
    _, deviations = find_commands(readings, np.full(16, 0.2), np.full((16, 3), 1 / 3))
    assert deviations[8] > 2 * deviations[:6].mean()


def test_a_card_that_closes_upwards_names_its_events_so() -> None:
    commands = np.array([0.0, 0.0, 1.0, 1.0])
    assert [event.kind for event in find_events(commands, chances(4), "0 open, 1 closed")] == ["close"]
    assert [event.kind for event in find_events(commands, chances(4), "0 closed, 1 open")] == ["open"]


def test_a_single_transition_has_a_command_and_no_event() -> None:
    commands, deviations = find_commands(np.array([0.7]), np.array([0.1]), chances(1), low=-1.0, high=1.0)
    assert commands[0] == pytest.approx(0.7, abs=2.0 / LEVELS) and len(deviations) == 1
    assert find_events(commands, chances(1), "unknown") == ()
