"""Action files: read back as they were written, and refused by name and row where they cannot be executed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wow.data.action_file import check_limits, read_actions, read_events, write_actions
from wow.types import Actions, Dimension, Embodiment, WowError

ARM = Embodiment(
    robot="an arm",
    rate=20.0,
    action=(
        *(Dimension(f"delta_{axis}", "m", "world", -0.04, 0.04) for axis in "xyz"),
        *(Dimension(f"delta_{axis}", "rad", "world", -3.2, 3.2) for axis in ("roll", "pitch", "yaw")),
        Dimension("gripper", "1", "gripper", 0.0, 1.0),
    ),
    action_kind="delta",
    rotation="roll-pitch-yaw",
    gripper="0 closed, 1 open",
)
FIVE = np.tile(np.array([0.01, -0.02, 0.03, 0, 0, 0, 1], np.float32), (5, 1))


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    """A written file with some of its entries changed."""

    def make(change: Callable[[dict[str, Any]], object] = lambda content: None, seconds: float | None = 0.05) -> Path:
        path = tmp_path / "actions.json"
        write_actions(path, Actions(FIVE, ARM, seconds))
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return path

    return make


@given(arrays.arrays(np.float32, (3, 7), elements=st.floats(0.0, 0.03125, width=32)))
def test_what_is_written_is_read_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, values: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("actions") / "actions.json"
    write_actions(path, Actions(values, ARM, 0.05, values / 3))
    found = read_actions(path, ARM)
    assert np.array_equal(found.values, values) and found.seconds == 0.05
    assert found.deviations is not None and np.array_equal(found.deviations, values / 3)


def test_what_is_said_beside_the_numbers_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "actions.json"
    events = [{"transition": 2, "gripper": "close"}]
    write_actions(path, Actions(FIVE, ARM), events=events, confidence=0.4, notes=["resampled"])
    content = json.loads(path.read_text())
    assert content["events"] == events and content["confidence"] == 0.4 and content["notes"] == ["resampled"]
    assert content["dimensions"][0] == {"name": "delta_x", "unit": "m", "frame": "world", "low": -0.04, "high": 0.04}
    assert content["seconds"] is None and read_actions(path, ARM).seconds is None
    assert [file.name for file in tmp_path.iterdir()] == ["actions.json"], "no leftovers"
    assert read_events(path) == events
    broken = [{"transition": 99, "gripper": "close"}, {"transition": "2"}, "close", *events]
    path.write_text(json.dumps({**content, "events": broken}))
    assert read_events(path) == events, "those of which a picture can be made"


@pytest.mark.parametrize("kind", ["npy", "list", "values"])
def test_bare_numbers_are_read_as_the_cards(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a.npy" if kind == "npy" else "a.json")
    if kind == "npy":
        np.save(path, FIVE.astype(np.float64))
    else:
        path.write_text(json.dumps(FIVE.tolist() if kind == "list" else {"values": FIVE.tolist()}))
    found = read_actions(path, ARM)
    assert np.allclose(found.values, FIVE) and found.seconds is None and found.embodiment is ARM


def nan(content: dict[str, Any]) -> None:
    content["values"][3][1] = float("nan")


def missing(content: dict[str, Any]) -> None:
    content["values"][2][6] = None


def in_words(content: dict[str, Any]) -> None:
    content["values"][1][2] = "0.01"


def narrow(content: dict[str, Any]) -> None:
    content["values"] = [row[:6] for row in content["values"]]


def ragged(content: dict[str, Any]) -> None:
    content["values"][0] = content["values"][0][:3]


def millimetres(content: dict[str, Any]) -> None:
    content["dimensions"][1]["unit"] = "mm"


def of_the_tool(content: dict[str, Any]) -> None:
    content["dimensions"][2]["frame"] = "tool"


def swapped(content: dict[str, Any]) -> None:
    content["dimensions"][0], content["dimensions"][1] = content["dimensions"][1], content["dimensions"][0]


def quaternions(content: dict[str, Any]) -> None:
    content["rotation"] = "quaternion"


def closes_with_one(content: dict[str, Any]) -> None:
    content["gripper"] = "0 open, 1 closed"


def too_far(content: dict[str, Any]) -> None:
    content["values"][4][0] = 0.05


def too_open(content: dict[str, Any]) -> None:
    content["values"][4][6] = 1.2


def from_the_future(content: dict[str, Any]) -> None:
    content["version"] = 9


def another_format(content: dict[str, Any]) -> None:
    content["format"] = "recipes"


def without_pace(content: dict[str, Any]) -> None:
    content["seconds"] = -1


def negative(content: dict[str, Any]) -> None:
    content["deviations"] = (-FIVE).tolist()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (nan, ["delta_y", "row 3"]),
        (missing, ["gripper", "row 2"]),
        (in_words, ["delta_z", "row 1", "'0.01'"]),
        (narrow, ["[T, 7]", "delta_x [m]", "[5, 6]"]),
        (ragged, ["equally long"]),
        (millimetres, ["delta_y", "'mm'", "'m'"]),
        (of_the_tool, ["delta_z", "'tool'", "'world'"]),
        (swapped, ["column 0", "delta_y", "delta_x"]),
        (quaternions, ["rotation", "quaternion", "roll-pitch-yaw"]),
        (closes_with_one, ["gripper", "0 open, 1 closed"]),
        (too_far, ["delta_x", "row 4", "0.05 [m]", "0.04"]),
        (too_open, ["gripper", "row 4", "1.2"]),
        (from_the_future, ["version", "9"]),
        (another_format, ["no actions"]),
        (without_pace, ["seconds", "-1"]),
        (negative, ["deviations"]),
    ],
)
def test_what_cannot_be_executed_is_refused_by_name_and_row(
    stored: Callable[..., Path], change: Callable[[dict[str, Any]], object], said: list[str]
) -> None:
    with pytest.raises(WowError) as refusal:
        read_actions(stored(change), ARM)
    assert "\n" not in str(refusal.value) and all(word in str(refusal.value) for word in said), str(refusal.value)


def test_limits_grow_with_the_time_of_a_transition() -> None:
    far = FIVE * np.float32(5.0)
    far[:, 6] = 1.0
    with pytest.raises(WowError, match="delta_x of row 0"):
        check_limits("plan", Actions(far, ARM, 0.05))
    check_limits("plan", Actions(far, ARM, 0.2))
    check_limits("plan", Actions(far, ARM, None))
    with pytest.raises(WowError, match="unknown pace"):
        check_limits("plan", Actions(far * np.float32(20.0), ARM, None))


def test_a_card_that_knows_little_refuses_little(stored: Callable[..., Path]) -> None:
    unknown = Embodiment("who knows", 20.0, tuple(Dimension(dimension.name, "unknown") for dimension in ARM.action))
    assert len(read_actions(stored(too_far), unknown)) == 5
    with pytest.raises(WowError, match="delta_y of row 3"):
        read_actions(stored(nan), unknown)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"values": []}', '{"values": {}}', '"a"', "[[[1]]]"])
def test_files_of_something_else_are_one_line(tmp_path: Path, content: str) -> None:
    for name in ("a.json", "a.npy"):
        (tmp_path / name).write_text(content)
        with pytest.raises(WowError) as refusal:
            read_actions(tmp_path / name, ARM)
        assert "\n" not in str(refusal.value)
    with pytest.raises(WowError, match="no file of actions"):
        read_actions(tmp_path / "none.json", ARM)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(WowError, match="no actions"):
        read_actions(tmp_path / "a.npy", ARM)


def test_numbers_that_are_none_are_our_own_mistake(tmp_path: Path) -> None:
    values = replace(Actions(FIVE.copy(), ARM)).values
    values[0, 0] = np.nan
    with pytest.raises(ValueError):
        write_actions(tmp_path / "a.json", Actions(values, ARM))
    assert not list(tmp_path.glob("a.json"))
