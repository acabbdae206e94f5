"""What a suite asks of a world model: five abilities and the twenty leaf sub-tasks below them (arXiv 2509.22642)."""

from __future__ import annotations

import re

ABILITIES = ("perception", "prediction", "planning", "execution", "generalisation")
DIFFICULTIES = ("easy", "medium", "hard")
UNKNOWN = "unknown"

LEAVES: dict[str, str] = {
    "attribute-color": "perception",
    "attribute-number": "perception",
    "attribute-shape": "perception",
    "attribute-size": "perception",
    "attribute-type": "perception",
    "attribute-function": "perception",
    "spatial": "perception",
    "affordance": "perception",
    "permanence-no-occlusion": "prediction",
    "permanence-semi-occlusion": "prediction",
    "collision-rigid": "prediction",
    "collision-deformable": "prediction",
    "collision-articulated": "prediction",
    "collision-fluid": "prediction",
    "collision-rigid-rigid": "prediction",
    "collision-rigid-deformable": "prediction",
    "collision-rigid-fluid": "prediction",
    "dual-arm": "prediction",
    "long-horizon": "planning",
    "out-of-distribution": "generalisation",
}
"""Leaf sub-task to ability. The paper counts twenty without listing them; these are the leaves of its tables."""

# The words of a folder's name that mean a leaf; the first line that fits counts, so longer phrases come first.
_WORDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("colour", "color"), "attribute-color"),
    (("number", "count"), "attribute-number"),
    (("shape",), "attribute-shape"),
    (("size",), "attribute-size"),
    (("function",), "attribute-function"),
    (("type",), "attribute-type"),
    (("affordance",), "affordance"),
    (("spatial",), "spatial"),
    (("dual arm", "dual",), "dual-arm"),
    (("semi occlu", "semi", "partial occlu"), "permanence-semi-occlusion"),
    (("no occlu", "non occlu", "unoccluded", "occlu", "permanence"), "permanence-no-occlusion"),
    (("rigid deformable", "rigid deform"), "collision-rigid-deformable"),
    (("rigid fluid",), "collision-rigid-fluid"),
    (("rigid rigid",), "collision-rigid-rigid"),
    (("articulated",), "collision-articulated"),
    (("deformable",), "collision-deformable"),
    (("fluid", "liquid"), "collision-fluid"),
    (("rigid",), "collision-rigid"),
    (("long horizon", "planning"), "long-horizon"),
    (("out of distribution", "ood", "generali"), "out-of-distribution"),
)  # fmt: skip


def leaf_of(folders: str) -> str:
    """The leaf sub-task that the names of a sample's folders mean, innermost first; "unknown" where none does."""
    for folder in reversed(folders.split("/")):
        words = f" {' '.join(re.split(r'[^a-z0-9]+', folder.lower()))}"
        for phrases, leaf in _WORDS:
            if any(f" {phrase}" in words for phrase in phrases):
                return leaf
    return UNKNOWN


def ability_of(sub_task: str, folders: str = "") -> str:
    """The ability that a sub-task belongs to; else the one that a folder is named after; else "unknown"."""
    if sub_task in LEAVES:
        return LEAVES[sub_task]
    spelled = folders.lower().replace("generalization", "generalisation")
    return next((ability for ability in ABILITIES if ability in spelled), UNKNOWN)
