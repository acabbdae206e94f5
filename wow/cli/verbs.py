"""The table of commands: what is typed, and the function that finds the class behind it when it is needed.

The imports are inside the functions so that `wow --help` loads nothing. The first line of a function's docstring is
the line that `wow --help` shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wow.cli.options import Command


def data_import() -> type[Command]:
    """Convert a dataset of any known format to LeRobot v3."""
    from wow.cli.data import Import

    return Import


def data_info() -> type[Command]:
    """Show the tasks, cameras, rates and actions of a dataset, and what is wrong with it."""
    from wow.cli.data import Info

    return Info


def data_show() -> type[Command]:
    """Draw one episode: a film strip and its actions over time."""
    from wow.cli.data import Show

    return Show


def data_bench_loader() -> type[Command]:
    """Measure how many training windows per second a dataset yields."""
    from wow.cli.data import BenchLoader

    return BenchLoader


def data_collect() -> type[Command]:
    """Record simulated episodes with the scripted experts."""
    from wow.cli.collect import Collect

    return Collect


def data_tries() -> type[Command]:
    """Execute several plans in each of many scenes and keep what became of them."""
    from wow.cli.tries import MakeTries

    return MakeTries


def data_paint() -> type[Command]:
    """Paint recorded motions anew with a world model."""
    from wow.cli.paint import Paint

    return Paint


def train_world() -> type[Command]:
    """Train a video world model."""
    from wow.cli.train import TrainWorld

    return TrainWorld


def train_codec() -> type[Command]:
    """Train an image codec, the world model's eye."""
    from wow.cli.train_codec import TrainCodec

    return TrainCodec


def train_idm() -> type[Command]:
    """Train an inverse dynamics model: from a video to robot actions."""
    from wow.cli.train import TrainIdm

    return TrainIdm


def train_draft() -> type[Command]:
    """Train the drafter that a world model begins with: where the robot is in every frame."""
    from wow.cli.train import TrainDraft

    return TrainDraft


def train_policy() -> type[Command]:
    """Train the policy that planning begins with: from a picture and an instruction to a motion."""
    from wow.cli.train import TrainPolicy

    return TrainPolicy


def train_faults() -> type[Command]:
    """Train a critic's eye for faults: what in a video cannot be in a world like ours."""
    from wow.cli.train_critic import TrainFaults

    return TrainFaults


def train_outcome() -> type[Command]:
    """Train a critic's sense of success: which motions reach a goal."""
    from wow.cli.train_critic import TrainOutcome

    return TrainOutcome


def train_export() -> type[Command]:
    """Write the weights of training runs as a checkpoint that `wow imagine` uses."""
    from wow.cli.train import Export

    return Export


def bench_world() -> type[Command]:
    """Measure a world model on held-out episodes."""
    from wow.cli.bench import BenchWorld

    return BenchWorld


def bench_idm() -> type[Command]:
    """Measure an inverse dynamics model on held-out episodes."""
    from wow.cli.bench_idm import BenchIdm

    return BenchIdm


def bench_critic() -> type[Command]:
    """Measure how well a critic tells successes from failures."""
    from wow.cli.bench_critic import BenchCritic

    return BenchCritic


def bench_build() -> type[Command]:
    """Film the open suite in the simulator, with exact truth."""
    from wow.cli.bench_build import BenchBuild

    return BenchBuild


def bench_import() -> type[Command]:
    """Make a suite from a dataset or a folder of videos."""
    from wow.cli.bench_suite import BenchImport

    return BenchImport


def bench_run() -> type[Command]:
    """Score a model, or a folder of videos, on a suite."""
    from wow.cli.bench_suite import BenchRun

    return BenchRun


def bench_compare() -> type[Command]:
    """Compare two runs on a suite, sample by sample."""
    from wow.cli.bench_report import BenchCompare

    return BenchCompare


def bench_report() -> type[Command]:
    """Write the report on runs on a suite: HTML, Markdown and JSON."""
    from wow.cli.bench_report import BenchReport

    return BenchReport


def bench_leaderboard() -> type[Command]:
    """Merge result files into one table."""
    from wow.cli.bench_leaderboard import BenchLeaderboard

    return BenchLeaderboard


def bench_audit() -> type[Command]:
    """Show which metric sees which fault, and which agrees with executed success."""
    from wow.cli.bench_audit import BenchAudit

    return BenchAudit


