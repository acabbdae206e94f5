"""Settings of every test: headless rendering, one thread, and shapes checked in the rooms where tensors live."""

from __future__ import annotations

import os

# Before anything imports mujoco, torch or a mathematics library: they read these once.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

from jaxtyping import install_import_hook

install_import_hook(["wow.models", "wow.imagine"], "beartype.beartype")
