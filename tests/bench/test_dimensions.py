"""The metrics: equal to independent calculations where there are any, and right about videos whose faults are known."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import linalg

from tests.bench.suites import FRAMES, SIDE, crossing
from wow.bench import paths, plans
from wow.bench.dimensions import contract as c
from wow.bench.dimensions.drift import drift
from wow.bench.dimensions.fvd import frechet_distance
from wow.bench.dimensions.regional import consistency
from wow.bench.dimensions.registry import METRICS, chosen_metrics, measure
from wow.bench.dimensions.sensitivity import sensitivity
from wow.bench.dimensions.trajectories import path_of
from wow.bench.suite import Meta, Sample
from wow.bench.tracking import camera_path, centre_path, follow
from wow.types import Float32, UInt8, Video, WowError

Array = NDArray[np.float64]
GENERATOR = np.random.default_rng(0)
NOWHERE = Path("nowhere")
SAMPLE = Sample("a", NOWHERE, NOWHERE, "push the square", None, meta=Meta(plan=("reach: square", "push: square")))


def case_of(video: UInt8, truth: UInt8 | None, seed: int = 0) -> c.Case:
    """A case of the suite's square, with its exact masks."""
    masks = crossing(seed)[1]
    return c.Case(SAMPLE, video, 8.0, truth, masks[0], masks)


# ---- paths, against brute force ----


def ways(length: int) -> list[list[tuple[int, int]]]:
    """All monotone ways through a square of pairs, by enumeration."""
    found = []
    for moves in product([(1, 0), (0, 1), (1, 1)], repeat=2 * (length - 1)):
        way = [(0, 0)]
        for move in moves:
            if way[-1] == (length - 1, length - 1):
                break
            way.append((way[-1][0] + move[0], way[-1][1] + move[1]))
        if way[-1] == (length - 1, length - 1) and way not in found:
            found.append(way)
    return found


WAYS = ways(4)


@pytest.mark.parametrize("seed", range(5))
def test_dtw_and_frechet_agree_with_brute_force(seed: int) -> None:
    one, other = np.random.default_rng(seed).uniform(size=(2, 4, 2))
    distance = [[math.dist(a, b) for b in other] for a in one]
    sums = min(sum(distance[i][j] for i, j in way) for way in WAYS)
    leash = min(max(distance[i][j] for i, j in way) for way in WAYS)
    assert len(WAYS) == 63, "Delannoy's number of ways through four by four"
    assert paths.dtw(one, other) == pytest.approx(sums, abs=1e-12)
    assert paths.frechet(one, other) == pytest.approx(leash, abs=1e-12)


def test_path_distances_by_hand() -> None:
    straight = np.stack([np.linspace(0, 1, 5), np.zeros(5)], axis=1)
    beside = straight + np.array([0.0, 0.25])
    assert paths.path_l2(straight, beside) == pytest.approx(0.25)
    assert paths.frechet(straight, beside) == pytest.approx(0.25)
    assert paths.absolute_error(straight, beside) == pytest.approx(0.0), "a path is taken from where it begins"
    assert paths.relative_error(straight, 2 * straight) == pytest.approx(0.25)
    assert paths.path_l2(straight, straight[::2]) == pytest.approx(0.0), "the longer one is thinned"


# ---- pictures and clouds, against other people's code ----


@pytest.mark.parametrize("noise", [0.0, 12.0, 80.0])
@pytest.mark.parametrize("size", [(32, 32), (11, 40), (48, 37)])
def test_psnr_and_ssim_agree_with_scikit_image(size: tuple[int, int], noise: float) -> None:
    pytest.importorskip("skimage")
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    truth = cv2.resize(crossing(0)[0].transpose(1, 2, 0, 3).reshape(SIDE, SIDE, -1), size[::-1])
    truth = truth.reshape(*size, FRAMES, 3).transpose(2, 0, 1, 3)
    video = np.clip(truth + GENERATOR.normal(0, noise, truth.shape), 0, 255).astype(np.uint8)
    case = case_of(video, truth)
    pairs = list(zip(video[1:], truth[1:], strict=True))
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    alike = np.mean([structural_similarity(a, b, data_range=255, **window) for a, b in pairs])  # type: ignore[no-untyped-call]
    assert measure(METRICS["ssim"], case, c.Tools()).value == pytest.approx(alike, abs=1e-6)
    if noise:
        decibel = np.mean([peak_signal_noise_ratio(b, a, data_range=255) for a, b in pairs])  # type: ignore[no-untyped-call]
        assert measure(METRICS["psnr"], case, c.Tools()).value == pytest.approx(decibel, abs=1e-4)