def bench_correlate() -> type[Command]:
    """Correlate every metric and both overall scores with executed success, over many runs."""
    from wow.cli.bench_correlate import BenchCorrelate

    return BenchCorrelate


def bench_losses() -> type[Command]:
    """Tell which stage, from the controller to imagination, loses the episodes that fail."""
    from wow.cli.bench_losses import BenchLosses

    return BenchLosses


def bench_study() -> type[Command]:
    """Write a page on which people rate videos and guess which are real."""
    from wow.cli.bench_study import BenchStudy

    return BenchStudy


def bench_study_score() -> type[Command]:
    """Turn the answers of a study into numbers."""
    from wow.cli.bench_study import BenchStudyScore

    return BenchStudyScore


def bench_refine() -> type[Command]:
    """Compare refining with other ways to spend the same videos, by executed success."""
    from wow.cli.bench_refine import BenchRefine

    return BenchRefine


def imagine() -> type[Command]:
    """From one picture and an instruction to a robot video."""
    from wow.cli.imagine import Imagine

    return Imagine


def judge() -> type[Command]:
    """Say what critics make of videos: is the goal reached, in a world like ours?"""
    from wow.cli.judge import Judge

    return Judge


def refine() -> type[Command]:
    """Imagine, judge and rewrite, again and again, until a video shows the instruction being followed."""
    from wow.cli.refine import Refine

    return Refine


def act() -> type[Command]:
    """From a robot video to the robot's actions."""
    from wow.cli.act import Act

    return Act


def run() -> type[Command]:
    """Look, imagine and act in the simulator until a task is done; or measure how often, over many."""
    from wow.cli.run import Run

    return Run


def replay() -> type[Command]:
    """Execute a file of actions in the simulator."""
    from wow.cli.replay import Replay

    return Replay


def demo() -> type[Command]:
    """Imagine a task in a scene that the model never saw, beside what really happens."""
    from wow.cli.demo import Demo

    return Demo


def models() -> type[Command]:
    """List the released WoW models and their baselines, and the files each is made of."""
    from wow.cli.models import Models

    return Models


def convert() -> type[Command]:
    """Write a network's weights in its authors' layout or in diffusers', bit for bit."""
    from wow.cli.convert import Convert

    return Convert


def doctor() -> type[Command]:
    """Check the installation, and say how to mend what is missing."""
    from wow.cli.doctor import Doctor

    return Doctor


def plan_memory() -> type[Command]:
    """Plan how a foundation model is run: precision, offloading, memory and time, before anything is loaded."""
    from wow.cli.plan_memory import PlanMemory

    return PlanMemory


def overfit() -> type[Command]:
    """Teach one clip to a small network of a foundation model's structure: do its loss and its sampler agree?"""
    from wow.cli.overfit import Overfit

    return Overfit


def speed() -> type[Command]:
    """Measure the ways to sample a foundation model faster: seconds, memory, deviation."""
    from wow.cli.speed import Measure

    return Measure


VERBS: dict[str, Callable[[], type[Command]]] = {
    "imagine": imagine,
    "refine": refine,
    "judge": judge,
    "demo": demo,
    "act": act,
    "run": run,
    "replay": replay,
    "data import": data_import,
    "data info": data_info,
    "data show": data_show,
    "data collect": data_collect,
    "data paint": data_paint,
    "data tries": data_tries,
    "data bench-loader": data_bench_loader,
    "train world": train_world,
    "train draft": train_draft,
    "train codec": train_codec,
    "train idm": train_idm,
    "train policy": train_policy,
    "train faults": train_faults,
    "train outcome": train_outcome,
    "train export": train_export,
    "bench world": bench_world,
    "bench build": bench_build,
    "bench import": bench_import,
    "bench run": bench_run,
    "bench compare": bench_compare,
    "bench report": bench_report,
    "bench idm": bench_idm,
    "bench critic": bench_critic,
    "models": models,
    "convert": convert,
    "plan-memory": plan_memory,
    "overfit": overfit,
    "speed": speed,
    "bench leaderboard": bench_leaderboard,
    "bench audit": bench_audit,
    "bench correlate": bench_correlate,
    "bench losses": bench_losses,
    "bench study": bench_study,
    "bench study-score": bench_study_score,
    "bench refine": bench_refine,
    "doctor": doctor,
}
