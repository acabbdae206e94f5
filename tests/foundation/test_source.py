"""A model whose parts lie in several places is found part by part; what it was made from is not taken for it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from wow.foundation.cards import CARDS
from wow.foundation.holdings import holdings
from wow.foundation.repositories import offered
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


@pytest.mark.parametrize("name", CARDS)
def test_the_commands_that_are_advised_fetch_every_part(name: str) -> None:
    """Of the repositories that hold a whole model together each is named once; alternatives to them are not."""
    card = CARDS[name]
    with pytest.raises(WowError) as refusal:
        find(name)
    fetched = re.findall(r"hf download (\S+)", str(refusal.value))
    assert fetched == list(card.repositories) and set(fetched) <= set(card.source)
    assert len(fetched) == (2 if name.startswith("wow-") or name == "cosmos-predict2.5-2b" else 1)
    assert set().union(*(offered(card, repository) for repository in fetched)) == {part.role for part in card.parts}


def test_only_what_is_still_missing_is_fetched() -> None:
    snapshot(OWN, "WoW_video_dit.pt")
    with pytest.raises(WowError, match=rf"lacks vae: .*\(hf download {BASE} fetches it\)$"):
        find(WOW)
    put(Path("models", WOW), *OF_BASE)
    assert find(WOW).places["vae"] == Path("models", WOW, "Wan2.1_VAE.pth")


def test_a_part_that_a_whole_download_lacks_is_looked_for_elsewhere_too() -> None:
    repository = "nvidia/Cosmos-Predict2-2B-Video2World"
    snapshot(repository, "model-720p-16fps.pt", "tokenizer/tokenizer.pth")
    with pytest.raises(
        WowError, match=rf"lacks text_encoder.*hf download {repository} && hf download google-t5/t5-11b"
    ):
        find("cosmos-predict2-2b")


def test_a_hub_id_is_the_model_that_is_there_and_not_one_that_was_made_from_it() -> None:
    with pytest.raises(WowError, match=r"^wan2\.1-i2v-14b-480p is not on this machine"):
        find(BASE)
    with pytest.raises(WowError, match=r"^cosmos-predict2-2b is not on this machine"):
        find("nvidia/Cosmos-Predict2-2B-Video2World")


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


def test_what_is_held_here_is_told_whole_or_with_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert holdings() == []
    snapshot(BASE, *OF_BASE)
    assert holdings() == [], "parts that others have too are no model"
    monkeypatch.setenv("WOW_MODELS", str(tmp_path / "shelf"))
    put(tmp_path / "shelf" / WOW, "WoW_video_dit.pt")
    put(tmp_path / "models" / "wow-1-wan-14b-600k", "WoW_video_dit.pt", *OF_BASE[:1])
    put(tmp_path / "models" / "a-lora", "adapter.safetensors")
    shutil.rmtree("hub")
    own, other = sorted(holdings(), key=lambda held: held.name)[::-1]
    assert own.name == "wow-1-wan-14b-600k" == Path(own.folders[0]).name
    assert own.problem == "lacks text_encoder, tokenizer, image_encoder" and own.remedy == f"hf download {BASE}"
    assert other.name == WOW and other.folders == (tmp_path / "shelf" / WOW,) and "lacks vae" in other.problem
    snapshot(BASE, *OF_BASE)
    (tmp_path / "shelf" / WOW / "WoW_video_dit.pt").write_bytes(b"123")
    whole = next(held for held in holdings() if held.name == WOW)
    assert whole.problem == whole.remedy == "" and whole.bytes == 3 and len(whole.folders) == 2


def test_a_folder_by_another_name_is_held_too_and_told_where_it_cannot_be_read(tmp_path: Path) -> None:
    put(tmp_path / "models" / "mine", "WoW_video_dit.pt", "Wan2.1_VAE.pth")
    (held,) = holdings()
    assert held.name == "mine" and "WoW_video_dit.pt" in held.problem and "models/mine" in held.remedy
