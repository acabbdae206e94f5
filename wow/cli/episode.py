"""One episode in the simulator, wired: world model, inverse dynamics, scene, and the loop that joins them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from numpy.typing import NDArray

from wow.cli.imagine_foundation import check_length, is_foundation, open_agent
from wow.cli.refine import SearchSettings, corrector, imaginer, searcher
from wow.cli.sampling import Sampling
from wow.types import Actions, UInt8, Video, WowError

if TYPE_CHECKING:
    from wow.assembly import Actor, Agent, CloningPlanner, ImaginingPlanner, Outcome, Planner, PolicyPlanner, Reading
    from wow.sim.arm import MetaWorldArm

Array = NDArray[np.float64]
PlanFrom = Literal["imagined", "policy", "clone", "codec", "video", "actions"]

PICTURE_SIZE = 128
"""Height and width of what is filmed where no model says what it looks at [pixels]."""

OnStep = Callable[["MetaWorldArm", int], None]


@dataclass(frozen=True, kw_only=True)
class EpisodeSettings(Sampling):
    """How an episode is planned and executed; the same settings and seed give the same outcome on the same machine.

    plan_from: up to which stage the truth is put in; "policy" executes the world model's own plan without reading it,
    "clone" that of its policy alone. open_loop: execute one plan alone.
    replan_every: transitions executed of each plan; None for the whole of it. refine: search for each imagined clip
    instead of drawing it; None not to. unknown_pace: do not tell the controller the pace even where it is known.
    """

    model: str = "wow-mini"
    plan_from: PlanFrom = "imagined"
    replan_every: int | None = None
    retreat: bool = True
    open_loop: bool = False
    candidates: int = 1
    reimagine_above: float | None = None
    budget: int = 500
    unknown_pace: bool = False
    refine: SearchSettings | None = None


class EpisodeRunner:
    """Runs one episode after another, keeping the model and the last scene: building either takes seconds.

    Raises WowError where the model is missing, or cannot act on what it imagines. agent: in place of the settings' one.
    """

    def __init__(self, settings: EpisodeSettings, agent: Actor | None = None) -> None:
        self.settings = settings
        self.agent = load_agent(settings) if agent is None else agent
        self.size = PICTURE_SIZE if self.agent is None else self.agent.size
        self._arm: MetaWorldArm | None = None

    def reset(self, task: str, seed: int) -> MetaWorldArm:
        """A task's scene as it begins."""
        from wow.sim.arm import MetaWorldArm
        from wow.sim.metaworld import MetaWorld

        if self._arm is None or self._arm.environment.task.name != task:
            self.close()
            self._arm = MetaWorldArm(MetaWorld(task, cameras=(), size=self.size))
        self._arm.environment.reset(seed=seed)
        return self._arm

    def run(
        self,
        task: str,
        seed: int,
        instruction: str | None = None,
        linger: int = 0,
        on_step: OnStep = lambda arm, done: None,
    ) -> Outcome:
        """One episode. instruction: in place of the task's own. linger: control steps after success."""
        from wow.assembly import LoopOptions, run_episode

        arm = self.reset(task, seed)
        on_step(arm, 0)
        how = self.settings
        options = LoopOptions(how.replan_every, how.retreat, how.open_loop, how.budget, linger=linger)
        planner = self.planner(arm, instruction or arm.environment.task.instruction, seed)
        return run_episode(arm, planner, options, lambda done: on_step(arm, done))

    def planner(self, arm: MetaWorldArm, instruction: str, seed: int) -> Planner:
        """Where the plans in this scene come from."""
        from wow.assembly import DemonstratingPlanner
        from wow.sim.foresight import foresee
        from wow.sim.job import RecordingOptions

        settings, agent = self.settings, self.agent
        if settings.plan_from == "imagined":
            assert agent is not None
            return imagining_planner(agent, settings, instruction, seed)
        if settings.plan_from == "policy":
            assert agent is not None
            return policy_planner(cast("Agent", agent), settings, instruction, seed)  # `load_agent` lets no other in
        if settings.plan_from == "clone":
            assert agent is not None
            return cloning_planner(agent, settings, instruction)
        recording = RecordingOptions(size=self.size)
        return DemonstratingPlanner(
            demonstrate=lambda: foresee(arm.environment, recording, pictures=settings.plan_from != "actions"),
            act=None if agent is None else reader(agent),
            reconstruct=cast("Agent", agent).reconstruct if agent and settings.plan_from == "codec" else None,
            num_frames=settings.num_frames,
            paced=not settings.unknown_pace,
        )

    def object_error(self) -> float | None:
        """How far the object of the last episode is from its goal [m]; None where there is none."""
        return None if self._arm is None else self._arm.object_error()

    def close(self) -> None:
        """Frees the scene's renderer."""
        if self._arm is not None:
            self._arm.environment.close()
            self._arm = None


