"""The built-in refiner: it speaks the training grammar, never repeats itself and never changes the goal."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from wow.refine.contract import Attempt
from wow.refine.grammar import VARIED, GrammarRefiner, blamed
from wow.refine.phrases import DETAILS, Phrasebook, Wording, counted_places, shorts
from wow.sim.language import (
    FAR,
    MAX_DENSE_WORDS,
    MAX_STORY_WORDS,
    NEAR,
    PICTURES,
    ROBOTS,
    STORIES,
    TASKS,
    dense_caption,
)
from wow.types import Verdict, Video, WowError

BOOK = Phrasebook(tuple(TASKS.values()), STORIES, ROBOTS, MAX_DENSE_WORDS, MAX_STORY_WORDS, counted_places())
REFINER = GrammarRefiner(BOOK)
VIDEO = Video(np.zeros((2, 4, 4, 3), np.uint8), 5.0)
POOR = Verdict({"action_success": 1.0, "visual_quality": 4.0}, False, 0.9, "")


def attempt(prompt: str, number: int = 0, verdict: Verdict = POOR) -> Attempt:
    return Attempt(number, prompt, number, VIDEO, verdict, {"critic": verdict})


def proposed(goal: str, count: int, verdict: Verdict = POOR) -> list[str]:
    history = [attempt(goal)]
    with contextlib.suppress(WowError):  # some tasks have few words
        for number in range(1, count + 1):
            history.append(attempt(REFINER(goal, history), number, replace(verdict, confidence=0.95)))
    return [past.prompt for past in history[1:]]


@pytest.mark.parametrize("name", ["push", "hammer", "drawer-open", "assembly", "stick-pull", "window-close"])
def test_prompts_are_captions_as_the_simulator_writes_them(name: str) -> None:
    """What a real caption says is read off it and written again, word for word but for the order of its two halves."""
    task, rng = TASKS[name], np.random.default_rng(0)
    seen = 0
    for _ in range(400):
        points = rng.uniform((-0.3, 0.45, 0.0), (0.4, 0.9, 0.3), size=(len(task.objects) + 1, 3))
        caption = dense_caption(task, gripper=(0.0, 0.6, 0.2), objects=list(points[:-1]), goal=points[-1], rng=rng)
        wording = BOOK.read(task, caption)
        assert wording.story is not None
        said = BOOK.write(task, wording)
        is_plain = not any(word in caption for word in (*PICTURES[1:], FAR[0], NEAR[0]))
        if is_plain and wording.place is not None and sorted(said.split()) == sorted(caption.split()):
            assert set(said.split(". ")) == set(caption.split(". ")) or said.rstrip(".").split(". ") == [
                half.rstrip(".") for half in reversed(caption.rstrip(".").split(". "))
            ]
            seen += 1
    assert seen > 3, "random scenes rarely lie as this task's do, but some do"


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_what_is_written_is_read_back_and_is_never_too_long(task: object) -> None:
    wordings = list(BOOK.all_wordings(task, {}))  # type: ignore[arg-type]
    assert len({BOOK.write(task, wording) for wording in wordings}) >= 5  # type: ignore[arg-type]
    for wording in wordings[:: max(1, len(wordings) // 40)]:
        text = BOOK.write(task, wording)  # type: ignore[arg-type]
        back = BOOK.read(task, text)  # type: ignore[arg-type]
        assert len(text.split()) <= MAX_DENSE_WORDS
        assert BOOK.write(task, back) == text  # type: ignore[arg-type]
        assert (back.story, back.robot, back.place) == (wording.story, wording.robot, wording.place)


def test_places_are_counted_for_every_task() -> None:
    assert set(BOOK.places) == set(TASKS)
    assert all(details.keys() <= set(DETAILS) and details["place"] for details in BOOK.places.values())
    assert BOOK.options(TASKS["door-close"], "relation") == ("in front of",)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_task_is_known_by_its_own_words_and_by_nobody_elses(task: object) -> None:
    for text in shorts(task):  # type: ignore[arg-type]
        assert BOOK.task_of(text) is task
        assert BOOK.task_of(text.upper() + ".") is task


@pytest.mark.parametrize(
    "goal",
    [
        "open the box", "pull the front handle down", "push the door open", "open the blue drawer", "make tea",
        "do not open the drawer", "close the drawer, then open the door", "",
    ],
)  # fmt: skip
def test_a_goal_that_no_task_means_stays_in_the_users_words(goal: str) -> None:
    assert BOOK.task_of(goal) is None
    if goal:
        prompts = proposed(goal, 4)
        assert all(goal in prompt.lower() for prompt in prompts) and len(set(prompts)) == 4


@pytest.mark.parametrize(("goal", "name"), [("shut drawer", "drawer-close"), ("turn the faucet left", "faucet-close")])
def test_a_goal_in_other_words_is_understood(goal: str, name: str) -> None:
    assert BOOK.task_of(goal) is TASKS[name]


@pytest.mark.parametrize("task", list(TASKS.values())[::7], ids=lambda task: task.name)
def test_no_prompt_comes_twice_and_the_goal_stays(task: object) -> None:
    prompts = proposed(task.instruction, 30)  # type: ignore[attr-defined]
    assert len(set(prompts)) == len(prompts) >= 15 and task.instruction not in prompts  # type: ignore[attr-defined]
    for prompt in prompts:
        told = [
            other for other in TASKS.values() if ", ".join(other.stages[:-1]) in prompt and other.stages[-1] in prompt
        ]
        assert told == [task] or BOOK.task_of(prompt) is task


def test_the_first_rewrite_adds_what_a_short_text_leaves_open() -> None:
    first = proposed("push the puck to the target", 1)[0]
    assert "The red puck is in the middle of the picture, to the right of the gripper" in first
    assert "come down onto the red puck, hold it on the table, then push it forward to the green target" in first


def test_only_the_blamed_detail_changes() -> None:
    task = TASKS["push"]
    start = BOOK.read(task, BOOK.write(task, BOOK.usual(task, {})))
    scores = {"action_success": 1.0, "task_completion": 3.0}

    def after(reason: str) -> Wording:
        verdict = Verdict(scores, False, 0.6, reason)
        history = [attempt(task.instruction), attempt(BOOK.write(task, start), 1, verdict)]
        return BOOK.read(task, REFINER(task.instruction, history))

    changed = after("the fingers miss the puck")
    assert changed.relation != start.relation and (changed.place, changed.story) == (start.place, start.story)
    changed = after("the puck stops short of the target")
    assert changed.goal != start.goal and (changed.place, changed.story) == (start.place, start.story)


def test_it_goes_on_from_the_best_attempt_not_from_the_last() -> None:
    task = TASKS["push"]
    best = BOOK.write(task, Wording(story=1, place="slightly right of the picture's middle", relation="behind"))
    fair = Verdict({"action_success": 2.0}, True, 0.7, "")
    history = [attempt(task.instruction), attempt(best, 1, fair), attempt(BOOK.write(task, BOOK.usual(task, {})), 2)]
    changed = BOOK.read(task, REFINER(task.instruction, history))
    assert (changed.story, changed.place) == (1, "slightly right of the picture's middle")


def test_what_is_known_is_said_and_not_varied() -> None:
    refiner = GrammarRefiner(BOOK, known={"relation": "in front of"})
    history = [attempt("push the puck to the target")]
    for number in range(1, 12):
        history.append(attempt(refiner("push the puck to the target", history), number))
    assert all("in front of the gripper" in past.prompt for past in history[1:])


def test_words_come_before_scores() -> None:
    scores = {"task_completion": 1.0, "visual_quality": 5.0}
    assert blamed(Verdict(scores, False, 0.9, "the gripper never touches the lid"))[0] == "relation"
    assert blamed(Verdict(scores, False, 0.9, "nothing to say"))[0] == "goal"


NOT_BLAMED: list[str] = []


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        # the motion critic
        ("The hand stops 4 cm short. On average it is 3.1 cm from a practised hand.", ["goal"]),
        ("The hand reaches 6 cm too far left.", ["relation", "goal", "place"]),
        ("The hand stays 3 cm too high.", ["relation"]),
        ("It closes the gripper too early (frame 4 instead of 8).", ["story"]),
        ("It never closes the gripper.", ["story"]),
        ("The hand moves as a practised one does. On average it is 0.8 cm from a practised hand.", NOT_BLAMED),
        # the measured checks
        ("nothing impossible is seen; whether the goal is reached, these checks cannot tell", NOT_BLAMED),
        ("nothing moves in this video", ["story"]),
        ("the picture freezes between frames 3 and 9, then goes on", ["story"]),
        ("between frames 3 and 4 the whole scene leaps, as in a cut", ["story"]),
        ("frames 3 to 9 seem to run backwards: turned round they fit what comes before and after", ["story"]),
        ("something on the left of the lower half of the picture trembles to and fro in frames 1 to 9", ["story"]),
        (
            "something on the right of the picture moves, appears or vanishes between frames 3 and 4 though nothing "
            "touches it",
            ["story", "relation"],
        ),
        # the learned critic
        ('The goal "grasp the left lid, then lift it" looks reached, from frame 7 on (chance 80%).', NOT_BLAMED),
        ('The goal "reach the shelf" is not reached in the last frame (chance 12%).', ["goal", "relation"]),
        ('It looks as if the goal "lift" were reached, but the video is not to be believed (chance 4%).', NOT_BLAMED),
        ("From frame 3 to 5 something jumps from one place to another (91% sure).", ["story"]),
        ("In frame 3 something that was there disappears (91% sure).", ["story"]),
        # the answers of a model, and the names before them
        ("vlm: semantic: the fingers miss the puck", ["relation"]),
        ("physics: no fault is visible. The arm is sharp.", NOT_BLAMED),
        ("motion: the motion is smooth, but the gripper never touches the lid", ["relation"]),
        ("quality: the handle is blurred in the middle of the picture", ["robot"]),
        ("the steppe appeals", NOT_BLAMED),
    ],
)
def test_the_words_of_every_critic_lead_where_they_should(reason: str, words: list[str]) -> None:
    """With scores that blame nothing the order of VARIED is left; words come before it, in the order of the text."""
    order = blamed(Verdict({}, False, 0.9, reason))
    assert order == list(dict.fromkeys([*words, *VARIED]))
    assert blamed(Verdict({}, False, 0.9, f"checks: {reason}")) == order


def test_a_hand_that_went_too_far_left_makes_it_say_right() -> None:
    task = TASKS["stick-pull"]
    start = BOOK.usual(task, {})
    verdict = Verdict({}, False, 0.6, "motion: The hand reaches 6 cm too far left.")
    history = [attempt(task.instruction), attempt(BOOK.write(task, start), 1, verdict)]
    changed = BOOK.read(task, REFINER(task.instruction, history))
    assert (start.relation, changed.relation) == ("below", "to the left of") or "right" in str(changed.goal)


def test_when_all_is_said_it_says_so() -> None:
    history = [attempt("make tea")]
    with pytest.raises(WowError, match="make tea"):
        for number in range(1, 40):
            history.append(attempt(REFINER("make tea", history), number))
    assert len(history) > 10
