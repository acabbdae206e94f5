"""`wow bench run` and what follows: cached, resumable, honest about what is broken; comparison and report."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.bench.suites import FRAMES, SIDE, crossing, make_suite, write_film
from wow.bench.dimensions import contract as c
from wow.bench.dimensions.registry import chosen_metrics
from wow.bench.leaderboard import leaderboard
from wow.bench.motions import motion_pairs
from wow.bench.provenance import Provenance
from wow.bench.sources import FolderSource, ImaginedSource, other_instructions
from wow.bench.suite import open_suite
from wow.bench.suite_compare import OVERALL, compare
from wow.bench.suite_report import markdown, write_suite_report
from wow.bench.suite_results import Results, read_results, write_results
from wow.bench.suite_run import Job, JobDone, LocalProcesses, SuiteRun, Work, in_this_process, run_suite
from wow.bench.system import Asked, RepeatFirstFrame
from wow.sim.job import RecordingOptions
from wow.sim.record import sawyer_card
from wow.types import UInt8, WowError

QUICK = ("psnr", "drift", "object_path_l2", "plan", "dino")
ORIGIN = Provenance("wow bench run", "test", "squares", "here", "today")


@dataclass(frozen=True)
class NoTools:
    """Metrics that need nothing but the videos."""

    def names(self) -> Mapping[str, str]:
        return {}

    def lacks(self) -> Mapping[str, str]:
        return {c.DINO: "no weights in a test"}

    def open(self, needs: Collection[str]) -> c.Tools:
        return c.Tools()


def run(
    suite: Path, source: FolderSource | ImaginedSource, out: Path, metrics: Sequence[str] = QUICK, engine: object = None
) -> SuiteRun:
    """A run, written."""
    chosen = in_this_process if engine is None else engine
    done = run_suite(open_suite(suite), source, NoTools(), chosen_metrics(metrics), out, {}, chosen)  # type: ignore[arg-type]
    write_results(done, ORIGIN)
    return done


def films(folder: Path, speed: float, count: int = 3) -> FolderSource:
    """Videos of the suite's squares at some speed; 2 is the truth."""
    for number in range(count):
        write_film(folder / "a" / f"{number}.mp4", crossing(number, speed)[0])
    return FolderSource(folder, folder.name)


def test_a_run_that_is_killed_goes_on_and_scores_nothing_twice(tmp_path: Path) -> None:
    suite, source = make_suite(tmp_path / "suite"), films(tmp_path / "slow", 1.0)

    def killed(work: Work, jobs: Sequence[Job]) -> Iterator[JobDone]:
        for number, done in enumerate(in_this_process(work, jobs)):
            if number == 2:
                raise KeyboardInterrupt
            yield done

    with pytest.raises(KeyboardInterrupt):
        run(suite, source, tmp_path / "run", engine=killed)
    with (tmp_path / "run" / "scores.jsonl").open("a") as file:
        file.write('{"batch": 2, "records": [{"key": "a/2", "met')  # cut off by the crash
    assert run(suite, source, tmp_path / "run").newly_scored == 1
    first = read_results(tmp_path / "run")
    again = run(suite, source, tmp_path / "run")
    assert again.newly_scored == 0
    assert read_results(tmp_path / "run").content == first.content
    straight = run(suite, source, tmp_path / "straight")
    values = [(record.key, record.metric, record.value) for record in straight.records]
    assert [(record.key, record.metric, record.value) for record in again.records] == values


def test_metrics_can_be_added_and_a_video_that_changed_is_scored_anew(tmp_path: Path) -> None:
    suite, source = make_suite(tmp_path / "suite"), films(tmp_path / "slow", 1.0)
    run(suite, source, tmp_path / "run", ["psnr"])
    more = run(suite, source, tmp_path / "run", ["psnr", "drift"])
    assert more.newly_scored == 3 and len(more.records) == 6
    before = {record.key: record.value for record in more.records if record.metric == "psnr"}
    write_film(tmp_path / "slow" / "a" / "1.mp4", crossing(1, 2.0)[0])
    after = run(suite, source, tmp_path / "run", ["psnr", "drift"])
    values = {record.key: record.value for record in after.records if record.metric == "psnr"}
    assert after.newly_scored == 1 and values["a/0"] == before["a/0"] and values["a/1"] > before["a/1"] + 5  # type: ignore[operator]


