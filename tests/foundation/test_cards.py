"""The cards are true: sizes are those of the networks, lengths are allowed, and what is missing is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wow.foundation.card import Card, Frames, Part
from wow.foundation.cards import CARDS, card, check_slip, is_known
from wow.foundation.inventory import find_parts
from wow.types import WowError


def large(name: str, part: Part) -> bool:
    """Whether making it takes seconds even without weights: it computes tables, or transformers goes through it all."""
    return name in ("cogvideox-5b-i2v", "svd-xt") or part.library == "transformers"


NETWORKS = {
    (part.kind, json.dumps(dict(part.config), sort_keys=True)): (one.name, part)
    for one in CARDS.values()
    for part in one.parts
    if part.role not in ("tokenizer", "image_processor") and part.kind != "Qwen2_5_VLForConditionalGeneration"
}


def test_every_model_of_the_issue_has_a_card() -> None:
    assert set(CARDS) == {
        "wow-1-wan-14b-600k", "wow-1-wan-14b-2m", "wow-1-wan-1.3b-2m", "wow-1-dit-2b-600k", "wow-1-dit-7b-600k",
        "wan2.1-i2v-14b-480p", "wan2.2-ti2v-5b", "cosmos-predict2-2b", "cosmos-predict2.5-2b", "cosmos-predict1-7b",
        "cogvideox-5b-i2v", "svd-xt",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, part",
    [
        pytest.param(name, part, id=f"{name}-{part.role}", marks=[pytest.mark.slow] if large(name, part) else [])
        for name, part in NETWORKS.values()
    ],
)
def test_a_part_has_as_many_numbers_as_its_network(name: str, part: Part, library: Any) -> None:
    from wow.foundation.checkpoint_network import expected_shapes, num_parameters

    assert num_parameters(expected_shapes(part.library, part.kind, dict(part.config)).values()) == part.parameters


@pytest.mark.parametrize("one", CARDS.values(), ids=CARDS)
def test_the_published_clip_is_allowed(one: Card) -> None:
    assert one.frames.allows(one.frames.default)
    assert one.height % one.multiple == 0 and one.width % one.multiple == 0
    assert (one.num_words == 0) == (not one.has("text_encoder"))


def test_the_nearest_length_is_allowed_and_no_other_is_nearer() -> None:
    rule = Frames(default=81, step=4, most=81)
    allowed = [n for n in range(1, 82) if rule.allows(n)]
    for asked in range(1, 100):
        near = rule.nearest(asked)
        assert near in allowed and abs(near - asked) == min(abs(n - asked) for n in allowed)
    assert rule.nearest(80) == 81


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(WowError, match=r"did you mean wow-1-wan-14b-2m"):
        card("WoW-1-Wan-14B-2M-")


@pytest.mark.parametrize(
    "said, meant",
    [
        ("wow-1-wan-14b", "did you mean wow-1-wan-14b-600k or wow-1-wan-14b-2m?"),
        ("WoW-1-Wan-14B-2m", "did you mean wow-1-wan-14b-2m"),
        ("x-humanoid/wow-1-wan-14b-2m", r"did you mean X-Humanoid/WoW-1-Wan-14B-2M\?"),
        ("X-Humanoid/WoW-1-Wan-14B-2MM", "did you mean X-Humanoid/WoW-1-Wan-14B-2M"),
        ("wow-1-wan-14b=models/wow", "no model called 'wow-1-wan-14b': did you mean"),
        ("svd", r"did you mean svd-xt\?"),
    ],
)
def test_a_slip_of_the_pen_is_answered_with_what_was_meant(said: str, meant: str) -> None:
    assert not is_known(said)
    with pytest.raises(WowError, match=meant):
        check_slip(said)
    with pytest.raises(WowError, match=meant):
        card(said)


@pytest.mark.parametrize(
    "said", ["wow-mini", "wow-min", "wow", "nearest", "first-frame", "runs/own", "models/wow-1-wan-14b-2m", "./own", ""]
)
def test_what_may_be_something_else_is_not_taken_for_a_slip(said: str) -> None:
    assert not is_known(said)
    check_slip(said)


@pytest.mark.parametrize("said", ["./nowhere", "~/nowhere", "models/nowhere"])
def test_a_folder_that_is_not_there_is_called_a_folder(said: str) -> None:
    with pytest.raises(WowError, match=f"there is no folder {said}"):
        card(said)


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / "WoW_video_dit.pt").touch()
    (tmp_path / "google" / "umt5-xxl").mkdir(parents=True)
    (tmp_path / "google" / "umt5-xxl" / "tokenizer.json").touch()
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").touch()
    found = {place.part.role: place.path for place in find_parts(card("wow-1-wan-1.3b-2m"), tmp_path)}
    assert found == {
        "transformer": tmp_path / "WoW_video_dit.pt",
        "vae": None,  # a configuration without weights
        "text_encoder": None,
        "tokenizer": tmp_path / "google" / "umt5-xxl",
    }
    (tmp_path / "vae" / "diffusion_pytorch_model.safetensors").touch()
    assert find_parts(card("wow-1-wan-1.3b-2m"), tmp_path)[1].path == tmp_path / "vae"


def test_the_base_model_is_not_taken_for_the_finetuned_one(tmp_path: Path) -> None:
    """The two have the same names and shapes: only what its authors call it tells them apart."""
    for number in range(1, 8):
        (tmp_path / f"diffusion_pytorch_model-0000{number}-of-00007.safetensors").touch()
    assert find_parts(card("wow-1-wan-14b-2m"), tmp_path)[0].path is None
    assert find_parts(card("wan2.1-i2v-14b-480p"), tmp_path)[0].path == tmp_path


def test_the_table_is_shown_and_loads_nothing_heavy() -> None:
    code = (
        "import sys; from wow.cli.main import main; main(['models', '--json']); "
        "sys.exit(bool({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *table, last = done.stdout.splitlines()
    assert [line.split()[0] for line in table[1 : 2 + len(CARDS)]] == ["wow-mini", *CARDS]
    assert [model["name"] for model in json.loads(last)["models"]] == list(CARDS)


def test_the_table_says_what_each_plan_takes_of_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """The less is on the GPU at a time the less it takes, as the plan that is chosen for a machine says."""
    from wow.cli.main import main
    from wow.foundation.memory import GB, TILES, Machine, job_of
    from wow.foundation.plan import choose

    assert main(["models", "--json"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    for model in json.loads(last)["models"]:
        takes, one = model["gpu_gb"], CARDS[model["name"]]
        assert takes["none"] >= takes["model"] >= takes["blocks"] > 0
        assert ("none, tiles" in takes) == ("blocks, tiles" in takes) == (one.family in TILES)
        assert all(takes[way] >= takes[f"{way}, tiles"] for way in ("none", "blocks") if one.family in TILES)
        assert ("none, int8" in takes) == (one.family != "svd")
        plan = choose(one, job_of(one), Machine("large", 1000 * GB, 1000 * GB, 1e15))
        assert takes["none"] == round(plan.cost.gpu / GB, 1)


def test_our_own_model_has_a_row_and_a_page_too(capsys: pytest.CaptureFixture[str]) -> None:
    from wow.cli.main import main

    assert main(["models", "wow-mini", "--json"]) == 0
    page, *_, last = capsys.readouterr().out.splitlines()
    own = json.loads(last)["own"]
    assert page == own["name"] == "wow-mini" and "policy" in own["modes"] and own["num_frames"] == 17
    assert 1e7 < own["parameters"] < 1e8 and own["weights_mb"] < 100
    assert main(["models", "wow-mini", "somewhere"]) == 2
    assert "leave the folder away" in capsys.readouterr().err


def test_one_card_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from wow.cli.main import main

    assert main(["models", "svd-xt", str(tmp_path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["missing"] == ["transformer", "vae", "image_encoder", "image_processor"]
    assert main(["models", "svd-xt", str(tmp_path / "nowhere")]) == 2
    assert "there is no folder" in capsys.readouterr().err
