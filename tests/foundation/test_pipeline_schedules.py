"""The samplers are the published ones: levels, steps, and where they lead."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")

from wow.foundation.cards import CARDS
from wow.foundation.cosmos_predict2 import Given, denoise, descend
from wow.foundation.schedules import ShiftedEuler, karras_sigmas, scheduler_of, towards


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_wows_wan_steps_are_even_shifted_and_end_at_zero(steps: int) -> None:
    scheduler = ShiftedEuler(shift=5.0)
    scheduler.set_timesteps(steps)
    even = np.linspace(1, 0, steps + 1)
    assert np.allclose(scheduler.sigmas.numpy(), 5 * even / (1 + 4 * even), atol=1e-6)
    assert np.allclose(scheduler.timesteps.numpy(), 1000 * scheduler.sigmas[:-1].numpy(), rtol=1e-5)


def test_wans_own_steps_are_those_of_its_unipc() -> None:
    scheduler = scheduler_of(CARDS["wan2.1-i2v-14b-480p"].sampler, 3.0)
    scheduler.set_timesteps(40)
    even = np.linspace(0.999, 0, 41)
    assert np.allclose(scheduler.sigmas.numpy(), 3 * even / (1 + 2 * even), atol=1e-5)


def test_cosmos_levels_run_from_80_to_0_002() -> None:
    sigmas = karras_sigmas(35)
    assert len(sigmas) == 36 and sigmas[0] == pytest.approx(80) and sigmas[-1] == pytest.approx(0.002)
    roots = np.diff(np.array(sigmas) ** (1 / 7))
    assert np.allclose(roots, roots[0])


def test_edm_levels_of_the_7b_are_those_of_its_authors() -> None:
    scheduler = scheduler_of(CARDS["wow-1-dit-7b-600k"].sampler, None)
    scheduler.set_timesteps(35)
    assert scheduler.sigmas[0] == pytest.approx(80.0) and scheduler.sigmas[-1] == 0.0
    assert scheduler.sigmas[-2] == pytest.approx(0.0002, rel=1e-3) and scheduler.config.sigma_data == 0.5


def test_velocity_guidance_and_schedulers_of_the_others() -> None:
    svd = scheduler_of(CARDS["svd-xt"].sampler, None)
    svd.set_timesteps(25)
    assert float(svd.sigmas[0]) == pytest.approx(700.0, rel=1e-3) and svd.config.prediction_type == "v_prediction"
    cog = scheduler_of(CARDS["cogvideox-5b-i2v"].sampler, None)
    cog.set_timesteps(50)
    assert int(cog.timesteps[0]) == 999 and float(cog.alphas_cumprod[-1]) == pytest.approx(0.0, abs=1e-6)


def test_two_step_rule_is_exact_where_the_estimate_is_linear_in_log_sigma() -> None:
    """dx/dl = x0(l) - x with l = -log sigma and x0 = a + b l has the solution x0(l) - b + c exp(-l)."""
    a, b, c = 0.7, -1.3, 2.0

    def clean(level: float) -> float:
        return a + b * level

    def point(level: float) -> float:
        return clean(level) - b + c * math.exp(-level)

    levels = [-math.log(sigma) for sigma in (9.0, 4.0, 1.5)]
    values = [
        torch.tensor([function(levels[place])], dtype=torch.float64)
        for function, place in ((point, 1), (clean, 1), (clean, 0))
    ]
    ahead = towards(*values, (9.0, 4.0, 1.5))  # type: ignore[arg-type]
    assert float(ahead) == pytest.approx(point(levels[2]), abs=1e-12)


def test_the_first_step_is_eulers() -> None:
    point, clean = torch.randn(5), torch.randn(5)
    after = towards(point, clean, None, (None, 4.0, 1.0))
    assert torch.allclose(after, clean + 0.25 * (point - clean), atol=1e-6)


def test_the_true_estimate_leads_to_the_clean_latent_and_is_taken_last() -> None:
    truth = torch.randn(1, 2, 3)
    calls: list[float] = []

    def clean(point: torch.Tensor, sigma: float) -> torch.Tensor:
        calls.append(sigma)
        return truth

    sigmas = karras_sigmas(4)
    assert torch.equal(descend(clean, 80 * torch.randn(1, 2, 3), sigmas), truth)
    assert calls == sigmas


def test_preconditioning_of_cosmos_predict2() -> None:
    """With c_skip = 1 - t and c_out = -t, a network that says noise - clean leads to the clean latent."""
    clean, noise, sigma = torch.randn(1, 16, 3, 4, 4), torch.randn(1, 16, 3, 4, 4), 3.0
    seen: dict[str, torch.Tensor] = {}

    class Oracle:
        dtype = torch.float32

        def __call__(self, **inputs: torch.Tensor) -> tuple[torch.Tensor]:
            seen.update(inputs)
            return (noise - clean,)

    mask = torch.zeros(1, 1, 3, 1, 1)
    mask[:, :, 0] = 1
    kept = torch.zeros_like(clean)
    kept[:, :, 0] = 7.0
    given = Given(kept, mask)
    estimate = denoise(Oracle(), clean + sigma * noise, sigma, given, torch.zeros(1, 2, 4))
    assert torch.allclose(estimate[:, :, 1:], clean[:, :, 1:], atol=1e-5) and bool((estimate[:, :, 0] == 7).all())
    time = sigma / (1 + sigma)
    assert torch.allclose(seen["hidden_states"][:, :, 1:], ((1 - time) * clean + time * noise)[:, :, 1:], atol=1e-5)
    assert torch.allclose(seen["timestep"].flatten(), torch.tensor([1e-4 / (1 + 1e-4), time, time]))
    assert seen["fps"] is None and bool((seen["condition_mask"][:, :, 1:] == 0).all())
