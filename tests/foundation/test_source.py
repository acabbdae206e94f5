"""A model whose parts lie in several places is found part by part; what it was made from is not taken for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wow.foundation.source import find
from wow.types import WowError

WOW, OWN, BASE = "wow-1-wan-14b-2m", "X-Humanoid/WoW-1-Wan-14B-2M", "Wan-AI/Wan2.1-I2V-14B-480P"
OF_BASE = ("Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth",
           "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth", "google/umt5-xxl/tokenizer.json")  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("WOW_MODELS", raising=False)


def put(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


def snapshot(repository: str, *files: str, commit: str = "abc", age: float = 0.0) -> Path:
    at = put(Path("hub").resolve() / f"models--{repository.replace('/', '--')}" / "snapshots" / commit, *files)
    os.utime(at, (1e9 - age, 1e9 - age))
    return at


def test_a_name_and_a_hub_id_search_every_repository_of_the_card() -> None:
    own = snapshot(OWN, "WoW_video_dit.pt")
    base = snapshot(BASE, *OF_BASE, "transformer/config.json", "transformer/model.safetensors")
    for name in (WOW, OWN):
        places = find(name).places
        assert places["transformer"] == own / "WoW_video_dit.pt", "not the base model's, of the same names and shapes"
        assert places["vae"] == base / "Wan2.1_VAE.pth" and places["tokenizer"] == base / "google/umt5-xxl"
        assert set(places) == {"transformer", "vae", "text_encoder", "tokenizer", "image_encoder"}


def test_a_part_may_be_in_an_older_snapshot_and_the_latest_that_has_it_counts() -> None:
    snapshot(OWN, "WoW_video_dit.pt", commit="older", age=10)
    own = snapshot(OWN, "WoW_video_dit.pt", commit="latest")
    older = snapshot(BASE, *OF_BASE, commit="older", age=10)
    latest = snapshot(BASE, "Wan2.1_VAE.pth", commit="latest")
    places = find(WOW).places
    assert places["transformer"].parent == own and places["vae"].parent == latest
    assert places["text_encoder"].parent == older


def test_what_is_not_there_is_named_and_the_base_alone_is_no_model() -> None:
    snapshot(BASE, *OF_BASE, "transformer/config.json", "transformer/model.safetensors")
    with pytest.raises(WowError, match=f"not on this machine: hf download {OWN}"):
        find(WOW)
    snapshot(OWN, "README.md")
    with pytest.raises(WowError, match=r"are not a whole wow-1-wan-14b-2m, it lacks transformer"):
        find(WOW)


def test_a_repository_may_be_one_part_of_a_model() -> None:
    own = snapshot("nvidia/Cosmos-Predict2-2B-Video2World", "model-720p-16fps.pt", "tokenizer/tokenizer.pth")
    words = snapshot("google-t5/t5-11b", "config.json", "pytorch_model.bin", "spiece.model")
    places = find("cosmos-predict2-2b").places
    assert places["text_encoder"] == places["tokenizer"] == words and places["vae"].parent.parent == own


def test_several_folders_can_be_named_and_the_first_that_has_a_part_counts(tmp_path: Path) -> None:
    one = put(tmp_path / "one", "WoW_video_dit.pt", "Wan2.1_VAE.pth")
    two = put(tmp_path / "two", *OF_BASE)
    words = put(tmp_path / "t5-11b", "config.json", "model.safetensors", "spiece.model")
    places = find(f"{WOW}={one},{two}").places
    assert places["transformer"].parent == places["vae"].parent == one and places["text_encoder"].parent == two
    cosmos = put(tmp_path / "three", "wow_dit_2b.pt", "tokenizer.pth")
    assert find(f"wow-1-dit-2b-600k={cosmos},{words}").places["text_encoder"] == words
    with pytest.raises(WowError, match=r"one, .*three are not a whole .* it lacks text_encoder: .*tokenizer: .*image"):
        find(f"{WOW}={one},{cosmos}")
    with pytest.raises(WowError, match="there is no folder nowhere"):
        find(f"{WOW}={one},nowhere")
