"""Several processes train one model: started by torchrun's environment, equal at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file

from wow.data import DatasetWriter
from wow.types import Episode

CHILD = """
import os, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
from safetensors.torch import save_file
from wow.cli.processes import end_at_once
from train.test_loop import Parabola, config
from wow.train.distributed import join, leave
from wow.train.loop import train
world = join()
objective = Parabola()
outcome = train(objective, replace(config(12), preview_every=100), Path({run!r}), world)
save_file(dict(objective.network.state_dict()), Path({run!r}) / f"rank-{{world.rank}}.safetensors")
assert outcome.finished and world.size == 2
leave()
end_at_once(0)
"""


def test_two_processes_end_with_the_same_weights_and_one_checkpoint(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = CHILD.format(tests=str(Path(__file__).parents[1]), run=str(tmp_path))
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=environment | {"RANK": str(r), "LOCAL_RANK": str(r)})
        for r in range(2)
    ]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    first, second = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in range(2))
    trained = [name for name in first if "running" not in name]
    assert all(torch.equal(first[name], second[name]) for name in trained)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000012"]


def together(count: int, words: list[str]) -> list[int]:
    """The exit codes of processes that run one command as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "wow.cli.main", *words], env=environment | {"RANK": str(r), "LOCAL_RANK": str(r)}
        )
        for r in range(count)
    ]
    return [process.wait(timeout=600) for process in processes]


def test_two_processes_prepare_uncached_data_one_after_the_other(
    tmp_path: Path, toy_episode: Callable[..., Episode]
) -> None:
    """Frames are decoded, places, latents and texts computed and a run exported while two processes start at once."""
    data = tmp_path / "data"
    with DatasetWriter(data, toy_episode(0).embodiment, fps=20.0) as writer:
        for seed in range(4):
            writer.add(toy_episode(seed, 12))
    small = ["--data", str(data), "--recipe", "smoke", "--config.train.steps", "2"]
    codec = tmp_path / "codec"
    assert together(2, ["train", "codec", *small, "--out", str(codec)]) == [0, 0]
    shutil.rmtree(data / ".cache")
    assert together(2, ["train", "world", *small, "--codec", str(codec), "--out", str(tmp_path / "world")]) == [0, 0]
    shutil.rmtree(data / ".cache")
    more = ["--codec", str(codec), "--config.measured", "2", "--out", str(tmp_path / "idm")]
    assert together(2, ["train", "idm", *small, *more]) == [0, 0]
    assert (tmp_path / "codec" / "export" / "manifest.json").exists()
    for run in ("codec", "world", "idm"):
        assert [path.name for path in (tmp_path / run / "checkpoints").iterdir()] == ["step-00000002"]


def test_whoever_fails_in_turn_does_not_leave_the_others_waiting(tmp_path: Path) -> None:
    assert together(2, ["train", "codec", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == [2, 2]
