"""The open suite's scenes: drawn from seeds, made again from their cards, and what they are said to be."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from wow.bench.abilities import LEAVES
from wow.sim.altered import AlteredScene
from wow.sim.briefs import BINS, LESSONS, MISSING, RECIPES, TAUGHT, Brief, brief, briefs, lesson
from wow.sim.changes import STOCK, Changes, SceneCard, Thing, card_from_json
from wow.sim.experts import expert
from wow.sim.job import RecordingOptions
from wow.sim.language import picture_position
from wow.sim.metaworld import SEGMENTS
from wow.sim.phrasing import key_steps
from wow.sim.placing import Wish, placed
from wow.sim.shoot import shoot
from wow.types import WowError

SMALL = RecordingOptions(size=64)
START, GOAL = np.array([0.0, 0.62, 0.02]), np.array([0.05, 0.86, 0.02])


def test_every_leaf_is_either_made_or_said_to_be_missing() -> None:
    assert not RECIPES.keys() & MISSING.keys()
    assert RECIPES.keys() | MISSING.keys() == LEAVES.keys()


def test_a_larger_suite_begins_with_the_smaller_one_and_has_all_bins() -> None:
    small, large = briefs(30, 0), briefs(210, 0)
    assert large[:30] == small and len({one.key for one in large}) == 210
    assert {one.difficulty for one in large} == set(BINS)
    assert {one.leaf for one in small} == RECIPES.keys()
    assert min(one.seed for one in large) >= 200_000, "training used the seeds below 100000"
    seeds = sorted(one.seed for one in large)
    assert min(np.diff(seeds)) >= 20, "two samples never try the same scene"
    assert briefs(5, 1) != briefs(5, 0)


@pytest.mark.parametrize("task", TAUGHT)
def test_lessons_are_about_their_task_and_never_a_sample_of_a_suite(task: str) -> None:
    lessons = [lesson(task, seed) for seed in range(24)]
    assert {one.tasks for one in lessons} == {(task,)}
    assert {one.leaf for one in lessons} == {leaf for leaf, (_, tasks) in LESSONS.items() if task in tasks}
    assert [one.seed for one in lessons] == list(range(24))
    stock = {"light", "tint", "table", "azimuth", "elevation", "distance"}
    assert all(getattr(one.changes, name) == getattr(STOCK, name) for one in lessons for name in stock)


def test_a_task_alone_does_not_tell_which_thing_is_meant() -> None:
    asked = " ".join(lesson("push", seed).prompt for seed in range(100))
    assert all(
        f" {word} " in asked for word in ("large", "small", "left", "right", "nearer", "farther", "red", "black")
    )
    with pytest.raises(WowError, match="no altered scene is known for door-close"):
        lesson("door-close", 0)


@pytest.mark.parametrize("one", briefs(150, 0), ids=lambda one: one.key)
def test_the_other_instruction_means_something_else(one: Brief) -> None:
    assert one.prompt != one.other and one.prompt and one.other
    assert "{" not in one.prompt + one.other


@pytest.mark.parametrize("where", ["left", "right", "nearer", "farther"])
def test_a_thing_lies_where_it_is_wanted_and_out_of_the_way(where: str) -> None:
    for seed in range(5):
        found = placed([Wish(Thing("cube", "red"), where)], START, GOAL, np.random.default_rng(seed))
        assert found is not None
        across, up = np.subtract(picture_position(np.array(found[0].at)), picture_position(START))
        signed = {"left": -across, "right": across, "nearer": -up, "farther": up}
        assert signed[where] == max(signed.values()) > 0.1
        for share in np.linspace(0, 1, 11):
            assert np.linalg.norm(found[0].at[:2] - (START + share * (GOAL - START))[:2]) > 0.1


def test_where_there_is_no_room_nothing_is_placed() -> None:
    crowd = [Wish(Thing("cube", "red", 0.03))] * 60
    assert placed(crowd, START, GOAL, np.random.default_rng(0), tries=50) is None


def test_a_card_survives_json_and_a_broken_one_is_a_sentence() -> None:
    changes = Changes(
        "pink", things=(Thing("ball", "blue", at=(0.1, 0.5, 0.02)),), tint=(1.0, 0.5, 0.5), table="checker"
    )
    card = SceneCard(("push",), 7, changes)
    assert card_from_json(json.loads(json.dumps(card.to_json()))) == card
    for broken in ({}, None, {"tasks": ["push"], "seed": 1, "changes": {"gravity": 2}}, [1]):
        with pytest.raises(WowError):
            card_from_json(broken)
    with pytest.raises(WowError, match="cannot follow"):
        AlteredScene(SceneCard(("push", "drawer-open"), 0))
    with pytest.raises(WowError, match="shape of its own"):
        AlteredScene(SceneCard(("hammer",), 0, Changes(shape="cube")))


def test_what_is_put_into_a_scene_stays_where_it_is_until_it_is_touched() -> None:
    things = (Thing("cube", "blue", 0.03, (0.2, 0.5, 0.031)), Thing("cylinder", "red", 0.02, (-0.2, 0.5, 0.021)))
    scene = AlteredScene(SceneCard(("push",), 3, Changes("yellow", things=things)), size=64)
    stock = AlteredScene(SceneCard(("push",), 3), size=64)
    scene.reset()
    stock.reset()
    assert np.allclose(scene.truth().objects, stock.truth().objects, atol=2e-3), "the task's own scene is the same"
    policy = expert("push")
    for _ in range(80):
        scene.advance(policy.get_action(scene.state))
    for number, thing in enumerate(things):
        assert np.linalg.norm(scene.data.body(f"thing{number}").xpos[:2] - thing.at[:2]) < 0.005
    yellow = scene.picture()[scene.segmentation() == SEGMENTS.index("object")].astype(int)
    assert len(yellow) and (yellow[:, 0] > yellow[:, 2] + 40).mean() > 0.5
    scene.close()
    stock.close()


def test_a_chain_succeeds_only_when_all_its_tasks_are_done_one_after_the_other() -> None:
    scene = AlteredScene(SceneCard(("door-lock", "door-unlock"), 1))
    paths = []
    for _ in range(3):
        scene.reset()
        stages, succeeded, states = [], False, []
        policies = {task: expert(task) for task in scene.card.tasks}
        for _ in range(300):
            succeeded = scene.advance(policies[scene.stage_task].get_action(scene.state))["success"]
            stages.append(scene.stage)
            states.append(scene.data.qpos.copy())
            if succeeded:
                break
        assert succeeded and set(stages) == {0, 1} and stages == sorted(stages)
        paths.append(np.array(states))
    assert all(np.array_equal(path, paths[0]) for path in paths), "the second task does not undo the first"
    scene.reset()
    locks = expert("door-lock")
    only_first = [scene.advance(locks.get_action(scene.state))["success"] for _ in range(200)]
    assert scene.stage == 1 and not any(only_first)


def test_the_same_brief_gives_the_same_film_with_masks_that_fit() -> None:
    one = brief("spatial", 0, 0)
    shot, again = shoot(one, SMALL), shoot(one, SMALL)
    assert np.array_equal(shot.frames, again.frames) and np.array_equal(shot.labels, again.labels)
    assert shot.card == again.card and len(shot.actions) == len(shot.frames) - 1 == len(shot.gripper) - 1
    for frame in (0, len(shot.frames) // 2):
        column, row = shot.gripper_pixels[frame].round().astype(int)
        assert SEGMENTS.index("gripper") in shot.labels[frame, row - 5 : row + 6, column - 5 : column + 6]
    column, row = shot.object_pixels[0, 0].round().astype(int)
    assert SEGMENTS.index("object") in shot.labels[0, row - 3 : row + 4, column - 3 : column + 4]
    assert "cylinder" in shot.dense and len(shot.dense.split()) > 20


def test_what_is_hidden_is_hidden_and_what_is_hit_is_hit() -> None:
    hidden = shoot(brief("permanence-semi-occlusion", 1, 0), SMALL)
    assert hidden.seen < 0.8
    hit = brief("collision-rigid-rigid", 1, 0)
    assert hit.moves and shoot(hit, SMALL).card.changes.things[0].counts


def test_a_brief_that_cannot_be_filmed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wow.sim.shoot.TRIES", 1)
    aside = replace(brief("spatial", 0, 0), moves=True)
    with pytest.raises(WowError, match="not hit"):
        shoot(aside, RecordingOptions(size=32, stride=40))
    crowded = replace(aside, wishes=(Wish(Thing("cube", "red", 0.03)),) * 60)
    with pytest.raises(WowError, match="no room"):
        shoot(crowded, RecordingOptions(size=32, stride=40))


def test_key_steps_have_a_skill_and_a_thing() -> None:
    steps = key_steps(("drawer-open", "drawer-close"), "drawer handle")
    assert len(steps) == 6 and steps[0] == "move: drawer handle: above"
    assert all(step.split(":")[0].isalpha() and len(step.split(":")) in (2, 3) for step in steps)


def test_a_task_that_comes_again_in_a_chain_has_an_expert_of_its_own() -> None:
    chain = replace(brief("long-horizon", 1, 0), tasks=("door-lock", "door-unlock", "door-lock"))
    shot = shoot(chain, SMALL)
    assert len(shot.success_steps) == 3 and list(shot.success_steps) == sorted(shot.success_steps)
