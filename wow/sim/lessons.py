"""Episodes in altered scenes: things of other colours, sizes and kinds around, so that the words tell what is meant.

In a stock scene the picture alone says what to do, and whoever learns from nothing else need not read. Here the object
is the red cylinder of two, the nearer one, the one that drives nails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from wow.sim.altered import AlteredScene
from wow.sim.briefs import TAUGHT, Brief, lesson
from wow.sim.job import Job, RecordingOptions
from wow.sim.language import find_task
from wow.sim.phrasing import dense_prompt, reworded
from wow.sim.record import record
from wow.sim.shoot import TRIES, staged
from wow.sim.tasks import TASKS
from wow.types import Episode, WowError

SOURCE = "altered"
_ELSEWHERE = 1_000
"""Between the seeds that are tried for a lesson."""


def jobs(tasks: Sequence[str], episodes: int, seed: int) -> Iterator[Job]:
    """`episodes` jobs, seeds `seed`, `seed` + 1, …, for each of the tasks; of all, for those that have lessons.

    Raises WowError where one that was chosen has none.
    """
    strange = [task for task in tasks if task not in TAUGHT]
    if strange and len(tasks) < len(TASKS):
        raise WowError(f"no altered scene is known for {strange[0]}: choose all, or from {', '.join(TAUGHT)}")
    for task in (task for task in tasks if task in TAUGHT):
        for number in range(episodes):
            yield Job(task, task, SOURCE, seed + number)


class LessonRecorder:
    """Records the expert in the altered scene of each job, see `wow.sim.briefs.lesson`."""

    def __init__(self, options: RecordingOptions) -> None:
        self._options = options

    def record(self, job: Job) -> Episode:
        """The episode of a job. Raises WowError where its things have no room in any of the scenes that are tried."""
        brief = lesson(job.task, job.seed)
        scene = self._staged(brief)
        try:
            first = scene.truth()
            seen = record(scene, replace(job, source="expert", seed=scene.card.seed), self._options)
        finally:
            scene.close()
        where = (first.objects[0, :3], first.goal, scene.card.changes.things)
        dense = dense_prompt(brief.prompt, brief.tasks, brief.name, *where, screen=brief.hides)
        told = {"seed": job.seed, "lesson": brief.leaf, "altered_scene": scene.card.to_json()}
        return replace(
            seen,
            task=brief.prompt,
            captions=(*wordings(brief), dense),
            source=SOURCE,
            facts={**seen.facts, **told},
        )

    def _staged(self, brief: Brief) -> AlteredScene:
        for step in range(TRIES):
            scene = staged(brief, brief.seed + step * _ELSEWHERE, self._options)
            if scene is not None:
                return scene
        raise WowError(f"there is no room for the things of {brief.key} in {TRIES} scenes: give another --seed")


def wordings(brief: Brief) -> tuple[str, ...]:
    """The prompt, and the task's other wordings with its object called as it looks; where it keeps its name, none."""
    task = find_task(brief.tasks[0])
    if brief.name == task.objects[0]:
        return (brief.prompt,)
    others = [reworded(text, task, brief.name) for text in task.paraphrases]
    return (brief.prompt, *dict.fromkeys(text for text in others if brief.name in text))
