"""Processes that end when they should: workers with their command, and the several of torchrun without a crash."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, NoReturn, TypeVar

from wow.types import WowError

Key = TypeVar("Key")
Done = TypeVar("Done")

IN_FLIGHT = 2
"""Jobs a worker that are handed out ahead: none waits for work, and little is lost when the command is stopped."""


def finished(
    work: Callable[..., Done],
    jobs: Iterable[tuple[Key, tuple[Any, ...]]],
    workers: int,
    begin: Callable[..., None] | None = None,
    begin_with: tuple[Any, ...] = (),
) -> Iterator[tuple[Key, Done]]:
    """What `work` makes of each job's arguments, in processes of its own, as it is finished and in any order.

    jobs: keys and arguments, taken as they are needed. begin: what each process does first. Raises WowError where a
    process dies.
    """
    context = multiprocessing.get_context("spawn")
    waiting = iter(jobs)
    with ProcessPoolExecutor(workers, context, _begin, (begin, *begin_with)) as pool:
        try:
            running: dict[Future[Done], Key] = {}
            while True:
                for key, arguments in islice(waiting, IN_FLIGHT * workers - len(running)):
                    running[pool.submit(work, *arguments)] = key
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BrokenProcessPool:
            raise WowError("a simulator process died; run wow doctor, then the same command to continue") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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


def _begin(begin: Callable[..., None] | None, *arguments: Any) -> None:
    end_with_parent()
    if begin is not None:
        begin(*arguments)


def _wait_and_end(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