def test_no_metric_needs_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    truth = crossing(0)[0]
    assert measure(METRICS["ssim"], case_of(truth, truth), c.Tools()).value == pytest.approx(1.0)


def needs_a_package(*_: object) -> float:
    import no_such_package  # type: ignore[import-not-found]

    return float(no_such_package.value)


def is_confused(*_: object) -> float:
    cv2.resize(np.zeros((0, 0), np.uint8), (3, 3))
    return 0.0


def divides_by_nothing(*_: object) -> float:
    return 1.0 / len(())


@pytest.mark.parametrize("fault", [needs_a_package, is_confused, divides_by_nothing])
def test_what_goes_wrong_inside_a_metric_costs_that_metric_alone(fault: Callable[..., float]) -> None:
    found = measure(replace(METRICS["psnr"], measure=fault), case_of(crossing(0)[0], crossing(0)[0]), c.Tools())
    assert found.value is None and "could not be computed" in found.why and "\n" not in found.why


@pytest.mark.parametrize(("count", "width"), [(40, 6), (5, 12), (2, 3)])
def test_fvd_agrees_with_the_matrix_root_of_scipy(count: int, width: int) -> None:
    """Also where there are fewer videos than dimensions, where scipy's root is the less exact of the two."""
    one = GENERATOR.normal(size=(count, width))
    other = GENERATOR.normal(1.0, 2.0, size=(count + 1, width))
    s1, s2 = (np.atleast_2d(np.cov(cloud, rowvar=False)) for cloud in (one, other))
    root = np.real(linalg.sqrtm(s1 @ s2 + 1e-12 * np.eye(width)))
    expected = np.square(one.mean(0) - other.mean(0)).sum() + np.trace(s1 + s2 - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-4)
    assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-9)


def test_fvd_of_one_video_is_not_measurable() -> None:
    with pytest.raises(c.NotMeasurable, match="two samples"):
        frechet_distance(np.zeros((1, 4)), np.zeros((1, 4)))


# ---- regions and cameras ----


def test_a_region_is_followed_within_a_pixel() -> None:
    frames, masks = crossing(0, speed=1.0)
    followed = follow(frames, masks[0])
    error = np.abs(centre_path(followed == 2) - centre_path(masks == 2)).max() * SIDE
    assert error < 1.0


def test_a_region_that_is_gone_stays_where_it_was_seen() -> None:
    masks = np.zeros((3, 10, 10), bool)
    masks[0, 4:6, 4:6] = True
    assert centre_path(masks).tolist() == [[0.5, 0.5]] * 3


def test_a_camera_that_pans_is_seen_to_pan() -> None:
    """The picture's content goes left by two pixels a frame: the camera goes right by two of 64."""
    noise = np.random.default_rng(1).integers(0, 255, (16, 24, 3), dtype=np.uint8)
    wide = noise.repeat(6, axis=0).repeat(6, axis=1)
    frames = np.stack([wide[:64, 2 * index : 2 * index + 64] for index in range(6)])
    path = camera_path(frames)
    assert path[-1] == pytest.approx([5 * 2 / 64, 0.0], abs=0.01)
    assert camera_path(np.repeat(frames[:1], 4, axis=0)) == pytest.approx(np.zeros((4, 2)), abs=1e-6)


def test_what_stands_still_under_a_camera_that_pans_has_a_path_that_stands_still() -> None:
    """A crop that goes over a picture: the picture's parts move in it, and not in the world."""
    noise = np.random.default_rng(1).integers(0, 120, (16, 28, 3), dtype=np.uint8)
    wide = noise.repeat(6, axis=0).repeat(6, axis=1)
    wide[26:36, 40:50] = (250, 200, 40)
    frames = np.stack([wide[:64, 3 * index : 3 * index + 64] for index in range(7)])
    regions = np.zeros((64, 64), np.uint8)
    regions[26:36, 40:50] = 1
    case = c.Case(SAMPLE, frames, 8.0, frames, regions)
    seen = case.path(c.VIDEO, "robot")
    assert seen[0, 0] - seen[-1, 0] == pytest.approx(6 * 3 / 64, abs=0.015), "in the picture it goes left"
    assert np.abs(np.diff(path_of(case, c.VIDEO, "robot"), axis=0)).max() < 0.01
    assert np.ptp(path_of(case, c.VIDEO, "robot"), axis=0).max() < 0.02


