"""The doctor tells the truth about this installation, and about a damaged one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from wow import weights
from wow.cli.doctor import _foundation_models, _rendering, _weights
from wow.cli.extras import ALONE, EXTRAS, extra_of, install_command
from wow.cli.main import main


def test_the_doctor_looks_at_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    output = capsys.readouterr().out
    summary = json.loads(output.splitlines()[-1])
    names = " ".join(finding["name"] for finding in summary["findings"])
    assert all(
        word in names for word in ("python", "packages", "[sim]", "device", "video", "rendering", "weights", "model")
    )
    assert summary["ok"] == (not summary["missing"])
    for finding in summary["findings"]:
        assert finding["found"] in output
        assert finding["state"] == "good" or finding["mend"]


def test_a_damaged_weight_file_is_found_and_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(weights.SHIPPED, tmp_path / "checkpoints")
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "checkpoints")
    assert {finding.state for finding in _weights()} == {"good"}
    shard = next((tmp_path / "checkpoints").rglob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    damaged = [finding for finding in _weights() if finding.state == "missing"]
    assert len(damaged) == 1 and shard.name in damaged[0].found and damaged[0].mend


def test_no_weights_at_all_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    assert [finding.state for finding in _weights()] == ["missing"]


def test_a_rendering_back_end_that_does_not_exist_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mujoco")
    monkeypatch.setenv("MUJOCO_GL", "abacus")
    finding = _rendering()
    assert finding.state == "missing" and "abacus" in finding.found and finding.mend


def test_a_package_that_is_installed_alone_is_in_the_command_of_its_extra() -> None:
    assert {name for packages in EXTRAS.values() for name in packages} >= set(ALONE)
    assert extra_of("robosuite.models") == "sim-robosuite"
    assert "[sim-robosuite]" in install_command("sim-robosuite")
    assert "--no-deps robosuite==" in install_command("sim-robosuite")
    assert "--no-deps" not in install_command("sim")


def test_foundation_models_are_found_and_what_they_lack_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("WOW_MODELS", str(tmp_path / "nowhere"))
    lost, none = _foundation_models()
    assert lost.name == "WOW_MODELS" and lost.state == "optional" and lost.mend
    assert none.name == "foundation models" and none.state == "good"
    monkeypatch.setenv("WOW_MODELS", str(tmp_path / "shelf"))
    svd = tmp_path / "shelf" / "svd-xt"
    for part in ("unet", "vae", "image_encoder"):
        (svd / part).mkdir(parents=True)
        (svd / part / "config.json").touch()
        (svd / part / "model.safetensors").touch()
    (lacking,) = _foundation_models()
    assert lacking.name == "model svd-xt" and lacking.state == "optional"
    assert "lacks image_processor" in lacking.found and lacking.mend.startswith("hf download stabilityai/")
    (svd / "feature_extractor").mkdir()
    (svd / "feature_extractor" / "preprocessor_config.json").touch()
    (whole,) = _foundation_models()
    assert whole.state == "good" and str(svd) in whole.found and not whole.mend
