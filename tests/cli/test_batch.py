"""Batches: each process has the model once, who is done takes the next clip, and no clip takes the others with it."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.cli.batch_parts import FAULTS, broken, dying, faulty, pretend
from wow.cli.batch import Clip
from wow.cli.batch_workers import Engine, LocalProcesses, RayActors, in_this_process
from wow.cli.main import main
from wow.data.video_file import read_video
from wow.types import WowError


def clips_of(*instructions: str) -> list[Clip]:
    return [Clip(f"clip{place}", Path("a.png"), words, place) for place, words in enumerate(instructions)]


def outcomes(engine: Engine, folder: Path, clips: Sequence[Clip]) -> dict[str, str]:
    return {clip.name: why for clip, why in engine(partial(pretend, folder), clips)}


def drawn_by(folder: Path) -> dict[str, list[str]]:
    return {path.name: path.read_text().split() for path in folder.glob("clip*")}


def test_processes_share_the_clips_and_open_the_model_once_each(tmp_path: Path) -> None:
    clips = clips_of(*["draw"] * 4, "fail", *["draw"] * 4)
    told = outcomes(LocalProcesses(2), tmp_path, clips)
    assert told == {clip.name: "no picture" if clip.instruction == "fail" else "" for clip in clips}
    pids = {pid for pid, *_ in drawn_by(tmp_path).values()}
    assert len(drawn_by(tmp_path)) == 8 and len(pids) == 2
    assert {path.name for path in tmp_path.glob("opened-*")} == {f"opened-{pid}" for pid in pids}


def test_each_process_sees_a_gpu_of_its_own(tmp_path: Path) -> None:
    outcomes(LocalProcesses(2, ["4", "7"]), tmp_path, clips_of(*["draw"] * 6))
    assert {tuple(words[1:]) for words in drawn_by(tmp_path).values()} == {("4",), ("7",)}


def test_a_process_that_dies_takes_one_clip_with_it(tmp_path: Path) -> None:
    clips = clips_of("draw", "draw", "die", "draw", "draw", "draw")
    told = outcomes(LocalProcesses(2), tmp_path, clips)
    assert told.pop("clip2").startswith("its process ended with 9")
    assert set(told.values()) == {""} and set(drawn_by(tmp_path)) == set(told)
    assert len(list(tmp_path.glob("opened-*"))) == 3, "one came in the place of the one that died"


@pytest.mark.parametrize("engine", [in_this_process, LocalProcesses(2)], ids=["here", "processes"])
def test_what_a_library_raises_ends_a_clip_and_no_batch(engine: Engine, tmp_path: Path) -> None:
    clips = clips_of("draw", *FAULTS, "draw")
    told = outcomes(engine, tmp_path, clips)
    assert list(drawn_by(tmp_path)) and set(drawn_by(tmp_path)) == {name for name, why in told.items() if not why}
    assert set(told) == {clip.name for clip in clips} and [told["clip0"], told["clip4"]] == ["", ""]
    assert told["clip1"] == "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"
    assert told["clip2"] == "MemoryError" and told["clip3"] == "SafetensorError: incomplete metadata"
    assert len(list(tmp_path.glob("opened-*"))) <= 2, "no process was lost"


def test_ctrl_c_is_no_fault_of_a_clip(tmp_path: Path) -> None:
    def stopped(clip: Clip) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_this_process(lambda: stopped, clips_of("draw")))


def test_a_model_that_cannot_be_loaded_stops_the_batch_at_once(tmp_path: Path) -> None:
    for engine in (LocalProcesses(2), in_this_process):
        with pytest.raises(WowError, match="cut short"):
            list(engine(partial(broken, tmp_path), clips_of("draw", "draw", "draw")))
    with pytest.raises(WowError, match="SafetensorError: incomplete metadata"):
        list(LocalProcesses(2)(partial(faulty, tmp_path), clips_of("draw", "draw")))
    with pytest.raises(WowError, match="try fewer --workers"):
        list(LocalProcesses(2)(partial(dying, tmp_path), clips_of(*["draw"] * 4)))


def test_ray_shares_them_too_and_survives_the_same(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    clips = clips_of("draw", "fail", "die", "draw", "draw", "draw")
    told = outcomes(RayActors(2), tmp_path, clips)
    assert told.pop("clip1") == "no picture" and told.pop("clip2").startswith("its process failed")
    assert set(told.values()) == {""} and set(drawn_by(tmp_path)) == set(told)
    assert len(list(tmp_path.glob("opened-*"))) == 3
    with pytest.raises(WowError, match="cut short"):
        list(RayActors(2)(partial(broken, tmp_path), clips_of("draw", "draw", "draw")))


# ---- the command ----


@pytest.fixture()
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A batch of five clips, one of which has no picture, by a tiny model."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("tiny", Path(__file__).parents[1] / "test_assembly.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.save_tiny_checkpoint(Path("mini"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save("scene.png")
    rows = [{"image": "scene.png" if n != 2 else "no.png", "instruction": "push", "name": f"c{n}"} for n in range(5)]
    Path("clips.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return ["imagine", "--batch", "clips.jsonl", "--model", "mini", "--num-frames", "5", "--num-inference-steps", "1"]


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_several_processes_make_the_clips_that_one_makes(
    engine: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # sums of several threads round differently
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert main([*words, "--out", "one"]) == 0
    torch.set_num_threads(threads)
    capsys.readouterr()
    assert main([*words, "--out", "two", "--workers", "2", "--engine", engine, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["made_now"] == 4 and list(summary["failed"]) == ["c2"] and "no.png" in summary["failed"]["c2"]
    for name in ("c0", "c1", "c3", "c4"):
        assert Path(f"one/{name}/vision.mp4").read_bytes() == Path(f"two/{name}/vision.mp4").read_bytes()


def test_a_killed_batch_leaves_no_process_and_goes_on_where_it_was(words: list[str]) -> None:
    command = [sys.executable, "-m", "wow.cli.main", *words, "--out", "many", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(Path("many").glob("*/sample_outputs.json")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    time.sleep(2.0)
    before = {path: path.stat().st_mtime_ns for path in Path("many").glob("*/sample_outputs.json")}
    assert before
    time.sleep(2.0)
    assert len(list(Path("many").glob("*/sample_outputs.json"))) == len(before), "its processes ended with it"
    assert main([*words, "--out", "many"]) == 0
    assert all(path.stat().st_mtime_ns == made for path, made in before.items())
    assert all(len(read_video(Path(f"many/c{n}/vision.mp4"))) == 5 for n in (0, 1, 3, 4))


def test_mistakes_are_one_line_each(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = ["imagine", "scene.png", "push", "--model", "mini", "--out", "out"]
    for said, expected in (
        ([*one, "--workers", "2"], "--workers, --engine and --ray-address are for --batch"),
        ([*words, "--workers", "0"], "--workers is 1 to 1024, not 0"),
        ([*words, "--ray-address", "auto"], "--ray-address goes with --engine ray"),
        ([*words, "--engine", "ray"], "--engine ray needs ray, which is not installed: pip install ray"),
    ):
        monkeypatch.setitem(sys.modules, "ray", None)
        assert main([*said, "--out", "none"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("wow: ") and error.count("\n") == 1 and expected in error
    monkeypatch.setattr("wow.cli.imagine.gpus_here", lambda: ["0"])
    assert main([*words, "--out", "none", "--workers", "2"]) == 2
    assert "--workers 2 is more than the 1 GPUs here" in capsys.readouterr().err