def test_regional_consistency_by_hand() -> None:
    """One patch inside the region turns by 60 degrees at the third frame; what is outside does not count."""
    patches = np.zeros((3, 2, 2, 2), np.float32)
    patches[:2, 0, 0], patches[2, 0, 0] = (2.0, 0.0), (1.0, math.sqrt(3))
    patches[:, 1, 1] = GENERATOR.normal(size=(3, 2))
    masks = np.zeros((3, 8, 8), bool)
    masks[:, :4, :4] = True
    assert consistency(patches, masks) == pytest.approx((1.0 + 0.5) / 2, abs=1e-6)
    masks[1] = False
    assert consistency(patches, masks) == pytest.approx((0.0 + (0.5 + 0.0) / 2) / 2, abs=1e-6), "0 where it is empty"


# ---- plans ----


def steps(*skills: str) -> list[plans.Node]:
    return [plans.Node(skill, "cup") for skill in skills]


def test_plan_scores_by_hand() -> None:
    graph = plans.chain(steps("reach", "grasp", "lift", "place"))
    assert plans.score_plan(graph, steps("reach", "grasp", "lift", "place")).plan == 100.0
    swapped = plans.score_plan(graph, steps("grasp", "reach", "lift", "wave"))
    assert (swapped.recall, swapped.order, swapped.precision) == (0.75, 0.5, 0.75)
    assert swapped.plan == pytest.approx(100 * (0.5 * 0.75 + 0.5 * 0.5) * 0.75)
    assert plans.score_plan(graph, []).plan == 0.0
    assert plans.long_horizon(plans.node_correctness(graph, steps("lift")), 0.5) == pytest.approx(37.5)


def test_steps_that_do_not_wait_for_each_other_may_swap() -> None:
    nodes = tuple(steps("left", "right", "join"))
    graph = plans.PlanGraph(nodes, ((0, 2), (1, 2)))
    assert plans.score_plan(graph, steps("right", "left", "join")).plan == 100.0
    assert plans.score_plan(graph, steps("join", "left", "right")).order == pytest.approx(2 / 3)


def test_a_step_is_matched_once_and_articles_do_not_matter() -> None:
    graph = plans.chain([plans.Node("Push", "the red block")])
    assert plans.matches(graph, [plans.Node("push", "Red block"), plans.Node("push", "red block")]) == [0]


def test_plans_that_cannot_be_followed_are_refused() -> None:
    with pytest.raises(WowError, match="circle"):
        plans.PlanGraph(tuple(steps("a", "b")), ((0, 1), (1, 0)))
    with pytest.raises(WowError, match="names another"):
        plans.PlanGraph(tuple(steps("a")), ((0, 3),))


# ---- what each metric sees ----


@dataclass(frozen=True)
class Colours:
    """An encoder that sees the mean colour of each quarter of the picture."""

    name: str = "colours"

    def patches(self, frames: UInt8) -> Float32:
        half = SIDE // 2
        return frames.reshape(len(frames), 2, half, 2, half, 3).mean(axis=(2, 4)).astype(np.float32) - 60.0

    def pooled(self, frames: UInt8) -> Float32:
        return self.patches(frames).reshape(len(frames), -1)


TOOLS = c.Tools(
    perceptual=lambda one, other: np.abs(one.astype(np.float32) - other).mean(axis=(1, 2, 3)) / 255,
    dino=Colours(),
    alexnet=Colours(),
)


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if c.JUDGE not in metric.needs])
def test_the_truth_itself_is_at_the_ceiling_of_every_metric(name: str) -> None:
    metric, truth = METRICS[name], crossing(0)[0]
    found = measure(metric, case_of(truth, truth), TOOLS)
    if found.value is None:
        assert found.why
        return
    best = metric.high if metric.higher_is_better else max(metric.low, 0.0)
    if "consistency" in name:
        assert found.value > 0.8, "it is about the video alone, in which things do move"
    else:
        assert found.value == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    "name", ["psnr", "ssim", "lpips", "object_path_l2", "object_path_dtw", "object_path_frechet", "small_object_error"]
)
def test_a_square_that_stays_behind_is_seen(name: str) -> None:
    truth = crossing(0)[0]
    values = []
    for speed in (2.0, 1.0, 0.0):
        found = measure(METRICS[name], case_of(crossing(0, speed)[0], truth), TOOLS).value
        assert found is not None
        values.append(found)
    ordered = values if METRICS[name].higher_is_better else [-value for value in values]
    assert ordered[0] > ordered[1] > ordered[2]


