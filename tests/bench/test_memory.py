"""What is known of the truth is found out once for a suite, and what a sample takes is added up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from tests.bench.suites import crossing, make_suite, write_film
from wow.bench.dimensions import contract as c
from wow.bench.dimensions.registry import chosen_metrics
from wow.bench.leaderboard import leaderboard
from wow.bench.memory import FOLDER, Memory
from wow.bench.pace import pace_of
from wow.bench.page import page
from wow.bench.provenance import Provenance
from wow.bench.sources import FolderSource
from wow.bench.suite import Sample, open_suite
from wow.bench.suite_report import markdown
from wow.bench.suite_results import read_results, write_results
from wow.bench.suite_run import ScoreRecord, SuiteRun, in_this_process, run_suite
from wow.types import Float32, UInt8, Video

ASKED: list[str] = []


@dataclass(frozen=True)
class Counted:
    """A network and an executor that write down each time they are asked."""

    name: str = "counted"

    def __call__(self, frames: UInt8 | Video, sample: Sample | None = None, shuffled: bool = False) -> Float32 | float:
        ASKED.append("network" if sample is None else "executor")
        if isinstance(frames, Video):
            return float(not shuffled)
        return np.array([frames.mean(), frames.std(), frames[-1].mean()], np.float32)


@dataclass(frozen=True)
class Box:
    memory: Path
    tools: tuple[str, ...] = field(default=(c.I3D, c.SIMULATOR))

    def names(self) -> Mapping[str, str]:
        return dict.fromkeys(self.tools, "counted")

    def lacks(self) -> Mapping[str, str]:
        return {}

    def open(self, needs: Collection[str]) -> c.Tools:
        assert needs
        return c.Tools(i3d=Counted(), executor=Counted(), memory=Memory(self.memory))  # type: ignore[arg-type]


def scored(folder: Path, name: str, speed: float) -> SuiteRun:
    for number in range(3):
        write_film(folder / name / "a" / f"{number}.mp4", crossing(number, speed)[0])
    suite = open_suite(folder / "suite")
    metrics = chosen_metrics(["psnr", "fvd", "executed_success", "executed_truth"])
    source = FolderSource(folder / name, name)
    done = run_suite(suite, source, Box(suite.path / FOLDER), metrics, folder / f"{name}-run", {}, in_this_process)
    write_results(done, Provenance("", name, "squares", "here", "today"))
    return done


def test_the_truth_is_looked_at_once_for_all_runs_on_a_suite(tmp_path: Path) -> None:
    digest = open_suite(make_suite(tmp_path / "suite")).digest
    counts, runs = [], []
    for name, speed in (("slow", 1.0), ("still", 0.0)):
        ASKED.clear()
        runs.append(scored(tmp_path, name, speed))
        counts.append((ASKED.count("network"), ASKED.count("executor")))
        firsts = [record for record in runs[-1].records if record.decoding]
        assert len(firsts) == 3 and all(record.imagining > 0 and record.decoding > 0 for record in firsts)
    assert counts == [(6, 6), (3, 3)], "of the second run only its own videos"
    halves = [[record.parts[3:] for record in run.records if record.metric == "fvd"] for run in runs]
    assert halves[0] == halves[1] and len(halves[0]) == 3
    assert open_suite(tmp_path / "suite").digest == digest, "the memory is no part of the suite"
    board = leaderboard([read_results(tmp_path / f"{name}-run") for name in ("slow", "still")])
    assert "## How long it takes" in markdown(board) and "<h2>How long it takes</h2>" in page(board, 0)


def test_another_truth_is_another_question_and_what_fails_is_asked_again(tmp_path: Path) -> None:
    memory, frames = Memory(tmp_path / "memory"), np.zeros((2, 4, 4, 3), np.uint8)
    assert memory.recall("sum", frames, lambda: [1.5]) == [1.5]
    assert memory.recall("sum", frames, lambda: [2.0]) == [1.5]
    assert memory.recall("sum", frames + 1, lambda: [2.0]) == [2.0]
    assert memory.recall("mean", frames, lambda: [3.0]) == [3.0]
    with pytest.raises(c.NotMeasurable):
        memory.recall("fails", frames, _fails)
    assert memory.recall("fails", frames, lambda: [4.0]) == [4.0]
    for file in (tmp_path / "memory").iterdir():
        file.write_text("{")
    assert memory.recall("sum", frames, lambda: [5.0]) == [5.0], "a broken file is forgotten"
    (tmp_path / "file").write_text("")
    assert Memory(tmp_path / "file" / "memory").recall("sum", frames, lambda: [6.0]) == [6.0], "nowhere to write"


def _fails() -> list[float]:
    raise c.NotMeasurable("no")


def test_the_seconds_of_a_sample_add_up() -> None:
    def record(key: str, metric: str, seconds: float, **before: float) -> ScoreRecord:
        return ScoreRecord(key, metric, 1, "", "", 1.0, seconds=seconds, **before)  # type: ignore[arg-type]

    found = pace_of(
        [
            record("a", "psnr", 1.0, imagining=10.0, decoding=0.5),
            record("a", "fvd", 4.0),
            record("b", "psnr", 2.0, decoding=1.5),
            record("b", "plan", 100.0),
        ]
    )
    assert found is not None and pace_of([]) is None
    assert (found.imagining, found.decoding, found.i3d, found.judge) == (5.0, 1.0, 2.0, 50.0)
    assert (found.metrics, found.total, found.total_without_i3d) == (3.5, 4.5, 2.5)
