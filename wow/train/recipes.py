"""Named runs. A run is a function, a sentence and a difference from another run; the command line overrides fields.

The package holds at most 64 MB of weights: with a GPU the same models are trained longer, not larger ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from wow.models.codec import CodecConfig
from wow.models.dit import DiTConfig
from wow.models.faults import FaultConfig
from wow.models.idm import IdmConfig
from wow.models.outcome import OutcomeConfig
from wow.models.policy import PolicyConfig
from wow.train.codec import CodecRun
from wow.train.faults import FaultRun
from wow.train.idm_run import IdmRun
from wow.train.loop import TrainConfig
from wow.train.outcome import OutcomeRun
from wow.train.policy import PolicyRun
from wow.train.world import WorldRun
from wow.types import WowError

Run = TypeVar("Run")


def codec_mini() -> CodecRun:
    """The codec of wow-mini: 128 px, 3.9M parameters, an hour on two CPU cores."""
    return CodecRun(
        model=CodecConfig(),
        train=TrainConfig(steps=16_000, batch_size=16, learning_rate=1e-3, weight_decay=1e-4, preview_every=500),
    )


def codec_gpu() -> CodecRun:
    """The same codec for one data-centre GPU: larger pieces of pictures and more of them, ten minutes."""
    mini = codec_mini()
    return replace(mini, train=replace(mini.train, steps=20_000, batch_size=128), crop=96)


def codec_smoke() -> CodecRun:
    """A codec of a few thousand parameters, for tests."""
    return CodecRun(
        model=CodecConfig(latent_channels=8, channels=(8, 8, 16)),
        train=TrainConfig(steps=20, batch_size=2, preview_every=10, log_every=5),
        crop=32,
        targets=2,
    )


def world_mini() -> WorldRun:
    """The world model of wow-mini: 17 frames, 7M parameters, some hours on two CPU cores."""
    return WorldRun(
        model=DiTConfig(draft_width=96, draft_memory=128, draft_links=5),
        train=TrainConfig(
            steps=40_000, batch_size=16, learning_rate=8e-4, matrix_learning_rate=0.02, preview_every=1_000
        ),
    )


def world_gpu() -> WorldRun:
    """The same transformer for one data-centre GPU: sixteen times the clips a step, twenty minutes."""
    mini = world_mini()
    return replace(
        mini,
        train=replace(mini.train, steps=60_000, batch_size=256, learning_rate=1e-3, warmup_steps=1_000, loaders=12),
    )


def world_smoke() -> WorldRun:
    """A transformer of a few thousand parameters, for tests."""
    return WorldRun(
        model=DiTConfig(
            latent_channels=8,
            width=32,
            depth=2,
            num_heads=2,
            num_frames=5,
            head_width=16,
            head_blocks=1,
            draft_width=16,
            draft_blocks=1,
            draft_memory=8,
            draft_links=5,
        ),
        train=TrainConfig(steps=20, batch_size=2, matrix_learning_rate=0.02, preview_every=10, log_every=5),
    )


def draft_mini() -> WorldRun:
    """The drafter of wow-mini alone: 0.7M parameters, twenty minutes on two CPU cores."""
    mini = world_mini()
    train = replace(mini.train, steps=2_000, batch_size=24, learning_rate=2e-3, matrix_learning_rate=0.0)
    return replace(mini, train=replace(train, warmup_steps=50, average_decay=0.996, preview_every=500))


def draft_gpu() -> WorldRun:
    """The same for one data-centre GPU, five minutes."""
    mini = draft_mini()
    return replace(mini, train=replace(mini.train, steps=20_000, batch_size=256, warmup_steps=200, loaders=12))


def draft_smoke() -> WorldRun:
    """A drafter of a few thousand parameters, for tests."""
    smoke = world_smoke()
    return replace(smoke, train=replace(smoke.train, learning_rate=4e-3, matrix_learning_rate=0.0))


def policy_mini() -> PolicyRun:
    """The policy of wow-mini: 2.3M parameters, three quarters of an hour on two CPU cores."""
    return PolicyRun(
        model=PolicyConfig(),
        train=TrainConfig(steps=8_000, batch_size=48, learning_rate=1e-3, warmup_steps=100, average_decay=0.998),
    )


def policy_gpu() -> PolicyRun:
    """The same policy for one data-centre GPU, ten minutes."""
    mini = policy_mini()
    return replace(mini, train=replace(mini.train, steps=20_000, batch_size=512, warmup_steps=500, loaders=14))


def policy_clone() -> PolicyRun:
    """The baseline of behaviour cloning: as many parameters as all that wow-mini trains together, 19.6M."""
    mini = policy_mini()
    return replace(mini, model=PolicyConfig(channels=(96, 256, 512), width=384, hidden=1536))


def policy_words() -> PolicyRun:
    """A trained policy (--from) learns what else people say, without pictures: a minute on two CPU cores."""
    train = TrainConfig(steps=1_000, batch_size=256, learning_rate=1e-3, warmup_steps=20, average_decay=0.99)
    return PolicyRun(train=replace(train, preview_every=250), lost_words=0.2, words_alone=True)


def policy_smoke() -> PolicyRun:
    """A few ten thousand parameters, for tests."""
    model = PolicyConfig(channels=(8, 16, 16), points=(4, 8, 8), glance=4, width=32, hidden=64)
    return PolicyRun(model, TrainConfig(steps=20, batch_size=4, learning_rate=4e-3, warmup_steps=5, preview_every=10))


def idm_mini() -> IdmRun:
    """The inverse dynamics model of wow-mini: FM-IDM with a window and errors, 5M parameters, an hour on two cores."""
    return IdmRun(
        model=IdmConfig(),
        train=TrainConfig(steps=5_000, batch_size=16, learning_rate=1.5e-3, preview_every=500, average_decay=0.998),
    )


def idm_gpu() -> IdmRun:
    """The same model for one data-centre GPU: more clips a step and more steps, fifteen minutes."""
    mini = idm_mini()
    return replace(
        mini,
        train=replace(mini.train, steps=20_000, batch_size=96, learning_rate=2e-3, warmup_steps=1_000, loaders=14),
        labelled=64,
    )


def idm_smoke() -> IdmRun:
    """Some ten thousand parameters, for tests."""
    return IdmRun(
        model=IdmConfig(channels=(8, 16, 16), width=64, hidden=64),
        train=TrainConfig(steps=20, batch_size=4, learning_rate=4e-3, warmup_steps=5, preview_every=10, log_every=5),
        frames=5,
        labelled=2,
        measured=10,
    )


def idm_resnet() -> IdmRun:
    """Ablation, as many parameters: a residual network sees two whole frames and says the action, no more."""
    blind = IdmConfig(branches=("two_frames",), window=False, uncertain=False, absolute=False, masks=False)
    return replace(idm_mini(), model=replace(blind, channels=(64, 128, 256), hidden=1184), labelled=0)


def idm_mask() -> IdmRun:
    """Ablation, as many parameters: frames cut to the robot alone."""
    return replace(idm_mini(), model=IdmConfig(branches=("mask",), channels=(48, 96, 192), hidden=1040))


def idm_flow() -> IdmRun:
    """Ablation, as many parameters: optical flow alone."""
    model = IdmConfig(branches=("flow",), masks=False, channels=(48, 96, 192), hidden=1200)
    return replace(idm_mini(), model=model, labelled=0)


def idm_released() -> IdmRun:
    """WoW's released baseline at equal size: frozen features of two frames and point tracks into one MLP, by MSE."""
    blind = IdmConfig(branches=("frozen", "tracks"), window=False, uncertain=False, absolute=False, masks=False)
    return replace(idm_mini(), model=replace(blind, hidden=1175), labelled=0, loss="squared")


