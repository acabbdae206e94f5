"""Recorded episodes say what happened: actions by the card, the raw actions that made them, and who acted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from wow.sim.metaworld import LINKS, SEGMENTS, MetaWorld
from wow.sim.plan import jobs, named_tasks, siblings
from wow.sim.record import Job, RecordingOptions, record, transitions
from wow.types import Episode, WowError

OPTIONS = RecordingOptions(size=48, segmentation=True)
BUTTON = Job("button-press", "button-press", "expert", 4)


@pytest.fixture(scope="module")
def environment() -> Iterator[MetaWorld]:
    made = MetaWorld("button-press", cameras=(), size=48)
    yield made
    made.close()


@pytest.fixture(scope="module")
def episode(environment: MetaWorld) -> Episode:
    return record(environment, BUTTON, OPTIONS)


def test_the_expert_succeeds_and_the_episode_ends_soon_after(episode: Episode) -> None:
    assert episode.success
    assert episode.facts["success_step"] + 10 <= episode.facts["control_steps"] <= episode.facts["success_step"] + 16


def test_every_part_has_one_row_per_frame(episode: Episode) -> None:
    assert {len(episode.videos["front"]), len(episode.actions), len(episode.states)} == {len(episode)}
    assert {len(signal) for signal in episode.signals.values()} == {len(episode)}
    assert episode.signals["sim.segmentation"].shape == (len(episode), 48 * 48)


def test_raw_actions_replay_to_the_same_last_frame(environment: MetaWorld, episode: Episode) -> None:
    environment.reset(seed=BUTTON.seed)
    for action in episode.signals["sim.raw_actions"][:-1].reshape(-1, 4).astype(np.float64):
        environment.advance(action)
    # Stored as float32: close, and the picture the same.
    assert np.allclose(environment.truth().hand, episode.signals["sim.hand"][-1], atol=1e-4)
    difference = np.abs(environment.picture().astype(int) - episode.videos["front"].frames[-1])
    assert difference.mean() < 0.5


def test_actions_add_up_to_how_far_the_target_moved(environment: MetaWorld, episode: Episode) -> None:
    environment.reset(seed=BUTTON.seed)
    start = environment.target
    for action in episode.signals["sim.raw_actions"][:-1].reshape(-1, 4).astype(np.float64):
        environment.advance(action)
    assert np.allclose(episode.actions[:, :3].sum(axis=0), environment.target - start, atol=1e-5)


def test_links_are_marked_where_the_arm_is_seen(episode: Episode) -> None:
    shown = episode.signals["sim.segmentation"].reshape(len(episode), 48, 48)
    marked = episode.signals["sim.link_pixels"].reshape(len(episode), len(LINKS), 2)
    seen = [
        SEGMENTS[shown[frame, int(row), int(column)]]
        for frame, links in enumerate(marked)
        for column, row in links
        if 0 <= column < 48 and 0 <= row < 48
    ]
    assert len(seen) > 2 * len(episode)
    assert np.mean([segment in ("arm", "gripper") for segment in seen]) > 0.9


def test_the_gripper_s_command_is_the_mean_of_its_transition() -> None:
    targets, raw = np.zeros((3, 3)), np.zeros((9, 4))
    raw[:, 3] = [-1, -1, -1, 1, 1, 1, 1, 1, -1]
    assert np.allclose(transitions(targets, raw, 4)[:, 6], [0.75, 0.0]), "the ninth leads out of the last frame"


def test_actions_keep_the_card(episode: Episode) -> None:
    low = np.array([dim.low for dim in episode.embodiment.action])
    high = np.array([dim.high for dim in episode.embodiment.action])
    assert (episode.actions >= low - 1e-6).all() and (episode.actions <= high + 1e-6).all()
    assert not episode.actions[:, 3:6].any(), "Meta-World's wrist never turns"


@pytest.mark.parametrize("source", ["near_success", "random", "swapped"])
def test_other_sources_act_differently_and_repeatably(environment: MetaWorld, episode: Episode, source: str) -> None:
    job = Job("button-press", "button-press", source, 4)
    first, second = record(environment, job, OPTIONS), record(environment, job, OPTIONS)
    assert np.array_equal(first.videos["front"].frames, second.videos["front"].frames)
    assert first.actions.shape != episode.actions.shape or not np.allclose(first.actions, episode.actions)
    assert first.source == source


def test_siblings_share_the_first_picture_and_not_the_last() -> None:
    options = RecordingOptions(size=48)
    environment = MetaWorld("faucet-open", cameras=(), size=48)
    opened = record(environment, Job("faucet-open", "faucet-open", "expert", 2), options)
    closed = record(environment, Job("faucet-open", "faucet-close", "expert", 2), options)
    environment.close()
    first, last = (
        np.abs(opened.videos["front"].frames[i].astype(int) - closed.videos["front"].frames[i]) for i in (0, -1)
    )
    assert first.max() == 0 and last.max() > 50
    assert opened.task != closed.task and closed.success is None


def test_a_recovery_begins_where_the_scene_was_left_and_is_not_hindered_by_a_closed_hand() -> None:
    scene = MetaWorld("pick-place", cameras=(), size=48)

    def leave(environment: MetaWorld) -> None:
        for _ in range(40):
            environment.advance(np.array([0.3, 0.2, 0.3, 1.0]))

    left = record(scene, Job("pick-place", "pick-place", "recovery", 600), OPTIONS, leave)
    begun = record(scene, Job("pick-place", "pick-place", "expert", 600), OPTIONS)
    assert left.success and left.states is not None and begun.states is not None
    assert np.linalg.norm(left.states[0, :3] - begun.states[0, :3]) > 0.05
    assert left.states[0, 3] < 0.5 < begun.states[0, 3], "how far the hand is open"
    scene.close()


def test_an_expert_elsewhere_ends_when_what_it_moved_is_left_alone() -> None:
    """Nobody tells it of a success: without an end of its own it wanders until time is up."""
    environment = MetaWorld("faucet-close", cameras=(), size=48)
    opened = record(environment, Job("faucet-close", "faucet-open", "expert", 2), RecordingOptions(size=48))
    hurried = record(
        environment, Job("faucet-close", "faucet-open", "expert", 2), RecordingOptions(size=48, max_steps=40)
    )
    environment.close()
    things = opened.signals["sim.objects"].reshape(len(opened), 2, 7)[:, 0, :3]
    assert opened.facts["control_steps"] < 200 and np.ptp(things[-6:], axis=0).max() < 0.003
    assert np.linalg.norm(things[-1] - things[0]) > 0.03 and opened.success is None
    assert hurried.success is False, "who is still at it when time is up did not do it"


def test_a_collection_is_the_same_each_time_and_named_by_task() -> None:
    assert list(jobs(["reach"], 3, "expert", 10)) == list(jobs(["reach"], 3, "expert", 10))
    assert [job.seed for job in jobs(["reach"], 3, "expert", 10)] == [10, 11, 12]
    assert len(named_tasks("all")) == 50
    assert named_tasks("reach-v3,push") == ("reach", "push")
    assert set(siblings("push")) == {"reach", "pick-place"}


@pytest.mark.parametrize("words", ["", "reech", "reach,,nothing-like-this"])
def test_bad_task_lists_are_refused(words: str) -> None:
    with pytest.raises(WowError):
        named_tasks(words)
