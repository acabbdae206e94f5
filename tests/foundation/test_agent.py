"""Foundation models in `wow refine`, `wow bench` and `wow run`: the same commands, with wow-mini's hands."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")
pytest.importorskip("accelerate", reason="the extra [foundation] is not installed")

from PIL import Image

from tests.bench.suites import make_suite
from wow import assembly
from wow.cli import imagine_foundation
from wow.cli.main import main
from wow.data.video_file import read_video
from wow.foundation import agent, source
from wow.foundation.agent import FoundationAgent
from wow.foundation.card import Card
from wow.foundation.cards import CARDS
from wow.foundation.pipeline import FoundationOptions
from wow.imagine.mini import Request
from wow.imagine.sampler import SamplingOptions
from wow.types import UInt8, WowError

NAME = "wow-1-wan-1.3b-2m"
FAST = ["--num-frames", "5", "--num-inference-steps", "2"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-wow"
    spec = importlib.util.spec_from_file_location("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
    assert spec is not None and spec.loader is not None
    tiny_parts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny_parts)
    tiny_parts.save(CARDS[NAME], path)
    return path


@pytest.fixture(autouse=True)
def folder(saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A tiny model's folder, whose clips are small too; and a picture to begin with."""
    small = replace(CARDS[NAME], height=32, width=48)
    monkeypatch.setattr(source, "CARDS", {NAME: small})
    imagine_foundation.source_of.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save("scene.png")
    return str(saved)


def agent_of(folder: str) -> FoundationAgent:
    opened = assembly.open_agent(folder)
    assert isinstance(opened, FoundationAgent)
    return opened


def test_it_imagines_what_the_model_imagines_in_the_pictures_own_frame(folder: str) -> None:
    model = agent_of(folder)
    picture = np.asarray(Image.open("scene.png"))
    steps: list[tuple[int, int]] = []
    clips = model.imagine_all(
        [Request(picture[None], "open the drawer", seed=seed) for seed in (3, 4)],
        num_frames=5,
        options=SamplingOptions(2, guidance_scale=5.0),
        on_step=lambda done, total: steps.append((done, total)),
    )
    assert [clip.frames.shape for clip in clips] == [(5, 64, 64, 3)] * 2 and steps[-1] == (4, 4)
    assert not np.array_equal(clips[0].frames, clips[1].frames)
    fitted, said = model.fit(picture)
    assert fitted.shape == (1, 32, 48, 3) and "stretches" in said
    (own,) = model.imagine_all(
        [Request(fitted, "open the drawer", seed=3)], num_frames=5, options=SamplingOptions(2, guidance_scale=5.0)
    )
    # Our sampler's shift is none of its business: the card's own is taken.
    plain = model.model.imagine(picture, "open the drawer", num_frames=5, seed=3, options=FoundationOptions(2))
    assert np.array_equal(own.frames, plain.frames)


