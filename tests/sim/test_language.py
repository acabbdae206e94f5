"""Texts of the simulator's tasks: complete, unambiguous, true to the picture and short enough for the text encoder."""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher

import numpy as np
import pytest

from wow.assembly import load_text
from wow.sim.language import (
    MAX_DENSE_WORDS,
    MAX_SHORT_WORDS,
    MIN_DENSE_WORDS,
    TASKS,
    Task,
    captions,
    dense_caption,
    find_task,
    is_dense,
    picture_position,
)
from wow.types import WowError

GRIPPER = (0.0, 0.6, 0.2)


def told(task: Task) -> tuple[str, ...]:
    """The short texts of training."""
    return (task.instruction, *task.paraphrases, *task.further)


def kept_back(task: Task) -> tuple[str, ...]:
    return (task.held_out, *task.users)


def shorts(task: Task) -> tuple[str, ...]:
    return (*told(task), *kept_back(task))


def drawn_captions(task: Task, count: int, seed: int) -> list[str]:
    """Dense captions of random scenes on the table."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        points = rng.uniform((-0.3, 0.45, 0.0), (0.4, 0.9, 0.3), size=(len(task.objects) + 1, 3))
        texts.append(dense_caption(task, gripper=GRIPPER, objects=list(points[:-1]), goal=points[-1], rng=rng))
    return texts


def test_the_tasks_are_those_of_metaworld() -> None:
    env_dict = pytest.importorskip("metaworld.env_dict")
    assert {f"{name}-v3" for name in TASKS} == set(env_dict.ALL_V3_ENVIRONMENTS)


def test_every_task_has_enough_words() -> None:
    for name, task in TASKS.items():
        assert task.name == name and len(task.paraphrases) >= 5 and len(task.stages) >= 3 and task.goal
        assert len(task.further) >= 20 and len(task.users) >= 3
        assert len(task.objects) == (2 if name in {"hammer", "stick-pull", "stick-push"} else 1)
        assert all(0 < len(text.split()) <= MAX_SHORT_WORDS for text in shorts(task))


def test_no_text_is_said_twice() -> None:
    texts = Counter(text.lower() for task in TASKS.values() for text in shorts(task))
    assert [text for text, count in texts.items() if count > 1] == []
    assert len({task.stages for task in TASKS.values()}) == len(TASKS)


def test_what_is_held_out_is_no_wording_of_the_training_with_a_word_more_or_less() -> None:
    """Read with another article or adjective it would be no test of reading."""
    pairs = [(text, kept) for task in TASKS.values() for text in told(task) for kept in kept_back(task)]
    assert not [pair for pair in pairs if SequenceMatcher(None, *pair, autojunk=False).ratio() > 0.85]


@pytest.mark.parametrize(
    ("words", "tasks"),
    [
        ("wall", {"button-press-topdown-wall", "button-press-wall", "pick-place-wall", "push-wall", "reach-wall"}),
        ("coffee", {"coffee-button", "coffee-pull", "coffee-push"}),
        ("stick", {"stick-pull", "stick-push"}),
    ],
)
def test_the_word_that_tells_siblings_apart_is_in_every_instruction(words: str, tasks: set[str]) -> None:
    assert all(words in TASKS[name].instruction for name in tasks)
    for name in tasks - {"coffee-button"}:
        assert all(words in text for text in TASKS[name].paraphrases)


def test_names_with_and_without_version_and_typos() -> None:
    assert find_task("drawer-open") is find_task("drawer-open-v3")
    with pytest.raises(WowError, match="drawer-open"):
        find_task("drawr-open-v3")


def test_left_and_right_are_those_of_the_picture() -> None:
    rightward = picture_position((0.2, 0.7, 0.1))[0]
    assert rightward > picture_position((-0.2, 0.7, 0.1))[0]
    assert picture_position((0.0, 0.62, 0.12)) == pytest.approx((0.0, 0.0))
    task = find_task("pick-place")
    rng = np.random.default_rng(0)
    for _ in range(20):
        text = dense_caption(task, gripper=GRIPPER, objects=[(0.3, 0.9, 0.02)], goal=None, rng=rng)
        assert "right of" in text and "left of" not in text
        text = dense_caption(task, gripper=GRIPPER, objects=[(-0.3, 0.5, 0.02)], goal=(0.3, 0.6, 0.1), rng=rng)
        assert "left of" in text


def test_the_projection_agrees_with_mujoco() -> None:
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody/></mujoco>")
    scene = mujoco.MjvScene(model, maxgeom=10)
    camera = mujoco.MjvCamera()
    camera.lookat[:], camera.distance, camera.azimuth, camera.elevation = (0, 0.62, 0.12), 1.15, 145, -28
    data = mujoco.MjData(model)
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
    eye = (np.array(scene.camera[0].pos) + np.array(scene.camera[1].pos)) / 2
    forward, up = np.array(scene.camera[0].forward), np.array(scene.camera[0].up)
    offset = np.array((0.2, 0.8, 0.05)) - eye
    half = offset @ forward * np.tan(np.radians(22.5))
    expected = (offset @ np.cross(forward, up) / half, offset @ up / half)
    assert picture_position((0.2, 0.8, 0.05)) == pytest.approx(expected, abs=1e-4)


def test_dense_captions_have_20_to_45_words_and_end_cleanly() -> None:
    for index, task in enumerate(TASKS.values()):
        for text in drawn_captions(task, 40, index):
            assert MIN_DENSE_WORDS <= len(text.split()) <= MAX_DENSE_WORDS, text
            assert text[0].isupper() and text.endswith(".") and "  " not in text


def test_texts_fit_the_text_encoder() -> None:
    tokenizer = load_text().tokenizer
    for index, task in enumerate(TASKS.values()):
        for text in [*shorts(task), *drawn_captions(task, 40, index)]:
            assert len(tokenizer.encode(text).ids) <= 64, text


def test_an_episode_keeps_the_held_out_text_out_and_repeats_under_its_seed() -> None:
    for task in TASKS.values():
        points = [(0.1, 0.7, 0.02), (0.25, 0.6, 0.1)][: len(task.objects)]
        texts = captions(task, gripper=GRIPPER, objects=points, goal=(0.0, 0.85, 0.1), seed=3)
        assert texts == captions(task, gripper=GRIPPER, objects=points, goal=(0.0, 0.85, 0.1), seed=3)
        assert texts[0] == task.instruction and sum(map(is_dense, texts)) == 4 and len(set(texts)) == len(texts)
        assert set(told(task)) < set(texts)
        assert not any(kept.lower() in text.lower() for kept in kept_back(task) for text in texts)


def test_the_robot_is_named_in_some_but_not_all() -> None:
    texts = drawn_captions(find_task("push"), 60, 0)
    assert 0 < sum("Sawyer" in text for text in texts) < len(texts)


def test_a_missing_object_is_told() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="thermos"):
        dense_caption(find_task("stick-pull"), gripper=GRIPPER, objects=[GRIPPER], goal=None, rng=rng)
