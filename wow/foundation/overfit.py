"""One clip learned by heart by a small network: proof that a family's loss and its sampler belong together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wow.foundation.card import Card
from wow.foundation.finetune import FineTuning, spread
from wow.foundation.finetune_loss import Example
from wow.foundation.fitting import fit_frames
from wow.foundation.miniature import random_network, small, small_pipeline
from wow.foundation.pipeline import FoundationOptions, FoundationWorldModel
from wow.types import UInt8, Video

OnStep = Callable[[int, float], None]


@dataclass(frozen=True)
class Rehearsal:
    """vae_steps, steps: of training. draws: noise levels in each step. rate: the highest learning rate of the network;
    it falls to zero. num_inference_steps: of the sampled video.
    """

    vae_steps: int = 400
    steps: int = 1500
    draws: int = 4
    rate: float = 2e-3
    num_inference_steps: int = 20
    seed: int = 0


@dataclass(frozen=True)
class Learned:
    """What came of it. losses: before and after, of the same draws. The rest in decibels against the clip as the
    network was shown it: the video sampled before and after, what the VAE alone restores of the clip, its first frame
    repeated.
    """

    loss_before: float
    loss_after: float
    psnr_before: float
    psnr_after: float
    psnr_of_vae: float
    psnr_of_first_frame: float
    clip: Video
    restored: Video
    sampled: Video


def overfit(
    card: Card, video: Video, prompt: str, plan: Rehearsal, on_step: OnStep = lambda step, loss: None
) -> Learned:
    """Trains a small random network of a model's structure on one clip, then samples it from the clip's first frame.

    The VAE is fitted to the clip first, since a random one shows nothing. The same plan gives the same numbers on the
    same machine. Raises WowError for a model that is neither of Wan's nor of Cosmos' families.
    """
    tiny = small(card)
    size = tiny.height, tiny.width
    frames, _ = fit_frames(tiny, spread(video.frames, tiny.frames.default), size)
    vae = random_network(tiny, "vae", seed=plan.seed)
    restored = fit_vae(vae, frames, plan.vae_steps, plan.seed)
    pipeline, words = small_pipeline(tiny, plan.seed, vae)
    tuning = FineTuning(tiny, pipeline, words)
    example = tuning.encode_clip(Video(frames, video.fps), prompt, size=size)
    model = FoundationWorldModel(tiny, lambda setting: pipeline, words)
    options = FoundationOptions(plan.num_inference_steps, guidance_scale=model.unguided, size=size)

    def sample() -> UInt8:
        return model.imagine(frames[:1], prompt, num_frames=len(frames), seed=plan.seed, options=options).frames

    def measured() -> float:
        with torch.no_grad():
            return float(np.mean([tuning.loss(example, torch.Generator().manual_seed(seed)) for seed in range(64)]))

    before, loss_before = sample(), measured()
    train(tuning, example, plan, on_step)
    after, loss_after = sample(), measured()
    return Learned(
        loss_before,
        loss_after,
        psnr(before, frames),
        psnr(after, frames),
        psnr(restored, frames),
        psnr(np.repeat(frames[:1], len(frames), 0), frames),
        Video(frames, video.fps),
        Video(restored, video.fps),
        Video(after, video.fps),
    )


def train(tuning: FineTuning, example: Example, plan: Rehearsal, on_step: OnStep) -> None:
    """Trains the network on one example; the learning rate falls from the plan's to zero along a cosine."""
    network = tuning.network.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.steps)
    generator = torch.Generator().manual_seed(plan.seed + 1)
    for step in range(plan.steps):
        total = 0.0
        for _ in range(plan.draws):
            loss = tuning.loss(example, generator) / plan.draws
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        on_step(step + 1, total)
    network.requires_grad_(False).eval()


def fit_vae(vae: Any, frames: UInt8, steps: int, seed: int) -> UInt8:
    """Teaches a random VAE one clip, states its latents' mean and deviation, and returns the clip as it restores it.

    frames: [T, H, W, 3]. A little noise on the latents keeps the decoder from hanging on their last digits.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1.0
    vae.requires_grad_(True).train()
    optimizer = torch.optim.Adam(vae.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        latents = vae.encode(pixels).latent_dist.mode()
        noise = torch.randn(latents.shape, generator=generator)
        restored = vae.decode(latents + 0.1 * noise).sample
        loss = torch.mean((restored - pixels) ** 2) + 0.01 * torch.mean((latents.std() - 1.0) ** 2)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    vae.requires_grad_(False).eval()
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode()
        restored = vae.decode(latents).sample[0]
    # Cosmos-Predict1 has a mean and a deviation for every latent frame, the others one for every channel.
    times = latents.shape[2] if "spatial_compression_ratio" in vae.config else 1
    mean, std = (
        values.repeat_interleave(times).tolist() for values in (latents.mean((0, 2, 3, 4)), latents.std((0, 2, 3, 4)))
    )
    vae.register_to_config(latents_mean=mean, latents_std=std)
    shown: UInt8 = ((restored.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 3, 0).numpy()
    return shown


def psnr(shown: UInt8, clip: UInt8) -> float:
    """Peak signal to noise ratio after the first frame [dB]: the first one is given."""
    error = float(np.mean((shown[1:].astype(np.float64) - clip[1:].astype(np.float64)) ** 2))
    return 10.0 * math.log10(255.0**2 / max(error, 1e-9))
