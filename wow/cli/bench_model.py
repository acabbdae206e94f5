"""What `wow bench run` can test: a model, alone or refined, and the two baselines that need none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wow.cli.bench import described, described_foundation, told, under_test
from wow.cli.imagine_foundation import card_of, is_foundation, open_agent
from wow.cli.refine import SearchSettings, corrector, critics_for, imaginer, searcher, team_of
from wow.types import UInt8, WowError

if TYPE_CHECKING:
    from wow.assembly import Actor, SamplingOptions
    from wow.bench.system import Asked, Imaginer

FIRST_FRAME, NEAREST, TRUTH = "first-frame", "nearest", "truth"
"""What is no model: the first frame repeated, the nearest training video, the true videos of the suite."""


@dataclass(frozen=True)
class ModelMaker:
    """Makes the model that is tested, in whichever process needs it. train_data: of the nearest training video.

    search: how each video is searched for; None for the first that is imagined.
    """

    model: str
    options: SamplingOptions
    train_data: Path | None = None
    search: SearchSettings | None = None

    def name(self) -> str:
        """What is tested, with a piece of its weights' hash. Raises WowError for a model that does not exist."""
        from wow.bench.system import RepeatFirstFrame

        if self.model == FIRST_FRAME:
            return RepeatFirstFrame.name
        if self.train_data is not None:
            from wow.bench.system import NearestTrainingVideo
            from wow.data import open_dataset

            data = open_dataset(self.train_data)
            return f"{NearestTrainingVideo.name} of {data.path.resolve().name}, {len(data)} episodes"
        from wow.assembly import checkpoint_folder, model_hash

        weights = model_hash(self.model)[:12]
        if is_foundation(self.model):
            name = described_foundation(card_of(self.model).name, weights, self.options)
        else:
            name = described(checkpoint_folder(self.model).name, weights, self.options)
        return name if self.search is None else f"{name}, {searched(self.search, self.model)}"

    def check(self) -> None:
        """Raises WowError where somebody who is to judge or to rewrite is not there."""
        if self.search is not None:
            self()

    def __call__(self) -> Imaginer:
        from wow.bench.system import RepeatFirstFrame

        if self.model == FIRST_FRAME:
            return RepeatFirstFrame()
        if self.train_data is not None:
            from wow.bench.system import NearestTrainingVideo
            from wow.data import open_dataset

            data = open_dataset(self.train_data)
            if not data.embodiment.cameras:
                raise WowError(f"{self.train_data} has no camera: name other training episodes")
            return NearestTrainingVideo(data, data.embodiment.cameras[0].name)
        agent = open_agent(self.model)
        tested: Imaginer = (
            under_test(agent, self.options, self.model)
            if self.search is None
            else RefinedModel(self.name(), agent, self.options, self.search)
        )
        # A foundation model fits pictures of any shape as its authors do.
        return tested if is_foundation(self.model) else SquareModel(tested, agent.size)


def searched(search: SearchSettings, model: str) -> str:
    """How a video is searched for, in words: results of two of these are never mixed."""
    critics = search.critic or critics_for(model)
    asked = {*critics.split(","), search.refiner} & {"vlm", "llm"}
    if asked:
        from wow.assembly import endpoint_from_environment

        asked = {endpoint_from_environment().model}
    who = ", ".join([f"judged by {critics}", f"rewritten by {search.refiner}", *asked])
    # A foundation model follows no actions: its motion cannot be corrected.
    moved = "" if is_foundation(model) else f"motion corrected {search.motion_corrections} times a prompt, "
    return f"refined over {search.samples} videos, {search.candidates} a round, {moved}{who}"


class RefinedModel:
    """SOPHIA around a model: of each picture and prompt, the video that a search comes to.

    Raises WowError where somebody who is to judge or to rewrite is not there.
    """

    def __init__(self, name: str, agent: Actor, options: SamplingOptions, search: SearchSettings) -> None:
        self.name = name
        self._agent, self._options, self._search = agent, options, search
        team_of(agent, search.critic, search.refiner, imaginer(agent, 2, options, None))

    def imagine(self, asked: Asked) -> list[UInt8]:
        """One search for each picture, with seeds that no other one has."""
        draw = imaginer(self._agent, asked.num_frames, self._options, None)
        correct = corrector(self._agent, asked.num_frames, self._options, None)
        found = []
        for place, (context, prompt) in enumerate(zip(asked.contexts, asked.prompts, strict=True)):
            search = searcher(self._agent, self._search, draw, told(self._agent, prompt) or "", correct)
            found.append(search(context, asked.seed + place).best.video.frames)
        return found


@dataclass(frozen=True)
class SquareModel:
    """A model that imagines squares of `side` pixels: it sees pictures squeezed into one; scoring stretches them."""

    tested: Imaginer
    side: int

    @property
    def name(self) -> str:
        return self.tested.name

    def imagine(self, asked: Asked) -> list[UInt8]:
        """Of each picture as a square."""
        from wow.bench.align import resized

        squares = [resized(context[None], (self.side, self.side))[0] for context in asked.contexts]
        return self.tested.imagine(replace(asked, contexts=squares))
