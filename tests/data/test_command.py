"""`wow data import`, `info`, `show` and `bench-loader`, as typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from wow.cli.main import main
from wow.data import open_dataset
from wow.data.inspect import looks_like_bgr
from wow.data.video_file import write_video
from wow.types import Video

Capture = pytest.CaptureFixture[str]


def run(capture: Capture, *words: object) -> tuple[int, dict[str, Any], str]:
    """(exit code, summary, stderr) of one command."""
    code = main(["data", *map(str, words), "--json"])
    captured = capture.readouterr()
    lines = captured.out.splitlines()
    return code, json.loads(lines[-1]) if code == 0 else {}, captured.err


def test_import_info_and_show(make_v2: Callable[..., Path], tmp_path: Path, capsys: Capture) -> None:
    code, summary, _ = run(capsys, "import", make_v2(), tmp_path / "new")
    assert code == 0 and summary["episodes"] == 2 and summary["problems"] == []
    code, summary, _ = run(capsys, "info", tmp_path / "new")
    assert code == 0 and summary["tasks"] == {"lift the cup": 2} and summary["lengths"] == [8, 8, 8]
    assert summary["cameras"] == [{"name": "top", "height": 32, "width": 48}] and summary["problems"] == []
    assert [dimension["name"] for dimension in summary["action"]] == ["shoulder", "wrist.roll"]
    assert len(summary["statistics"]["q99"]) == 2
    code, summary, _ = run(capsys, "show", tmp_path / "new", "--episode", 1, "--out", tmp_path / "pictures")
    assert code == 0
    strip, plot = Image.open(summary["film_strip"]), Image.open(summary["action_plot"])
    assert strip.width > 4 * strip.height and plot.width > 300


def test_import_needs_one_destination(make_v2: Callable[..., Path], tmp_path: Path, capsys: Capture) -> None:
    root = make_v2()
    assert run(capsys, "import", root)[0] == 2
    assert run(capsys, "import", root, tmp_path / "a", "--out", tmp_path / "b")[0] == 2
    assert run(capsys, "import", root, "--out", tmp_path / "b")[0] == 0


def test_bad_input_is_one_line_and_can_be_left_out(
    make_v2: Callable[..., Path], tmp_path: Path, capsys: Capture
) -> None:
    root = make_v2(num_episodes=3)
    video = root / "videos/chunk-000/observation.images.top/episode_000001.mp4"
    video.write_bytes(video.read_bytes()[:400])
    code, _, error = run(capsys, "import", root, tmp_path / "strict")
    assert code == 2 and error.startswith("wow: ") and len(error.strip().splitlines()) == 1
    assert "episode_000001.mp4" in error and "episode 1" in error
    code, summary, _ = run(capsys, "import", root, tmp_path / "lenient", "--skip-bad")
    assert code == 0 and summary["episodes"] == 2 and "episode_000001.mp4" in summary["problems"][0]
    code, summary, _ = run(capsys, "info", root)
    assert code == 0 and len(summary["problems"]) == 1


def cut_off(video: Path) -> None:
    video.write_bytes(video.read_bytes()[:400])


def test_a_damaged_episode_keeps_its_number(make_dataset: Callable[..., Path], tmp_path: Path, capsys: Capture) -> None:
    """Whoever asks for episode 1 is told what is wrong with it; nobody is shown another one in its place."""
    root = make_dataset(3)
    videos = sorted(root.rglob("*.mp4"))
    cut_off(videos[1])
    code, _, error = run(capsys, "show", root, "--episode", 1, "--out", tmp_path / "one")
    assert code == 2 and "file-001.mp4: episode 1: not a readable video" in error, error
    assert len(error.strip().splitlines()) == 1 and not list(tmp_path.glob("one/*.png"))
    code, summary, _ = run(capsys, "show", root, "--episode", 2, "--out", tmp_path / "two")
    assert code == 0 and summary["task"] == "push block 2" and summary["frames"] == 12
    code, _, error = run(capsys, "show", root, "--episode", 3, "--out", tmp_path / "three")
    assert code == 2 and "there is no episode 3: it has 3, from 0 to 2" in error
    cut_off(videos[0])
    cut_off(videos[2])
    code, _, error = run(capsys, "show", root, "--out", tmp_path / "none")
    assert code == 2 and "file-000.mp4: episode 0: not a readable video" in error, error


def test_a_damaged_episode_is_skipped_and_no_other_imported_for_it(
    make_v2: Callable[..., Path], tmp_path: Path, capsys: Capture
) -> None:
    root = make_v2(num_episodes=4)
    cut_off(root / "videos/chunk-000/observation.images.top/episode_000001.mp4")
    code, summary, _ = run(capsys, "import", root, tmp_path / "some", "--skip-bad", "--episodes", "1-2")
    assert code == 0 and summary["imported_now"] == 1
    assert ["episode_000001.mp4: episode 1" in problem for problem in summary["problems"]] == [True]
    assert [record.facts["imported_from"]["episode"] for record in open_dataset(tmp_path / "some").records] == [2]
    code, _, error = run(capsys, "import", root, tmp_path / "none", "--skip-bad", "--episodes", "1")
    assert code == 2 and "no usable episode among those asked for" in error and "episode_000001.mp4" in error
    code, _, error = run(capsys, "import", root, tmp_path / "strict", "--episodes", "0-1")
    assert code == 2 and "episode_000001.mp4: episode 1" in error and "--skip-bad" in error
    assert not (tmp_path / "none").exists() and not (tmp_path / "strict").exists()
    code, summary, _ = run(capsys, "import", root, tmp_path / "others", "--episodes", "0,3")
    assert code == 0 and summary["imported_now"] == 2 and summary["problems"] == [], "nobody asked for the damaged one"


def wooden_table() -> np.ndarray[Any, np.dtype[np.uint8]]:
    picture = np.full((64, 64, 3), 120, np.uint8)
    picture[30:] = (170, 120, 70)
    picture[10:14, 10:14] = (40, 70, 200)
    return picture


def test_exchanged_channels_are_suspected(tmp_path: Path, capsys: Capture) -> None:
    right, wrong = wooden_table(), wooden_table()[..., ::-1]
    assert looks_like_bgr([wrong]) and not looks_like_bgr([right])
    assert not looks_like_bgr([np.full((64, 64, 3), 90, np.uint8)])
    for name, picture in (("right", right), ("wrong", wrong)):
        (tmp_path / name).mkdir()
        write_video(tmp_path / name / "0.mp4", Video(np.repeat(picture[None], 4, 0), 10))
        (tmp_path / name / "0.txt").write_text("wipe the table")
        code, summary, _ = run(capsys, "info", tmp_path / name)
        assert code == 0 and any("BGR" in text for text in summary["suspicions"]) == (name == "wrong")


def test_the_loader_is_measured_beside_lerobots_way(make_dataset: Callable[..., Path], capsys: Capture) -> None:
    words = ("bench-loader", make_dataset(2), "--num-frames", 4, "--batch-size", 2, "--seconds", 0.2)
    code, summary, _ = run(capsys, *words)
    assert code == 0
    assert all(summary[way]["windows_per_second"] > 0 for way in ("windows", "seek", "from_start"))
