"""Which episodes a collection consists of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wow.sim.job import Job
from wow.sim.language import TASKS, find_task
from wow.sim.record import SOURCES
from wow.types import WowError

SCENES_SHARED = (
    ("reach", "push", "pick-place"),
    ("reach-wall", "push-wall", "pick-place-wall"),
    ("faucet-open", "faucet-close"),
    ("coffee-button", "coffee-push", "coffee-pull"),
    ("handle-press", "handle-pull"),
    ("handle-press-side", "handle-pull-side"),
    ("door-lock", "door-unlock"),
    ("stick-push", "stick-pull"),
)
"""Tasks that can be attempted in each other's scene: same first picture, another instruction, another outcome."""


def named_tasks(words: str) -> tuple[str, ...]:
    """The tasks in "all" or "NAME,NAME" (with or without `-v3`). Raises WowError with the nearest names for a typo."""
    if words.strip() == "all":
        return tuple(TASKS)
    names = tuple(dict.fromkeys(find_task(word.strip()).name for word in words.split(",") if word.strip()))
    if not names:
        raise WowError("no task named: say --tasks all or --tasks drawer-open,door-close")
    return names


def siblings(task: str) -> tuple[str, ...]:
    """The other tasks that can be attempted in this task's scene."""
    return tuple(other for group in SCENES_SHARED if task in group for other in group if other != task)


def jobs(tasks: Sequence[str], episodes: int, source: str, seed: int) -> Iterator[Job]:
    """`episodes` jobs for each task, seeds `seed`, `seed` + 1, …; the same request gives the same jobs.

    source: one of `SOURCES`, or "siblings": the experts of the tasks that share a scene, each in the others' scenes.
    """
    if source not in (*SOURCES, "siblings"):
        raise WowError(f"unknown source {source!r}: choose one of {', '.join((*SOURCES, 'siblings', 'altered'))}")
    for task in tasks:
        attempts = siblings(task) if source == "siblings" else (task,)
        for number in range(episodes):
            for attempt in attempts:
                yield Job(task, attempt, "expert" if source == "siblings" else source, seed + number)
