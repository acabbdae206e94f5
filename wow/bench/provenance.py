"""Where numbers come from: the command, the machine, the date. A number without them is hearsay."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Provenance:
    """Where numbers come from: what was typed, what was measured on which data, on which machine, when."""

    command: str
    system: str
    data: str
    machine: str
    date: str

    def markdown(self) -> str:
        """The head of a report."""
        facts = {"System": self.system, "Data": self.data, "Machine": self.machine, "Date": self.date}
        return "\n".join([f"`{self.command}`", "", *(f"- {name}: {fact}" for name, fact in facts.items())])


def machine(workers: int = 0) -> str:
    """This machine in words: processor, cores, memory, GPU, versions, and how many processes shared the work. The GPU
    only where torch is in use: loading it to ask takes longer than many a measurement."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [_processor(), f"{os.cpu_count()} cores", f"{memory:.0f} GiB"]
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    shared = {0: [], 1: ["one process"]}.get(workers, [f"{workers} processes"])
    return ", ".join([*parts, f"Python {platform.python_version()}", f"torch {version('torch')}", *shared])


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
