"""`wow run`: from imagination to action, in one scene or over a suite of tasks."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from wow.cli.episode import EpisodeRunner, EpisodeSettings, PlanFrom, imagining_planner, load_agent
from wow.cli.film import clips, events_json, filmed, joined, leg_json, trust, write_plans
from wow.cli.options import MakesFolder, Seeded, Summary, fresh_folder
from wow.cli.output import write_json, write_strip
from wow.cli.refine import CRITICS_AT_HAND, SearchSettings
from wow.cli.sampling import Sampling
from wow.types import Actions, UInt8, WowError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wow.assembly import Actor, SamplingOptions

    Array = NDArray[np.float64]

MODES = 'say what to run: --task drawer-open, --suite metaworld-50, or --image PICTURE "open the drawer" --no-execute'


@dataclass(frozen=True, kw_only=True)
class Run(Sampling, MakesFolder, Seeded):
    """Look at a scene, imagine the task done, act on it, and look again, until it is done."""

    instruction: tyro.conf.Positional[str | None] = None
    """What the robot should do; a task has its own instruction."""
    task: str | None = None
    """One of the 50 tasks, with or without -v3."""
    suite: str | None = None
    """Many episodes: metaworld-50, avdc-11, or task names with commas. The same command again continues."""
    image: Path | None = None
    """Picture of a scene elsewhere, to plan for; with --no-execute."""
    no_execute: bool = False
    """Only plan."""
    seed: int = 100_000
    """Seed of the scene and of the imagination. Training used seeds below 100000."""
    out: Path = field(default_factory=fresh_folder("run"))
    """Folder to write; created, and refused when it already holds something else."""
    model: str = "wow-mini"
    """A model that comes with the package or that `wow models` lists, or the folder of a checkpoint."""
    plan_from: PlanFrom = "imagined"
    """Execute the world model's own plan instead of reading it from the video (policy), or that of its policy alone
    (clone: behaviour cloning), or put in the truth for the stages before: the expert's true video through the codec, or
    read directly, or the expert's own actions."""
    replan_every: int | None = None
    """Transitions of a plan that are executed before the scene is looked at again; without it the whole plan."""
    retreat: bool = True
    """After a whole plan without success, let go and take the hand back to where it began before looking again."""
    open_loop: bool = False
    """Execute one plan alone."""
    candidates: int = 1
    """Futures imagined for each plan; the one whose actions are most certain is taken."""
    reimagine_above: float | None = None
    """Imagine a plan once more when its uncertainty is above this; results.json tells what is usual."""
    refine: bool = False
    """Search for each clip with critics and better prompts; --candidates is then the videos of a round."""
    critic: str | None = None
    """Who judges when refining, with commas. Without it those that
    suit the model: learned,checks for wow-mini, motion,checks for one without a critic, else checks."""
    refiner: str = "grammar"
    """Who rewrites the prompt when refining: grammar (built in), or llm (an endpoint)."""
    max_samples: int = 4
    """Videos that refining may imagine for each plan."""
    max_seconds: float | None = None
    """Seconds that refining may take for each plan; no round is begun that would not end in time."""
    confident: float = 0.9
    """Stop refining a plan at a video that is completed with this probability."""
    motion_corrections: int = 3
    """How often the motion of refined videos is corrected before the words change; 0 changes words alone."""
    num_planning_steps: int = 0
    """Steps from noise to the motion that the video shows: 1 is the mean of all that may follow, more draw one; 0 is 1,
    or 4 with --refine, which has nothing to choose from where all videos move alike."""
    budget: int = 500
    """Control steps (80 a second) of an episode at most."""
    unknown_pace: bool = False
    """Execute the truth, too, as if nobody knew its pace: for comparison with imagined videos."""
    episodes: int = 20
    """Episodes of each task of a suite, with the seeds SEED, SEED + 1, …"""
    workers: int = os.cpu_count() or 1
    """Simulators of a suite side by side, one process each."""
    record: Path | None = None
    """Dataset to which the imagined video of every episode's first plan is added, with whether executing it succeeded:
    what wow train outcome --imagined is calibrated on. Of a suite, with --open-loop."""

    @property
    def settings(self) -> EpisodeSettings:
        """How each episode is planned and executed."""
        return EpisodeSettings(
            model=self.model,
            plan_from=self.plan_from,
            replan_every=self.replan_every,
            retreat=self.retreat,
            open_loop=self.open_loop,
            candidates=self.candidates,
            reimagine_above=self.reimagine_above,
            budget=self.budget,
            unknown_pace=self.unknown_pace,
            refine=self._search() if self.refine else None,
            **self.sampling(),
        )

    def sampling(self) -> dict[str, Any]:
        """What was chosen, by name, and how many planning steps follow from the rest."""
        steps = self.num_planning_steps or (4 if self.refine else 1)
        return {**super().sampling(), "num_planning_steps": steps}

    def options(self) -> SamplingOptions:
        return Sampling(**self.sampling()).options()

    def _search(self) -> SearchSettings:
        return SearchSettings(
            self.critic,
            self.refiner,
            samples=self.max_samples,
            candidates=self.candidates,
            confident=self.confident,
            fps=self.fps,
            seconds=self.max_seconds,
            motion_corrections=self.motion_corrections,
            # Of a suite's thousands of plans nobody reads the pages.
            folder=str(self.out / "refine") if self.suite is None else None,
        )

    def continues(self) -> bool:
        from wow.cli.suite import EPISODES

        return self.suite is not None and any((self.out / name).is_file() for name in (EPISODES, "run.json"))

    def prepare(self) -> list[Path]:
        from wow.sim.language import find_task
        from wow.sim.suites import suite_tasks

        if [self.task, self.suite, self.image].count(None) != 2:
            raise WowError(MODES)
        if self.task is not None:
            find_task(self.task)
        if self.suite is not None:
            suite_tasks(self.suite)
            if self.instruction is not None or self.no_execute:
                raise WowError("a suite executes every task by its own instruction: leave the instruction out")
        if self.image is not None and (not self.no_execute or self.instruction is None):
            raise WowError('nothing can be done in a picture: wow run --image PICTURE "open the drawer" --no-execute')
        if self.no_execute and self.plan_from != "imagined":
            raise WowError("--no-execute plans from imagination: leave --plan-from out")
        if not 1 <= self.candidates <= 64:
            raise WowError(f"--candidates is 1 to 64, not {self.candidates}")
        if self.replan_every is not None and self.open_loop:
            raise WowError("--open-loop executes the whole of one plan: leave --replan-every out")
        often = 1 if self.replan_every is None else self.replan_every
        if min(often, self.budget, self.episodes, self.workers) < 1 or self.num_frames < 2:
            raise WowError("--replan-every, --budget, --episodes and --workers are at least 1, --num-frames 2")
        if self.refine:
            self._check_refining()
        if self.record is not None and (self.suite is None or not self.open_loop):
            raise WowError("--record says what became of whole plans: run a --suite with --open-loop")
        self.options()
        return super().prepare()

    def _check_refining(self) -> None:
        from wow.assembly import CRITICS, REFINERS, named

        named(self.refiner, REFINERS, "refiner")
        self._search().rules(0)
        named(CRITICS_AT_HAND if self.critic is None else self.critic, CRITICS, "critic")
        if self.plan_from != "imagined" or self.max_samples < 1:
            raise WowError(
                "--refine searches among imagined videos: leave --plan-from out, --max-samples is at least 1"
            )

    def run(self) -> Summary:
        if self.suite is not None:
            from wow.cli.suite import Evaluation
            from wow.sim.suites import suite_tasks

            tasks = suite_tasks(self.suite)
            count, settings = self.episodes, self.settings
            return Evaluation(self.suite, tasks, count, self.seed, self.workers, settings, self.out, self.record).run()
        return self._plan() if self.no_execute else self._episode()

    def _episode(self) -> Summary:
        """One episode, filmed."""
        from wow.sim.language import find_task

        assert self.task is not None
        began = time.perf_counter()
        runner = EpisodeRunner(self.settings)
        loaded = time.perf_counter()
        task = find_task(self.task)
        outcome, film = filmed(runner, task.name, self.seed, self.instruction)
        plans = [leg.plan for leg in outcome.legs]
        confidence, notes = trust(plans)
        summary: Summary = {
            "task": task.name,
            "instruction": self.instruction or task.instruction,
            "seed": self.seed,
            "success": outcome.success,
            "success_step": outcome.success_step,
            "steps": outcome.num_steps,
            "plans": len(plans),
            "confidence": confidence,
            "video": film.write(self.out),
            "film_strip": self.out / "filmstrip.png",
            "seconds_to_load": loaded - began,
            "seconds_to_imagine": sum(plan.seconds_to_imagine for plan in plans),
            "seconds_to_act": sum(plan.seconds_to_act for plan in plans),
            "seconds_to_execute": outcome.seconds_to_execute,
            "notes": notes,
        }
        write_plans(self.out / "plans", plans)
        write_strip(self.out / "filmstrip.png", {**clips(plans), "executed": film.video().frames})
        self._plot(*joined(plans, self.settings.replan_every), task.name)
        details = {
            "hand_error_m": outcome.hand_error,
            "object_error_m": runner.object_error(),
            "legs": [leg_json(leg) for leg in outcome.legs],
        }
        runner.close()
        self._write_run({**summary, **details})
        return summary

    def _plan(self) -> Summary:
        """A plan for a picture, or for a task's scene, that nobody executes."""
        began = time.perf_counter()
        agent = load_agent(self.settings)
        assert agent is not None
        loaded = time.perf_counter()
        picture, instruction, start, fitting = self._observed(agent)
        plan = imagining_planner(agent, self.settings, instruction, self.seed).plan(picture, start)
        confidence, notes = trust([plan])
        summary: Summary = {
            "out": self.out,
            "instruction": instruction,
            "image_fitting": fitting or "taken as it is",
            "uncertainty": plan.uncertainty,
            "confidence": confidence,
            "film_strip": self.out / "filmstrip.png",
            "seconds_to_load": loaded - began,
            "seconds_to_imagine": plan.seconds_to_imagine,
            "seconds_to_act": plan.seconds_to_act,
            "notes": notes,
        }
        write_plans(self.out / "plans", [plan])
        write_strip(self.out / "filmstrip.png", clips([plan]))
        self._plot(plan.actions, events_json(plan.reading), instruction)
        self._write_run(summary)
        return summary

    def _observed(self, agent: Actor) -> tuple[UInt8, str, Array | None, str]:
        """What is seen, what is to be done, where the hand's target is, and how the picture was fitted."""
        from wow.data.picture import read_picture
        from wow.sim.language import find_task

        if self.image is not None:
            assert self.instruction is not None
            frames, fitting = agent.fit(read_picture(self.image))
            return frames[0], self.instruction, None, fitting
        assert self.task is not None
        runner = EpisodeRunner(self.settings, agent)
        arm = runner.reset(find_task(self.task).name, self.seed)
        picture, start = arm.look(), arm.target
        instruction = self.instruction or arm.environment.task.instruction
        runner.close()
        return picture, instruction, start, ""

    def _plot(self, actions: Actions, events: list[dict[str, object]], title: str) -> None:
        from wow.data.action_plot import save_actions

        save_actions(self.out / "actions.png", actions, events, title)

    def _write_run(self, content: Summary) -> None:
        from wow.assembly import model_hash

        known = self.plan_from != "actions"
        write_json(
            self.out / "run.json",
            {**content, "model_hash": model_hash(self.model) if known else None, "settings": asdict(self.settings)},
        )
