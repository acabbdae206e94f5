"""The benchmark on a world whose truth is known: perfect systems get full marks, broken ones are found out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from wow.bench.dynamics import SAME_RESET, TWO_RESETS, measure_swaps, swap_pairs
from wow.bench.instructions import HELD_OUT, matched_clips, near_hand_and_things, nearest, sibling_sets
from wow.bench.intervals import Estimate
from wow.bench.quality import crops
from wow.bench.samples import chosen, clip_of, clip_rows, merged_actions
from wow.bench.system import Asked, NearestTrainingVideo, RepeatFirstFrame
from wow.bench.tables import BOTH_RIGHT, PSNR, RIGHT, Table
from wow.bench.world import WorldBench, WorldBenchConfig
from wow.data import DatasetWriter, open_dataset
from wow.types import Camera, Dimension, Embodiment, Episode, Float32, UInt8, Video, WowError

# ---- a world small enough to know everything about: a bright square moves over a dark floor ----

SIZE, FRAMES, SQUARE = 64, 5, 10
DIRECTIONS = {"go right": (3.0, 0.0), "go down": (0.0, 3.0), "go left": (-3.0, 0.0)}
PARAPHRASES = {"go right": "to the right", "go down": "downwards", "go left": "to the left"}
HELD_OUT_TEXTS = {HELD_OUT: {words: (other,) for words, other in PARAPHRASES.items()}}
CARD = Embodiment(
    robot="square",
    rate=10.0,
    action=(Dimension("delta_x", "m"), Dimension("delta_y", "m")),
    action_kind="delta",
    cameras=(Camera("front", SIZE, SIZE),),
)


def painted(where: tuple[float, float], floor: UInt8) -> UInt8:
    """The floor with the square at (column, row)."""
    frame = floor.copy()
    column, row = (int(np.clip(round(value), 0, SIZE - SQUARE)) for value in where)
    frame[row : row + SQUARE, column : column + SQUARE] = (250, 200, 40)
    return frame


def floor_of(seed: int) -> UInt8:
    """A blurred pattern, another for each reset."""
    noise = np.random.default_rng(seed).integers(20, 90, (8, 8, 3), dtype=np.uint8)
    return noise.repeat(SIZE // 8, axis=0).repeat(SIZE // 8, axis=1)


def episode(
    task: str, seed: int, source: str = "expert", scene: str = "squares", start: float | None = None
) -> Episode:
    """An episode that starts at a place drawn from `seed` and moves as `task` says, or at random."""
    generator = np.random.default_rng(seed)
    place = generator.uniform(24, 30, 2) if start is None else np.array([start, start])
    if source == "expert":
        actions = np.repeat(np.array([DIRECTIONS[task]], dtype=np.float32), FRAMES, axis=0)
    else:
        actions = generator.uniform(-3, 3, (FRAMES, 2)).astype(np.float32)
    path = place + np.concatenate([np.zeros((1, 2)), np.cumsum(actions[:-1], axis=0)])
    frames = np.stack([painted((column, row), floor_of(seed)) for column, row in path])
    return Episode(
        videos={"front": Video(frames, CARD.rate)},
        actions=actions,
        embodiment=CARD,
        task=task,
        source=source,
        success=source == "expert",
        signals={
            "sim.gripper_pixel": path.astype(np.float32),
            "sim.object_pixel": (path + SQUARE / 2).astype(np.float32),
        },
        facts={"task_name": task, "scene": scene, "seed": seed},
    )


def siblings(seed: int) -> list[Episode]:
    """All tasks from one reset."""
    return [episode(task, seed, start=27.0) for task in DIRECTIONS]


@dataclass(frozen=True)
class Episodes:
    """Episodes in memory, as a dataset shows them."""

    records: tuple[Episode, ...]
    embodiment: Embodiment = CARD

    def __len__(self) -> int:
        return len(self.records)

    def episode(self, index: int) -> Episode:
        return self.records[index]

    def frames(self, episode: int, indices: Sequence[int], camera: str | None = None) -> UInt8:
        return self.records[episode].videos[camera or "front"].frames[list(indices)]


@dataclass
class Physicist:
    """Imagines this world perfectly: finds the square in the first frame, moves it by the actions, else by the words.

    deaf: ignores actions. illiterate: takes every instruction for the first one. crash_after: calls until it is killed.
    """

    deaf: bool = False
    illiterate: bool = False
    crash_after: int | None = None
    name: str = "physicist"
    calls: list[int] = field(default_factory=list)

    def imagine(self, asked: Asked) -> list[UInt8]:
        if self.crash_after is not None and len(self.calls) >= self.crash_after:
            raise KeyboardInterrupt
        self.calls.append(len(asked.contexts))
        moves = [None] * len(asked.contexts) if asked.actions is None or self.deaf else asked.actions
        return [
            self._video(context, prompt, move, asked.num_frames)
            for context, prompt, move in zip(asked.contexts, asked.prompts, moves, strict=True)
        ]

    def with_num_inference_steps(self, steps: int) -> Physicist:
        return self

    def _video(self, context: UInt8, prompt: str | None, move: Float32 | None, num_frames: int) -> UInt8:
        bright = np.argwhere(context[..., 0] > 200)
        row, column = bright.min(axis=0)
        if move is None:
            move = np.repeat(np.array([self._direction(prompt)], dtype=np.float32), num_frames - 1, axis=0)
        path = np.array([column, row]) + np.concatenate([np.zeros((1, 2)), np.cumsum(move, axis=0)])
        floor = context.copy()
        floor[row : row + SQUARE, column : column + SQUARE] = 55
        return np.stack([context, *(painted((x, y), floor) for x, y in path[1:])])

    def _direction(self, prompt: str | None) -> tuple[float, float]:
        if self.illiterate or prompt is None:
            return next(iter(DIRECTIONS.values()))
        meaning = {**{words: words for words in DIRECTIONS}, **{other: words for words, other in PARAPHRASES.items()}}
        return DIRECTIONS[meaning[prompt]]


# ---- what must be true of the benchmark in it ----

CONFIG = WorldBenchConfig(
    episodes_per_task=2, num_frames=FRAMES, steps=(1, 2), batch=3, only=("quality", "instructions", "dynamics", "steps")
)


@pytest.fixture(scope="module")
def held_out() -> Episodes:
    """Two resets of each of three tasks, a random episode from each reset, and one reset attempted by all."""
    own = [
        episode(task, 10 * number + seed, source, scene=task)
        for number, task in enumerate(DIRECTIONS)
        for seed in (0, 1)
        for source in ("expert", "random")
    ]
    return Episodes((*own, *siblings(90), *siblings(91)))


def bench(system: Physicist, data: Episodes, out: Path, **changes: object) -> WorldBench:
    return WorldBench(system, data, out, CONFIG, held_out=HELD_OUT_TEXTS, **changes)  # type: ignore[arg-type]


def cells(tables: list[Table], name: str) -> dict[str, dict[str, Estimate | str]]:
    table = next(table for table in tables if table.name == name)
    return {row.label: dict(row.cells) for row in table.rows}


def value(cell: Estimate | str) -> float:
    assert isinstance(cell, Estimate)
    return cell.value


def test_a_perfect_system_gets_full_marks(held_out: Episodes, tmp_path: Path) -> None:
    tables = bench(Physicist(), held_out, tmp_path / "out", train=held_out).run("test", "squares")
    quality = cells(tables, "quality")
    assert value(quality["imagined"][PSNR]) > value(quality["first frame repeated"][PSNR]) + 5
    assert value(quality["nearest training video"][PSNR]) == 60, "the truth itself was among the training videos"
    assert value(cells(tables, "instructions")["trained wording"][RIGHT]) == 1
    assert value(cells(tables, "instructions")["held-out paraphrase"][RIGHT]) == 1
    assert value(cells(tables, "instructions")["trained wording, around hand and things"][RIGHT]) == 1
    swaps = cells(tables, "swaps")
    assert value(swaps[f"random actions, {SAME_RESET}"][RIGHT]) == 1
    assert value(swaps[f"random actions, {SAME_RESET}"][BOTH_RIGHT]) == 1
    dynamics = cells(tables, "dynamics")
    assert value(dynamics["random: actions alone"][PSNR]) > value(dynamics["random: first frame repeated"][PSNR]) + 5


def test_a_system_that_ignores_actions_fails_the_swap(held_out: Episodes, tmp_path: Path) -> None:
    tables = bench(Physicist(deaf=True), held_out, tmp_path / "out").run("test", "squares")
    assert value(cells(tables, "swaps")[f"random actions, {SAME_RESET}"][RIGHT]) == 0


def test_a_still_picture_follows_no_actions(held_out: Episodes) -> None:
    """It is closer to the calmer truth whatever the actions: half right one way, never both ways."""
    clips = {number: clip_of(held_out.episode(number), str(number), FRAMES, "front") for number in range(len(held_out))}
    pairs = [(clips[one], clips[other], kind) for one, other, kind in swap_pairs(held_out, 2) if kind != TWO_RESETS]
    records = measure_swaps(pairs, RepeatFirstFrame(), 0)
    assert any(record.follows_swapped for record in records)
    assert not any(record.tells_apart for record in records)


def test_a_system_that_cannot_read_is_right_by_chance_only(held_out: Episodes, tmp_path: Path) -> None:
    tables = bench(Physicist(illiterate=True), held_out, tmp_path / "out").run("test", "squares")
    assert value(cells(tables, "instructions")["trained wording"][RIGHT]) == pytest.approx(1 / 3)


def test_of_several_wordings_each_has_its_turn(held_out: Episodes) -> None:
    sets = sibling_sets(held_out, 2)
    assert len(sets) == 2
    texts = {"in two ways": {words: (f"1 {words}", f"2 {words}") for words in DIRECTIONS}, "in none": {}}
    asked = [matched_clips(held_out, found, FRAMES, "front", texts) for found in sets]
    for number, matched in enumerate(asked, start=1):
        assert matched.held_out["in two ways"] == tuple(f"{number} {words}" for words in matched.instructions)
        assert set(matched.held_out["in none"]) == {None}


def test_an_arm_elsewhere_does_not_decide_around_hand_and_things() -> None:
    """The imagined thing lies where it should, a large arm is the other outcome's."""
    clips = [clip_of(siblings(0)[place], str(place), FRAMES, "front") for place in (0, 1)]
    near = near_hand_and_things(clips)
    assert near is not None and 0 < near.mean() < 0.5
    for clip in clips:
        assert clip.gripper is not None
        column, row = np.round(clip.gripper[-1]).astype(int)
        assert near[row, column]
    ends = np.stack([clip.frames[-1] for clip in clips])
    far = np.argwhere(~near)[:400]
    ends[1, far[:, 0], far[:, 1]] = 255
    imagined = ends[0].copy()
    imagined[far[:, 0], far[:, 1]] = 255
    assert nearest(imagined, ends) == 1 and nearest(imagined, ends, near) == 0
    assert near_hand_and_things([replace(clips[0], gripper=None)]) is None


