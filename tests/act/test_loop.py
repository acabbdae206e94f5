"""The closed loop on an arm without physics: what is planned from what, and when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from wow.act.loop import LoopOptions, run_episode
from wow.act.planner import GivenPlanner, ImaginingPlanner, Plan
from wow.act.reading import Reading
from wow.types import Actions, UInt8, Video

Make = Callable[..., Actions]


def said(actions: Actions) -> Reading:
    """A reading of which only the actions matter."""
    nowhere = np.zeros((len(actions) + 1, 3))
    return Reading(actions, nowhere, nowhere, nowhere[:, 0], (), 0.0)


class SeesHand:
    """A planner that looks where the hand is and goes on to x = 0.3, misjudging the way by a third."""

    def __init__(self, actions: Make) -> None:
        self.actions = actions
        self.pictures: list[int] = []

    def __call__(self, scene: object, number: int) -> Plan:
        assert number == len(self.pictures)
        self.pictures.append(int(scene.look()[0, 0, 0]))  # type: ignore[attr-defined]
        way = 0.3 - (self.pictures[-1] - 100) / 100
        return Plan(self.actions(np.tile([way / 16 * 0.67, 0, 0], (16, 1))))


def test_looking_again_arrives_where_one_plan_does_not(make_arm: type, actions: Make) -> None:
    goal = (0.3, 0.0, 0.0)
    blind = run_episode(make_arm(goal), SeesHand(actions), LoopOptions(open_loop=True))
    assert not blind.success and len(blind.legs) == 1 and blind.num_steps == 16 * 4 + 20
    planner = SeesHand(actions)
    seeing = run_episode(make_arm(goal), planner, LoopOptions(replan_every=8))
    assert seeing.success and len(seeing.legs) == len(planner.pictures) > 2
    assert planner.pictures == sorted(planner.pictures) and planner.pictures[0] == 100
    assert [leg.num_steps for leg in seeing.legs[:2]] == [32, 32]


def test_an_episode_ends_with_its_budget(make_arm: type, actions: Make) -> None:
    outcome = run_episode(make_arm(), GivenPlanner(actions(np.zeros((16, 3)))), LoopOptions(8, budget=50))
    assert outcome.num_steps == 50 and outcome.success_step is None
    assert [(leg.start, leg.num_steps) for leg in outcome.legs] == [(0, 32), (32, 18)]


def test_at_the_end_of_a_plan_the_hand_arrives_before_the_scene_is_looked_at_again(
    make_arm: type, actions: Make
) -> None:
    planner = SeesHand(actions)
    outcome = run_episode(make_arm((0.3, 0.0, 0.0)), planner, LoopOptions(settle=6))
    assert outcome.success and len(outcome.legs) > 2
    assert [leg.num_steps for leg in outcome.legs[:-1]] == [16 * 4 + 6] * (len(outcome.legs) - 1)
    once = run_episode(make_arm((0.3, 0.0, 0.0)), SeesHand(actions), LoopOptions(open_loop=True, settle=6))
    assert not once.success and once.num_steps == outcome.legs[0].num_steps, "the first plan is that of an open loop"


def test_after_a_plan_that_failed_the_hand_goes_home_and_what_happens_there_counts_for_nothing(
    make_arm: type, actions: Make
) -> None:
    planner = SeesHand(actions)
    options = LoopOptions(retreat=True, budget=400, settle=6)
    outcome = run_episode(make_arm((0.1, 0.0, 0.05)), planner, options)
    assert planner.pictures == [100] * len(planner.pictures) and len(planner.pictures) > 2, "it is seen from home alone"
    assert outcome.legs[1].num_steps == outcome.legs[0].num_steps > 16 * 4 + 6 + 6 + 20

    class Passes(make_arm):  # type: ignore[misc, valid-type]
        """Succeeds wherever its hand moves backwards, as it does on the way home alone."""

        def advance(self, step: np.ndarray) -> bool:
            super().advance(step)
            return bool(step[0] < 0)

    assert not run_episode(Passes(), SeesHand(actions), options).success
    assert run_episode(Passes(), GivenPlanner(actions(np.tile([-0.01, 0, 0], (16, 1)))), options).success_step == 1
    parts = run_episode(make_arm((0.3, 0, 0)), SeesHand(actions), LoopOptions(replan_every=8, retreat=True))
    assert parts.success and parts.legs[0].num_steps == 32, "who looks again half-way does not go back"


def test_an_episode_ends_with_success_and_lingers_as_long_as_asked(make_arm: type, actions: Make) -> None:
    steps: list[int] = []
    plan = GivenPlanner(actions(np.tile([0.04, 0, 0], (10, 1))))
    ended = run_episode(make_arm((0.2, 0, 0)), plan, LoopOptions(), steps.append)
    assert ended.success_step == ended.num_steps == 20 and steps == list(range(1, 21))
    filmed = run_episode(make_arm((0.2, 0, 0)), plan, LoopOptions(replan_every=5, linger=10))
    assert filmed.success_step == 20 and filmed.num_steps == 30 and len(filmed.legs) == 1


def test_the_most_certain_future_is_taken(make_arm: type, actions: Make) -> None:
    """Futures are told apart by their seeds; the deviation of each is the distance of its seed from 13."""
    asked: list[tuple[int, ...]] = []

    def imagine(picture: UInt8, seeds: Sequence[int]) -> list[Video]:
        asked.append(tuple(seeds))
        return [Video(np.full((3, 4, 4, 3), seed, np.uint8), 1.0) for seed in seeds]

    def act(video: Video, start: object, paced: bool) -> Reading:
        seed = int(video.frames[0, 0, 0, 0])
        read = actions(np.full((2, 3), seed / 1000), seconds=None)
        return said(replace(read, deviations=np.full((2, 7), 1e-3 + abs(seed - 13) * 1e-2, np.float32)))

    arm = make_arm()
    planner = ImaginingPlanner(imagine, act, seed=10, candidates=4)
    plan = planner(arm, 0)
    assert plan.video is not None and plan.video.frames[0, 0, 0, 0] == 13
    assert np.allclose(plan.actions.values[:, 0], 0.013) and plan.reading is not None
    assert plan.reading.actions is plan.actions
    assert len(plan.candidates) == 4 and plan.uncertainty == min(plan.candidates) == plan.candidates[3]
    planner(arm, 1)
    assert asked == [(10, 11, 12, 13), (18, 19, 20, 21)]
    doubting = ImaginingPlanner(imagine, act, seed=12, candidates=1, doubtful=plan.uncertainty + 1e-3)
    second_thought = doubting(arm, 0)
    assert second_thought.video is not None and second_thought.video.frames[0, 0, 0, 0] == 13
    assert len(second_thought.candidates) == 2 and asked[-2:] == [(12,), (13,)]
    assert len(ImaginingPlanner(imagine, act, seed=13, doubtful=plan.uncertainty)(arm, 0).candidates) == 1
