"""`wow data paint`: recorded motions painted anew by a world model, as imagined videos whose actions are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tyro

from wow.cli.options import MakesFolder, Seeded, Summary
from wow.cli.progress import Progress
from wow.cli.sampling import Drawing
from wow.types import Episode, Float32, Video, WowError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wow.assembly import Agent, Request, SamplingOptions
    from wow.data import Dataset

SOURCE = "painted"
HAND = "sim.hand"
BATCH = 8
"""Clips that are painted at once."""
FROM_START = 0.5
"""The share of clips that begin with their episode; the others begin in the first two thirds of it."""


@dataclass(frozen=True, kw_only=True)
class Paint(MakesFolder, Seeded, Drawing):
    """Paint recorded motions anew, for wow train idm --imagined: imagined videos whose actions are known.

    Each clip begins with a recorded picture, shows the recorded motion to its end, and keeps the recorded actions.
    """

    directory: tyro.conf.Positional[Path]
    """LeRobot dataset of the model's robot."""
    model: str = "wow-mini"
    """A model that comes with the package, or the folder of one."""
    clips: int = 1000
    """How many; episodes take turns."""
    corrections: int = 0
    """How often a clip is painted anew, its motion moved by what is read from it less than was meant."""

    def continues(self) -> bool:
        return (self.out / "meta").is_dir()

    def run(self) -> Summary:
        from wow import assembly
        from wow.data import DatasetWriter, open_dataset

        if self.clips < 1:
            raise WowError(f"--clips is at least 1, not {self.clips}")
        options, agent, dataset = self.options(), assembly.load(self.model), open_dataset(self.directory)
        names = [(dim.name, dim.unit) for dim in agent.embodiment.action]
        if names != [(dim.name, dim.unit) for dim in dataset.embodiment.action]:
            raise WowError(f"{self.directory} has other actions than {self.model} knows: paint its own robot's motions")
        weights = assembly.model_hash(self.model)
        with DatasetWriter(self.out, dataset.embodiment, fps=dataset.fps) as writer:
            known = {tuple(facts.get(name) for name in ("clip", "seed", "weights")) for facts in writer.episode_facts}
            missing = (clip for clip in range(self.clips) if (clip, self.seed, weights) not in known)
            with Progress("paint", total=self.clips, unit="clips", start=len(known)) as progress:
                try:
                    for batch in iter(lambda: list(islice(missing, BATCH)), []):
                        facts = [{"clip": clip, "seed": self.seed, "weights": weights} for clip in batch]
                        drawn = [motion_of(dataset, len(dataset), self.seed, clip, self.num_frames) for clip in batch]
                        for episode in painted(agent, drawn, facts, self.num_frames, options):
                            writer.add(episode)
                        progress.advance(len(batch))
                except KeyboardInterrupt:
                    raise KeyboardInterrupt(f"what was painted is in {self.out}; the same command continues") from None
            return {"out": self.out, "clips": len(writer.episode_facts), "model": self.model, "weights": weights}


@dataclass(frozen=True)
class Motion:
    """Frames of a recorded episode. actions [T, D]: between T+1 frames. hand [T+1, 3]: where the hand was sent to."""

    episode: Episode
    rows: NDArray[np.int64]
    actions: Float32
    hand: Float32 | None
    seed: int


def motion_of(dataset: Dataset, count: int, seed: int, clip: int, num_frames: int) -> Motion:
    """The motion that clip number `clip` shows: the same for the same seed, whatever was painted before."""
    from wow.bench.samples import clip_rows, merged_actions
    from wow.data.dataset import as_vectors

    random = np.random.default_rng([seed, clip])
    number = int(np.random.default_rng([seed, clip // count]).permutation(count)[clip % count])
    episode = dataset.episode(number, cameras=dataset.cameras[:1])
    first = 0 if random.random() < FROM_START else int(random.integers(max(2 * len(episode) // 3, 1)))
    rows = first + clip_rows(len(episode) - first, num_frames)[0]
    hand = None
    if HAND in episode.signals:
        steps = np.cumsum(episode.actions[:-1, :3], axis=0, dtype=np.float64)
        hand = (as_vectors(episode.signals[HAND])[0] + np.concatenate([np.zeros((1, 3)), steps])).astype(np.float32)[
            rows
        ]
    return Motion(episode, rows, merged_actions(episode.actions, rows, episode.embodiment), hand, seed + clip)


def painted(
    agent: Agent,
    motions: Sequence[Motion],
    facts: Sequence[Mapping[str, object]],
    num_frames: int,
    options: SamplingOptions,
) -> Iterator[Episode]:
    """The motions as imagined episodes: recorded first picture, actions and text; the model chooses how it looks."""
    from wow.assembly import Request

    def asked(motion: Motion) -> Request:
        camera = next(iter(motion.episode.videos.values()))
        context = agent.fit(camera.frames[motion.rows[0]])[0]
        return Request(context, motion.episode.task, motion.actions, motion.seed)

    videos = agent.imagine_all([asked(motion) for motion in motions], num_frames=num_frames, options=options)
    for motion, video, known in zip(motions, videos, facts, strict=True):
        recorded = motion.episode
        camera, seen = next(iter(recorded.videos.items()))
        last = np.where(recorded.embodiment.adds_up, 0.0, motion.actions[-1])
        yield Episode(
            videos={camera: Video(video.frames, seen.fps)},
            actions=np.concatenate([motion.actions, last[None]]).astype(np.float32),
            states=None if recorded.states is None else recorded.states[motion.rows],
            embodiment=recorded.embodiment,
            task=recorded.task,
            source=SOURCE,
            signals={} if motion.hand is None else {HAND: motion.hand},
            facts={**known, "scene": recorded.facts.get("scene"), "task_name": recorded.facts.get("task_name")},
        )