def test_sensitivity_is_zero_for_the_deaf_and_one_for_opposites() -> None:
    first = np.full((4, 8, 8, 3), 100, np.uint8)
    brighter, darker = first.copy(), first.copy()
    brighter[1:] += 50
    darker[1:] -= 50
    assert sensitivity(brighter, brighter) == 0.0 == sensitivity(first, first)
    assert sensitivity(brighter, darker) == pytest.approx(1.0)
    assert 0 < sensitivity(brighter, first) <= 1.0


def test_drift_is_what_the_end_loses_against_the_beginning() -> None:
    truth = np.full((9, 8, 8, 3), 100, np.uint8)
    video = truth.copy()
    video[-2:] += 30
    assert drift(video, truth) == pytest.approx(30.0)
    assert drift(truth, truth) == 0.0


def test_an_object_that_is_large_is_not_a_small_one() -> None:
    truth = crossing(0)[0]
    regions = np.full((SIDE, SIDE), 2, np.uint8)
    case = c.Case(SAMPLE, truth, 8.0, truth, regions, np.repeat(regions[None], FRAMES, axis=0))
    assert "not small" in measure(METRICS["small_object_error"], case, TOOLS).why


# ---- judges ----


@dataclass(frozen=True)
class Teacher:
    """Answers from a table. answers: by rubric, one for each trial."""

    answers: Mapping[str, Sequence[object]]
    name: str = "teacher"

    def ask(self, rubric: c.Rubric, videos: Mapping[str, Video], texts: Mapping[str, str], trial: int) -> object:
        assert rubric.text and rubric.schema["required"] and texts["instruction"] == "push the square"
        return self.answers[rubric.name][trial]


def test_a_judge_is_asked_as_often_as_wanted_and_its_trials_are_kept() -> None:
    answers = {"execution_quality": [{"quality": 3}, {"quality": 5}], "sequence_match": [{"match": 0.5}, {"match": 2}]}
    tools = c.Tools(judge=Teacher(answers), trials=2)
    case = case_of(crossing(0)[0], None)
    found = measure(METRICS["execution_quality"], case, tools)
    assert (found.value, found.parts) == (4.0, (3.0, 5.0))
    refused = measure(METRICS["sequence_match"], case, tools)
    assert refused.value is None and "not a number from 0 to 1" in refused.why


def test_a_judge_that_sees_the_steps_gives_the_plan_its_score() -> None:
    seen = {"steps": [{"skill": "push", "object": "square"}], "task_completion": 1.0}
    tools = c.Tools(judge=Teacher({"plan": [seen]}))
    case = case_of(crossing(0)[0], None)
    assert measure(METRICS["plan"], case, tools).value == pytest.approx(50.0)
    assert measure(METRICS["long_horizon"], case, tools).value == pytest.approx(75.0)
    without = replace(SAMPLE, meta=Meta())
    assert "no plan" in measure(METRICS["plan"], replace(case, sample=without), tools).why


# ---- the registry ----


def test_what_is_lacking_is_said_and_never_guessed() -> None:
    bare = c.Case(SAMPLE, crossing(0)[0], 8.0)
    for metric in METRICS.values():
        found = measure(metric, bare, c.Tools(), {c.JUDGE: "nobody was asked"})
        assert found.value is None and found.why, metric.name
        assert c.JUDGE not in metric.needs or found.need != c.JUDGE or found.why == "nobody was asked"


def test_every_metric_says_what_it_is() -> None:
    groups = {metric.group for metric in METRICS.values()}
    assert groups == {"visual", "instruction", "physical", "planning", "execution", "beyond"}
    for metric in METRICS.values():
        assert metric.needs and metric.low < metric.high and metric.version >= 1


def test_a_metric_that_does_not_exist_is_named() -> None:
    with pytest.raises(WowError, match="choose from fvd, psnr"):
        chosen_metrics(["psnr", "beauty"])
    assert [metric.name for metric in chosen_metrics(["ssim", "psnr", "ssim"])] == ["ssim", "psnr"]