def load_agent(settings: EpisodeSettings) -> Actor | None:
    """The model that plans; None where the plan is the expert's actions, which needs none."""
    if settings.plan_from == "actions":
        return None
    if is_foundation(settings.model):
        if settings.plan_from in ("policy", "clone", "codec"):
            raise WowError(
                f"{settings.model} has neither a plan of its own nor our codec: leave --plan-from out, or take wow-mini"
            )
        check_length(settings.model, settings.num_frames)
    agent = open_agent(settings.model)
    if settings.plan_from in ("policy", "clone"):
        return agent
    if "inverse_dynamics" not in agent.capabilities:
        raise WowError(
            f"{agent.name} imagines videos but has no inverse dynamics to act on them: train one with wow train idm "
            "and add it with wow train export --idm RUN, execute its own plan with --plan-from policy, or replay the "
            "experts with --plan-from actions"
        )
    return agent


def imagining_planner(agent: Actor, settings: EpisodeSettings, instruction: str, seed: int) -> ImaginingPlanner:
    """Plans by imagining that an instruction is followed. seed: of the first candidate."""
    from wow.assembly import ImaginingPlanner

    draw = imaginer(agent, settings.num_frames, settings.options(), settings.fps)
    search = None
    if settings.refine is not None:
        correct = corrector(agent, settings.num_frames, settings.options(), settings.fps)
        search = searcher(agent, settings.refine, draw, instruction, correct)

    def imagine(picture: UInt8, seeds: Sequence[int]) -> list[Video]:
        if search is None:
            return draw(picture, instruction, seeds)
        return [search(picture, each).best.video for each in seeds]

    # Who searches chooses by what the critics say, not by how certain the actions are.
    candidates = settings.candidates if search is None else 1
    is_paced = settings.fps is not None and not settings.unknown_pace
    return ImaginingPlanner(imagine, reader(agent), seed, candidates, is_paced, settings.reimagine_above)


def policy_planner(agent: Agent, settings: EpisodeSettings, instruction: str, seed: int) -> PolicyPlanner:
    """Executes the world model's own plan. seed: of the first one."""
    from wow.assembly import PolicyPlanner

    options, frames, fps = settings.options(), settings.num_frames, settings.fps
    quick = replace(options, corrections=0)  # nobody acts on this video

    def plan(picture: UInt8, seed: int) -> Actions:
        return agent.policy(picture, instruction, num_frames=frames, seed=seed, options=options, fps=fps)

    def paint(picture: UInt8, actions: Actions, seed: int) -> Video:
        return agent.imagine(
            picture, instruction, actions=actions, num_frames=frames, seed=seed, options=quick, fps=fps
        )

    return PolicyPlanner(plan, paint, seed)


def cloning_planner(agent: Actor, settings: EpisodeSettings, instruction: str) -> CloningPlanner:
    """Executes what the policy says, without a world model."""
    from wow.assembly import CloningPlanner

    return CloningPlanner(lambda picture: agent.imitate(picture, instruction, fps=settings.fps))


def reader(agent: Actor) -> Callable[[Video, Array | None, bool], Reading]:
    """The inverse dynamics."""

    def read(video: Video, start: Array | None, paced: bool) -> Reading:
        said: Reading = agent.read(video, paced=paced, start=None if start is None else start.astype("float32"))
        return said

    return read