def test_every_number_has_its_n_interval_command_machine_and_date(held_out: Episodes, tmp_path: Path) -> None:
    bench(Physicist(), held_out, tmp_path / "out").run("wow bench world --seed 0", "squares")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["command"] == "wow bench world --seed 0"
    assert report["machine"] and report["date"] and report["system"] == "physicist"
    imagined = report["tables"]["quality"]["rows"][0]
    assert imagined[PSNR]["n"] == 6
    assert imagined[PSNR]["low"] <= imagined[PSNR]["value"] <= imagined[PSNR]["high"]
    assert imagined["LPIPS"].startswith("N/A: ")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| imagined |" in page and "N/A: " in page
    assert (tmp_path / "out" / "strips.png").exists()


@pytest.mark.parametrize("calls", [2, 8])
def test_a_killed_run_continues_and_ends_the_same(held_out: Episodes, tmp_path: Path, calls: int) -> None:
    whole = Physicist()
    bench(whole, held_out, tmp_path / "whole").run("test", "squares")
    first, second = Physicist(crash_after=calls), Physicist()
    with pytest.raises(KeyboardInterrupt):
        bench(first, held_out, tmp_path / "killed").run("test", "squares")
    bench(second, held_out, tmp_path / "killed").run("test", "squares")
    # At most one batch, which is up to three calls (one for each thing it tells the system), is imagined twice.
    assert len(whole.calls) <= len(first.calls) + len(second.calls) <= len(whole.calls) + 2
    for name in ("quality", "crops", "instructions", "dynamics", "swaps"):
        one, other = (json.loads((tmp_path / run / f"{name}.json").read_text())["rows"] for run in ("whole", "killed"))
        assert one == other


