"""`wow train codec`: pictures to latents and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, ClassVar

from wow.cli.options import Summary
from wow.cli.progress import Progress
from wow.cli.train import OnDemonstrations, begin_with, train_part
from wow.train.codec import CodecRun, PaintedClips
from wow.train.recipes import CODEC_RECIPES
from wow.train.store import Clips
from wow.types import WowError


@dataclass(frozen=True, kw_only=True)
class TrainCodec(OnDemonstrations):
    """Train the codec: a picture to a latent and back, beside a clean picture of the same scene."""

    painter: str | None = None
    """A model whose transformer paints recorded motions for --config.painted, in the latents of --from."""
    recipes: ClassVar[Mapping[str, Callable[[], Any]]] = CODEC_RECIPES
    config: CodecRun = field(default_factory=CODEC_RECIPES["mini"])
    """The recipe's fields."""

    def run(self) -> Summary:
        from wow.train.codec import CodecObjective
        from wow.train.distributed import device, in_turn

        if bool(self.config.painted) != (self.painter is not None):
            raise WowError("--painter M and --config.painted SHARE go together: who paints, and how much of a batch")
        perceive = None
        if self.config.perceptual_weight > 0:
            from wow.bench.lpips import load_lpips

            perceive = load_lpips().to(device()).distance
        with in_turn():
            clips = self.clips()
            painted = None if self.painter is None else self._painted(self.painter, clips)
            objective = CodecObjective(self.config, clips, perceive, painted)
            for model in self.start_from:
                begin_with(objective.network, model, "codec")
        about = {"model": asdict(self.config.model), "size": int(clips.frames.shape[1])}
        return train_part(self, objective, self.config.train, "codec", about)

    def _painted(self, model: str, clips: Clips) -> PaintedClips:
        """Clips of the recordings that a model painted. Raises WowError where it paints other latents than --from's."""
        from wow import assembly
        from wow.train.export import as_checkpoint
        from wow.train.instructed import Instructed
        from wow.train.latents import codec_hash, encode_texts
        from wow.train.painted import paint_clips
        from wow.train.world import WorldRun

        if not self.start_from:
            raise WowError(f"{model} paints the latents that it was trained on: begin with them, --from {model}")
        painter, ours = assembly.load(model), assembly.checkpoint_folder(self.start_from[-1])
        begun = assembly.load_codec(as_checkpoint(ours))
        if codec_hash(painter.codec) != codec_hash(begun):
            raise WowError(f"{model} paints other latents than those of {ours}: name the model it was trained on")
        every_text = [text for texts in clips.texts for text in texts]
        with Progress("prepare", total=None) as progress:
            texts = encode_texts(painter.text, every_text, self.data[0] / ".cache", partial(progress.stage, "texts"))
            told = Instructed(clips, texts, painter.scale, WorldRun(), painter.max_frames)
            done = partial(progress.stage, "painted clips")
            count, seed = self.config.painted_clips, self.config.train.seed
            return paint_clips(told, painter.dit, painter.codec, count, seed, done)
