"""What the fault network learns from, and that it learns: a ball that rolls across a floor, or jumps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wow import assembly, weights
from wow.cli.main import main
from wow.data import DatasetWriter
from wow.data.faults import FAULTS
from wow.train.faults import FaultObjective, blurred, by_cell, cutting, prepare_faults, sound, with_fault
from wow.train.recipes import FAULT_RECIPES
from wow.types import Camera, Dimension, Embodiment, Episode, UInt8, Video

SIZE, LENGTH = 32, 16
CARD = Embodiment("ball", 20.0, (Dimension("delta_x", "m"),), cameras=(Camera("front", SIZE, SIZE),))
RUN = replace(FAULT_RECIPES["smoke"](), hold_out=4)
RUN = replace(RUN, model=replace(RUN.model, size=SIZE, patch=4), measured=6)


def rolling(number: int) -> UInt8:
    random = np.random.default_rng(number)
    floor = np.full((SIZE, SIZE, 3), 90, np.uint8) + random.integers(0, 20, (SIZE, SIZE, 1), np.uint8)
    frames, row = np.repeat(floor[None], LENGTH, axis=0), int(random.integers(10, 22))
    for step in range(LENGTH):
        frames[step, row - 3 : row + 3, 4 + step : 10 + step] = (230, 30, 30)
    return frames


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ball") / "data"
    with DatasetWriter(root, CARD, fps=20.0) as writer:
        for number in range(16):
            frames = rolling(number)[: 3 if number == 15 else LENGTH]
            writer.add(
                Episode({"front": Video(frames, 20.0)}, np.zeros((len(frames), 1), np.float32), CARD, "roll the ball")
            )
    return root


@pytest.fixture(scope="module")
def objective(data: Path) -> FaultObjective:
    return prepare_faults(RUN, [data])


def test_a_fault_is_labelled_where_it_is() -> None:
    random, clean = np.random.default_rng(0), sound(rolling(0))
    for which, kind in enumerate(FAULTS):
        tried = [faulty for _ in range(10) if (faulty := with_fault(clean, kind, 0.9, random)) is not None]
        assert tried, f"{kind} is never seen"
        for faulty in tried:
            frames = np.flatnonzero(faulty.fault_frames[:, which])
            assert faulty.faults.sum() == 1 == faulty.faults[which] and faulty.fault_frames.sum() == len(frames) > 0
            assert np.array_equal(frames, np.arange(frames[0], frames[-1] + 1))
            seen = np.flatnonzero(faulty.altered.any(axis=(1, 2)))
            assert set(seen) <= set(frames), f"{kind} is said to be seen where it is not"
            assert seen[0] == frames[0], "the frame before a jump shows where the thing was"
    assert not clean.faults.any() and not clean.altered.any() and clean.quality == 1.0


def test_a_cutting_shows_the_fault_and_stays_inside() -> None:
    random, clean = np.random.default_rng(0), sound(rolling(0))
    assert cutting(clean, SIZE, random) is clean
    moving = 0
    for _ in range(30):
        faulty = with_fault(clean, "vanish", 0.9, random) or clean
        for example in (clean, faulty):
            part = cutting(example, 16, random)
            assert part.frames.shape == (LENGTH, 16, 16, 3) and part.altered.shape == (LENGTH, 16, 16)
            assert part.altered.any() == example.altered.any()
        moving += bool(np.ptp(cutting(clean, 16, random).frames.astype(int), axis=0).any())
    assert moving == 30  # a clip without a fault is cut where something moves, or emptiness would tell


def test_a_cell_is_altered_where_some_of_its_pixels_are() -> None:
    altered = np.zeros((1, 8, 8), np.bool_)
    altered[0, 1, 5] = True
    assert by_cell(altered, 4).tolist() == [[[0, 1], [0, 0]]]


def test_a_blur_is_no_fault_but_costs_quality() -> None:
    clean = sound(rolling(0))
    faint, strong = blurred(clean, 0.3), blurred(clean, 1.0)
    assert not strong.faults.any() and strong.quality == 0.0 < faint.quality < 1.0
    edges = [np.abs(np.diff(one.frames.astype(int), axis=2)).max() for one in (clean, faint, strong)]
    assert edges[0] > edges[1] > edges[2]


def test_short_and_held_out_episodes_are_never_drawn(objective: FaultObjective) -> None:
    (learned,) = objective._learned
    assert learned == [e for e in range(15) if e % 4 != 3]


def test_the_same_generator_gives_the_same_batch(objective: FaultObjective) -> None:
    one, other = (objective.batch(3, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(value, getattr(other, name)) for name, value in vars(one).items())
    assert one.frames.shape == (3, 9, SIZE, SIZE, 3) and one.fault_frames.shape == (3, 9, len(FAULTS))
    assert one.altered.shape == (3, 9, SIZE // 8, SIZE // 8)


def test_imagined_clips_have_their_share(data: Path) -> None:
    objective = prepare_faults(replace(RUN, painted=0.5), [data], [data])
    random = np.random.default_rng(0)
    drawn = [objective._source(random)[0] for _ in range(400)]
    assert np.mean([clips is objective.imagined[0] for clips in drawn]) == pytest.approx(0.5, abs=0.08)


def test_it_learns_to_see_what_is_put_in(objective: FaultObjective) -> None:
    torch.manual_seed(0)
    learner = FaultObjective(replace(objective.run, blurred=0.0), objective.recorded)
    optimizer = torch.optim.AdamW(learner.network.parameters(), lr=3e-3)
    losses = []
    for step in range(160):
        loss, numbers = learner.loss(learner.network, learner.batch(12, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learner.network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(numbers["fault"]))
    assert np.mean(losses[-20:]) < 0.8 * np.mean(losses[:20])


def test_from_the_command_to_a_finding(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trains, goes on where it was, sets the alarm, exports, and the exported network inspects videos."""
    run, folder = tmp_path / "run", tmp_path / "model"
    words = ["train", "faults", "--recipe", "smoke", "--data", str(data), "--imagined", str(data), "--out", str(run)]
    sizes = ["--config.model.size", str(SIZE), "--config.model.patch", "4", "--config.measured", "4", "--json"]
    more = ["--config.hold-out", "4", "--config.train.batch-size", "2", "--config.train.steps", "3"]
    assert main([*words, *sizes, *more, "--max-minutes", "0"]) == 0
    assert not json.loads(capsys.readouterr().out.splitlines()[-1])["finished"]
    assert main([*words, *sizes, *more]) == 0
    finished = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert finished["finished"] and {"false_alarms", "false_alarms_imagined"} <= finished.keys()
    assert main(["train", "export", "--faults", str(run), "--out", str(folder)]) == 0
    _, config = weights.load_part(folder, "faults")
    assert np.isfinite(config["alarm"]) and config["model"]["faults"] == list(FAULTS)
    finding = assembly.load_faults(folder)(rolling(3))
    assert set(finding.faults) == set(FAULTS) and finding.alarm == (finding.logit > config["alarm"])
    capsys.readouterr()
    assert main(["train", "faults", "--recipe", "smoke", "--data", str(tmp_path), "--out", str(tmp_path / "no")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
