"""Processes that end when they should: workers with their command, and the several of torchrun without a crash."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from typing import NoReturn


def end_with_parent() -> None:
    """Makes this worker process end as soon as the one that started it has; the initializer of every pool."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_and_end, args=(parent.sentinel,), daemon=True).start()


def is_one_of_several() -> bool:
    """Whether torchrun started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def end_at_once(code: int) -> NoReturn:
    """Ends this process without winding up the interpreter.

    Threads of gloo outlive their process group where a model was wrapped in DistributedDataParallel. While the
    interpreter winds up they ask for its lock, and now and then abort a process whose work is done and written.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait_and_end(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
