"""The open suite: samples that a simulator films, written one by one, and the page that says what they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wow.bench.abilities import DIFFICULTIES, LEAVES, UNKNOWN
from wow.bench.suite import META, REGIONS, Suite, SuiteProblem, open_suite, write_card
from wow.bench.suite_import import REGION_OF_SEGMENT
from wow.bench.text import grid, write_text
from wow.types import UInt8

NAME = "open suite"
ABOUT = "README.md"


def is_built(out: Path, key: str) -> bool:
    """Whether a sample is there; it is whole then."""
    return (out / key / META).is_file()


def region_masks(labels: UInt8, segments: Sequence[str]) -> UInt8:
    """A simulator's segmentation [T, H, W] as indices into `REGIONS`. segments: the meaning of its values."""
    of_segment = [REGIONS.index(REGION_OF_SEGMENT.get(name, "background")) for name in segments]
    return np.array(of_segment, np.uint8)[labels]


def finish(out: Path, origin: Sequence[str], missing: Mapping[str, str], problems: Sequence[SuiteProblem]) -> Suite:
    """Writes the suite's card and its README once its samples are there.

    origin: lines on how it was made. missing: the sub-tasks that it lacks, with the reasons; problems: the samples.
    """
    write_card(out, NAME, {"missing": dict(missing)})
    suite = open_suite(out)
    write_text(out / ABOUT, about(suite, origin, missing, problems))
    return suite


def about(suite: Suite, origin: Sequence[str], missing: Mapping[str, str], problems: Sequence[SuiteProblem]) -> str:
    """The README of a built suite."""
    counts = Counter((sample.meta.sub_task, sample.meta.difficulty) for sample in suite.samples)
    there = [leaf for leaf in LEAVES if any(counts[leaf, difficulty] for difficulty in DIFFICULTIES)]
    rows = [["ability", "sub-task", *DIFFICULTIES, "samples"]]
    for leaf in there:
        bins = [counts[leaf, difficulty] for difficulty in DIFFICULTIES]
        rows.append([LEAVES.get(leaf, UNKNOWN), leaf, *map(str, bins), str(sum(bins))])
    totals = [sum(counts[leaf, difficulty] for leaf in there) for difficulty in DIFFICULTIES]
    rows.append(["all", "", *map(str, totals), str(sum(totals))])
    lines = [f"# {NAME}", "", *origin, f"- Hash: `{suite.digest}`", "", grid(rows), "", "## Missing", ""]
    lines += [f"- {leaf}: {why}" for leaf, why in missing.items()]
    lines += [f"- sample {problem.key}: {problem.what}" for problem in problems]
    return "\n".join([*lines, "", _LAYOUT]) + "\n"


_LAYOUT = """## A sample

`init_frame.png`, `prompt.txt` and `dense_prompt.txt` are what a model is given; `video.mp4` is what the scripted expert
then does. `masks.npz` holds the exact regions of every frame, `trajectory.npz` the exact paths, and the expert's
actions. `meta.json` says the ability, the sub-task, the difficulty, the key steps over a long horizon, an instruction
that means something else in the same picture, and under `facts.scene` the card from which the simulator makes the very
scene again.

Difficulty is that of the task in the simulator: easy where one straight contact does it, medium where contact has to
last or a thing has to be brought to a spot, hard where something is grasped and placed; one harder with three or more
further things. Out of distribution it is the number of things that are unseen at once (colour, light, camera, table),
over a long horizon the number of tasks."""