def test_the_hash_is_of_what_the_files_hold(folder: str, tmp_path: Path) -> None:
    digest = assembly.model_hash(folder)
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert assembly.model_hash(tmp_path / "elsewhere") == digest == agent_of(folder).digest and len(digest) == 64
    file = next((tmp_path / "elsewhere/transformer").glob("*.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert assembly.model_hash(tmp_path / "elsewhere") != digest


def test_wow_refine_searches_among_its_videos(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["refine", "scene.png", "open the drawer", "--model", folder, "--json", "--confident", "2"]
    assert main([*words, "--out", "out", *FAST, "--max-samples", "2", "--candidates", "1"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out.splitlines()[-1])
    assert summary["videos"] == 2 and "stretches" in summary["image_fitting"] and "plan: tiny-wow" in said.err
    start = json.loads(Path("out/trace.jsonl").read_text().splitlines()[0])["identity"]
    assert start["model_hash"] == assembly.model_hash(folder)
    assert start["guidance_scale"] == 5.0, "the card's guidance, not wow-mini's"
    assert read_video(Path("out/vision.mp4")).frames.shape == (5, 32, 48, 3)
    assert main([*words, "--out", "long", "--num-frames", "80"]) == 2
    assert "4k+1" in capsys.readouterr().err and not Path("long").exists()


def test_wow_bench_scores_it_alone_and_refined(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = make_suite(tmp_path / "suite", count=1)
    words = ["bench", "run", "--suite", str(suite), "--model", folder, *FAST, "--executor", "none", "--metrics", "psnr"]
    for out, more in (("alone", []), ("refined", ["--refine", "2"])):
        assert main([*words, "--out", out, *more, "--json"]) == 0
        summary = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert summary["scored"] == 1 and summary["psnr"] > 3
        system = json.loads(Path(out, "results.json").read_text())["system"]
        assert system.startswith(f"tiny-wow {assembly.model_hash(folder)[:12]}, 2 steps, guidance 5")
        assert ("refined over 2 videos" in system) == (out == "refined")


def rolling(card: Card, frames: UInt8, picture: UInt8) -> UInt8:
    """What was seen, pushed aside: something that inverse dynamics can read."""
    assert frames.shape == (5, 32, 48, 3), "what the random network draws is too grey to be read"
    return np.stack([np.roll(picture, 2 * place, axis=1) for place in range(len(frames))])


def test_wow_run_plans_with_it_and_wow_minis_inverse_dynamics(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "as_seen", rolling)
    words = ["run", "--image", "scene.png", "open the drawer", "--no-execute", "--model", folder, *FAST, "--out", "out"]
    assert main([*words, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["uncertainty"] > 0 and Path("out/actions.png").is_file()
    run = json.loads(Path("out/run.json").read_text())
    assert run["model_hash"] == assembly.model_hash(folder) and run["settings"]["guidance_scale"] == 5.0


def test_an_episode_in_the_simulator_from_its_videos_to_what_the_robot_did(
    folder: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("metaworld", reason="the extra [sim] is not installed")
    words = ["run", "--task", "drawer-open", "--model", folder, *FAST, "--budget", "40", "--json", "--out"]
    with monkeypatch.context() as patched:
        patched.setattr(agent, "as_seen", rolling)
        assert main([*words, "read"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["steps"] == 40 and summary["plans"] >= 1 and summary["success"] is False
    assert len(read_video(Path(summary["video"])).frames) > 1
    run = json.loads(Path("read/run.json").read_text())
    assert run["model_hash"] == assembly.model_hash(folder) and len(run["legs"]) == summary["plans"]
    assert main([*words, "unread"]) == 2
    *_, plan, error = capsys.readouterr().err.splitlines()
    assert plan.startswith("plan: tiny-wow") and not Path("unread").exists()
    assert "wow-mini, which reads the videos of tiny-wow: the video is blank" in error


def test_refining_is_measured_with_its_videos_and_goes_on_where_it_was(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("metaworld", reason="the extra [sim] is not installed")
    words = ["bench", "refine", "--tasks", "door-close", "--seeds", "1", "--budget", "2", "--steps", "20", *FAST]
    words += ["--strategies", "single,best-of,sophia", "--model", folder, "--json", "--out"]
    assert main([*words, "out"]) == 0
    said = capsys.readouterr()
    summary = json.loads(said.out.splitlines()[-1])
    assert summary["scenes"] == summary["run_now"] == 1 and "plan: tiny-wow" in said.err
    run = json.loads(Path("out/run.json").read_text())
    assert run["model_hash"] == assembly.model_hash(folder) and run["guidance_scale"] == 5.0
    assert run["critic"] == "checks", "wow-mini's motion critic judges it when it is asked for"
    records = json.loads(Path("out/scenes.jsonl").read_text().splitlines()[0])["records"]
    assert [record["videos"] for record in records] == [1, 2, 2]
    assert main([*words, "out"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run_now"] == 0
    for more, remedy in ((["--plan-from", "policy"], "no plan of its own"), (["--num-frames", "80"], "4k+1")):
        assert main([*words, "not", *more]) == 2
        error = capsys.readouterr().err
        assert remedy in error and len(error.strip().splitlines()) == 1 and not Path("not").exists()


def test_what_it_cannot_do_is_said_before_it_is_loaded(folder: str) -> None:
    from wow.cli.episode import EpisodeSettings, load_agent

    for stage in ("policy", "clone", "codec"):
        with pytest.raises(WowError, match="neither a plan of its own nor our codec"):
            load_agent(EpisodeSettings(model=folder, plan_from=stage))  # type: ignore[arg-type]
    model = agent_of(folder)
    assert model.size == 32, "what a simulator films for it"
    actions = np.zeros((4, len(model.embodiment.action)), np.float32)
    with pytest.raises(WowError, match="follows words, not actions"):
        model.imagine_all(
            [Request(np.zeros((1, 64, 64, 3), np.uint8), "open", actions)], num_frames=5, options=SamplingOptions()
        )
