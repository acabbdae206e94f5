"""A writer that is killed leaves every finished episode and no half one, and the next run continues."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from wow.data import DatasetWriter, open_dataset
from wow.data.embodiment import write_embodiment
from wow.types import Embodiment, Episode

WRITERS = """
import os, sys
from pathlib import Path
import numpy as np
from wow.data import DatasetWriter, lerobot_write
from wow.data.embodiment import read_embodiment
from wow.types import Episode, Video

lerobot_write.SECONDS_BETWEEN_TABLES = 0.0     # so that the tables too are often being replaced
lerobot_write.SHARE_OF_TIME_FOR_TABLES = 0.5
root, card = Path(sys.argv[1]), read_embodiment(Path(sys.argv[2]))

def deadly(function, steps):
    def call(*arguments, **options):
        steps.pop()
        if not steps:
            os._exit(9)                        # what SIGKILL leaves: nothing is flushed or cleaned up
        return function(*arguments, **options)
    return call

def write(num_episodes, die_at):
    if die_at:
        steps = [None] * die_at
        os.replace, os.unlink, Path.unlink = (deadly(each, steps) for each in (os.replace, os.unlink, Path.unlink))
        lerobot_write.Journal.append = deadly(lerobot_write.Journal.append, steps)
    with DatasetWriter(root, card, fps=10) as writer:
        for seed in range(writer.num_episodes, num_episodes):
            frames = np.full((3, 16, 16, 3), seed % 200, np.uint8)
            actions = np.random.default_rng(seed).normal(size=(3, 3)).astype(np.float32)
            videos, facts = {"front": Video(frames, 10)}, {"seed": seed}
            assert writer.add(Episode(videos, actions, writer.embodiment, f"task {seed % 4}", facts=facts)) == seed
            print("finished", seed, flush=True)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        print("pid", os.getpid(), flush=True)
        write(*map(int, line.split()))
        os._exit(0)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Writers:
    """Child processes, one after the other, that write episodes 0, 1, … into the same dataset until they die."""

    def __init__(self, root: Path, card: Path) -> None:
        words = [sys.executable, "-c", WRITERS, str(root), str(card)]
        self.parent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.root = root

    def start(self, num_episodes: int, die_at: int = 0) -> int:
        """Start one; it stops at `num_episodes`, or at the `die_at`-th step. Returns its process id."""
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{num_episodes} {die_at}\n")
        self.parent.stdin.flush()
        return self.read("pid")[-1]

    def read(self, until: str, at_most: int = 10_000) -> list[int]:
        """The numbers of the lines up to one that starts with `until`."""
        assert self.parent.stdout is not None
        numbers: list[int] = []
        while len(numbers) < at_most and (line := self.parent.stdout.readline()):
            numbers.append(int(line.split()[1]))
            if line.startswith(until):
                break
        return numbers


@pytest.fixture
def writers(tmp_path: Path, card: Embodiment) -> Iterator[Writers]:
    write_embodiment(tmp_path / "card.json", card)
    started = Writers(tmp_path / "dataset", tmp_path / "card.json")
    yield started
    started.parent.kill()
    started.parent.communicate()


def whole_episodes(root: Path, last: int = 3) -> int:
    """How many episodes a dataset holds, the `last` of them checked to the last frame. None may be half."""
    if not (root / "meta/info.json").exists():
        return 0
    dataset = open_dataset(root)
    for index in range(max(len(dataset) - last, 0), len(dataset)):
        record = dataset.records[index]
        assert record.facts["seed"] == index and record.task == f"task {index % 4}"
        assert dataset.check(index, decode=True) == []
        expected = np.random.default_rng(index).normal(size=(3, 3)).astype(np.float32)
        assert np.array_equal(dataset.signal(index, "action"), expected)
        rows = dataset.signal(index, "index")
        assert rows.tolist() == [3 * index, 3 * index + 1, 3 * index + 2]
    return len(dataset)


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.endswith(".tmp") or "staging" in path.name]


def test_killed_at_random_instants_it_loses_nothing_finished(writers: Writers) -> None:
    chance, held = random.Random(0), 0
    for _ in range(8):
        pid = writers.start(10_000)
        finished = writers.read("never", at_most=chance.randint(1, 4))
        time.sleep(chance.uniform(0, 0.05))
        os.kill(pid, signal.SIGKILL)
        *further, code = writers.read("ended")
        assert code == -signal.SIGKILL
        reported = max([*finished, *further]) + 1
        # The kill may fall between the commit and the report of the very last one.
        held = whole_episodes(writers.root)
        assert reported <= held <= reported + 1
    writers.start(held + 2)
    assert writers.read("ended")[-1] == 0
    assert whole_episodes(writers.root, last=1000) == held + 2
    assert leftovers(writers.root) == []


def test_killed_before_any_of_its_steps_it_loses_nothing_finished(writers: Writers) -> None:
    """Every rename, deletion and commit of a run of two episodes is once the first thing that does not happen."""
    held, code, step = 0, 9, 0
    while code == 9:
        step += 1
        writers.start(held + 2, die_at=step)
        *finished, code = writers.read("ended")
        before, held = held, whole_episodes(writers.root)
        assert before + len(finished) <= held <= before + len(finished) + 1
    assert code == 0 and step > 20
    assert whole_episodes(writers.root, last=1000) == held >= 2
    assert leftovers(writers.root) == []


def test_a_torn_journal_line_is_no_episode(tmp_path: Path, make_episode: Callable[..., Episode]) -> None:
    root = tmp_path / "d"
    writer = DatasetWriter(root, make_episode().embodiment, fps=10)
    for seed in range(3):
        writer.add(make_episode(seed))
    journal = (root / "meta/journal.jsonl").read_bytes()
    assert journal.count(b"\n") >= 1
    (root / "meta/journal.jsonl").write_bytes(journal[:-20])
    assert [record.facts["seed"] for record in open_dataset(root).records] == [0, 1]
