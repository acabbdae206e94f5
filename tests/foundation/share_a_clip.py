"""One process of a team: draws clips alone and with the others, and fails where they differ. For torchrun."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

from wow.cli.processes import end_at_once
from wow.foundation.parallel import join
from wow.foundation.speed import Speed

spec = importlib.util.spec_from_file_location("test_speed", Path(__file__).with_name("test_speed.py"))
assert spec is not None and spec.loader is not None
test_speed = importlib.util.module_from_spec(spec)
spec.loader.exec_module(test_speed)

team = join("cpu")
for name in ("wow-1-wan-14b-2m", "wan2.2-ti2v-5b", "cosmos-predict1-7b", "cosmos-predict2-2b", "cosmos-predict2.5-2b"):
    alone, _ = test_speed.exact(name)
    together, passes = test_speed.draw(name, Speed(team=team))
    off = float((alone - together).abs().max())
    # Cosmos-Predict1's pipeline rounds its frames to bytes, and a byte more or less is what rounding can do.
    assert passes.made > 0 and off < (1.01 / 255 if name == "cosmos-predict1-7b" else 1e-5), (name, off)
    again, _ = test_speed.draw(name, Speed())
    assert torch.equal(alone, again), f"{name} is left as it was"
short = Speed(cache_threshold=10.0, batched_guidance=True)
alone, skipped = test_speed.draw("wow-1-wan-1.3b-2m", short)
together, also = test_speed.draw("wow-1-wan-1.3b-2m", Speed(cache_threshold=10.0, batched_guidance=True, team=team))
assert skipped == also and torch.allclose(alone, together, atol=1e-5)
print(f"process {team.rank} of {team.size} agrees")
torch.distributed.destroy_process_group()
end_at_once(0)
