"""Foundation models from the command line: `wow imagine --model FOLDER`, batches, plans, and how they say no."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("diffusers", reason="the extra [foundation] is not installed")
pytest.importorskip("accelerate", reason="the extra [foundation] is not installed")

from PIL import Image

from wow.cli.main import main
from wow.data.video_file import read_video
from wow.foundation import source
from wow.foundation.cards import CARDS
from wow.foundation.loading import check_files, open_model
from wow.foundation.memory import Job
from wow.foundation.pipeline import FoundationOptions
from wow.foundation.source import find, identify
from wow.types import WowError

NAME = "wow-1-wan-1.3b-2m"
KINDS = {"text_encoder": "Qwen2_5_VLForConditionalGeneration", "image_encoder": "CLIPVisionModelWithProjection"}


def module(name: str, path: Path) -> object:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-wow"
    tiny_parts = module("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
    tiny_parts.save(CARDS[NAME], path)  # type: ignore[attr-defined]
    return path


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save("scene.png")


FAST = ["--num-frames", "5", "--num-inference-steps", "2", "--resolution", "32x32"]


def test_a_folder_is_recognised_and_its_picture_becomes_a_video(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["imagine", "scene.png", "open the drawer", "--model", str(folder), *FAST, "--json"]
    for out in ("one", "two"):
        assert main([*words, "--seed", "3", "--out", out]) == 0
    assert len(read_video(Path("one/vision.mp4"))) == 5
    assert Path("one/vision.mp4").read_bytes() == Path("two/vision.mp4").read_bytes()
    said = capsys.readouterr()
    summary = json.loads(said.out.splitlines()[-1])
    assert "stretches" in summary["image_fitting"] and summary["fps"] == 15
    assert said.err.startswith("plan: tiny-wow on ") and "for 5 frames" in summary["plan"]
    asked = json.loads(Path("one/sample_args.json").read_text())
    assert asked["num_inference_steps"] == 2 and asked["guidance_scale"] == 5.0, "the card's guidance, not wow-mini's"
    assert list(Path("cache/wow/embeddings").glob("*.safetensors")), "the prompts were kept"


def test_a_folder_of_another_size_has_a_card_by_its_familys_rules(folder: Path) -> None:
    card = identify(folder)
    assert card.name == "tiny-wow" and card.family == "wan2.1" and card.sampler == CARDS[NAME].sampler
    assert 0 < card.transformer.parameters < 1e6
    assert find(folder).places["vae"] == folder / "vae"


def test_a_model_in_two_folders_imagines_what_it_imagines_in_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "CARDS", {"tiny-wow": identify(folder)})
    shutil.copytree(folder, "networks")
    Path("words").mkdir()
    for part in ("vae", "text_encoder", "tokenizer"):
        shutil.move(f"networks/{part}", Path("words") / part)
    options = FoundationOptions(num_inference_steps=1, size=(32, 32))
    whole, split = (
        open_model(name, job=lambda card: Job(32, 32, 5, 1)).imagine(
            np.zeros((32, 32, 3), np.uint8), "open the drawer", num_frames=5, options=options
        )
        for name in (f"tiny-wow={folder}", "tiny-wow=networks,words")
    )
    assert np.array_equal(whole.frames, split.frames)


@pytest.mark.parametrize("name", ["wan2.2-ti2v-5b", "cosmos-predict1-7b", "cosmos-predict2.5-2b", "svd-xt"])
def test_folders_of_other_families_are_recognised_and_imagine(name: str, tmp_path: Path) -> None:
    tiny_parts = module("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
    tiny_parts.save(CARDS[name], tmp_path / "other")  # type: ignore[attr-defined]
    model = open_model(str(tmp_path / "other"), job=lambda card: Job(64, 64, card.frames.step + 1, 1))
    assert model.card.family == CARDS[name].family
    options = FoundationOptions(num_inference_steps=1, size=(64, 64))
    frames = np.zeros((64, 64, 3), np.uint8)
    video = model.imagine(frames, "open the drawer", num_frames=model.card.frames.step + 1, options=options)
    assert video.frames.shape[1:] == (64, 64, 3)


def test_a_batch_goes_on_after_a_failure_and_where_it_was(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"image": "scene.png", "instruction": "open the drawer", "name": "drawer"},
        {"image": "none.png", "instruction": "push", "name": "broken"},
        {"image": "scene.png", "generated_description": "close the door", "seed": 9},
    ]
    Path("clips.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    words = ["imagine", "--batch", "clips.jsonl", "--model", str(folder), *FAST, "--out", "many", "--json"]
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["made_now"] == 2 and list(summary["failed"]) == ["broken"]
    assert {path.parent.name for path in Path("many").glob("*/vision.mp4")} == {"drawer", "00002"}
    made = Path("many/drawer/vision.mp4").stat().st_mtime_ns
    shutil.copy("scene.png", "none.png")
    assert main(words) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["made_now"] == 1 and not summary["failed"]
    assert Path("many/drawer/vision.mp4").stat().st_mtime_ns == made


def refused(capsys: pytest.CaptureFixture[str], words: list[str], *expected: str) -> None:
    code = main(words)
    error = capsys.readouterr().err
    assert code == 2 and error.startswith("wow: ") and error.count("\n") == 1, error
    assert all(word in error for word in expected), error


def test_mistakes_are_one_line_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = ["imagine", "scene.png", "open the drawer", "--out", "out", "--model"]
    refused(capsys, [*one, NAME], "not on this machine", "hf download X-Humanoid/WoW-1-Wan-1.3B-2M")
    refused(capsys, [*one, NAME, "--num-frames", "80"], "4k+1", "--num-frames 81")
    refused(capsys, [*one, NAME, "--actions", "a.npy"], "words, not actions")
    refused(capsys, ["imagine", "scene.png", "open " * 10_000, "--out", "out", "--model", NAME], "10000 words")
    refused(capsys, [*one, NAME, "--resolution", "wide"], "WIDTHxHEIGHT")
    wide = ["--num-frames", "5", "--num-inference-steps", "1", "--resolution", "32x4000"]
    capsys.readouterr()
    assert main([*one, str(folder), *wide]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("wow: tiny-wow makes clips of at most 512 pixels a side")
    assert not Path("out").exists()
    refused(capsys, [*one, "wow-mini", "--offload", "blocks"], "--offload is for foundation models")
    assert not list(Path().glob("**/vision.mp4"))


def test_a_folder_that_lacks_a_part_says_which(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(folder, "lacking")
    shutil.rmtree("lacking/text_encoder")
    refused(
        capsys, ["imagine", "scene.png", "push", "--model", f"{NAME}=lacking", "--out", "out"], "lacks text_encoder"
    )


def test_a_batch_file_with_a_mistake_names_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["imagine", "--batch", "clips.jsonl", "--out", "many"]
    refused(capsys, words, "no file clips.jsonl")
    for text, expected in (("nonsense", "line 1"), ('{"image": "a.png"}', "line 1"), ("", "no clip")):
        Path("clips.jsonl").write_text(text)
        refused(capsys, words, expected)
    Path("clips.jsonl").write_text('{"image": "a.png", "instruction": "x", "name": "../../out"}')
    refused(capsys, words, "a name is letters")


def test_plan_memory_needs_neither_files_nor_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan-memory", "wow-1-wan-14b-2m", "--vram", "24", "--ram", "64", "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    summary = json.loads(lines[-1])
    assert summary["setting"]["offload"] == "blocks" and 5 < summary["gpu_gb"] < 24
    assert any(line.startswith("blocks") and line.endswith("yes") for line in lines)
    refused(capsys, ["plan-memory", "wow-1-wan-14b"], "wow-1-wan-14b-2m")
    refused(capsys, ["plan-memory", "wow-1-wan-14b-2m", "--vram", "0"], "--vram")


def test_wow_mini_takes_batches_too() -> None:
    assembly_tests = module("tiny", Path(__file__).parents[1] / "test_assembly.py")
    assembly_tests.save_tiny_checkpoint(Path("mini"))  # type: ignore[attr-defined]
    clips = [{"image": "scene.png", "instruction": "push", "name": name} for name in ("a", "b")]
    Path("clips.jsonl").write_text("\n".join(json.dumps(clip) for clip in clips))
    words = ["imagine", "--batch", "clips.jsonl", "--model", "mini", "--num-frames", "5", "--out", "many"]
    assert main([*words, "--num-inference-steps", "1"]) == 0
    assert len(read_video(Path("many/b/vision.mp4"))) == 5


def test_ways_to_sample_faster_are_options_and_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["imagine", "scene.png", "open the drawer", "--model", str(folder), *FAST, "--num-inference-steps", "3"]
    fast = ["--batched-guidance", "--cache-threshold", "10", "--guidance-interval", "0", "0.9", "--json"]
    assert main([*words, *fast, "--out", "fast"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["passes"] == {"made": 3, "skipped": 1}
    assert "1 of 3 passes" in said.err
    refused(capsys, [*words, "--attention", "none", "--out", "x"], "there is no attention called 'none'")
    refused(capsys, [*words, "--cache-threshold", "-1", "--out", "y"], "0 (never) to 10")
    refused(capsys, [*words, "--lora", "none.safetensors", "--out", "z"], "no file none.safetensors")
    refused(capsys, [*words, "--lora", "scene.png", "--out", "w"], "scene.png")
    mini = ["imagine", "scene.png", "push", "--model", "wow-mini", "--cache-threshold", "0.1", "--out", "v"]
    refused(capsys, mini, "--cache-threshold is for foundation models")


@pytest.mark.parametrize(("name", "damaged"), [("cosmos-predict2.5-2b", "text_encoder"), ("svd-xt", "image_encoder")])
def test_what_transformers_reads_back_is_checked_before_anything_is_loaded_too(name: str, damaged: str) -> None:
    tiny_parts = module("tiny_parts", Path(__file__).with_name("tiny_parts.py"))
    tiny_parts.save(CARDS[name], Path("broken"))  # type: ignore[attr-defined]
    files = find("broken")
    check_files(files)
    file = Path("broken", damaged, "model.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WowError, match=rf"broken/{damaged}/model.safetensors is cut short.*again"):
        check_files(files)
    file.write_bytes(whole)
    config = Path("broken", damaged, "config.json")
    config.write_text(json.dumps({**json.loads(config.read_text()), "architectures": ["CLIPTextModel"]}))
    with pytest.raises(WowError, match=f"broken/{damaged} is a CLIPTextModel, the card asks for a {KINDS[damaged]}"):
        check_files(files)


@pytest.mark.parametrize("damaged", ["transformer", "vae", "text_encoder"])
def test_a_wrong_or_damaged_file_is_told_before_anything_is_loaded(damaged: str, folder: Path) -> None:
    shutil.copytree(folder, "broken")
    files = find("broken")
    told: list[str] = []
    open_model(files, tell=told.append)
    assert len(told) == 1, "the plan of a whole folder"
    file = next(Path("broken", damaged).glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(WowError, match=rf"broken/{damaged}.*again") as refusal:
        open_model(files, tell=told.append)
    assert "\n" not in str(refusal.value)
    shutil.rmtree(f"broken/{damaged}")
    shutil.copytree(folder / ("vae" if damaged == "transformer" else "transformer"), f"broken/{damaged}")
    with pytest.raises(WowError, match=f"broken/{damaged} is a .*the card asks for a"):
        open_model(files, tell=told.append)
    assert len(told) == 1, "refused before the plan, and so before anything was read"
    if damaged == "transformer":
        with pytest.raises(WowError, match=r"broken/transformer is a .*should be the network that denoises"):
            identify(Path("broken"))
