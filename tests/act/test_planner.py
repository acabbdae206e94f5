"""Plans made of demonstrations, and how sure a plan is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from wow.act.planner import DemonstratingPlanner, clip_rows, in_transitions, uncertainty_of
from wow.act.reading import Reading
from wow.types import Actions, Video

Make = Callable[..., Actions]


@dataclass(frozen=True)
class Shown:
    video: Video
    actions: Actions
    success: bool = True


@pytest.mark.parametrize("num_recorded", [2, 5, 17, 18, 40, 61])
def test_a_clip_covers_a_recording_from_its_first_to_its_last_frame(num_recorded: int) -> None:
    rows, every = clip_rows(num_recorded, 17)
    assert len(rows) == 17 and rows[0] == 0 and rows[-1] == num_recorded - 1
    assert every >= 1 and (np.diff(rows) >= 0).all() and np.ptp(np.diff(rows)[: num_recorded - 1]) <= 1


@pytest.mark.parametrize("num_recorded", [3, 16, 17, 50])
def test_the_actions_of_a_clip_go_as_far_as_those_of_the_recording(actions: Make, num_recorded: int) -> None:
    moves = np.random.default_rng(0).uniform(-0.04, 0.04, (num_recorded, 3))
    gripper = np.where(np.arange(num_recorded) < num_recorded // 2, 1.0, 0.2)
    clip = in_transitions(actions(moves, gripper), 16)
    assert len(clip) == 16 and clip.seconds is None
    assert np.allclose(clip.values.sum(axis=0)[:3], moves.sum(axis=0), atol=1e-6)
    assert clip.values[0, 6] == 1.0 and np.isclose(clip.values[-1, 6], 0.2)
    assert (np.diff(clip.values[:, 6]) <= 1e-6).all(), "closes once, wherever it is cut"


def test_the_stages_before_a_video_are_told_apart(actions: Make) -> None:
    """The reader is shown true frames or what the codec makes of them: as many as a clip has, at their pace."""
    truth = Shown(
        Video(np.arange(33, dtype=np.uint8)[:, None, None, None].repeat(3, -1), 20.0), actions(np.ones((32, 3)))
    )
    seen: list[tuple[Video, bool]] = []

    def act(video: Video, start: object, paced: bool) -> Reading:
        seen.append((video, paced))
        nowhere = np.zeros((17, 3))
        read = replace(truth.actions, values=truth.actions.values[:16])
        return Reading(read, nowhere, nowhere, nowhere[:, 0], (), 0.0)

    class Still:
        target = np.zeros(3)

    DemonstratingPlanner(lambda: truth, act)(Still(), 0)
    DemonstratingPlanner(lambda: truth, act, reconstruct=lambda frames: frames + 100, paced=False)(Still(), 0)
    plain = DemonstratingPlanner(lambda: truth)(Still(), 0)
    assert plain.actions is truth.actions and plain.truth_succeeds
    assert seen[0][0].frames[:, 0, 0, 0].tolist() == list(range(0, 33, 2)) and seen[0][0].fps == 10.0 and seen[0][1]
    assert seen[1][0].frames[:, 0, 0, 0].tolist() == list(range(100, 133, 2)) and not seen[1][1]


def test_uncertainty_is_a_share_of_what_is_possible(actions: Make) -> None:
    plan = actions(np.zeros((2, 3)))
    assert uncertainty_of(plan) is None
    deviations = np.zeros((2, 7), np.float32)
    deviations[:, :3], deviations[:, 6] = 0.008, 0.3
    assert np.isclose(uncertainty_of(replace(plan, deviations=deviations)), (3 * 0.1 + 0.3) / 4)