def write_foreign(path: Path, frames: UInt8, codec: str, kind: str) -> None:
    """The frames by another codec, in a container of another kind."""
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(codec, rate=8)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = SIDE, SIDE, "yuv420p", 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def test_bad_videos_are_one_line_each_and_the_rest_is_scored(tmp_path: Path) -> None:
    suite, folder = make_suite(tmp_path / "suite", count=10), tmp_path / "films"
    good, _ = crossing(0)
    write_film(folder / "a" / "0.mp4", good)
    write_film(folder / "a" / "1.mp4", crossing(1)[0][:, ::2, ::2], fps=3.0)  # half the size, another rate
    write_film(folder / "a" / "2.mp4", crossing(2)[0][[0, 2, 5, 7]])  # half the frames
    (folder / "a" / "3.mp4").write_bytes(b"")
    Image.fromarray(good[0]).save(folder / "a" / "picture.png")
    (folder / "a" / "picture.png").rename(folder / "a" / "4.mp4")
    whole = (folder / "a" / "0.mp4").read_bytes()
    (folder / "a" / "5.mp4").write_bytes(whole[: len(whole) // 2])
    write_film(folder / "a" / "6.mp4", good[:1])
    write_foreign(folder / "a" / "8.mp4", crossing(8)[0], "mpeg4", "mp4")
    write_foreign(folder / "a" / "9.mp4", crossing(9)[0], "mpeg4", "avi")  # nor is it an mp4
    write_film(folder / "b" / "surplus.mp4", good)
    source = FolderSource(folder, "films")
    done = run(suite, source, tmp_path / "run", ["psnr"])
    assert [record.key for record in done.records] == ["a/0", "a/1", "a/2", "a/8", "a/9"]
    told = {problem.key: problem.what for problem in done.problems}
    words = {
        "a/3": "is empty",
        "a/4": "single picture",
        "a/5": "cut off",
        "a/6": "single picture",
        "a/7": "there is no video",
    }
    assert told.keys() == words.keys()
    assert all(word in told[key] and "\n" not in told[key] for key, word in words.items()), told
    (folder / "c.mp4").mkdir()
    (folder / "d.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert [problem.key for problem in source.extra(open_suite(suite))] == ["b/surplus.mp4"]
    (suite / "a" / "0" / "prompt.txt").unlink()
    assert [problem.key for problem in source.extra(open_suite(suite))] == ["b/surplus.mp4"], "0.mp4 has its sample"
    counts = read_results(tmp_path / "run").content["counts"]
    assert counts == {"samples": 10, "scored": 5, "left_out": 5, "other_problems": 0, "made_alike": 2}
    assert done.changed["a/2"] == ("4 frames against 8, both thinned to 4",)
    alike = {record.key: record.value for record in done.records}
    assert all(alike[key] > 25 for key in ("a/0", "a/2", "a/8", "a/9")), alike  # type: ignore[operator]


def test_what_is_broken_beside_a_video_costs_only_the_metrics_that_need_it(tmp_path: Path) -> None:
    suite, source = make_suite(tmp_path / "suite", count=4), films(tmp_path / "slow", 1.0, 4)
    (suite / "a" / "0" / "video.mp4").write_bytes(b"broken truth")
    (suite / "a" / "1" / "masks.npz").write_bytes(b"broken masks")
    for number in range(4):
        write_film(tmp_path / "slow" / "other" / "a" / f"{number}.mp4", crossing(number, 0.0)[0])
    (tmp_path / "slow" / "other" / "a" / "2.mp4").write_bytes(b"broken video")
    names = ["psnr", "object_path_l2", "small_object_error", "action_sensitivity"]
    for _ in range(2):  # what is taken up says the same
        done = run(suite, source, tmp_path / "run", names)
        values = {(record.key, record.metric): record for record in done.records}
        assert len(values) == 16
        lost = {place for place, record in values.items() if record.value is None}
        assert lost == {
            *(("a/0", name) for name in names[:3]),
            *(("a/1", name) for name in names[1:3]),
            ("a/2", "action_sensitivity"),
        }
        assert "video.mp4" in values["a/0", "psnr"].why and "called masks" in values["a/1", "object_path_l2"].why
        assert "other/a/2.mp4" in values["a/2", "action_sensitivity"].why
        problems = [(problem.key, problem.left_out) for problem in done.problems if problem.key]
        assert problems == [("a/0", False), ("a/1", False), ("a/2", False)]
        counts = read_results(tmp_path / "run").content["counts"]
        assert (counts["scored"], counts["left_out"], counts["other_problems"]) == (4, 0, 4), "and the hash differs"


def test_two_runs_never_mix(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    run(suite, films(tmp_path / "slow", 1.0), tmp_path / "run", ["psnr"])
    with pytest.raises(WowError, match="tested"):
        run(suite, films(tmp_path / "still", 0.0), tmp_path / "run", ["psnr"])
    (suite / "a" / "0" / "prompt.txt").write_text("another prompt")
    with pytest.raises(WowError, match="suite_hash"):
        run(suite, films(tmp_path / "slow", 1.0), tmp_path / "run", ["psnr"])


def test_a_model_imagines_what_is_missing_and_its_other_instruction(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    samples = open_suite(suite).samples
    source = ImaginedSource(
        name="first frame",
        make=RepeatFirstFrame,
        folder=tmp_path / "run" / "videos",
        instructions={sample.key: sample.prompt for sample in samples},
        others=other_instructions(samples),
        num_frames=6,
        seed=0,
    )
    done = run(suite, source, tmp_path / "run", ["psnr", "action_sensitivity"])
    videos = sorted(path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*.mp4"))
    assert videos == [*(f"videos/a/{n}.mp4" for n in range(3)), *(f"videos/other/a/{n}.mp4" for n in range(3))]
    heard = [record.value for record in done.records if record.metric == "action_sensitivity"]
    assert heard == [0.0] * 3, "a still picture hears nothing"
    assert run(suite, source, tmp_path / "run", ["psnr", "action_sensitivity"]).newly_scored == 0


@dataclass(frozen=True)
class Told:
    """A model whose picture gets brighter by what its actions add up to; one that cannot be told them refuses."""

    name: str = "told"
    hears: bool = True

    def imagine(self, asked: Asked) -> list[UInt8]:
        if asked.actions is not None and not self.hears:
            raise WowError("told cannot do forward_dynamics")
        steps = np.zeros((asked.num_frames - 1, 7)) if asked.actions is None else asked.actions[0]
        assert len(steps) == asked.num_frames - 1 and (asked.actions is None or asked.seconds is not None)
        light = np.concatenate([[0.0], 10_000 * np.cumsum(steps[:, 0])])
        still = np.repeat(asked.contexts[0][None], asked.num_frames, axis=0)
        return [np.clip(still + light[:, None, None, None], 0, 255).astype(np.uint8)]


@pytest.mark.parametrize("hears", [True, False])
def test_another_motion_than_its_own_changes_the_video_of_a_model_that_hears(tmp_path: Path, hears: bool) -> None:
    suite, card = make_suite(tmp_path / "suite"), sawyer_card(RecordingOptions())
    for number, reach in enumerate((0.001, 0.001, 0.002)):
        actions = np.zeros((FRAMES - 1, 7), np.float32)
        actions[:, 0] = reach
        np.savez(suite / "a" / str(number) / "trajectory.npz", actions=actions)
    samples = open_suite(suite).samples
    pairs = motion_pairs(samples, 4, card)
    assert {key: round(float(one.actions[:, 0].sum() * 1000)) for key, (one, _) in pairs.items()} == {
        "a/0": 7, "a/1": 7, "a/2": 14}  # fmt: skip
    assert all(not np.array_equal(one.actions, other.actions) for one, other in pairs.values())
    assert pairs["a/0"][0].seconds == pytest.approx(7 / 3 / 8)
    source = ImaginedSource(
        name=f"told {tmp_path.name}", make=partial(Told, hears=hears), folder=tmp_path / "run" / "videos",
        instructions={sample.key: sample.prompt for sample in samples}, others={}, num_frames=4, seed=0, motions=pairs,
    )  # fmt: skip
    done = run(suite, source, tmp_path / "run", ["action_sensitivity_dynamics"])
    values = [record.value for record in done.records]
    if hears:
        assert all(value is not None and 0.1 < value < 1 for value in values), values
        folders = FolderSource(tmp_path / "run" / "videos", "the same")
        again = run(suite, folders, tmp_path / "again", ["action_sensitivity_dynamics"])
        assert [record.value for record in again.records] == values and folders.extra(open_suite(suite)) == []
    else:
        assert values == [None] * 3 and "cannot do forward_dynamics" in done.records[0].why
    assert run(suite, source, tmp_path / "run", ["action_sensitivity_dynamics"]).newly_scored == 0


def test_several_processes_come_to_the_same_numbers(tmp_path: Path) -> None:
    suite, source = make_suite(tmp_path / "suite"), films(tmp_path / "slow", 1.0)
    alone = run(suite, source, tmp_path / "alone", ["psnr"])
    together = run(suite, source, tmp_path / "together", ["psnr"], LocalProcesses(2))
    assert [r.value for r in together.records] == [r.value for r in alone.records]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """The truth, a slow and a still world on one suite of six."""
    folder = tmp_path_factory.mktemp("three")
    suite = make_suite(folder / "suite", count=6)
    for name, speed in (("still", 0.0), ("slow", 1.0), ("truth", 2.0)):
        run(suite, films(folder / name, speed, 6), folder / f"{name}-run")
    return [read_results(folder / f"{name}-run") for name in ("still", "slow", "truth")]


def test_the_better_run_is_found_with_its_interval(three: list[Results]) -> None:
    still, _, truth = three
    found = {one.metric: one for one in compare(truth, still) if not one.stratum}
    for metric in ("psnr", "object_path_l2", OVERALL):
        assert found[metric].better == "A", metric
        low, high = found[metric].difference.low, found[metric].difference.high
        assert low is not None and high is not None and low <= found[metric].a - found[metric].b <= high
    mirrored = {one.metric: one for one in compare(still, truth) if not one.stratum}
    assert mirrored["psnr"].better == "B"
    assert mirrored["psnr"].difference.value == pytest.approx(-found["psnr"].difference.value)
    same = {one.metric: one for one in compare(truth, truth)}
    assert all(one.difference.value == 0 and not one.better for one in same.values())
    assert any(one.stratum == "difficulty: hard" for one in compare(truth, still))


def test_runs_on_other_suites_or_by_other_versions_are_refused(three: list[Results], tmp_path: Path) -> None:
    _, slow, truth = three
    run(make_suite(tmp_path / "suite", count=2), films(tmp_path / "slow", 1.0), tmp_path / "run")
    with pytest.raises(WowError, match="same files"):
        compare(truth, read_results(tmp_path / "run"))
    metrics = {**slow.content["metrics"], "psnr": {**slow.content["metrics"]["psnr"], "version": 2}}
    older = Results(slow.folder, {**slow.content, "metrics": metrics}, slow.board, slow.records)
    with pytest.raises(WowError, match="psnr is version 1"):
        leaderboard([truth, older])


def test_the_leaderboard_ranks_the_truth_first_on_both_scales(three: list[Results]) -> None:
    board = leaderboard(three)
    assert [run.name for run in board.runs] == ["truth", "slow", "still"]
    assert board.v1 is not None
    overall = [scores.overall for scores in board.v1]
    assert overall == sorted(overall, reverse=True) and overall[0] <= 98
    assert leaderboard(three[:1]).v1 is None


def test_the_scores_of_a_run_are_the_means_of_its_samples(three: list[Results]) -> None:
    content = three[1].content
    psnr = [told["values"]["psnr"] for told in content["samples"].values()]
    estimate = content["metrics"]["psnr"]["estimate"]
    assert estimate["value"] == pytest.approx(np.mean(psnr)) and estimate["n"] == 6
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    assert content["metrics"]["dino"]["why"] == "no weights in a test"
    assert set(content["strata"]["ability"]) == {"perception", "prediction"}
    assert "plan" in content["v2"]["missing"] and "planning" not in content["v2"]["groups"]


class Tags(HTMLParser):
    """Checks that every tag is closed, and collects the tags and where they point."""

    VOID = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_loads_nothing_and_holds_playable_videos(three: list[Results], tmp_path: Path) -> None:
    page, text, numbers = write_suite_report(tmp_path, leaderboard(three), show=1)
    tags = Tags()
    tags.feed(page.read_text())
    assert tags.open == [] and "script" not in tags.seen
    assert tags.seen.count("video") == 6, "the best and the worst of three runs"
    assert tags.seen.count("svg") >= 2
    assert all(link.startswith("data:video/mp4;base64,AAAA") for link in tags.links)
    assert json.loads(numbers.read_text())["suite_hash"] == three[0].digest
    assert "N/A: no weights in a test" in text.read_text()


def test_nothing_that_somebody_wrote_becomes_markup(three: list[Results], tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite")
    evil = "<script>alert(1)</script>|x"
    (suite / "a" / "0" / "prompt.txt").write_text(evil)
    run(suite, films(tmp_path / "slow", 1.0), tmp_path / "run", ["psnr"])
    board = leaderboard([read_results(tmp_path / "run")])
    page, *_ = write_suite_report(tmp_path / "run", board, show=2)
    assert "<script" not in page.read_text() and "&lt;script&gt;" in page.read_text()
    assert "|x |" not in markdown(board)


def test_a_folder_that_holds_no_run_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WowError, match="wow bench run"):
        read_results(tmp_path)
    (tmp_path / "results.json").write_text('{"format": 1}')
    with pytest.raises(WowError, match="broken"):
        read_results(tmp_path)
