"""Several processes train one model: started by torchrun's environment, equal at the end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

CHILD = """
import os, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
from safetensors.torch import save_file
from train.test_loop import Parabola, config
from wow.train.distributed import join, leave
from wow.train.loop import train
world = join()
objective = Parabola()
outcome = train(objective, replace(config(12), preview_every=100), Path({run!r}), world)
save_file(dict(objective.network.state_dict()), Path({run!r}) / f"rank-{{world.rank}}.safetensors")
assert outcome.finished and world.size == 2
leave()
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
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    first, second = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in range(2))
    trained = [name for name in first if "running" not in name]
    assert all(torch.equal(first[name], second[name]) for name in trained)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000012"]
