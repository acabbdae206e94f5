"""A small trained model reads real videos of its toy robot, and is not sure of what it has never seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow import assembly
from wow.act.inverse import CHUNK, InverseDynamics
from wow.act.planner import uncertainty_of
from wow.train.export import as_checkpoint
from wow.types import Dimension, Episode, Video, WowError


@pytest.fixture(scope="module")
def inverse(toy_run: Path) -> InverseDynamics:
    return assembly.load_inverse(as_checkpoint(toy_run), device="cpu")


@pytest.fixture(scope="module")
def episode(toy_episode: Callable[..., Episode]) -> Episode:
    return toy_episode(1000)


@pytest.fixture(scope="module")
def video(episode: Episode) -> Video:
    return episode.videos["front"]


def test_actions_are_read_with_their_deviations_and_pace(inverse: InverseDynamics, video: Video) -> None:
    reading = inverse.read(video)
    actions = reading.actions
    assert actions.values.shape == (23, 7) and actions.values.dtype == np.float32
    assert actions.deviations is not None and (actions.deviations[:, [0, 2, 6]] > 0).all()
    assert actions.seconds == pytest.approx(0.05) and actions.embodiment == inverse.embodiment
    assert not reading.confidence.low
    assert np.allclose(np.diff(reading.path, axis=0), actions.values[:, :3], atol=1e-6)


def test_they_follow_the_truth_better_than_stillness(inverse: InverseDynamics, episode: Episode, video: Video) -> None:
    """Over three frames, where a toy robot moves a few pixels; every third frame is seen."""
    thirds = Video(video.frames[::3], video.fps / 3)
    truth = episode.actions[:21, [0, 2]].reshape(7, 3, 2).sum(axis=1)
    found = inverse.read(thirds).actions.values[:, [0, 2]]
    assert np.abs(found - truth).mean() < 0.8 * np.abs(truth).mean()
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.6


def test_what_never_moved_in_training_is_0_and_certain(inverse: InverseDynamics, video: Video) -> None:
    actions = inverse.read(video).actions
    assert actions.deviations is not None
    assert np.abs(actions.values[:, [1, 3, 4, 5]]).max() < 1e-6 and actions.deviations[:, [1, 3, 4, 5]].max() == 0
    moving = actions.deviations[:, [0, 2, 6]] / (0.08, 0.08, 1.0)
    assert uncertainty_of(actions) == pytest.approx(moving.mean()), "it does not make a plan look any surer"


def test_no_step_is_beyond_what_the_card_allows(inverse: InverseDynamics, video: Video) -> None:
    jumps = Video(video.frames[[0, 20, 3, 23, 1, 15, 2]], 20.0)
    values = inverse.read(jumps).actions.values
    assert np.abs(values[:, :3]).max() <= 0.04 + 1e-6 and values[:, 6].min() >= 0 and values[:, 6].max() <= 1


def test_a_known_start_is_where_the_path_begins(inverse: InverseDynamics, video: Video) -> None:
    start = np.array([0.02, 0.0, -0.01], np.float32)
    assert np.allclose(inverse.read(video, start=start).path[0], start, atol=2e-3)


def test_an_unknown_pace_stays_unknown(inverse: InverseDynamics, video: Video) -> None:
    slow, fast = (inverse.read(Video(video.frames, fps), paced=False).actions for fps in (20.0, 3.0))
    assert slow.seconds is None and np.array_equal(slow.values, fast.values)


def test_a_video_of_another_size_and_rate_is_resampled_and_it_says_so(inverse: InverseDynamics, video: Video) -> None:
    wide = np.stack([np.asarray(Image.fromarray(frame).resize((160, 128))) for frame in video.frames])
    reading = inverse.read(Video(wide, 60.0))
    assert len(reading.actions) == 7 and reading.actions.seconds == pytest.approx(0.05)
    assert "cut to 64x64 at left and right" in " ".join(reading.notes) and "every 3th" in " ".join(reading.notes)


def test_long_videos_are_read_in_pieces_without_a_seam(inverse: InverseDynamics, video: Video) -> None:
    frames = np.tile(video.frames, (8, 1, 1, 1))[: 2 * CHUNK + 20]
    whole = inverse.predict(frames, 0.05)
    part = inverse.predict(frames[: CHUNK + 10], 0.05)
    assert whole.action.shape == (len(frames) - 1, 7) and whole.place.shape[0] == whole.robot.shape[0] == len(frames)
    assert np.allclose(whole.action[: CHUNK + 6], part.action[: CHUNK + 6], atol=1e-4)


def test_a_static_video_is_not_trusted(inverse: InverseDynamics, video: Video) -> None:
    reading = inverse.read(Video(np.repeat(video.frames[:1], 9, axis=0), 20.0))
    assert reading.confidence.value == 0.0 and "nothing moves" in reading.notes[-1]


def test_a_cut_is_noticed_and_placed(
    inverse: InverseDynamics, video: Video, toy_episode: Callable[..., Episode]
) -> None:
    other = np.flip(toy_episode(1001).videos["front"].frames, axis=2)
    reading = inverse.read(Video(np.concatenate([video.frames[:8], other[:8]]), 20.0))
    assert reading.confidence.low and any("between frames 7 and 8" in reason for reason in reading.confidence.reasons)


def test_a_video_without_the_robot_is_not_trusted(inverse: InverseDynamics) -> None:
    """The scene is like those of training, and it moves, but nobody is in it."""
    cells = 90 + 40 * np.random.default_rng(5).random((8, 8, 3))
    scene = np.kron(cells, np.ones((8, 8, 1))).astype(np.uint8)
    reading = inverse.read(Video(np.stack([np.roll(scene, step, axis=1) for step in range(9)]), 20.0))
    assert reading.confidence.low and any("robot fills" in reason for reason in reading.confidence.reasons)


def test_a_black_video_and_a_single_frame_are_refused(inverse: InverseDynamics, video: Video) -> None:
    with pytest.raises(WowError, match="black"):
        inverse.read(Video(np.zeros((5, 64, 64, 3), np.uint8), 20.0))
    with pytest.raises(WowError, match="one frame"):
        inverse.read(Video(video.frames[:1], 20.0))


def test_a_given_mask_takes_the_place_of_the_found_one(
    inverse: InverseDynamics, video: Video, episode: Episode
) -> None:
    true = 255 * episode.signals["sim.segmentation"].reshape(-1, 64, 64).astype(np.uint8)
    found, given, none = (inverse.read(video, mask=mask).actions.values for mask in ("auto", true, "none"))
    assert not np.array_equal(given, none) and np.abs(given - found).mean() < np.abs(none - found).mean()
    assert inverse.read(video, mask=true[0]).actions.values.shape == found.shape
    with pytest.raises(WowError, match="24 frames"):
        inverse.read(video, mask=true[:5])


def test_another_robot_s_card_is_refused_and_a_fitting_one_is_carried(inverse: InverseDynamics, video: Video) -> None:
    twin = replace(inverse.embodiment, robot="twin")
    assert inverse.read(video, embodiment=twin).actions.embodiment.robot == "twin"
    joints = replace(twin, action=tuple(Dimension(f"joint_{i}", "rad") for i in range(7)))
    with pytest.raises(WowError, match=r"delta_x \[m\].*other actions"):
        inverse.read(video, embodiment=joints)
    delta_x, *others = twin.action
    for other in (
        replace(twin, gripper="0 open, 1 closed"),
        replace(twin, rotation="quaternion"),
        replace(twin, action_kind="absolute"),
        replace(twin, action=(replace(delta_x, frame="tool"), *others)),
    ):
        with pytest.raises(WowError, match="mend the card"):
            inverse.read(video, embodiment=other)
    knows_less = replace(twin, gripper="unknown", rotation="unknown")
    assert inverse.read(video, embodiment=knows_less).actions.embodiment.gripper == "unknown"


def test_act_warns_where_reading_notes(inverse: InverseDynamics, video: Video) -> None:
    """Whoever has seen as much as this video shows is told nothing; a picture that stands still is told of."""
    calibration = inverse.calibration
    assert calibration is not None
    ranges = calibration.ranges
    wide = replace(ranges, robot=(0.0, 1.0), changed=1.0, spread=10 * ranges.spread, disagreement=10.0)
    seasoned = replace(inverse, calibration=replace(calibration, ranges=wide))
    with pytest.warns(UserWarning, match="nothing moves"):
        seasoned.act(Video(np.repeat(video.frames[:1], 4, axis=0), 20.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seasoned.act(video)
