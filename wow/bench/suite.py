"""A suite: a folder with one folder for each sample, in the layout of the published WoWBench or in ours.

SUITE/[<class>/…]<case>/init_frame.png|jpg   the first frame
                        prompt.txt           what the robot should do
                        dense_prompt.txt     optional: the same at length
                        video.mp4            what really happened; also <case>.mp4; missing where nobody knows
                        masks.npz            optional: uint8 [T or 1, H, W] of indices into `REGIONS`
                        keypoints.json       optional: {"robot": [[x, y], …], …}, pixels of the first frame
                        trajectory.npz       optional: exact paths of the truth's T frames: gripper [T, 3] and objects
                                             [T, N, 3] in the world [m], gripper_pixels [T, 2], object_pixels [T, N, 2],
                                             actions [T-1, D]
                        meta.json            optional: what `Meta` holds
SUITE/generated_descriptions.jsonl           optional: dense prompts
SUITE/suite.json                             optional: the name, and the hash that the folder had when it was made
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wow.bench.abilities import DIFFICULTIES, UNKNOWN, ability_of, leaf_of
from wow.types import WowError

PROMPT, TRUTH, META, MASKS, KEYPOINTS = "prompt.txt", "video.mp4", "meta.json", "masks.npz", "keypoints.json"
TRAJECTORY, DENSE = "trajectory.npz", "dense_prompt.txt"
OTHER_INSTRUCTION, SCENE = "other_instruction", "scene"
"""Facts: an instruction that means something else in the same picture; the card of the simulated scene."""
FIRST_FRAMES = ("init_frame.png", "init_frame.jpg", "init_frame.jpeg")
CARD = "suite.json"
DESCRIPTIONS = "generated_descriptions.jsonl"
REGIONS = ("background", "robot", "object")
"""Meaning of the values in a sample's masks."""

LARGEST_TEXT = 1 << 20
"""Bytes of the largest text file that is read."""


