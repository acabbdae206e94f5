"""`wow doctor`: what this installation can do, and the command that mends what it cannot."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from wow import __version__
from wow.cli.extras import ALONE, EXTRAS, command_alone, install_command
from wow.cli.options import Command, Summary

State = Literal["good", "optional", "missing"]
MARKS: dict[State, str] = {"good": "✓", "optional": "·", "missing": "✗"}

BASE_PACKAGES = (
    "numpy", "pillow", "av", "opencv-python-headless", "pyarrow", "safetensors", "tokenizers", "h5py", "tensorboard",
)  # fmt: skip
RENDER_ONE_FRAME = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><light pos="0 0 3"/><geom size="1"/></worldbody></mujoco>')
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 64, 64) as renderer:
    renderer.update_scene(data)
    print("pixels", int(renderer.render().max()))
    from OpenGL import GL
    print("by", GL.glGetString(GL.GL_RENDERER).decode())
"""
SYSTEM_LIBRARIES = "sudo apt-get install libegl1 libgl1 libgl1-mesa-dri"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. state: "optional" is missing but not needed for the main job. mend: what to type, or ""."""

    name: str
    state: State
    found: str
    mend: str = ""


@dataclass(frozen=True, kw_only=True)
class Doctor(Command):
    """Check the installation, and say how to mend what is missing."""

    def run(self) -> Summary:
        findings = [_python(), *_packages(), *_extras(), _device(), _video_codec(), _rendering(), *_weights()]
        findings += _foundation_models()
        missing = [finding.name for finding in findings if finding.state == "missing"]
        return {"ok": not missing, "missing": missing, "findings": [asdict(finding) for finding in findings]}

    def describe(self, summary: Mapping[str, object]) -> str:
        findings = [Finding(**finding) for finding in summary["findings"]]  # type: ignore[attr-defined]
        width = max(len(finding.name) for finding in findings)
        lines = []
        for finding in findings:
            lines.append(f"{MARKS[finding.state]} {finding.name:<{width}}  {finding.found}")
            if finding.mend:
                lines.append(f"  {'':<{width}}  mend it: {finding.mend}")
        lines.append("all is well" if summary["ok"] else "something is missing: see the lines with ✗")
        return "\n".join(lines)


def _python() -> Finding:
    found = f"{platform.python_version()}, wow {__version__}, {platform.system()} {platform.machine()}"
    return Finding("python", "good", found)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> list[Finding]:
    versions = {package: _version(package) for package in BASE_PACKAGES}
    absent = [package for package, version in versions.items() if version is None]
    if absent:
        return [Finding("packages", "missing", f"no {', '.join(absent)}", install_command())]
    return [Finding("packages", "good", ", ".join(f"{package} {version}" for package, version in versions.items()))]


def _extras() -> list[Finding]:
    findings = []
    for extra, packages in EXTRAS.items():
        absent = [package for package in packages if _version(package) is None]
        if not absent:
            findings.append(
                Finding(f"[{extra}]", "good", ", ".join(f"{package} {_version(package)}" for package in packages))
            )
        else:
            mend = command_alone(absent[0]) if len(absent) == 1 and absent[0] in ALONE else install_command(extra)
            findings.append(Finding(f"[{extra}]", "optional", f"not installed: {', '.join(absent)}", mend))
    return findings


def _device() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processor = f"{cores} CPU cores"
    try:
        import torch
    except ImportError as problem:
        return Finding("device", "missing", f"{processor}; torch does not load: {problem}", install_command())
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return Finding("device", "good", f"torch {torch.__version__}, {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB")
    return Finding(
        "device", "good", f"torch {torch.__version__}, no GPU, {processor}, {torch.get_num_threads()} threads"
    )


def _video_codec() -> Finding:
    try:
        import av
        import av.codec

        av.codec.Codec("libx264", "w")
    except ImportError as problem:
        return Finding("video", "missing", f"PyAV does not load: {problem}", install_command())
    except ValueError:
        mend = f"{sys.executable} -m pip install --force-reinstall av"
        return Finding("video", "missing", f"PyAV {av.__version__} cannot write H.264", mend)
    return Finding("video", "good", f"PyAV {av.__version__} writes H.264")


def _rendering() -> Finding:
    """One frame of a trivial scene, rendered in a process of its own: a broken driver may end the process."""
    if _version("mujoco") is None:
        return Finding("rendering", "optional", "not tried: no mujoco", install_command("sim"))
    backend = os.environ.get("MUJOCO_GL", "egl")
    environment = {**os.environ, "MUJOCO_GL": backend}
    try:
        trial = subprocess.run(
            [sys.executable, "-c", RENDER_ONE_FRAME], env=environment, capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return Finding("rendering", "missing", f"MUJOCO_GL={backend} renders nothing in 60 s", SYSTEM_LIBRARIES)
    if trial.returncode != 0:
        reason = trial.stderr.strip().splitlines()[-1] if trial.stderr.strip() else f"exit code {trial.returncode}"
        return Finding("rendering", "missing", f"MUJOCO_GL={backend} fails: {reason}", SYSTEM_LIBRARIES)
    renderer = next((line[3:] for line in trial.stdout.splitlines() if line.startswith("by ")), "unknown renderer")
    return Finding("rendering", "good", f"MUJOCO_GL={backend} renders, by {renderer}")


def _weights() -> list[Finding]:
    """Every checkpoint that comes with the package, each file held against its hash."""
    try:
        from wow.weights import MANIFEST, SHIPPED, checkpoint_hash, read_manifest, verify
    except ImportError as problem:
        return [Finding("weights", "missing", f"not looked at: {problem}", install_command())]
    findings = []
    for folder in sorted(path.parent for path in SHIPPED.glob(f"*/{MANIFEST}")):
        name = f"weights {folder.name}"
        problems = verify(folder)
        if problems:
            findings.append(Finding(name, "missing", "; ".join(problems), _restore_command(folder)))
        else:
            size = sum(path.stat().st_size for path in folder.iterdir())
            parts = ", ".join(read_manifest(folder).parts)
            found = f"{parts}: {size / 1e6:.1f} MB, every hash right, checkpoint {checkpoint_hash(folder)[:12]}"
            findings.append(Finding(name, "good", found))
    return findings or [Finding("weights", "missing", f"none in {SHIPPED}", _restore_command(SHIPPED))]


def _foundation_models() -> list[Finding]:
    """Every foundation model that a name would find here, whole or not; those in other folders beside them too."""
    try:
        from wow.foundation.holdings import holdings
    except ImportError as problem:
        return [Finding("foundation models", "missing", f"not looked for: {problem}", install_command())]
    home = os.environ.get("WOW_MODELS")
    lost = [Finding("WOW_MODELS", "optional", f"there is no folder {home}", "export WOW_MODELS=FOLDER")]
    findings = []
    for held in holdings():
        state: State = "optional" if held.problem else "good"
        where = ", ".join(map(str, held.folders))
        found = f"{held.problem or 'every part there'}; {held.bytes / 1e9:.1f} GB in {where}"
        findings.append(Finding(f"model {held.name}", state, found, held.remedy))
    none = [Finding("foundation models", "good", "none here; wow models lists those that wow can drive")]
    return [*(lost if home and not Path(home).is_dir() else []), *(findings or none)]


def _restore_command(folder: Path) -> str:
    is_checkout = any((parent / ".git").exists() for parent in folder.parents)
    return f"git checkout -- {os.path.relpath(folder)}" if is_checkout else f"{install_command()} --force-reinstall"
