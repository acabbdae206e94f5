"""Flow and sampler against what is known exactly: the straight path and a perfect denoiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch

from wow.imagine.flow import interpolate, step_times, velocity
from wow.imagine.sampler import SamplingOptions, sample, sample_motion
from wow.models.dit import Conditions


def conditions(has_text: bool) -> Conditions:
    flag = torch.tensor([has_text])
    none = torch.tensor([False])
    return Conditions(
        text=torch.zeros(1, 1, 4), text_mask=torch.ones(1, 1, dtype=torch.bool), has_text=flag,
        motion=torch.full((1, 2, 7), 0.5), motion_time=torch.ones(1), seconds=torch.zeros(1), has_seconds=none,
    )  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """A denoiser that is known exactly: `clean` for the video, `motion` for the motion."""

    clean: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = lambda point, time: point
    motion: Callable[[Conditions], torch.Tensor] = lambda given: given.motion

    def __call__(self, noisy: torch.Tensor, time: torch.Tensor, given: Conditions) -> torch.Tensor:
        return self.clean(noisy, time)

    def plan(self, context: torch.Tensor, given: Conditions) -> torch.Tensor:
        return self.motion(given)


@pytest.fixture
def ends() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 3, 4, 2, 2, generator=generator), torch.randn(1, 3, 4, 2, 2, generator=generator)


def test_the_path_runs_from_clean_to_noise(ends: tuple[torch.Tensor, torch.Tensor]) -> None:
    clean, noise = ends
    assert torch.equal(interpolate(clean, noise, torch.zeros(1, 3)), clean)
    assert torch.equal(interpolate(clean, noise, torch.ones(1, 3)), noise)


@pytest.mark.parametrize("time", [0.1, 0.5, 0.9])
def test_velocity_is_noise_minus_clean_everywhere(ends: tuple[torch.Tensor, torch.Tensor], time: float) -> None:
    clean, noise = ends
    point = interpolate(clean, noise, torch.full((1, 3), time))
    assert torch.allclose(velocity(point, clean, time), noise - clean, atol=1e-5)


@pytest.mark.parametrize("shift", [1.0, 2.0, 5.0])
def test_times_fall_from_one_to_zero(shift: float) -> None:
    times = step_times(7, shift)
    assert times[0] == 1.0 and times[-1] == 0.0 and bool((times.diff() < 0).all())


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_a_perfect_denoiser_leads_back_to_the_clean_latent(ends: tuple[torch.Tensor, torch.Tensor], steps: int) -> None:
    clean, noise = ends
    options = SamplingOptions(num_inference_steps=steps, guidance_scale=1.0)
    drawn = sample(Answers(lambda point, time: clean), noise, clean[:, :1], conditions(False), options)
    assert torch.allclose(drawn, clean, atol=1e-5)


def test_euler_follows_the_known_flow_between_two_points(ends: tuple[torch.Tensor, torch.Tensor]) -> None:
    """For data that are one of two points, the posterior mean is known; many steps must end at one of them."""
    first = ends[0]
    second = -first

    def posterior_mean(point: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        at = max(float(time.max()), 1e-3)
        closeness = ((1 - at) * (point * first)[:, 1:].sum() * 2) / at**2
        share = torch.sigmoid(closeness)
        return share * first + (1 - share) * second

    options = SamplingOptions(num_inference_steps=200, guidance_scale=1.0, shift=1.0)
    drawn = sample(Answers(posterior_mean), ends[1], first[:, :1], conditions(False), options)[:, 1:]
    distance = min((drawn - first[:, 1:]).abs().max(), (drawn - second[:, 1:]).abs().max())
    assert distance < 1e-2


def test_context_frames_come_back_untouched(ends: tuple[torch.Tensor, torch.Tensor]) -> None:
    clean, noise = ends
    drawn = sample(Answers(lambda p, t: p * 0.5), noise, clean[:, :2], conditions(True), SamplingOptions())
    assert torch.equal(drawn[:, :2], clean[:, :2])


def test_the_network_is_told_that_context_is_clean(ends: tuple[torch.Tensor, torch.Tensor]) -> None:
    clean, noise = ends
    times = []

    def watch(point: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        times.append(time.clone())
        return point

    sample(Answers(watch), noise, clean[:, :1], conditions(False), SamplingOptions(num_inference_steps=3))
    assert all(float(time[0, 0]) == 0.0 for time in times) and float(times[0][0, 1]) == 1.0


@pytest.mark.parametrize("steps", [1, 4, 50])
def test_a_perfect_denoiser_leads_back_to_the_motion(ends: tuple[torch.Tensor, torch.Tensor], steps: int) -> None:
    clean, _ = ends
    truth = torch.randn(1, 2, 7, generator=torch.Generator().manual_seed(1))
    options = SamplingOptions(num_planning_steps=steps, guidance_scale=1.0)
    drawn = sample_motion(Answers(motion=lambda given: truth), clean[:, :1], conditions(True), options)
    assert torch.allclose(drawn.motion, truth, atol=1e-5) and float(drawn.motion_time) == 0.0


def test_a_given_motion_is_never_drawn_anew(ends: tuple[torch.Tensor, torch.Tensor]) -> None:
    clean, _ = ends
    given = replace(conditions(True), motion_time=torch.zeros(1))
    wrong = Answers(motion=lambda given: given.motion + 9.0)
    assert torch.equal(sample_motion(wrong, clean[:, :1], given, SamplingOptions()).motion, given.motion)


def test_guidance_moves_the_motion_away_from_the_answer_without_text(
    ends: tuple[torch.Tensor, torch.Tensor],
) -> None:
    clean, _ = ends
    answer = Answers(motion=lambda given: given.has_text.float()[:, None, None].expand_as(given.motion))
    options = SamplingOptions(num_planning_steps=1, guidance_scale=3.0)
    drawn = sample_motion(answer, clean[:, :1], conditions(True), options)
    assert torch.allclose(drawn.motion, torch.full_like(drawn.motion, 3.0))


def test_as_many_planning_steps_are_taken_as_are_asked_for(ends: tuple[torch.Tensor, torch.Tensor]) -> None:
    levels: list[float] = []

    def watch(given: Conditions) -> torch.Tensor:
        levels.append(float(given.motion_time))
        return torch.zeros_like(given.motion)

    sample_motion(Answers(motion=watch), ends[0][:, :1], conditions(True), SamplingOptions(9, 3))
    assert len(levels) == 3 and levels[0] == 1.0 and levels == sorted(levels, reverse=True)


def test_one_step_takes_the_guess_and_more_move_it_as_the_denoiser_would(
    ends: tuple[torch.Tensor, torch.Tensor],
) -> None:
    clean, _ = ends
    guess, asked = torch.full((1, 2, 7), 4.0), []

    def answer(given: Conditions) -> torch.Tensor:
        asked.append(float(given.motion_time))
        return torch.full_like(given.motion, 1.0 if len(asked) == 1 else 3.0)

    def drawn(steps: int, given: Conditions) -> torch.Tensor:
        options = SamplingOptions(4, steps)
        return sample_motion(Answers(motion=answer), clean[:, :1], given, options, guess=guess).motion

    assert torch.equal(drawn(1, conditions(True)), guess) and not asked
    # Its own mean is 1, what it draws ends at 3.
    assert torch.allclose(drawn(3, conditions(True)), guess + 2.0) and len(asked) == 3
    given = replace(conditions(True), motion_time=torch.zeros(1))
    assert torch.equal(drawn(1, given), given.motion) and torch.equal(drawn(3, given), given.motion)
