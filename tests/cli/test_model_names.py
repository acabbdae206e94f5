"""A model that is not there is told at once: in one line, before anything heavy is imported, with what to type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wow.cli.main import main

HEAVY = "{'diffusers', 'transformers', 'accelerate', 'torchvision'}"
IMAGINE, RUN = ["imagine", "scene.png", "open the drawer"], ["run", "--task", "drawer-open"]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("WOW_MODELS", raising=False)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save("scene.png")


@pytest.mark.parametrize("words", [IMAGINE, RUN], ids=["imagine", "run"])
def test_a_model_without_files_is_one_line_and_nothing_heavy_is_imported_for_it(words: list[str]) -> None:
    code = (
        "import sys; from wow.cli.main import main; code = main(sys.argv[1:]); "
        f"sys.exit(code if not {HEAVY} & set(sys.modules) else 99)"
    )
    command = [sys.executable, "-c", code, *words, "--model", "wow-1-wan-14b-2m", "--out", "out"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("wow: wow-1-wan-14b-2m is not on this machine: ")
    assert "hf download X-Humanoid/WoW-1-Wan-14B-2M && hf download Wan-AI/Wan2.1-I2V-14B-480P" in done.stderr


def test_imagine_makes_no_folder_for_a_model_without_files() -> None:
    assert main([*IMAGINE, "--model", "svd-xt", "--out", "out"]) == 2
    assert not Path("out").exists()


@pytest.mark.parametrize("words", [IMAGINE, RUN], ids=["imagine", "run"])
@pytest.mark.parametrize(
    "model, said",
    [
        ("wow-1-wan-14b", "did you mean wow-1-wan-14b-600k or wow-1-wan-14b-2m?"),
        ("x-humanoid/wow-1-wan-14b-2m", "did you mean X-Humanoid/WoW-1-Wan-14B-2M?"),
        ("./nowhere", "there is no folder ./nowhere"),
        ("~/nowhere", "there is no folder ~/nowhere"),
        ("runs/nowhere", "there is no folder runs/nowhere"),
        ("wow-minni", "there is: wow-mini (wow models lists"),
    ],
)
def test_a_name_that_no_model_has_is_answered_with_what_was_meant(
    words: list[str], model: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--model", model, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("wow: ") and error.count("\n") == 1