def test_a_line_cut_off_by_a_crash_costs_one_batch(held_out: Episodes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    bench(Physicist(), held_out, out).run("test", "squares")
    whole, lines = (out / "quality.json").read_text(), (out / "quality.jsonl").read_bytes()
    (out / "quality.jsonl").write_bytes(lines[:-40])
    again = Physicist()
    bench(again, held_out, out).run("test", "squares")
    assert len(again.calls) == 2, "one batch: without and with the pace"
    assert json.loads(whole)["rows"] == json.loads((out / "quality.json").read_text())["rows"]


def test_two_systems_never_share_a_folder(held_out: Episodes, tmp_path: Path) -> None:
    bench(Physicist(), held_out, tmp_path / "out").run("test", "squares")
    with pytest.raises(WowError, match="another --out"):
        bench(Physicist(name="alchemist"), held_out, tmp_path / "out").run("test", "squares")


def test_it_reads_a_dataset_from_disk(held_out: Episodes, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", CARD, fps=CARD.rate) as writer:
        for recorded in held_out.records:
            writer.add(recorded)
    data = open_dataset(tmp_path / "data")
    run = WorldBench(Physicist(), data, tmp_path / "out", CONFIG, train=data, held_out=HELD_OUT_TEXTS)
    tables = run.run("test", "squares")
    assert value(cells(tables, "instructions")["trained wording"][RIGHT]) == 1
    quality = cells(tables, "quality")
    assert value(quality["imagined minus first frame repeated"][PSNR]) > 3


def test_data_without_episodes_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WowError, match="nothing to measure"):
        bench(Physicist(), Episodes(()), tmp_path / "out").run("test", "nothing")


@pytest.mark.parametrize("length", [2, 5, 9, 17, 40])
def test_a_clip_reaches_from_the_start_to_the_outcome(length: int) -> None:
    rows, stride = clip_rows(length, 9)
    assert rows[0] == 0 and rows[-1] == length - 1 and len(rows) == 9
    assert stride >= 1 and (np.diff(rows) >= 0).all()


@pytest.mark.parametrize("length", [4, 9, 23])
def test_merged_actions_lead_where_the_single_ones_lead(length: int) -> None:
    actions = np.random.default_rng(length).normal(size=(length, 2)).astype(np.float32)
    rows, _ = clip_rows(length, 9)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(actions[:-1], axis=0)])
    merged = np.concatenate([np.zeros((1, 2)), np.cumsum(merged_actions(actions, rows, CARD), axis=0)])
    assert merged == pytest.approx(path[rows], abs=1e-4)