@dataclass(frozen=True)
class Meta:
    """What is known about a sample.

    ability, sub_task: see `abilities`. plan: the key steps in words, in an order that works; plan_edges: which step
    must come before which, as indices; None where every step needs the one before it. facts: anything else that JSON
    can hold, e.g. the simulated task and its seed.
    """

    ability: str = UNKNOWN
    sub_task: str = UNKNOWN
    difficulty: str = UNKNOWN
    embodiment: str = UNKNOWN
    source: str = UNKNOWN
    plan: tuple[str, ...] = ()
    plan_edges: tuple[tuple[int, int], ...] | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One case. key: its folder below the suite, with slashes. dense: the long prompt. truth: None where unknown."""

    key: str
    folder: Path
    first_frame: Path
    prompt: str
    truth: Path | None
    dense: str | None = None
    masks: Path | None = None
    keypoints: Path | None = None
    meta: Meta = Meta()


@dataclass(frozen=True)
class SuiteProblem:
    """Something wrong with one sample, or with the suite (key ""). left_out: whether the sample cannot be scored."""

    key: str
    what: str
    left_out: bool = True

    def __str__(self) -> str:
        return f"{self.key or 'suite'}: {self.what}{' (left out)' if self.left_out else ''}"


@dataclass(frozen=True)
class Suite:
    """Samples in the order of their keys. digest: the hash of everything that a score depends on."""

    name: str
    path: Path
    samples: tuple[Sample, ...]
    digest: str
    problems: tuple[SuiteProblem, ...] = ()


def open_suite(path: Path) -> Suite:
    """The suite in a folder. Samples that cannot be used are listed in `problems`; WowError where there is none at all.

    A hash that differs from the one in `suite.json` is a problem that leaves nothing out: scores then belong to the
    folder as it is, and say so by its hash.
    """
    path = Path(path)
    if not path.is_dir():
        raise WowError(f"there is no suite at {path}: name the folder of one, or make it with wow bench import DIR")
    dense = _dense_prompts(path)
    samples: list[Sample] = []
    problems: list[SuiteProblem] = []
    folders = list(_sample_folders(path))
    named = Counter(folder.name for folder in folders)
    for folder in folders:
        key = folder.relative_to(path).as_posix()
        # Where two cases are called the same, the case alone does not say whose a description is.
        ends = _ends(key) if named[folder.name] == 1 else _ends(key)[:-1]
        described = next((dense[end] for end in ends if end in dense), "")
        try:
            samples.append(_sample(key, folder, described))
        except WowError as problem:
            problems.append(SuiteProblem(key, str(problem)))
    if not samples:
        raise WowError(f"{path} holds no sample (a folder with {PROMPT} and init_frame.png or .jpg): name a suite")
    digest = suite_digest(samples)
    try:
        card = _read_json(path / CARD) if (path / CARD).is_file() else {}
    except WowError as problem:
        raise WowError(f"{path}: {problem}; remove it, or make the suite again") from None
    if card.get("digest", digest) != digest:
        what = f"its files changed since it was made (hash {digest[:12]}, was {str(card['digest'])[:12]})"
        problems.append(SuiteProblem("", what, left_out=False))
    return Suite(str(card.get("name", path.resolve().name)), path, tuple(samples), digest, tuple(problems))


def some_of(suite: Suite, count: int) -> Suite:
    """The suite with `count` of its samples, in their order: always the same ones, and more contain fewer.

    It keeps its hash: what is scored on a part is the same as on the whole, and runs on both have these in common.
    """
    drawn = np.random.default_rng(0).permutation(len(suite.samples))[:count]
    return replace(suite, samples=tuple(suite.samples[place] for place in sorted(drawn.tolist())))


def suite_digest(samples: Sequence[Sample]) -> str:
    """SHA-256 over the samples' keys and the bytes of their files: equal for equal suites, wherever they lie."""
    total = hashlib.sha256()
    for sample in sorted(samples, key=lambda sample: sample.key):
        files = (sample.first_frame, sample.folder / PROMPT, sample.truth, sample.masks, sample.keypoints)
        total.update(f"{sample.key}\n{sample.dense or ''}\n".encode())
        for file in (*files, sample.folder / META, sample.folder / TRAJECTORY):
            if file is not None and file.is_file():
                total.update(f"{file.name} {file_digest(file)}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_card(path: Path, name: str, more: Mapping[str, object] | None = None) -> str:
    """Writes `suite.json` for the samples in a folder; returns their hash. more: what else is said there."""
    (path / CARD).unlink(missing_ok=True)
    digest = open_suite(path).digest
    part = path / f"{CARD}.part"
    part.write_text(json.dumps({"format": 1, "name": name, "digest": digest, **(more or {})}, indent=1) + "\n")
    part.replace(path / CARD)
    return digest


def _sample_folders(path: Path) -> Iterator[Path]:
    """Every folder with a prompt or a first frame, in order; hidden ones and those being written are passed over."""
    for folder in sorted(path.iterdir()):
        if folder.is_dir() and not folder.is_symlink() and not folder.name.startswith("."):
            if any((folder / name).is_file() for name in (PROMPT, *FIRST_FRAMES)):
                yield folder
            else:
                yield from _sample_folders(folder)


def _sample(key: str, folder: Path, described: str) -> Sample:
    pictures = [folder / name for name in FIRST_FRAMES if (folder / name).is_file()]
    if not pictures:
        raise WowError(f"has no first frame ({' or '.join(FIRST_FRAMES[:2])})")
    prompt = _text(folder / PROMPT)
    if not prompt:
        raise WowError(f"has no prompt ({PROMPT} is missing or empty)")
    truths = [file for file in (folder / TRUTH, folder / f"{folder.name}.mp4") if file.is_file()]
    optional = {name: folder / name for name in (MASKS, KEYPOINTS) if (folder / name).is_file()}
    return Sample(
        key=key,
        folder=folder,
        first_frame=pictures[0],
        prompt=prompt,
        truth=truths[0] if truths else None,
        dense=described or _text(folder / DENSE) or None,
        masks=optional.get(MASKS),
        keypoints=optional.get(KEYPOINTS),
        meta=_meta(key, folder),
    )


def _meta(key: str, folder: Path) -> Meta:
    """What `meta.json` says; what it leaves open is read from the names of the folders above."""
    told = _read_json(folder / META) if (folder / META).is_file() else {}
    classes = key.rpartition("/")[0]
    sub_task = str(told.get("sub_task") or leaf_of(classes))
    difficulty = str(told.get("difficulty") or UNKNOWN).lower()
    edges, plan, facts = told.get("plan_edges"), told.get("plan") or [], told.get("facts") or {}
    if not isinstance(plan, list) or not isinstance(facts, dict):
        raise WowError(f"{META}: plan is a list of steps, and facts an object")
    try:
        plan_edges = None if edges is None else tuple((int(first), int(then)) for first, then in edges)
    except (TypeError, ValueError):
        raise WowError(f"{META}: plan_edges is a list of pairs of step numbers") from None
    known = {"ability", "sub_task", "difficulty", "embodiment", "source", "plan", "plan_edges", "facts"}
    return Meta(
        ability=str(told.get("ability") or ability_of(sub_task, classes)),
        sub_task=sub_task,
        difficulty=difficulty if difficulty in DIFFICULTIES else UNKNOWN,
        embodiment=str(told.get("embodiment") or UNKNOWN),
        source=str(told.get("source") or UNKNOWN),
        plan=tuple(str(step) for step in plan),
        plan_edges=plan_edges,
        facts={**facts, **{key: told[key] for key in told if key not in known}},
    )


def _dense_prompts(path: Path) -> dict[str, str]:
    """Dense prompts from the jsonl of the published dataset, by every end of the picture's folder, or by the index.

    `a/b/000` has the ends `000`, `b/000` and `a/b/000`. An end that two descriptions share says nothing: it is "".
    """
    file = path / DESCRIPTIONS
    if not file.is_file():
        return {}
    found: dict[str, str] = {}
    for line in file.read_text(errors="replace").splitlines():
        try:
            entry = json.loads(line) if line.strip() else None
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("generated_description"), str):
            folder = str(entry.get("image") or "").rpartition("/")[0] or str(entry.get("index", ""))
            text = entry["generated_description"].strip()
            for end in _ends(folder):
                found[end] = text if found.get(end, text) == text else ""
    return found


def _ends(path: str) -> list[str]:
    """`a/b/c`, `b/c` and `c`, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[place:]) for place in range(len(parts))]


def _text(file: Path) -> str:
    """The text of a small file, "" where it is missing."""
    if not file.is_file():
        return ""
    if file.stat().st_size > LARGEST_TEXT:
        raise WowError(f"{file.name} is larger than a text can be ({file.stat().st_size} bytes)")
    return file.read_text(errors="replace").strip()


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(_text(file))
    except ValueError as problem:
        raise WowError(f"{file.name} is not JSON ({problem})") from None
    if not isinstance(content, dict):
        raise WowError(f"{file.name} holds no JSON object")
    return content
