"""A server process of the OpenAI kind, and a video to show it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wow.types import Video


@pytest.fixture(scope="session")
def unruly() -> Iterator[str]:
    """The address of a server that misbehaves in the way its model is called; see `unruly_server`."""
    script = Path(__file__).with_name("unruly_server.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.kill()


@pytest.fixture(scope="session")
def moving_square() -> Video:
    """A red square that moves evenly to the right over a grey table, nine frames of 64 x 64."""
    import numpy as np

    from wow.types import Video

    frames = np.full((9, 64, 64, 3), 110, np.uint8)
    for number, frame in enumerate(frames):
        frame[24:36, 4 + 5 * number : 16 + 5 * number] = (200, 30, 30)
    return Video(frames, 5.0)