def test_crops_stay_inside_and_follow() -> None:
    clip = clip_of(episode("go right", 3), "3", FRAMES, "front")
    assert clip.object is not None
    pieces = crops(clip.frames, clip.object, 16)
    assert pieces.shape == (FRAMES, 16, 16, 3)
    assert (pieces[:, 4:12, 4:12, 0] > 200).all(), "the square is in the middle of every crop"
    corner = np.full((FRAMES, 2), 1e4, dtype=np.float32)
    assert np.array_equal(crops(clip.frames, corner, 16), clip.frames[:, -16:, -16:])


def test_the_nearest_training_video_is_of_the_same_task(held_out: Episodes) -> None:
    baseline = NearestTrainingVideo(held_out, "front")
    for number in chosen(held_out, "expert", 1):
        clip = clip_of(held_out.episode(number), str(number), FRAMES, "front")
        (found,) = baseline.imagine(Asked([clip.frames[0]], [clip.prompt], FRAMES, 0))
        assert np.array_equal(found, clip.frames)


def test_swaps_are_drawn_within_a_task(held_out: Episodes) -> None:
    for one, other, kind in swap_pairs(held_out, 2):
        first, second = held_out.records[one], held_out.records[other]
        assert first.task == second.task and one != other
        assert (first.facts["seed"] == second.facts["seed"]) == (kind != TWO_RESETS)
