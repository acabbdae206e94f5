"""Scenes of either simulator, ready for actions: an arm at the start of a task, and what its actions are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wow.cli.extras import needs
from wow.types import Embodiment, Episode, WowError

if TYPE_CHECKING:
    from wow.sim.arm import MetaWorldArm
    from wow.sim.robosuite_arm import RobosuiteArm


@dataclass(frozen=True)
class Stage:
    """A scene that is ready. arm: what moves in it, and its camera. card: what its actions are.

    reset: draws the scene anew from a seed; the arm of another draw is another one.
    """

    task: str
    card: Embodiment
    reset: Callable[[int], MetaWorldArm | RobosuiteArm]
    close: Callable[[], None]


def metaworld_stage(task: str, size: int) -> Stage:
    """A task of Meta-World. size: height and width of pictures of it [pixels]."""
    from wow.sim.arm import MetaWorldArm
    from wow.sim.job import RecordingOptions
    from wow.sim.metaworld import MetaWorld
    from wow.sim.record import sawyer_card

    environment = MetaWorld(task, cameras=(), size=size)

    def reset(seed: int) -> MetaWorldArm:
        environment.reset(seed=seed)
        return MetaWorldArm(environment)

    return Stage(environment.task.name, sawyer_card(RecordingOptions()), reset, environment.close)


def robosuite_stage(robot: str, task: str, size: int) -> Stage:
    """A task of robosuite and one of its arms. Raises WowError where robosuite is missing or too old, or lacks them."""
    needs("robosuite")
    from wow.sim.job import RecordingOptions
    from wow.sim.robosuite import CONTROL_RATE, Robosuite
    from wow.sim.robosuite_arm import RobosuiteArm
    from wow.sim.robosuite_record import arm_card
    from wow.sim.robosuite_tasks import named_arms, named_tasks

    (robot,), (task,) = named_arms(robot), named_tasks(task)
    environment = Robosuite(robot, task, cameras=(), size=size)

    def reset(seed: int) -> RobosuiteArm:
        environment.reset(seed=seed)
        return RobosuiteArm(environment)

    card = arm_card(robot, RecordingOptions(stride=2, control_rate=CONTROL_RATE))
    return Stage(task, card, reset, environment.close)


class Stages:
    """The scenes that episodes were recorded in; the last one is kept, since building takes longer than acting."""

    def __init__(self, size: int = 16) -> None:
        self._size = size
        self._built: tuple[tuple[str, str], Stage] | None = None

    def arm(self, episode: Episode) -> MetaWorldArm | RobosuiteArm:
        """The arm at the start of the scene of an episode. Raises WowError where it is of no simulator of ours."""
        task, robot, seed = scene_of(episode)
        if self._built is None or self._built[0] != (robot, task):
            self.close()
            made = robosuite_stage(robot, task, self._size) if robot else metaworld_stage(task, self._size)
            self._built = ((robot, task), made)
        return self._built[1].reset(seed)

    def close(self) -> None:
        """Frees the scene."""
        if self._built is not None:
            self._built[1].close()
            self._built = None


def scene_of(episode: Episode) -> tuple[str, str, int]:
    """Task, arm of robosuite ("" in Meta-World) and seed of an episode's scene. Raises WowError where nobody says."""
    facts = episode.facts
    task, scene, seed, robot = (facts.get(key) for key in ("task_name", "scene", "seed", "robot"))
    if not isinstance(task, str) or not isinstance(seed, int) or scene != task:
        raise WowError(
            "actions are executed only in scenes that wow data collect recorded an expert's own task in: "
            f"an episode has task_name {task!r}, scene {scene!r} and seed {seed!r}"
        )
    return task, robot if isinstance(robot, str) else "", seed
