"""The measured checks: quiet on what is true, and a fault that breaks what they hold is found, where and when it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from wow.data.faults import apply
from wow.refine.checks import CHECKS, Checks, Thresholds, calibrate, shipped_thresholds
from wow.types import UInt8, Verdict, Video, WowError

FRAMES = 17


def table(seed: int = 0) -> UInt8:
    """A textured table with a green block on the left and a red one on the lower right, nothing moving."""
    random = np.random.default_rng(seed)
    frame = np.kron(random.integers(90, 130, (16, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    frame[56:70, 8:22] = (30, 170, 60)
    frame[96:112, 96:112] = (190, 40, 40)
    return np.repeat(frame[None], FRAMES, axis=0)


def with_arm(frames: UInt8) -> UInt8:
    """The same with a dark arm that comes down from above, and rests at the end."""
    moved = frames.copy()
    for number, frame in enumerate(moved):
        along = min(number / (FRAMES - 4), 1.0)
        reach = round(20 + 50 * along**2 * (3 - 2 * along))
        frame[:reach, 50:64] = (40, 40, 45)
        frame[reach : reach + 8, 46:68] = (220, 220, 225)
    return moved


@pytest.fixture(scope="module")
def checks() -> Checks:
    return Checks()


def found(checks: Checks, frames: UInt8) -> dict[str, tuple[int, int]]:
    return {finding.check: finding.span for finding in checks.find(Video(frames, 5.0))}


def test_a_calm_true_video_has_no_finding_and_is_a_coin_toss_about_success(checks: Checks) -> None:
    verdict = checks(Video(with_arm(table()), 5.0), "reach down")
    assert verdict.success_probability == 0.5 and verdict.span is None
    assert min(verdict.scores.values()) > 4.0 and "cannot tell" in verdict.reason
    assert "task_completion" not in verdict.scores


def test_where_nothing_moves_no_goal_is_reached(checks: Checks) -> None:
    verdict = checks(Video(table(), 5.0), "reach down")
    assert verdict.reason == "nothing moves in this video" and verdict.span == (0, FRAMES - 1)
    assert not verdict.completed and verdict.confidence > 0.7 and verdict.scores["task_completion"] == 1.0


def frozen(frames: UInt8) -> UInt8:
    frames[5:10] = frames[5]
    return frames


def turned(frames: UInt8) -> UInt8:
    frames[3:12] = frames[3:12][::-1].copy()
    return frames


def vanishing(frames: UInt8) -> UInt8:
    frames[8:, 96:112, 96:112] = frames[8:, 80:96, 96:112]
    return frames


def doubled(frames: UInt8) -> UInt8:
    frames[8:, 96:112, 8:24] = (190, 40, 40)
    return frames


def teleported(frames: UInt8) -> UInt8:
    return doubled(vanishing(frames))


def moving_by_itself(frames: UInt8) -> UInt8:
    for number in range(4, FRAMES):
        frames[number, 96:112] = np.roll(frames[number, 96:112], -2 * (number - 4), axis=1)
    return frames


def trembling(frames: UInt8) -> UInt8:
    for number in range(3, FRAMES):
        frames[number, 90:118, 90:118] = np.roll(frames[number, 90:118, 90:118], (number % 2) * 6, axis=0)
    return frames


def cut(frames: UInt8) -> UInt8:
    frames[9:] = 255 - frames[9:]
    return frames


def darkening(frames: UInt8) -> UInt8:
    shares = np.linspace(1.0, 0.7, FRAMES)[:, None, None, None]
    return (frames * shares).astype(np.uint8)


@pytest.mark.parametrize(
    ("spoil", "check", "first", "last"),
    [
        (frozen, "standstill", 5, 9),
        (turned, "backwards", 3, 11),
        (vanishing, "untouched", 7, 8),
        (vanishing, "blink", 7, 8),
        (doubled, "blink", 7, 8),
        (teleported, "untouched", 7, 8),
        (moving_by_itself, "untouched", 4, 16),
        (trembling, "untouched", 3, 16),
        (trembling, "trembling", 3, 16),
        (cut, "leap", 8, 9),
        (darkening, "drift", 0, 16),
    ],
)
def test_a_fault_is_found_where_it_is(
    checks: Checks, spoil: Callable[[UInt8], UInt8], check: str, first: int, last: int
) -> None:
    spans = found(checks, spoil(with_arm(table())))
    assert check in spans, spans
    span = spans[check]
    overlap = min(span[1], last) - max(span[0], first)
    assert overlap >= 0.3 * max(last - first, 1), span


def test_a_reason_says_where_in_the_picture(checks: Checks) -> None:
    verdict = checks(Video(vanishing(with_arm(table())), 5.0), "reach down")
    assert "on the right of the lower half of the picture" in verdict.reason and verdict.span == (7, 8)


def test_a_verdict_is_worse_the_worse_the_fault(checks: Checks) -> None:
    def judged(size: int) -> Verdict:
        frames = with_arm(table())
        frames[8:, 80 : 80 + size, 80 : 80 + size] = (190, 40, 190)
        return checks(Video(frames, 5.0), "reach down")

    small, large = judged(24), judged(44)
    assert large.scores["physical_plausibility"] <= small.scores["physical_plausibility"] < 3.0
    assert 0.7 <= small.confidence <= large.confidence <= 0.95


@pytest.mark.parametrize("name", ["freeze", "reverse", "vanish", "duplicate", "teleport"])
def test_faults_made_at_random_are_found_more_often_than_truth(checks: Checks, name: str) -> None:
    """On the toy table every seed draws another thing, time and strength."""
    caught = 0
    for seed in range(6):
        faulty = apply(name, with_arm(table(seed)), 0.9, np.random.default_rng(seed))
        caught += bool(found(checks, faulty.frames))
        assert not found(checks, with_arm(table(seed)))
    assert caught >= 3


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (240, 320)])
def test_the_size_of_the_picture_does_not_matter(checks: Checks, size: tuple[int, int]) -> None:
    import cv2

    def resized(frames: UInt8) -> UInt8:
        return np.stack([cv2.resize(frame, size[::-1]) for frame in frames]).astype(np.uint8)

    assert not found(checks, resized(with_arm(table())))
    assert "untouched" in found(checks, resized(vanishing(with_arm(table()))))


def test_two_frames_have_no_motion_to_compare(checks: Checks) -> None:
    with pytest.raises(WowError, match="3 frames or more, not 2"):
        checks(Video(table()[:2], 5.0), "reach down")


@pytest.mark.parametrize("length", [3, 4, 5])
def test_a_short_video_is_judged_too(checks: Checks, length: int) -> None:
    assert checks(Video(with_arm(table())[4 : 4 + length], 5.0), "reach down").success_probability <= 0.5


def test_what_it_is_calibrated_on_raises_no_alarm() -> None:
    videos = [Video(with_arm(table(seed)), 5.0) for seed in range(8)]
    thresholds = calibrate(videos)
    assert set(thresholds.values) == set(CHECKS) and thresholds.videos == 8
    assert not any(Checks(thresholds).find(video) for video in videos)
    with pytest.raises(WowError, match="no videos"):
        calibrate([])


def test_shipped_thresholds_say_what_they_come_from() -> None:
    shipped = shipped_thresholds()
    assert set(shipped.values) == set(CHECKS) and shipped.videos >= 100 and 0.95 < shipped.quantile <= 1.0
    assert all(shipped.values[name] >= check.least for name, check in CHECKS.items())


def test_what_is_filmed_may_change_by_itself_more_than_what_is_simulated(checks: Checks) -> None:
    simulated, filmed = shipped_thresholds(), shipped_thresholds(filmed=True)
    assert set(filmed.values) == set(CHECKS) and filmed.videos >= 90
    assert all(filmed.values[name] > simulated.values[name] for name in ("untouched", "blink", "drift"))
    frames = vanishing(with_arm(table()))
    assert "untouched" in found(checks, frames) and "untouched" not in found(Checks(filmed), frames)
    assert "leap" in found(Checks(filmed), cut(with_arm(table())))


def test_thresholds_survive_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    import json

    thresholds = Thresholds(dict.fromkeys(CHECKS, 1.0), 3, 0.99)
    thresholds.save(tmp_path / "thresholds.json")
    assert Thresholds(**json.loads((tmp_path / "thresholds.json").read_text())) == thresholds