def idm_certain() -> IdmRun:
    """Ablation: all branches, without predicted errors: every step and every place counts the same."""
    mini = idm_mini()
    return replace(mini, model=replace(mini.model, uncertain=False))


def outcome_mini() -> OutcomeRun:
    """The outcome network of wow-mini: 0.1M parameters, minutes on two CPU cores."""
    return OutcomeRun(
        train=TrainConfig(
            steps=1_000,
            batch_size=256,
            learning_rate=2e-3,
            warmup_steps=50,
            weight_decay=0.1,
            average_decay=0.99,
            preview_every=250,
        )
    )


def outcome_smoke() -> OutcomeRun:
    """A few thousand parameters, for tests."""
    return OutcomeRun(
        model=OutcomeConfig(width=8, blocks=1, told=4),
        train=TrainConfig(steps=20, batch_size=8, learning_rate=4e-3, warmup_steps=5, preview_every=10, log_every=5),
        hold_out=3,
    )


def faults_mini() -> FaultRun:
    """The fault network of wow-mini: 0.5M parameters, fifty minutes on two slow CPU cores."""
    return FaultRun(
        train=TrainConfig(
            steps=1_600, batch_size=16, learning_rate=2e-3, warmup_steps=60, weight_decay=0.02, average_decay=0.99
        )
    )


def faults_gpu() -> FaultRun:
    """The same network for one data-centre GPU, ten minutes."""
    mini = faults_mini()
    return replace(mini, train=replace(mini.train, steps=10_000, batch_size=96, warmup_steps=300, loaders=14))


def faults_smoke() -> FaultRun:
    """A few ten thousand parameters, for tests."""
    return FaultRun(
        model=FaultConfig(channels=(8, 8, 16), width=16, depth=1, num_heads=2, num_frames=9),
        train=TrainConfig(steps=20, batch_size=4, learning_rate=4e-3, warmup_steps=5, preview_every=10, log_every=5),
        measured=10,
    )


CODEC_RECIPES: dict[str, Callable[[], CodecRun]] = {"mini": codec_mini, "gpu": codec_gpu, "smoke": codec_smoke}
DRAFT_RECIPES: dict[str, Callable[[], WorldRun]] = {"mini": draft_mini, "gpu": draft_gpu, "smoke": draft_smoke}
WORLD_RECIPES: dict[str, Callable[[], WorldRun]] = {"mini": world_mini, "gpu": world_gpu, "smoke": world_smoke}

POLICY_RECIPES: dict[str, Callable[[], PolicyRun]] = {
    "mini": policy_mini,
    "gpu": policy_gpu,
    "clone": policy_clone,
    "words": policy_words,
    "smoke": policy_smoke,
}

FAULT_RECIPES: dict[str, Callable[[], FaultRun]] = {"mini": faults_mini, "gpu": faults_gpu, "smoke": faults_smoke}

OUTCOME_RECIPES: dict[str, Callable[[], OutcomeRun]] = {"mini": outcome_mini, "smoke": outcome_smoke}

IDM_RECIPES: dict[str, Callable[[], IdmRun]] = {
    "mini": idm_mini,
    "gpu": idm_gpu,
    "smoke": idm_smoke,
    "resnet": idm_resnet,
    "mask": idm_mask,
    "flow": idm_flow,
    "certain": idm_certain,
    "released": idm_released,
}


def find_recipe(recipes: Mapping[str, Callable[[], Run]], name: str) -> Run:
    """The recipe of that name. Raises WowError naming the ones there are."""
    if name not in recipes:
        raise WowError(f"no recipe named {name!r}: choose one of {', '.join(recipes)}")
    return recipes[name]()
