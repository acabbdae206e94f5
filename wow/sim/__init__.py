"""Simulators behind the Gymnasium API, their scripted experts, and the recording of episodes."""

import os

# MuJoCo reads this once, when it is first imported, and every way to it leads through here.
os.environ.setdefault("MUJOCO_GL", "egl")
