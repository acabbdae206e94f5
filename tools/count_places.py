"""Counts where things are in the dense captions of a dataset: the source of wow/refine/places.json.

    python tools/count_places.py data/train > wow/refine/places.json

For each task, where its object is in the picture ("place"), how it lies to the gripper ("relation"), how a second
object ("other") and the goal position ("goal") lie to it: each phrase with the number of captions that have it, most
first.
Synonyms count as one, and so do two directions in either order; what fewer than one caption in fifty says is left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path

from wow.data import open_dataset
from wow.sim.language import FAR, NEAR, PICTURES, TASKS, Task, is_dense

RAREST = 0.02
DIRECTIONS = ("to the right of", "to the left of", *FAR, *NEAR, "above", "below", "right at")
RELATION = rf"((?:{'|'.join(DIRECTIONS)})(?: and (?:{'|'.join(DIRECTIONS)}))?)"


def patterns(task: Task) -> dict[str, str]:
    """How each detail is said, as a regular expression with one group."""
    found = {
        "place": rf"the {re.escape(task.objects[0])} is ((?:in|on|slightly) [^,.]*(?:picture|middle))",
        "relation": rf", {RELATION} the gripper",
        "goal": rf", with {re.escape(task.goal)} {RELATION} it",
    }
    if len(task.objects) > 1:
        found["other"] = rf", with the {re.escape(task.objects[1])} {RELATION} it"
    return found


def plain(caption: str) -> str:
    """The caption with one word for each thing that has several."""
    for words, kept in ((PICTURES[1:], PICTURES[0]), (FAR[:1], FAR[1]), (NEAR[:1], NEAR[1])):
        for word in words:
            caption = caption.replace(word, kept)
    return caption[0].lower() + caption[1:]


def merged(counts: Counter[str]) -> dict[str, int]:
    """Counts without rare phrases; two directions are one phrase, in their more frequent order."""
    total: Counter[str] = Counter()
    name: dict[frozenset[str], str] = {}
    for phrase, count in counts.most_common():
        total[name.setdefault(frozenset(phrase.split(" and ")), phrase)] += count
    return {phrase: count for phrase, count in total.most_common() if count >= RAREST * total.total()}


def main(root: Path) -> None:
    by_instruction = {task.instruction: task for task in TASKS.values()}
    counts = {name: {detail: Counter[str]() for detail in patterns(task)} for name, task in TASKS.items()}
    for record in open_dataset(root).records:
        task = by_instruction[record.task]
        for caption in map(plain, filter(is_dense, record.captions)):
            for detail, pattern in patterns(task).items():
                if said := re.search(pattern, caption, flags=re.IGNORECASE):
                    counts[task.name][detail][said[1].lower()] += 1
    table = {name: {detail: merged(found) for detail, found in details.items()} for name, details in counts.items()}
    rows = [f"  {json.dumps(name)}: {json.dumps(details)}" for name, details in table.items()]
    print("{\n" + ",\n".join(rows) + "\n}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
