"""Settings of every test: headless rendering, one thread, and shapes checked in the rooms where tensors live."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import numpy as np

    from wow.bench.lpips import Lpips
    from wow.types import Embodiment, Episode

# Before anything imports mujoco, torch or a mathematics library: they read these once.
os.environ.setdefault("MUJOCO_GL", "egl")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

from jaxtyping import install_import_hook

install_import_hook(["wow.models", "wow.imagine"], "beartype.beartype")

TOY_SIZE = 64
"""Height and width of the toy robot's pictures [pixels]."""


@pytest.fixture(scope="session")
def toy_episode() -> Callable[..., Episode]:
    """Makes episodes of a toy robot: a red arm whose square hand moves in the picture plane, 1 cm a pixel, at 20 Hz.

    x is to the right and z up; y never moves. Two white fingers show how open the gripper is.
    """
    return _episode_of_the_toy


def _episode_of_the_toy(seed: int, length: int = 24) -> Episode:
    import numpy as np

    from wow.types import Episode, Video

    random = np.random.default_rng(seed)
    background = 90 + 40 * np.kron(random.random((8, 8, 3)), np.ones((8, 8, 1)))
    velocity, place, opening, toggle = random.normal(0, 0.01, 3), np.zeros(3), 1.0, int(random.integers(5, 20))
    frames, robots, places, actions, openings = [], [], [], [], []
    for step in range(length):
        command = 1.0 if step < toggle else 0.0
        velocity = np.clip(0.8 * velocity - 0.05 * place + random.normal(0, 0.008, 3), -0.03, 0.03) * (1, 0, 1)
        frame, robot = _picture_of_the_toy(background, place, opening)
        frames.append(frame)
        robots.append(robot)
        places.append(place)
        openings.append(opening)
        actions.append([*velocity, 0, 0, 0, command])
        place, opening = place + velocity, opening + 0.5 * (command - opening)
    hands = np.array(places, np.float32)
    return Episode(
        videos={"front": Video(np.round(frames).astype(np.uint8), 20.0)},
        actions=np.array(actions, np.float32),
        embodiment=_card_of_the_toy(),
        task="move about",
        states=np.concatenate([hands, np.array(openings, np.float32)[:, None]], axis=1),
        source="expert",
        success=True,
        signals={"sim.hand": hands, "sim.segmentation": np.array(robots).reshape(length, -1).astype(np.uint8)},
        facts={"seed": seed, "segments": ["background", "arm", "gripper", "object", "fixture"]},
    )


def _card_of_the_toy() -> Embodiment:
    from wow.types import Camera, Dimension, Embodiment

    return Embodiment(
        robot="toy",
        rate=20.0,
        action=tuple(Dimension(f"delta_{axis}", "m", "world", -0.04, 0.04) for axis in "xyz")
        + tuple(Dimension(f"delta_{axis}", "rad", "world") for axis in ("roll", "pitch", "yaw"))
        + (Dimension("gripper", "1", "gripper", 0.0, 1.0),),
        state=tuple(Dimension(f"gripper_{name}", "m" if name in "xyz" else "1") for name in ("x", "y", "z", "opening")),
        action_kind="delta",
        rotation="roll-pitch-yaw",
        gripper="0 closed, 1 open",
        cameras=(Camera("front", TOY_SIZE, TOY_SIZE),),
    )


def _picture_of_the_toy(background: np.ndarray, place: np.ndarray, opening: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture and where the robot is in it, from the place of the hand [m]; edges lie between pixels."""
    import numpy as np

    size, fine = TOY_SIZE, 4
    sheet = np.kron(background, np.ones((fine, fine, 1)))
    x, y = (round(fine * (size / 2 + sign * 100 * value)) for sign, value in ((1, place[0]), (-1, place[2])))
    robot = np.zeros(sheet.shape[:2], bool)
    robot[: max(y, 0), max(x - 8, 0) : x + 8] = True
    robot[max(y - 20, 0) : y + 20, max(x - 20, 0) : x + 20] = True
    sheet[robot] = (200, 40, 40)
    for side in (-1, 1):
        finger = x + side * round(6 + 12 * opening)
        sheet[y + 20 : y + 40, max(finger - 3, 0) : finger + 3] = 255
    cells = (size, fine, size, fine)
    return sheet.reshape(*cells, 3).mean(axis=(1, 3)), robot.reshape(cells).mean(axis=(1, 3)) > 0.5


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory: pytest.TempPathFactory, toy_episode: Callable[..., Episode]) -> Path:
    """A dataset of twenty episodes of the toy robot."""
    from wow.data import DatasetWriter

    root = tmp_path_factory.mktemp("toy") / "data"
    with DatasetWriter(root, toy_episode(0).embodiment, fps=20.0) as writer:
        for seed in range(20):
            writer.add(toy_episode(seed))
    return root


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory, toy_data: Path) -> Path:
    """An inverse dynamics run on the toy robot, of some seconds: good enough to be told from no model at all."""
    from wow.cli.main import main

    run = tmp_path_factory.mktemp("toy") / "run"
    words = ["train", "idm", "--data", str(toy_data), "--out", str(run), "--recipe", "smoke", "--config.hold-out", "4"]
    more = ["--config.train.steps", "240", "--config.train.batch-size", "6", "--config.train.average-decay", "0.95"]
    assert main([*words, *more]) == 0
    return run


@pytest.fixture(scope="session")
def lpips() -> Lpips:
    """The perceptual distance; who has not installed its weights is told how, and goes on without its tests."""
    from wow.bench.lpips import load_lpips
    from wow.types import WowError

    try:
        return load_lpips()
    except WowError as problem:
        pytest.skip(str(problem))
