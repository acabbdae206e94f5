"""The second simulator: seven degrees of freedom, the same seed the same episode, actions that say what happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("robosuite", reason="the extra sim-robosuite is not installed")

from scipy.spatial.transform import Rotation

from wow.cli.main import main
from wow.data import open_dataset
from wow.sim.job import Job, RecordingOptions
from wow.sim.robosuite import CONTROL_RATE, HOLD, SEGMENTS, Pose, Robosuite, tilted
from wow.sim.robosuite_arm import RobosuiteArm
from wow.sim.robosuite_record import jobs, record
from wow.sim.robosuite_sweep import sweep
from wow.sim.robosuite_tasks import ARMS, TASKS, named_arms, named_tasks
from wow.types import Episode, WowError

OPTIONS = RecordingOptions(size=64, stride=4, segmentation=True, control_rate=CONTROL_RATE)
SPARSE = RecordingOptions(size=64, stride=8, control_rate=CONTROL_RATE)


@pytest.fixture(scope="module")
def panda() -> Iterator[Robosuite]:
    environment = Robosuite("panda", "lift", cameras=(), size=64)
    yield environment
    environment.close()


@pytest.fixture(scope="module")
def lifted(panda: Robosuite) -> Episode:
    return record(panda, Job("lift", "lift", "expert", 3, "panda"), OPTIONS)


@pytest.fixture(scope="module")
def wandered(panda: Robosuite) -> Episode:
    return record(panda, Job("lift", "lift", "random", 3, "panda"), SPARSE)


def poses(episode: Episode) -> list[Pose]:
    found = episode.signals["sim.pose"].astype(np.float64)
    return [Pose(row[:3], Rotation.from_quat(np.roll(row[3:], -1)).as_matrix()) for row in found]


def physics(environment: Robosuite) -> np.ndarray:
    return np.concatenate([environment.data.qpos, environment.data.qvel])


def test_the_motion_between_two_poses_leads_from_the_one_to_the_other() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        first, second = (Pose(rng.normal(size=3), tilted(*rng.uniform(-3, 3, 3))) for _ in range(2))
        there = first.moved(first.change_to(second))
        assert np.allclose(there.position, second.position) and np.allclose(there.rotation, second.rotation)
        assert np.linalg.norm(first.change_to(second)[3:]) <= np.pi + 1e-9


def test_straight_down_is_down_however_the_tool_is_turned() -> None:
    for turn in np.linspace(-3, 3, 7):
        assert np.allclose(tilted(turn, 0.0, 1.0)[:, 2], [0, 0, -1])
        assert np.isclose(tilted(turn, 0.5, 1.0)[2, 2], -np.cos(0.5))


def test_the_same_seed_gives_the_same_scene_whatever_happened_before(panda: Robosuite) -> None:
    panda.reset(seed=5)
    first, picture = physics(panda), panda.picture()
    panda.reset(seed=6)
    assert not np.array_equal(first, physics(panda))
    for _ in range(5):
        panda.advance(np.ones(7))
    panda.reset(seed=5)
    assert np.array_equal(first, physics(panda)) and np.array_equal(picture, panda.picture())


def test_raw_actions_replay_to_the_same_bits(panda: Robosuite, wandered: Episode) -> None:
    panda.reset(seed=3)
    for frame, actions in enumerate(wandered.signals["sim.raw_actions"][:-1]):
        for action in actions.reshape(-1, 7).astype(np.float64):
            panda.advance(action)
        truth = panda.truth()
        assert np.array_equal(truth.tool.position.astype(np.float32), wandered.states[frame + 1, :3])
        assert np.array_equal(truth.objects.ravel().astype(np.float32), wandered.signals["sim.objects"][frame + 1])
    assert np.array_equal(panda.picture(), wandered.videos["front"].frames[-1])


def test_actions_lead_from_frame_to_frame(wandered: Episode) -> None:
    where = poses(wandered)
    for now, later, action in zip(where, where[1:], wandered.actions, strict=False):
        there = now.moved(action.astype(np.float64))
        assert np.allclose(there.position, later.position, atol=1e-5)
        assert np.allclose(there.rotation, later.rotation, atol=1e-4)
    assert not wandered.actions[-1, :6].any()


def test_every_degree_of_freedom_moves_and_keeps_the_card(lifted: Episode, wandered: Episode) -> None:
    for episode in (lifted, wandered):
        low, high = (np.array([getattr(dim, end) for dim in episode.embodiment.action]) for end in ("low", "high"))
        assert (episode.actions >= low).all() and (episode.actions <= high).all()
    assert (wandered.actions[:, :3].std(axis=0) > 0.003).all()
    assert (wandered.actions[:, 3:6].std(axis=0) > 0.01).all()
    assert {0.0, 1.0} <= set(wandered.actions[:, 6])
    raw = wandered.signals["sim.raw_actions"].reshape(len(wandered), SPARSE.stride, 7)
    assert np.allclose(wandered.actions[:-1, 6], (1.0 - raw[:-1, :, 6].mean(axis=1)) / 2.0), "a transition's mean"
    turned = wandered.states[:, 3:7]
    assert np.abs(np.diff(turned, axis=0)).max() < 0.5, "quaternions do not jump to their negative"


def test_a_sweep_reaches_the_poses_that_it_draws_and_every_frame_shows_another(panda: Robosuite) -> None:
    job = Job("lift", "lift", "sweep", 3, "panda")
    swept, again = (record(panda, job, SPARSE) for _ in range(2))
    assert np.array_equal(swept.states, again.states)
    assert np.array_equal(swept.videos["front"].frames, again.videos["front"].frames)
    panda.reset(seed=3)
    drawn = sweep(panda.tool(), np.random.default_rng([3, 2, 0]), SPARSE.stride / CONTROL_RATE)
    left = [pose.change_to(moment.tool) for pose, moment in zip(poses(swept), drawn, strict=False)]
    near = [np.linalg.norm(change[:3]) < 0.01 and np.linalg.norm(change[3:]) < 0.1 for change in left]
    assert len(near) == len(swept) and np.mean(near) > 0.9
    where = poses(swept)
    for now, later, action in zip(where, where[1:], swept.actions, strict=False):
        assert np.allclose(now.moved(action.astype(np.float64)).position, later.position, atol=1e-5)
    moved = np.linalg.norm(swept.actions[:-1, :3], axis=1) + np.linalg.norm(swept.actions[:-1, 3:6], axis=1) / 5
    assert np.median(moved) > 0.03
    low, high = (np.array([getattr(dim, end) for dim in swept.embodiment.action]) for end in ("low", "high"))
    assert (swept.actions >= low).all() and (swept.actions <= high).all()
    # In less than a frame the fingers are where they were told to be, and both ways are seen.
    assert np.allclose(swept.states[1:, 7], swept.actions[:-1, 6], atol=0.1)
    assert {0.0, 1.0} == set(swept.actions[:, 6]) and swept.success is None
    raw = swept.signals["sim.raw_actions"].reshape(len(swept), SPARSE.stride, 7)
    assert np.isnan(raw[:-1, :, :6]).all() and np.isfinite(raw[..., 6]).all(), "no raw action but the gripper's"


def test_the_expert_lifts_the_cube_and_everything_is_told(lifted: Episode) -> None:
    assert lifted.success and lifted.signals["sim.objects"][-1, 2] > 0.84
    assert lifted.signals["sim.contact"][-1, 0] == 1.0 and lifted.actions[-1, 6] == 0.0
    assert 0.1 < lifted.states[-1, 7] < 0.9, "around the cube, the gripper is neither open nor closed"
    shown = np.unique(lifted.signals["sim.segmentation"])
    assert {SEGMENTS[i] for i in shown} == {"background", "arm", "gripper", "object"}
    assert {len(signal) for signal in lifted.signals.values()} == {len(lifted.videos["front"]), len(lifted)}


def test_the_recorded_actions_lift_the_cube_again(panda: Robosuite, lifted: Episode) -> None:
    panda.reset(seed=3)
    arm = RobosuiteArm(panda)
    for action in lifted.actions.astype(np.float64):
        step = np.append(action[:6] / OPTIONS.stride, action[6])
        done = [arm.advance(step) for _ in range(OPTIONS.stride)]
    assert done[-1]
    assert np.linalg.norm(arm.hand - poses(lifted)[-1].position) < 0.03


def test_a_success_that_does_not_last_is_none(panda: Robosuite, monkeypatch: pytest.MonkeyPatch) -> None:
    panda.reset(seed=3)
    arm, still = RobosuiteArm(panda), np.array([0.0] * 6 + [1.0])
    seen = iter([True] * (HOLD - 1) + [False] + [True] * HOLD)
    monkeypatch.setattr(panda, "succeeded", lambda: next(seen))
    assert [arm.advance(still) for _ in range(2 * HOLD)] == [False] * (2 * HOLD - 1) + [True]


def test_pixels_are_where_the_simulator_says(panda: Robosuite) -> None:
    panda.reset(seed=3)
    (column, row), *_ = np.round(panda.pixels(panda.truth().objects[:1, :3])).astype(int)
    assert SEGMENTS[panda.segmentation()[row, column]] == "object"


def test_a_collection_is_a_dataset_for_each_robot_and_goes_on(tmp_path: Path) -> None:
    words = ["data", "collect", "--sim", "robosuite", "--robots", "panda", "--tasks", "lift", "--source", "random"]
    common = [*words, "--size", "32", "--workers", "1", "--stride", "20", "--out", str(tmp_path), "--episodes"]
    assert main([*common, "1"]) == 0
    assert main([*common, "1"]) == 0
    dataset = open_dataset(tmp_path / "panda")
    assert len(dataset) == 1 and dataset.fps == 1.0
    card = dataset.embodiment
    assert (card.robot, card.rotation) == ("Franka Panda (robosuite)", "rotation-vector")
    assert [dim.unit for dim in card.action] == ["m"] * 3 + ["rad"] * 3 + ["1"]


def test_a_job_list_is_the_same_each_time() -> None:
    assert list(jobs("iiwa", ["lift"], 3, "random", 10)) == list(jobs("iiwa", ["lift"], 3, "random", 10))
    assert [job.seed for job in jobs("iiwa", ["lift"], 3, "random", 10)] == [10, 11, 12]
    assert named_arms("all") == tuple(ARMS) and named_tasks("door, lift") == ("door", "lift")
    assert set(named_tasks("all")) == set(TASKS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--robots", "panda,ur5"], "ur5e"),
        (["--tasks", "lif"], "lift"),
        (["--source", "siblings"], "expert, random"),
        (["--cameras", "top"], "front"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert main(["data", "collect", "--sim", "robosuite", "--out", str(tmp_path / "out"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1


def test_an_unknown_arm_is_refused() -> None:
    with pytest.raises(WowError):
        named_arms("")
