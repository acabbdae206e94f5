"""What `wow bench run` tests: the model's first video, or the one that a search among its videos comes to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.bench.suites import make_suite
from wow import assembly
from wow.cli.main import main
from wow.data.video_file import VideoFile
from wow.types import UInt8, Verdict, Video

FAST = ["--num-frames", "5", "--num-inference-steps", "1", "--num-planning-steps", "2", "--executor", "none"]
SEEN: list[UInt8] = []


class Later:
    """Likes every video better than those before it, keeps them, and is never content."""

    name = "later"

    def __call__(self, video: Video, goal: str) -> Verdict:
        SEEN.append(video.frames)
        return Verdict({}, True, 0.5 + 0.05 * len(SEEN), "")


@pytest.fixture(autouse=True)
def critics(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(assembly.CRITICS, "later", lambda agent: Later())
    SEEN.clear()
    yield


def bench(suite: Path, out: Path, *words: str) -> int:
    given = ["--suite", str(suite), "--model", "wow-mini", "--out", str(out), "--metrics", "psnr"]
    return main(["bench", "run", *given, *FAST, *words])


def test_the_best_video_of_the_search_is_the_one_that_is_scored(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", count=1)
    assert bench(suite, tmp_path / "out", "--refine", "3", "--critic", "later") == 0
    with VideoFile(tmp_path / "out" / "videos" / "a" / "0.mp4") as film:
        scored = film.frames(range(len(film))).astype(float)
    errors = [np.square(scored - frames).mean() for frames in SEEN]
    assert len(SEEN) == 3 and np.argmin(errors) == 2


def test_a_refined_run_goes_on_and_never_mixes_with_another_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite, out = make_suite(tmp_path / "suite", count=2), tmp_path / "out"
    assert bench(suite, out, "--refine", "2", "--critic", "later") == 0
    told = json.loads((out / "run.json").read_text())
    assert (
        "refined over 2 videos, 1 a round, motion corrected 3 times a prompt, judged by later, rewritten by grammar"
        in told["tested"]
    )
    written, asked = (out / "scores.jsonl").read_text(), len(SEEN)
    (out / "results.json").unlink()
    assert bench(suite, out, "--refine", "2", "--critic", "later") == 0
    assert (out / "scores.jsonl").read_text() == written and len(SEEN) == asked == 4
    capsys.readouterr()
    for other in (["--refine", "3", "--critic", "later"], ["--refine", "2"], []):
        assert bench(suite, out, *other) == 2
        assert "tested" in capsys.readouterr().err


def test_the_model_is_told_the_dense_prompts_where_there_are_any(tmp_path: Path) -> None:
    suite = make_suite(tmp_path / "suite", count=2)
    (suite / "generated_descriptions.jsonl").write_text(
        json.dumps(
            {"image": "a/1/init_frame.png", "generated_description": "The blue square is pushed far to the left."}
        )
        + "\n"
    )
    for prompt in ("short", "dense"):
        assert bench(suite, tmp_path / prompt, "--prompt", prompt) == 0
    films = {
        (p, n): (tmp_path / p / "videos" / "a" / f"{n}.mp4").read_bytes() for p in ("short", "dense") for n in "01"
    }
    assert films["short", "0"] == films["dense", "0"] and films["short", "1"] != films["dense", "1"]


def test_of_a_dense_prompt_the_model_is_told_what_it_can_read(tmp_path: Path) -> None:
    """The videos of the benchmark are those of the beginning; nobody's sample is lost for a long description."""
    sentence = "The blue square is pushed far to the left. "
    for name, told in (("cut", sentence * 6 + "The blue"), ("whole", sentence * 8)):
        suite = make_suite(tmp_path / name, count=1)
        line = {"image": "a/0/init_frame.png", "generated_description": told}
        (suite / "generated_descriptions.jsonl").write_text(json.dumps(line) + "\n")
        assert bench(suite, tmp_path / f"{name} out", "--prompt", "dense") == 0
    assert bench(suite, tmp_path / "refined", "--prompt", "dense", "--refine", "2", "--critic", "later") == 0
    films = [(tmp_path / f"{name} out" / "videos/a/0.mp4").read_bytes() for name in ("whole", "cut")]
    assert films[0] == films[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--refine", "-1"], "--refine is 1 to 1000"),
        (["--refine", "2", "--candidates", "0"], "--candidates"),
        (["--refine", "2", "--critic", "nobody"], "no critic 'nobody'"),
        (["--refine", "2", "--refiner", "nobody"], "no refiner 'nobody'"),
        (["--refine", "2", "--critic", "vlm"], "WOW_ENDPOINT"),
        (["--refine", "2", "--model", "first-frame"], "--refine searches"),
        (["--prompt", "dense"], "no sample of"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WOW_ENDPOINT", raising=False)
    assert bench(make_suite(tmp_path / "suite", count=1), tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
