"""What is measured of a video before and after it is read: flow, change, calibration, confidence."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from wow.act.calibration import Calibration, Look, Ranges, calibration_from_json, temperature
from wow.act.confidence import (
    Signs,
    changed_elsewhere,
    changed_share,
    judge,
    look_of,
    refuse_blank,
    unlike,
    worth_saying,
)
from wow.act.flow import FULL_SCALE, flow_between
from wow.types import WowError

GREY = Look((100.0,) * 192, (5.0,) * 192, 2.0)
RANGES = Ranges(seconds=(0.05, 0.6), robot=(0.05, 0.2), changed=0.2, spread=0.5, disagreement=2.0, look=GREY)
SIGNS = Signs(0.1, np.full(8, 0.05), np.full(9, 0.1), np.full(8, 0.2), 1.0)


def textured(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] * (64 / size)
    grey = 127 + 60 * np.sin(x / 3) * np.cos(y / 4) + 40 * np.sin((x + 2 * y) / 7)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


@pytest.mark.parametrize("size", [64, 128])
def test_flow_is_how_far_things_move_whatever_the_resolution(size: int) -> None:
    picture, move = textured(size), size // 32
    flow = flow_between(np.stack([picture, np.roll(picture, move, axis=1)]))
    inner = flow[0, :, size // 4 : -size // 4, size // 4 : -size // 4]
    assert flow.shape == (1, 2, size, size) and flow.dtype == np.float32
    assert np.median(inner[0]) == pytest.approx(1 / 32 / FULL_SCALE, rel=0.1)
    assert np.abs(np.median(inner[1])) < 0.02


def test_between_a_frame_and_itself_nothing_flows() -> None:
    assert not flow_between(np.stack([textured(64)] * 3)).any()


def test_change_is_the_share_of_the_picture_that_changes() -> None:
    frames = np.full((3, 32, 32, 3), 100, np.uint8)
    frames[1:, :16, :16] = 200
    assert changed_share(frames).tolist() == [0.25, 0.0]


def test_what_changes_near_the_robot_is_its_own_doing_and_what_changes_elsewhere_is_not() -> None:
    frames = np.full((12, 64, 64, 3), 100, np.uint8)
    robot = np.zeros((12, 16, 16), np.float32)
    robot[:, :4, :4] = 1.0
    frames[6:, 16:24, 16:24] = 200
    assert changed_elsewhere(frames, robot) == 0.0, "what it pushes"
    frames[6:, 48:, 48:] = 200
    assert changed_elsewhere(frames, robot) == pytest.approx(16 / 256), "a cell in sixteen, far away"
    slowly = np.stack([np.full((64, 64, 3), 100 + 3 * step, np.uint8) for step in range(12)])
    assert changed_share(slowly).max() == 0.0 and changed_elsewhere(slowly, robot) > 0.5, "slow changes add up"


def test_a_video_of_one_frame_or_of_nothing_is_refused() -> None:
    with pytest.raises(WowError, match="at least two"):
        refuse_blank(textured(32)[None])
    with pytest.raises(WowError, match="black"):
        refuse_blank(np.zeros((4, 32, 32, 3), np.uint8))
    with pytest.raises(WowError, match="blank"):
        refuse_blank(np.full((4, 32, 32, 3), 200, np.uint8))
    refuse_blank(np.stack([textured(32)] * 2))


def test_what_lies_in_every_range_is_trusted_and_needs_no_words() -> None:
    assert judge(SIGNS, RANGES).value == 1.0 and not worth_saying(judge(SIGNS, RANGES))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seconds": 3.0}, "3 s apart"),
        ({"changed": np.array([0.05, 0.9, 0.05])}, "between frames 1 and 2"),
        ({"robot": np.full(9, 0.01)}, "robot fills 1.0%"),
        ({"robot": np.full(9, 0.7)}, "robot fills 70.0%"),
        ({"spread": np.full(8, 2.0)}, "unsure"),
        ({"disagreement": 9.0}, "contradict"),
        ({"changed": np.zeros(8)}, "nothing moves"),
        ({"elsewhere": 0.2}, "away from the robot"),
        ({"look": np.full(192, 140.0)}, "looks 8.0 times as far"),
    ],
)
def test_what_lies_outside_a_range_lowers_confidence_and_is_named(change: dict[str, object], said: str) -> None:
    confidence = judge(replace(SIGNS, **change), RANGES)  # type: ignore[arg-type]
    assert confidence.low and said in confidence.reasons[0]
    assert "low confidence" in worth_saying(confidence)[0]


def test_the_further_outside_the_lower_the_confidence() -> None:
    values = [judge(replace(SIGNS, disagreement=off), RANGES).value for off in (2.0, 2.5, 4.0, 20.0)]
    assert values == sorted(values, reverse=True) and values[0] == 1.0 and values[-1] < 0.02


def test_a_picture_is_told_from_its_mirror_image_and_from_other_scenes_by_where_its_colours_are() -> None:
    random = np.random.default_rng(0)
    scene = np.kron(random.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1)))
    looks = [look_of((scene + random.normal(0, 3, scene.shape)).clip(0, 255)[None].astype(np.uint8)) for _ in range(9)]
    usual = Look(tuple(np.mean(looks, axis=0)), tuple(np.std(looks, axis=0)), 1.0)
    seen = np.stack([scene, scene + 1]).clip(0, 255).astype(np.uint8)
    assert unlike(look_of(seen), usual) < 1.0, "the same scene in a little more light"
    assert min(unlike(look_of(seen[:, :, ::-1]), usual), unlike(look_of(seen[:, ::-1]), usual)) > 100.0


def test_a_model_that_was_never_measured_is_not_fully_trusted() -> None:
    confidence = judge(SIGNS, None)
    assert confidence.value <= 0.5 and "never measured" in confidence.reasons[0]


def test_a_temperature_makes_two_thirds_of_errors_lie_within_one_deviation() -> None:
    random = np.random.default_rng(0)
    scales = random.uniform(0.1, 2.0, (5000, 2))
    errors = scales * random.laplace(size=(5000, 2)) * np.array([0.3, 4.0])
    found = temperature(errors, scales)
    assert ((np.abs(errors) < found * scales).mean(axis=0) == pytest.approx(0.6827, abs=1e-3)) and found[1] > found[0]
    assert temperature(np.zeros((10, 1)), np.ones((10, 1))).tolist() == [1.0]


def test_a_calibration_survives_json() -> None:
    calibration = Calibration((1.0,) * 7, (2.0,) * 4, (0.5,) * 7, RANGES)
    assert calibration_from_json(asdict(calibration), "here") == calibration
    with pytest.raises(WowError, match="here"):
        calibration_from_json({"action": [1.0]}, "here")
