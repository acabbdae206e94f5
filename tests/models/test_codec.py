"""The codec on small random weights: what must hold whatever it has learned."""

from __future__ import annotations

import pytest
import torch

from wow.models.codec import Codec, CodecConfig


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    return Codec(CodecConfig(latent_channels=4, channels=(8, 8, 16))).eval()


def test_a_latent_is_a_sixteenth_of_the_picture(codec: Codec) -> None:
    assert codec.encode(torch.zeros(2, 3, 64, 96)).shape == (2, 4, 4, 6)


def test_frames_are_decoded_independently(codec: Codec) -> None:
    latent, context = torch.randn(1, 3, 4, 4, 4), torch.randn(1, 3, 64, 64)
    together = codec.decode(latent, context)
    alone = torch.cat([codec.decode(latent[:, i : i + 1], context) for i in range(3)], dim=1)
    assert torch.allclose(together, alone, atol=1e-5)


def test_each_clip_is_painted_over_its_own_context(codec: Codec) -> None:
    latent, context = torch.randn(2, 2, 4, 4, 4), torch.randn(2, 3, 64, 64)
    swapped = codec.decode(latent.flip(0), context.flip(0)).flip(0)
    assert torch.allclose(codec.decode(latent, context), swapped, atol=1e-5)


def test_training_makes_latents_of_unit_variance(codec: Codec) -> None:
    training = Codec(codec.config).train()
    latent = training.encode(torch.rand(8, 3, 64, 64) * 2 - 1)
    assert torch.allclose(latent.mean(dim=(0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(latent.var(dim=(0, 2, 3), unbiased=False), torch.ones(4), atol=1e-2)


def test_a_few_steps_learn_to_paint_a_moving_square() -> None:
    """A square moves over a noisy background: after some steps the codec beats copying the context."""
    torch.manual_seed(0)
    codec = Codec(CodecConfig(latent_channels=8, channels=(16, 16, 32))).train()
    optimizer = torch.optim.Adam(codec.parameters(), lr=3e-3)
    background = torch.rand(1, 3, 32, 32) * 2 - 1
    for _ in range(60):
        pictures = background.repeat(8, 2, 1, 1, 1).reshape(8, 2, 3, 32, 32).clone()
        for clip in range(8):
            x, y = torch.randint(0, 24, (2,)).tolist()
            pictures[clip, 1, :, y : y + 8, x : x + 8] = 1.0
        painted, _ = codec(pictures[:, 1:], pictures[:, 0])
        loss = (painted - pictures[:, 1:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    static = (pictures[:, :1] - pictures[:, 1:]).square().mean()
    assert loss < 0.5 * static
