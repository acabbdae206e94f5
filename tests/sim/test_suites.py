"""The suites and the bins: every task once, and a typo gets the nearest names."""

from __future__ import annotations

import pytest

from wow.sim.suites import BINS, DIFFICULTY, SUITES, suite_tasks
from wow.sim.tasks import TASKS
from wow.types import WowError


def test_every_task_is_in_one_bin() -> None:
    assert sorted(task for tasks in BINS.values() for task in tasks) == sorted(TASKS)
    assert set(DIFFICULTY.values()) == {"easy", "medium", "hard"}


def test_suites_consist_of_tasks() -> None:
    assert len(SUITES["metaworld-50"]) == 50 and len(set(SUITES["avdc-11"])) == 11
    assert set(SUITES["avdc-11"]) <= set(TASKS)


def test_a_suite_is_named_or_listed() -> None:
    assert suite_tasks("avdc-11") == SUITES["avdc-11"]
    assert suite_tasks("drawer-open-v3, push") == ("drawer-open", "push")
    with pytest.raises(WowError, match=r"drawer-open.*metaworld-50"):
        suite_tasks("drawer-opne")
