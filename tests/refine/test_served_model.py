"""The critic against a real server of the OpenAI kind, transformers' own, that holds a real model of some kilobytes."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from wow.refine.endpoint import Endpoint
from wow.refine.vlm import VlmCritic
from wow.types import SCORES, Video, WowError

for module in ("transformers", "fastapi", "uvicorn", "openai"):
    pytest.importorskip(module, reason="transformers serve needs the extra 'foundation', fastapi, uvicorn and openai")
pytestmark = pytest.mark.slow

ANSWER = '{"score": 4, "explanation": "The hand stops early.", "first_frame": 2, "last_frame": 6'
SAYS = (f"{ANSWER}}}", f'{ANSWER}, "action_score": 5, "completed": true}}')
GOAL = "push the red square to the right"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models: one that knows nothing, and one whose weights were set to answer."""
    path = Path(__file__).parents[1] / "foundation" / "tiny_vlm.py"
    spec = importlib.util.spec_from_file_location("tiny_vlm", path)
    assert spec is not None and spec.loader is not None
    tiny_vlm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tiny_vlm)
    folder = tmp_path_factory.mktemp("models")
    tiny_vlm.save_tiny_llava(folder / "random")
    tiny_vlm.save_tiny_llava(folder / "taught", SAYS)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `transformers serve`, a process of its own without a network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("served") / "log"
    command = [str(Path(sys.executable).with_name("transformers")), "serve", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(log.parent), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out, subprocess.Popen(
        [*command, "--device", "cpu"], env=environment, stdout=out, stderr=out
    ) as process:  # fmt: skip
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 600.0) -> None:
    began = time.monotonic()
    while time.monotonic() - began < seconds and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not start:\n{log.read_text()[-3000:]}")


def test_a_verdict_comes_from_a_served_model_that_sees_the_frames(
    served: str, models: Path, moving_square: Video
) -> None:
    endpoint = Endpoint(served, str(models / "taught"), seconds=120)
    verdict = VlmCritic(endpoint, frames=4, seconds=240)(moving_square, GOAL)
    assert set(verdict.scores) == set(SCORES) and verdict.completed
    assert verdict.reason == "semantic: The hand stops early." and verdict.span == (2, 6)
    few = VlmCritic(endpoint, frames=2, seconds=240)(moving_square, GOAL)
    # Four patches a picture and two pictures fewer in each of four questions; the frames' numbers are text.
    assert verdict.tokens - few.tokens >= 4 * 2 * 4


def test_a_served_model_that_knows_nothing_ends_in_a_clear_line(
    served: str, models: Path, moving_square: Video
) -> None:
    with pytest.raises(WowError, match="did not answer in the agreed form"):
        VlmCritic(Endpoint(served, str(models / "random"), seconds=120), frames=2, seconds=240, max_tokens=8)(
            moving_square, GOAL
        )


def test_a_model_that_is_not_there_ends_in_a_clear_line(served: str, tmp_path: Path, moving_square: Video) -> None:
    with pytest.raises(WowError, match="the endpoint") as refusal:
        VlmCritic(Endpoint(served, str(tmp_path / "none"), seconds=60, tries=1))(moving_square, GOAL)
    assert "\n" not in str(refusal.value)
