"""What is left of an episode: its film in real time, the clips that were imagined, and the actions of every plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wow.cli.progress import Progress
from wow.types import Actions, UInt8, Video

if TYPE_CHECKING:
    from wow.assembly import Leg, Outcome, Plan, Reading
    from wow.cli.episode import EpisodeRunner
    from wow.sim.arm import MetaWorldArm

FRAME_EVERY = 4
"""Control steps between filmed frames."""

STRIP_ROWS = 6
"""Imagined clips that a film strip shows at most."""

LINGER = 10
"""Control steps after success, so that the film shows it."""


class Film:
    """The frames of an episode as it is executed."""

    def __init__(self) -> None:
        self._frames: list[UInt8] = []

    def look(self, arm: MetaWorldArm, done: int) -> None:
        """Takes a picture every few control steps."""
        if done % FRAME_EVERY == 0:
            self._frames.append(arm.look())

    def video(self) -> Video:
        """In real time."""
        from wow.sim.metaworld import CONTROL_RATE

        return Video(np.stack(self._frames), CONTROL_RATE / FRAME_EVERY)

    def write(self, folder: Path) -> Path:
        """Writes `executed.mp4`."""
        return _write_video(folder / "executed.mp4", self.video())


def filmed(runner: EpisodeRunner, task: str, seed: int, instruction: str | None = None) -> tuple[Outcome, Film]:
    """One episode and its film, with a progress bar. instruction: in place of the task's own."""
    film = Film()
    with Progress("run", total=runner.settings.budget, unit="control steps") as progress:

        def on_step(arm: MetaWorldArm, done: int) -> None:
            film.look(arm, done)
            progress.update(done)

        return runner.run(task, seed, instruction, LINGER, on_step), film


def write_plans(folder: Path, plans: Sequence[Plan]) -> None:
    """Writes `00.json` with the actions of each plan and `00.mp4` with the clip that they were read from."""
    from wow.data.action_file import write_actions

    folder.mkdir(parents=True, exist_ok=True)
    for number, plan in enumerate(plans):
        path, read = folder / f"{number:02d}.json", plan.reading
        if read is None:
            write_actions(path, plan.actions)
        else:
            sure = round(read.confidence.value, 3)
            write_actions(path, plan.actions, events=events_json(read), confidence=sure, notes=read.notes)
        if plan.video is not None:
            _write_video(folder / f"{number:02d}.mp4", plan.video)


def clips(plans: Sequence[Plan]) -> dict[str, UInt8]:
    """Rows of a film strip: the clips of the first plans."""
    shown = [(number, plan.video) for number, plan in enumerate(plans) if plan.video is not None]
    return {f"plan {number + 1}, imagined": video.frames for number, video in shown[:STRIP_ROWS]}


def joined(plans: Sequence[Plan], replan_every: int | None) -> tuple[Actions, list[dict[str, object]]]:
    """The transitions of all plans that were to be executed, in one sequence, and the gripper events in it."""
    parts = [plan.actions.values[:replan_every] for plan in plans]
    deviations = [plan.actions.deviations[:replan_every] for plan in plans if plan.actions.deviations is not None]
    known = np.concatenate(deviations) if len(deviations) == len(plans) else None
    starts = np.cumsum([0, *(len(part) for part in parts)])
    events = [
        event
        for plan, part, start in zip(plans, parts, starts[:-1], strict=True)
        for event in events_json(plan.reading, int(start), len(part))
    ]
    return replace(plans[0].actions, values=np.concatenate(parts), deviations=known), events


def events_json(read: Reading | None, start: int = 0, count: int | None = None) -> list[dict[str, object]]:
    """The gripper events of a reading as a file of actions has them, those of its first `count` transitions.

    start: transitions before it.
    """
    return [
        {
            "transition": start + event.transition,
            "gripper": event.kind,
            "probability": round(event.probability, 3),
        }
        for event in (() if read is None else read.events)
        if count is None or event.transition < count
    ]


def trust(plans: Sequence[Plan]) -> tuple[float | None, list[str]]:
    """How far to trust what was read, at the least, and what speaks against it: each reason once, with its plans."""
    read = [(number, plan.reading) for number, plan in enumerate(plans, start=1) if plan.reading is not None]
    said: dict[str, list[int]] = {}
    for number, reading in read:
        for note in reading.notes:
            said.setdefault(note, []).append(number)
    notes = [f"plan {', '.join(map(str, numbers))}: {note}" for note, numbers in said.items()]
    return round(min((reading.confidence.value for _, reading in read)), 3) if read else None, notes


def leg_json(leg: Leg) -> dict[str, object]:
    """What is told of one plan."""
    plan = leg.plan
    return {
        "start": leg.start,
        "steps": leg.num_steps,
        "transitions": len(plan.actions),
        "seconds_per_transition": plan.actions.seconds,
        "uncertainty": plan.uncertainty,
        "confidence": None if plan.reading is None else plan.reading.confidence.value,
        "candidates": plan.candidates,
        "demonstration_succeeds": plan.truth_succeeds,
        "seconds_to_imagine": plan.seconds_to_imagine,
        "seconds_to_act": plan.seconds_to_act,
    }


def _write_video(path: Path, video: Video) -> Path:
    from wow.data.video_file import write_video

    part = path.with_suffix(".part.mp4")
    write_video(part, video)
    part.rename(path)
    return path
