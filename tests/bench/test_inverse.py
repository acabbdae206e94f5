"""Errors of inverse dynamics: a reader that knows the truth makes none, and every error has its own column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow.bench.intervals import Estimate
from wow.bench.inverse import (
    ALL_VIEWS,
    MEAN,
    RECORDED,
    WHOLE,
    WIDTHS,
    ZERO,
    InverseRecord,
    Typical,
    consecutive_clips,
    errors,
    measure_episode,
    record_from_json,
    together,
    typical_of,
    whole_clip,
)
from wow.bench.inverse_report import ONE, coverage, expected_coverage, inverse_tables, save_coverage
from wow.bench.ledger import Ledger
from wow.bench.report import markdown
from wow.bench.samples import merged_actions
from wow.bench.tables import Row, Table
from wow.types import Actions, Dimension, Embodiment, Episode, Video

CARD = Embodiment(
    robot="arm",
    rate=4.0,
    action=(
        *(Dimension(f"delta_{axis}", "m", "world") for axis in "xyz"),
        *(Dimension(f"delta_{turn}", "rad", "world") for turn in ("roll", "pitch", "yaw")),
        Dimension("gripper", "1", "gripper", 0.0, 1.0),
    ),
    action_kind="delta",
)


def episode(length: int = 40) -> Episode:
    """Frames whose brightness is their number, so that a reader can look the truth up."""
    random = np.random.default_rng(0)
    actions = random.normal(scale=0.02, size=(length, 7)).astype(np.float32)
    actions[:, 6] = (np.arange(length) // 10) % 2
    frames = np.broadcast_to(np.arange(length, dtype=np.uint8)[:, None, None, None], (length, 8, 8, 3)).copy()
    return Episode({"left": Video(frames, 4.0), "right": Video(frames, 4.0)}, actions, CARD, "do it")


def oracle(truth: Episode, error: np.ndarray | None = None, deviation: float = 0.01):
    def reads(video: Video, paced: bool, start: np.ndarray | None = None) -> Actions:
        rows = video.frames[:, 0, 0, 0].astype(int)
        values = merged_actions(truth.actions, rows, CARD) + (0.0 if error is None else error)
        return Actions(values.astype(np.float32), CARD, None, np.full(values.shape, deviation, np.float32))

    return reads


def typical(truth: Episode) -> Typical:
    return Typical(truth.actions.mean(axis=0), np.ones(7, bool))


def measure(episodes: list[tuple[str, Episode]], systems: dict[str, object], known: Typical) -> list[InverseRecord]:
    return [
        record
        for name, one in episodes
        for record in measure_episode(name, one, systems, known, 17, {"do it": "hard"})  # type: ignore[arg-type]
    ]


def test_who_knows_the_truth_makes_no_error_whatever_the_clips() -> None:
    truth = episode()
    records = measure([("0", truth)], {"oracle": oracle(truth)}, typical(truth))
    ours = [record for record in records if record.system == "oracle"]
    assert {(record.view, record.clips) for record in ours} == {
        (view, kind) for view in ("left", "right", ALL_VIEWS) for kind in (RECORDED, WHOLE)
    }
    for record in ours:
        assert record.translation == pytest.approx(0.0, abs=1e-3) and record.rotation == pytest.approx(0.0, abs=1e-4)
        assert record.gripper == 1.0 and record.found == record.events and record.offset == 0
        assert record.covered == (1.0,) * len(WIDTHS) and record.difficulty == "hard"
    assert next(record for record in ours if record.clips == RECORDED).events == 3


def test_clips_cover_every_transition_once() -> None:
    truth = episode(40)
    pieces = list(consecutive_clips(truth, 17))
    assert np.array_equal(np.concatenate([clip.actions for clip in pieces]), truth.actions[:-1])
    (whole,) = whole_clip(truth, 17)
    moved = truth.actions[:-1, :6].sum(axis=0)
    assert np.allclose(whole.actions[:, :6].sum(axis=0), moved, atol=1e-5) and whole.spans.sum() == 39


def test_errors_are_lengths_in_millimetres_and_degrees() -> None:
    truth = episode()
    off = np.array([0.003, 0.004, 0.0, 0.0, 0.0, np.deg2rad(2.0), 0.0])
    clip = next(consecutive_clips(truth, 40))
    record = errors("x", "left", RECORDED, "0", oracle(truth, off)(clip.videos["left"], True), clip.actions)
    assert record.translation == pytest.approx(5.0, abs=1e-3) and record.rotation == pytest.approx(2.0, abs=1e-3)
    late = clip.actions.copy()
    late[1:, 6] = clip.actions[:-1, 6]
    record = errors("x", "left", RECORDED, "0", Actions(late, CARD), clip.actions)
    assert record.found == 3 and record.offset == 3 and record.gripper == pytest.approx(36 / 39)


def test_baselines_see_nothing_and_the_mean_motion_is_the_better_one_of_a_steady_motion() -> None:
    steady = replace(episode(), actions=np.tile(np.float32([0.01, 0, 0, 0, 0, 0.1, 1.0]), (40, 1)))
    records = measure([("0", steady)], {}, Typical(steady.actions[0], np.ones(7, bool)))
    for kind in (RECORDED, WHOLE):
        zero, mean = (next(r for r in records if r.system == name and r.clips == kind) for name in (ZERO, MEAN))
        assert zero.translation is not None and zero.translation >= 10.0 - 1e-3
        assert mean.translation == pytest.approx(0.0, abs=1e-3)


def test_cameras_together_trust_the_certain_one() -> None:
    sure = Actions(np.ones((3, 7), np.float32), CARD, deviations=np.full((3, 7), 0.1, np.float32))
    unsure = Actions(np.zeros((3, 7), np.float32), CARD, deviations=np.full((3, 7), 1.0, np.float32))
    both = together([sure, unsure])
    assert np.allclose(both.values, 100 / 101) and both.deviations is not None
    assert np.allclose(together([sure, sure]).deviations, 0.1), "two alike witnesses are no better than one"


def test_only_dimensions_that_move_count_as_covered_errors() -> None:
    """A dimension that never moves, said with a small deviation and no error, says nothing of the other deviations."""
    random = np.random.default_rng(0)
    truth = random.normal(size=(400, 7)).astype(np.float32)
    truth[:, 3:6] = 0.0
    off = random.normal(scale=0.02, size=truth.shape)
    off[:, 3:6] = 0.0
    deviations = np.full(truth.shape, 0.01, np.float32)
    deviations[:, 3:6] = 1e-3
    said = Actions((truth + off).astype(np.float32), CARD, deviations=deviations)
    record = errors("x", "left", RECORDED, "0", said, truth, np.ptp(truth, axis=0) > 0)
    assert record.covered is not None
    for width, share in zip(WIDTHS, record.covered, strict=True):
        assert share == pytest.approx(expected_coverage(width / 2), abs=0.05), (
            "deviations are half of what they ought be"
        )
    all_of_them = errors("x", "left", RECORDED, "0", said, truth)
    assert all_of_them.covered is not None and all_of_them.covered[ONE] > record.covered[ONE] + 0.2


def test_what_is_typical_is_told_by_the_training_data() -> None:
    class Kept:
        embodiment = CARD

        def __len__(self) -> int:
            return 2

        def episode(self, number: int) -> Episode:
            still = episode().actions.copy()
            still[:, 3:6] = 0.0
            return replace(episode(), actions=still)

    known = typical_of([Kept()])  # type: ignore[arg-type]
    assert known.moves.tolist() == [True, True, True, False, False, False, True] and known.action[6] in (0.0, 1.0)


def test_the_curve_of_covered_errors_rises_and_is_drawn(tmp_path: Path) -> None:
    truth = episode()
    off = np.random.default_rng(1).normal(scale=0.01, size=(1, 7))
    records = measure([("0", truth), ("1", truth)], {"reader": oracle(truth, off)}, typical(truth))
    curves = coverage(records)
    assert set(curves) == {RECORDED, WHOLE} and "reader, left" in curves[RECORDED] and ZERO not in curves[RECORDED]
    shares = [found.value for found in curves[RECORDED]["reader, left"]]
    assert shares == sorted(shares) and len(shares) == len(WIDTHS)
    save_coverage(tmp_path / "coverage.png", curves)
    assert np.ptp(np.asarray(Image.open(tmp_path / "coverage.png").convert("L"))) > 100


def test_records_survive_their_ledger(tmp_path: Path) -> None:
    truth = episode()
    records = measure([("0", truth)], {"oracle": oracle(truth)}, typical(truth))
    ledger = Ledger(tmp_path / "episodes.jsonl", record_from_json)
    ledger.append(0, records)
    assert ledger.finished() == {0: records}


def test_tables_have_a_row_for_every_system_and_camera() -> None:
    truth = episode()
    records = measure([("0", truth), ("1", truth)], {"oracle": oracle(truth)}, typical(truth))
    tables = inverse_tables(records)
    assert [len(table.rows) for table in tables] == [5, 5, 4] * 2
    whole, by_bin, covered = tables[:3]
    assert whole.rows[0].cells["gripper events found"] == "6 of 6"
    assert by_bin.columns == ("translation [mm], hard", "rotation [deg], hard", "gripper right, hard")
    assert covered.rows[-1].label == "normal errors" and covered.rows[-1].cells["within 1"] == "0.683"


def test_robots_have_rows_of_their_own_where_there_are_several() -> None:
    one = episode()
    other = replace(one, embodiment=replace(CARD, robot="other arm"))
    off = np.array([0.0, 0.0, 0.005, 0.0, 0.0, 0.0, 0.0])
    records = measure([("a/0", one)], {"reader": oracle(one)}, typical(one))
    records += measure([("b/0", other)], {"reader": oracle(other, off)}, typical(one))
    table = next(table for table in inverse_tables(records) if table.name == "inverse_recorded_robots")
    found = {row.label: row.cells["translation [mm]"].value for row in table.rows}  # type: ignore[union-attr]
    assert found["arm: reader, left"] == pytest.approx(0.0, abs=1e-3)
    assert found["other arm: reader, left"] == pytest.approx(5.0, abs=1e-3)


def test_what_is_read_is_executed_at_the_pace_of_the_recording_and_counted() -> None:
    """Executed are whole episodes of experts that succeed, and their true actions beside what is read of them; who
    reads an episode to execute it sees it in one piece and is told where the hand begins."""
    truth = replace(episode(), source="expert", success=True)
    failed = replace(truth, success=False)
    seen: list[tuple[int, float | None]] = []
    begins = np.array([0.1, 0.2, 0.3], np.float32)

    class Scene:
        def start(self, shown: Episode) -> np.ndarray:
            return begins

        def execute(self, shown: Episode, said: Actions) -> bool:
            assert shown is truth, "nobody fails again on purpose"
            seen.append((len(said), said.seconds))
            return bool(np.allclose(said.values, truth.actions[:-1], atol=1e-6))

    def told(video: Video, paced: bool, start: np.ndarray | None = None) -> Actions:
        assert (start is begins) == (len(video) == len(truth))
        return oracle(truth)(video, paced)

    off = np.full(7, 0.1)
    systems = {"oracle": told, "blind": oracle(truth, off)}
    records = [
        record
        for name, shown in (("0", truth), ("1", failed))
        for record in measure_episode(name, shown, systems, typical(truth), 17, None, Scene())
    ]
    assert set(seen) == {(39, 0.25)} and len(seen) == 7, "two systems from two cameras and both, and the truth"
    table = inverse_tables(records)[-1]
    shares = {row.label: row.cells["replayed, succeeds"] for row in table.rows}
    assert {label: share.value for label, share in shares.items() if "left" in label} == {  # type: ignore[union-attr]
        "oracle, left": 1.0,
        "blind, left": 0.0,
    }
    assert shares["recorded actions"].n == 1 and table.columns[1:] == ("do it",)  # type: ignore[union-attr]
    graded = inverse_tables([replace(record, difficulty="hard") for record in records])[-1]
    assert graded.columns[1:] == ("hard",), "fifty tasks side by side nobody reads: their bins stand there"


def test_counts_stand_in_the_order_of_their_columns() -> None:
    row = Row("who", {"few": Estimate(0.5, None, None, 2), "many": Estimate(0.5, None, None, 9)})
    shown = markdown(Table(name="t", title="T", columns=("many", "few"), rows=(row,), notes=()))
    assert shown.splitlines()[-1].endswith("| 9, 2 |")
