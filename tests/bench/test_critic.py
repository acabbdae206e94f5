"""Measuring critics: who knows the truth gets full marks, who guesses gets none, and the cases are what they say."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
import pytest

from wow.bench.critic import (
    IMAGINED,
    IMPOSSIBLE,
    RECORDED,
    WRONG_ACTIONS,
    WRONG_GOAL,
    Case,
    CriticRecord,
    critic_tables,
    cross_fitted,
    judge,
    to_fit,
)
from wow.bench.critic import said as said_of
from wow.bench.hallucination import hallucinations_of
from wow.bench.intervals import Estimate, bootstrap
from wow.data import EpisodeRecord
from wow.data.agreement import auroc, calibration_error, span_overlap
from wow.refine.ensemble import calibrated
from wow.types import Dimension, Embodiment, Float32, UInt8, Verdict, Video, WowError

VIDEO = Video(np.zeros((9, 8, 8, 3), np.uint8), 5.0)


def cases(count: int = 60) -> list[Case]:
    found = []
    for number in range(count):
        task = f"task {number % 5}"
        found.append(Case(RECORDED if number % 2 else IMAGINED, task, VIDEO, f"goal {number}", number % 3 > 0))
        found.append(Case(WRONG_GOAL, task, VIDEO, f"wrong {number}", False))
        found.append(Case("teleport", task, VIDEO, f"faulty {number}", False, (3, 4)))
    return found


def tables_of(knows: bool) -> dict[str, dict[str, dict[str, object]]]:
    records: list[CriticRecord] = []
    random = np.random.default_rng(0)
    for number, case in enumerate(cases()):

        def critic(video: Video, goal: str, case: Case = case) -> Verdict:
            chance = (0.99 if case.reached else 0.01) if knows else float(random.random())
            sound = (1.0 if case.span else 5.0) if knows else float(random.uniform(1, 5))
            scores = {"physical_plausibility": sound, "visual_quality": 1.0}
            return Verdict(scores, chance >= 0.5, max(chance, 1 - chance), "", case.span if knows else None, 0.1)

        records += judge({"it": critic}, case, str(number))
    return {table.name: {row.label: dict(row.cells) for row in table.rows} for table in critic_tables(records)}


def value(cell: object) -> float:
    assert isinstance(cell, Estimate)
    return cell.value


def test_who_knows_the_truth_is_believed() -> None:
    tables = tables_of(True)
    for kind in (RECORDED, IMAGINED, WRONG_GOAL):
        row = tables["success"][f"it: {kind}"]
        assert value(row["AUROC"]) == 1.0 and value(row["failures accepted"]) == 0.0
        assert value(row["calibration error"]) == pytest.approx(0.01)
    found = tables["faults"]["it: teleport"]
    assert value(found["found at 5 % false alarms"]) == 1.0 and value(found["span overlap"]) == 1.0


def test_a_critic_that_fails_once_is_recorded_and_the_others_decide() -> None:
    def knows(video: Video, goal: str) -> Verdict:
        return Verdict({}, True, 0.8, "")

    def fails(video: Video, goal: str) -> Verdict:
        if goal == "goal 1":
            raise WowError("no answer\nin time")
        return Verdict({}, True, float("nan") if goal == "goal 2" else 0.8, "")

    said = [list(judge({"a": knows, "b": fails}, case, "0-0", max_of)) for case in cases(3)[::3]]
    assert [record.problem for record in said[1]] == ["", "no answer in time", ""] and said[2][1].problem
    assert [record.critic for record in said[0]] == ["a", "b", "ensemble"]
    tables = {
        table.name: {row.label: row.cells for row in table.rows}
        for table in critic_tables([one for some in said for one in some])
    }
    assert value(tables["cost"]["b"]["not judged"]) == pytest.approx(2 / 3)
    right = tables["success"][f"b: {IMAGINED}"]["right"]
    assert isinstance(right, Estimate) and right.n == 1, "what was not judged is neither right nor wrong"


def test_what_is_believed_of_failures_is_counted_at_two_levels() -> None:
    records: list[CriticRecord] = []
    for number, chance in enumerate((0.3, 0.5, 0.6, 0.95)):

        def critic(video: Video, goal: str, chance: float = chance) -> Verdict:
            return Verdict({}, chance > 0.5, max(chance, 1 - chance), "")

        for kind in (IMPOSSIBLE, WRONG_ACTIONS):
            records += judge({"it": critic}, Case(kind, "push", VIDEO, "goal", False), f"{number}-{kind}")
    (table,) = [table for table in critic_tables(records) if table.name == "hallucinations"]
    rows = {row.label: row.cells for row in table.rows}
    assert set(rows) == {"it: impossible", "it: wrong actions"}
    for cells in rows.values():
        half, sure = cells["accepted above 0.5"], cells["accepted above 0.9"]
        assert (value(half), value(sure)) == (0.5, 0.25), "who says 0.5 knows nothing"
        assert isinstance(half, Estimate) and half.low is not None and half.low < 0.5 and half.n == 4


def test_a_model_is_made_to_imagine_what_cannot_be() -> None:
    """From a scene's first frame: another task's words, and another task's actions for the scene's own goal."""
    card = Embodiment("point", 10.0, (Dimension("delta_x", "m", "world"),), action_kind="delta")
    facts = [{"task_name": "push"}, {"task_name": "drawer-open"}, {"task_name": "push"}]
    frames = [np.full((33, 8, 8, 3), number, np.uint8) for number in range(3)]
    data = SimpleNamespace(
        embodiment=card,
        records=[
            SimpleNamespace(facts=fact, task=f"task {number}", length=33, success=True, source="recorded")
            for number, fact in enumerate(facts)
        ],
        episode=lambda number: SimpleNamespace(
            videos={"front": Video(frames[number], 10.0)}, actions=np.full((33, 1), number, np.float32)
        ),
    )
    asked: list[tuple[int, str, object, float]] = []

    def dream(picture: UInt8, prompt: str, actions: Float32 | None, seed: int, seconds: float) -> Video:
        asked.append((int(picture[0, 0, 0]), prompt, None if actions is None else actions.sum(), seconds))
        return VIDEO

    def others(record: EpisodeRecord) -> list[tuple[str, str]]:
        return [("drawer-open", "open the drawer")] if record.facts["task_name"] == "push" else []

    made = [list(hallucinations_of(data, number, others, dream, 9, 0)) for number in range(3)]  # type: ignore[arg-type]
    assert [[case.kind for case in some] for some in made] == [
        [IMPOSSIBLE, WRONG_ACTIONS],
        [],
        [IMPOSSIBLE, WRONG_ACTIONS],
    ]
    assert all(not case.reached for some in made for case in some)
    assert (made[0][0].goal, made[0][1].goal) == ("open the drawer", "task 0")
    assert asked[0] == (0, "open the drawer", None, 0.4) and asked[1] == (0, "task 0", 32.0, 0.4), (
        "32 steps of the donor"
    )


def max_of(verdicts: Mapping[str, Verdict]) -> Verdict:
    return max(verdicts.values(), key=lambda verdict: verdict.success_probability)


def test_weights_are_fitted_per_video_and_tried_on_others() -> None:
    random = np.random.default_rng(0)
    records: list[CriticRecord] = []
    for number in range(200):
        reached = bool(random.random() < 0.5)
        case = Case(IMAGINED, f"task {number % 5}", VIDEO, "goal", reached)

        def shy(video: Video, goal: str, reached: bool = reached) -> Verdict:
            return Verdict({}, reached, 0.7, "")

        def guesser(video: Video, goal: str) -> Verdict:
            return Verdict({}, bool(random.random() < 0.5), 0.9, "")

        records += judge({"shy": shy, "guesser": guesser}, case, f"{number}-0", max_of)
    names = ["shy", "guesser"]
    found = cross_fitted(records, lambda rows, happened: calibrated(rows, happened, names).probability)
    assert len(found) == 200 and {record.critic for record in found} == {"ensemble, fitted"}
    assert all((record.probability > 0.8) == record.reached for record in found), "the shy one is believed"
    rows, happened = said_of(to_fit(records))
    assert len(rows) == 200 == len(happened) and set(rows[0]) == set(names)


def test_who_guesses_is_not() -> None:
    tables = tables_of(False)
    area = tables["success"][f"it: {RECORDED}"]["AUROC"]
    assert isinstance(area, Estimate) and area.low is not None and area.high is not None
    assert area.low < 0.5 < area.high or abs(area.value - 0.5) < 0.2
    found = tables["faults"]["it: teleport"]
    assert value(found["found at 5 % false alarms"]) < 0.25 and value(found["span overlap"]) == 0.0


def test_auroc_is_the_chance_of_the_right_order() -> None:
    random = np.random.default_rng(0)
    scores, truths = random.integers(0, 5, 80).astype(float), random.random(80) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[truths] for b in scores[~truths]]
    assert auroc(scores, truths) == pytest.approx(np.mean(pairs))
    assert auroc(-scores, truths) == pytest.approx(1 - np.mean(pairs))
    assert np.isnan(auroc(scores, np.ones(80, bool)))


def test_calibration_error_is_none_for_chances_that_come_true() -> None:
    chances = np.repeat([0.25, 0.75], 400)
    truths = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 > 0])
    assert calibration_error(chances, truths) == pytest.approx(0.0)
    assert calibration_error(chances, ~truths) == pytest.approx(0.5)
    assert np.isnan(calibration_error(chances[:0], truths[:0]))


@pytest.mark.parametrize(("other", "share"), [((2, 5), 1.0), ((4, 7), 1 / 3), ((6, 9), 0.0), ((3, 3), 0.25)])
def test_spans_overlap_by_their_frames(other: tuple[int, int], share: float) -> None:
    assert span_overlap((2, 5), other) == pytest.approx(share) == span_overlap(other, (2, 5))


def test_a_bootstrap_over_groups_is_wider_than_over_cases() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=8), 50)
    groups = [f"{number // 50}" for number in range(400)]
    by_group = bootstrap(lambda rows: float(values[rows].mean()), groups)
    by_case = bootstrap(lambda rows: float(values[rows].mean()), [str(number) for number in range(400)])
    assert by_group.low is not None and by_group.high is not None and by_case.low is not None
    assert by_group.low < by_case.low < by_group.value < by_group.high
